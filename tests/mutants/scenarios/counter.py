"""Counters that are only ever counted up, each call by one: what is applied twice, or lost, is in the sum."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from harness import Call, Context, Env, Scenario, real_env
from harness.checkers import Update, lost_updates

COUNTERS = 2


class Counters:
    """One blind increment a call."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._counters = database["counters"]

    async def add(self, counter: int) -> None:
        """Count up by one."""
        await self._counters.update_one({"_id": counter}, {"$inc": {"count": 1}})


async def add(context: Context, *, counter: int) -> None:
    """Count up by one."""
    await context.pattern.add(counter)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Count up one or the other."""
    for _ in itertools.count():
        yield Call(function="add", arguments={"counter": random.randrange(COUNTERS)})


async def setup(context: Context) -> None:
    """Insert the counters at 0."""
    await context.database["counters"].insert_many([{"_id": number, "count": 0} for number in range(COUNTERS)])


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the counters."""
    return {"counters": await context.database["counters"].find({}).to_list()}


SCENARIO = Scenario(
    name="counter",
    contract="An acknowledged increment counts once.",
    section="retryable writes",
    variants={"counters": Counters},
    operations={"add": add},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        lost_updates(
            update=lambda operation: Update(key=operation.arguments["counter"]),
            final=lambda final: {counter["_id"]: counter["count"] for counter in final["counters"]},
            needs_final=("counters",),
        ),
    ),
    faults=("lost-reply",),
)
