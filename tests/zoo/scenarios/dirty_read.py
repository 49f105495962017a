"""A log that is read at read concern local: what is read may be rolled back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Scenario, real_env


class PublishedLog:
    """Reads what the primary has, whether a majority has it or not."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._entries = database["entries"]

    async def add(self, token: str) -> None:
        """Add an entry."""
        await self._entries.insert_one({"_id": token})

    async def read(self) -> list[str]:
        """Return all entries."""
        return [entry["_id"] for entry in await self._entries.find({}).to_list()]


async def add(context: Context, *, token: str) -> None:
    """Add an entry."""
    await context.pattern.add(token)


async def read(context: Context) -> list[str]:
    """Read all entries."""
    return await context.pattern.read()


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Add entries and read them."""
    for number in itertools.count():
        if random.random() < 0.5:
            yield Call(function="add", arguments={"token": f"{client}-{number}"})
        else:
            yield Call(function="read")


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all entries."""
    return {"entries": await context.pattern.read()}


def vanished(history: History) -> Iterator[Found]:
    """Yield reads that showed an entry which is not there at the end."""
    for operation in told(history, "read"):
        gone = [token for token in operation.result if token not in history.final["entries"]]
        if gone:
            writers = tuple(o for o in history.of("add") if o.arguments["token"] in gone)
            yield f"{gone[0]} was read and is gone", (*writers, operation)


SCENARIO = Scenario(
    name="dirty_read",
    contract="What was read stays.",
    section="Read Concerns: local",
    variants={"published": PublishedLog},
    operations={"add": add, "read": read},
    workload=workload,
    final_reads=final_reads,
    checkers=(rule("dirty-read", "What was read stays.", vanished, needs_final=("entries",)),),
)
