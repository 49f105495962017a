"""A register that clients replace, and touch: a touch matches the value that its client has read and changes nothing.

Touched with a majority, the register had that value at some moment of the call: so says the guarantee that a server
breaks which acknowledges what changes nothing without asking anybody (SERVER-101041).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from harness import Call, Context, Env, Operation, Scenario, real_env
from harness.checkers import Step, linearizable
from harness.checkers.models import register

KEY = "register"
FIRST = "setup"
REPLACES_SHARE = 0.3


class Register:
    """Replaces the value blindly; touches the one that it finds."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._registers = database["registers"]

    async def replace(self, value: str) -> None:
        """Set the value."""
        await self._registers.update_one({"_id": KEY}, {"$set": {"value": value}})

    async def touch(self, value: str) -> bool:
        """Whether the register has that value, by an update that leaves it as it is."""
        result = await self._registers.update_one({"_id": KEY, "value": value}, {"$set": {"value": value}})
        return bool(result.matched_count)

    async def find(self) -> str:
        """Return the value as the primary has it, committed or not."""
        document = await self._registers.find_one({"_id": KEY})
        value: str = document["value"]
        return value


async def replace(context: Context, *, value: str) -> None:
    """Set the value."""
    await context.pattern.replace(value)


async def touch(context: Context) -> str | None:
    """Touch the value that is found; return it, or None where it was no longer that."""
    value: str = await context.pattern.find()
    return value if await context.pattern.touch(value) else None


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Replace now and then, touch otherwise."""
    for number in itertools.count():
        if random.random() < REPLACES_SHARE:
            yield Call(function="replace", arguments={"value": f"{client}-{number}"})
        else:
            yield Call(function="touch")


async def setup(context: Context) -> None:
    """Insert the register."""
    await context.database["registers"].insert_one({"_id": KEY, "value": FIRST})


def step_of(operation: Operation) -> Step | None:
    """Return a replacement as a write, a touch that matched as a read."""
    if operation.function == "replace":
        return Step("write", operation.arguments["value"])
    value = operation.result if operation.outcome == "returned" else None
    return None if value is None else Step("read", result=value)


SCENARIO = Scenario(
    name="touch",
    contract="A value that a majority confirmed was the register's.",
    section="write concern, updates that change nothing",
    variants={"register": Register},
    operations={"replace": replace, "touch": touch},
    workload=workload,
    setup=setup,
    checkers=(linearizable(register(FIRST), step=step_of, name="touch"),),
    faults=("pause-primary", "split-clients"),
)
