"""A journal entry before a write and a mark after it; nothing replays what a dead writer left between the two."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Scenario, real_env


class PublishedJournal:
    """Writes entry, document and mark one after the other."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._journal = database["journal"]
        self._documents = database["documents"]

    async def write(self, token: str) -> None:
        """Write a document with its entry."""
        await self._journal.insert_one({"_id": token, "status": "pending"})
        await self._documents.insert_one({"_id": token})
        await self._journal.update_one({"_id": token}, {"$set": {"status": "completed"}})


async def write(context: Context, *, token: str) -> None:
    """Write a document."""
    await context.pattern.write(token)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Write unique documents."""
    return (Call(function="write", arguments={"token": f"{client}-{number}"}) for number in itertools.count())


async def final_reads(context: Context) -> dict[str, Any]:
    """Read journal and documents."""
    entries = await context.database["journal"].find({}).to_list()
    documents = await context.database["documents"].find({}).to_list()
    return {"journal": {entry["_id"]: entry["status"] for entry in entries}, "documents": [d["_id"] for d in documents]}


def disagreeing(history: History) -> Iterator[Found]:
    """Yield entries that say otherwise than the documents."""
    for token, status in history.final["journal"].items():
        if (status == "completed") != (token in history.final["documents"]):
            evidence = tuple(o for o in history.of("write") if o.arguments["token"] == token)
            there = "there" if token in history.final["documents"] else "not there"
            yield f"the entry of {token} is {status}, its document is {there}", evidence


SCENARIO = Scenario(
    name="journaled_writer",
    contract="An entry is completed exactly where its document is there.",
    section="Write Concerns and Journaling: Journaling Patterns",
    variants={"published": PublishedJournal},
    operations={"write": write},
    workload=workload,
    final_reads=final_reads,
    checkers=(
        rule("journal-disagrees", "Entries agree with documents.", disagreeing, needs_final=("journal", "documents")),
    ),
)
