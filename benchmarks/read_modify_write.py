"""Read-modify-writes of one document: the scenario that exhaustive search is measured with."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from harness import Call, Context, Env, Operation, Scenario, real_env
from harness.checkers import Update, lost_updates, unexpected_errors

DOCUMENT = "counter"


class ReadModifyWrite:
    """Reads the document and writes it back counted up, without looking whether somebody came between."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._collection = database["counters"]

    async def count_up(self) -> int:
        """Count up by one; return what was read."""
        seen = await self._collection.find_one({"_id": DOCUMENT})
        await self._collection.update_one({"_id": DOCUMENT}, {"$set": {"count": seen["count"] + 1}})
        count: int = seen["count"]
        return count


async def count_up(context: Context) -> int:
    """Count up; return what was read."""
    count: int = await context.pattern.count_up()
    return count


def workload(random: random.Random, client: int) -> Iterator[Call]:  # noqa: ARG001 - the same calls for all
    """Count up, again and again."""
    return itertools.repeat(Call(function="count_up"))


async def setup(context: Context) -> None:
    """Insert the document."""
    await context.database["counters"].insert_one({"_id": DOCUMENT, "count": 0})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the document."""
    document = await context.database["counters"].find_one({"_id": DOCUMENT})
    return {"count": document["count"]}


def update_of(_operation: Operation) -> Update:
    """Return what an operation added."""
    return Update(key=DOCUMENT)


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
