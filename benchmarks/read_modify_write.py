"""Read-modify-writes of one document: the scenario that exhaustive search is measured with."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from harness import Call, Context, Env, Operation, Scenario, real_env
from harness.checkers import Update, lost_updates, unexpected_errors

DOCUMENT = "counter"
NOBODY = "setup"


class ReadModifyWrite:
    """Reads the document and writes it back counted up, without looking whether somebody came between."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._collection = database["counters"]

    async def count_up(self, key: str) -> str:
        """Count up by one, signed with ``key``; return the key of the write that was read."""
        seen = await self._collection.find_one({"_id": DOCUMENT})
        await self._collection.update_one({"_id": DOCUMENT}, {"$set": {"count": seen["count"] + 1, "key": key}})
        base: str = seen["key"]
        return base


async def count_up(context: Context, *, key: str) -> str:
    """Count up; return the key of the write that was read."""
    base: str = await context.pattern.count_up(key)
    return base


def workload(random: random.Random, client: int) -> Iterator[Call]:  # noqa: ARG001 - the same calls for every seed
    """Count up, again and again."""
    for number in itertools.count():
        yield Call(function="count_up", arguments={"key": f"{client}-{number}"})


async def setup(context: Context) -> None:
    """Insert the document."""
    await context.database["counters"].insert_one({"_id": DOCUMENT, "count": 0, "key": NOBODY})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the document."""
    document = await context.database["counters"].find_one({"_id": DOCUMENT})
    return {"count": document["count"], "key": document["key"]}


def update_of(operation: Operation) -> Update:
    """Return what an operation was computed from, where it was told."""
    return Update(key=DOCUMENT, base=operation.result if operation.outcome == "returned" else None)


SCENARIO = Scenario(
    name="read_modify_write",
    contract="No acknowledged update is lost.",
    section="benchmarks: the lost update",
    variants={"published": ReadModifyWrite},
    operations={"count_up": count_up},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        lost_updates(
            update=update_of,
            final=lambda final: {DOCUMENT: final["count"]},
            needs_final=("count",),
            guarantee="No acknowledged update is lost.",
        ),
        unexpected_errors(),
    ),
    settings=("default", "w=1"),
    faults=("none", "kill-primary", "partition-primary"),
)
