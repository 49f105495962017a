"""A lock whose lease every client judges by its own clock."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from typing import Any

from pymongo.errors import DuplicateKeyError

from harness import Call, Context, Env, Operation, Rejected, Scenario, real_env
from harness.checkers import Update, lost_updates

LEASE_S = 0.4


class PublishedLock:
    """Takes a lock over when it has expired, by the clock of who asks; writes what it guards without a fence."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._locks = database["locks"]
        self._counters = database["counters"]

    async def add(self, owner: str) -> int:
        """Count one up under the lock; return what was read. Raises Rejected where somebody holds it."""
        now = self._env.now()
        lease = {"owner": owner, "until": now + datetime.timedelta(seconds=LEASE_S)}
        try:
            await self._locks.update_one({"_id": "lock", "until": {"$lt": now}}, {"$set": lease}, upsert=True)
        except DuplicateKeyError as error:
            raise Rejected("The lock is held") from error
        counter = await self._counters.find_one({"_id": "counter"})
        await self._counters.update_one({"_id": "counter"}, {"$set": {"value": counter["value"] + 1}})
        await self._locks.delete_one({"_id": "lock", "owner": owner})
        return int(counter["value"])


async def add(context: Context, *, owner: str) -> int:
    """Count one up."""
    return await context.pattern.add(owner)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Count up, every time as another owner."""
    number = 0
    while True:
        yield Call(function="add", arguments={"owner": f"{client}-{number}"})
        number += 1


async def setup(context: Context) -> None:
    """Insert the counter."""
    await context.database["counters"].insert_one({"_id": "counter", "value": 0})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the counter."""
    return {"value": (await context.database["counters"].find_one({"_id": "counter"}))["value"]}


def update_of(operation: Operation) -> Update:
    """Return what an operation added."""
    return Update(key="counter", base=operation.result if operation.outcome == "returned" else None)


SCENARIO = Scenario(
    name="clock_lease",
    contract="No update under the lock is lost.",
    section="FindAndModify Patterns: Distributed Lock",
    variants={"published": PublishedLock},
    operations={"add": add},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    settings=("default", "clockSkewMS=500"),
    checkers=(lost_updates(update=update_of, final=lambda final: {"counter": final["value"]}, needs_final=("value",)),),
)
