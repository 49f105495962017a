"""Copies of documents, refreshed in unordered batches of blind replacements."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pymongo import ReplaceOne
from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Scenario, real_env

KEYS = ("a", "b", "c")


class PublishedBatch:
    """Replaces whatever is there: a batch that was read early and written late puts old values back."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._sources = database["sources"]
        self._copies = database["copies"]

    async def change(self, key: str) -> None:
        """Change a source."""
        await self._sources.update_one({"_id": key}, {"$inc": {"number": 1}})

    async def refresh(self) -> dict[str, int]:
        """Copy all sources in one batch; return what was copied."""
        sources = await self._sources.find({}).to_list()
        batch = [ReplaceOne({"_id": source["_id"]}, source, upsert=True) for source in sources]
        await self._copies.bulk_write(batch, ordered=False)
        return {source["_id"]: source["number"] for source in sources}


async def change(context: Context, *, key: str) -> None:
    """Change a source."""
    await context.pattern.change(key)


async def refresh(context: Context) -> dict[str, int]:
    """Refresh the copies."""
    return await context.pattern.refresh()


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Change sources, and refresh now and then."""
    while True:
        if random.random() < 0.4:
            yield Call(function="refresh")
        else:
            yield Call(function="change", arguments={"key": random.choice(KEYS)})


async def setup(context: Context) -> None:
    """Insert the sources."""
    await context.database["sources"].insert_many([{"_id": key, "number": 0} for key in KEYS])


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the copies."""
    copies = await context.database["copies"].find({}).to_list()
    return {"copies": {copy["_id"]: copy["number"] for copy in copies}}


def stale(history: History) -> Iterator[Found]:
    """Yield copies that are older than one that was acknowledged."""
    for key, number in history.final["copies"].items():
        newer = tuple(o for o in told(history, "refresh") if o.result[key] > number)
        if newer:
            yield f"{key} ends at {number}, though {newer[-1].result[key]} was copied", newer


SCENARIO = Scenario(
    name="batch_upsert",
    contract="Every copy ends with the highest number that was sent for it.",
    section="Bulk Write Operations: Batch Processing",
    variants={"published": PublishedBatch},
    operations={"change": change, "refresh": refresh},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(rule("stale-copy", "A copy never goes back.", stale, needs_final=("copies",)),),
)
