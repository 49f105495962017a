"""Two numbers that every transaction changes together: a transaction that reads them sees them equal."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from pymongo.read_concern import ReadConcern

from harness import Call, Context, Env, History, Scenario, real_env
from harness.checkers.findings import Findings
from harness.interfaces.checker import Checker
from harness.verdict import Verdict

HALVES = ("left", "right")
GUARANTEE = "A transaction sees all of another transaction or nothing of it."


class Pair:
    """Counts both halves up, and reads both, each in a transaction."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._halves = database["halves"]
        self._client = database.client

    async def add(self) -> None:
        """Count both halves up by one."""

        async def body(session: Any) -> None:
            for half in HALVES:
                await self._halves.update_one({"_id": half}, {"$inc": {"count": 1}}, session=session)

        async with self._client.start_session() as session:
            await session.with_transaction(body)

    async def read(self) -> list[int]:
        """Return both halves as one transaction sees them."""

        async def body(session: Any) -> list[int]:
            halves = [await self._halves.find_one({"_id": half}, session=session) for half in HALVES]
            return [half["count"] for half in halves]

        async with self._client.start_session() as session:
            counts: list[int] = await session.with_transaction(body, read_concern=ReadConcern("snapshot"))
            return counts


async def add(context: Context) -> None:
    """Count up."""
    await context.pattern.add()


async def read(context: Context) -> list[int]:
    """Read both halves."""
    counts: list[int] = await context.pattern.read()
    return counts


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Count up or read."""
    for _ in itertools.count():
        yield Call(function=random.choice(("add", "read")))


async def setup(context: Context) -> None:
    """Insert both halves at 0."""
    await context.database["halves"].insert_many([{"_id": half, "count": 0} for half in HALVES])


def judge(history: History) -> Verdict:
    """Find the reads whose halves differ."""
    findings = Findings(history, GUARANTEE)
    reads = [each for each in history.of("read") if each.outcome == "returned"]
    for each in reads:
        if len(set(each.result)) > 1:
            findings.add("torn-read", (f"{each.describe()}: the halves differ",), (each,))
    return findings.conclude("pair", operations=len(reads), unknown="" if reads else "nobody read")


SCENARIO = Scenario(
    name="pair",
    contract=GUARANTEE,
    section="transaction isolation",
    variants={"pair": Pair},
    operations={"add": add, "read": read},
    workload=workload,
    setup=setup,
    checkers=(Checker(name="pair", guarantee=GUARANTEE, check=judge),),
)
