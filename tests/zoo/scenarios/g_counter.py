"""A counter that only grows, with an entry for each node."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Scenario, real_env
from harness.scenario.retry import with_application_retry


class PublishedGCounter:
    """Increments the node's entry, with no key by which a repeated call could be told from a new one."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._counters = database["counters"]

    async def increment(self, node: str) -> None:
        """Count one up."""
        await self._counters.update_one({"_id": "visits"}, {"$inc": {f"counts.{node}": 1}}, upsert=True)

    async def value(self) -> int:
        """Return the sum over all nodes."""
        counter = await self._counters.find_one({"_id": "visits"})
        return sum(counter["counts"].values()) if counter else 0


async def increment(context: Context) -> None:
    """Count one up as this client's node."""
    await with_application_retry(context, lambda: context.pattern.increment(f"node-{context.client}"))


async def read(context: Context) -> int:
    """Read the value."""
    return await context.pattern.value()


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Count and read."""
    while True:
        yield Call(function="increment" if random.random() < 0.5 else "read")


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the value."""
    return {"value": await context.pattern.value()}


def counted_twice(history: History) -> Iterator[Found]:
    """Yield a value that is higher than what was asked for."""
    asked = history.of("increment")
    if history.final["value"] > len(asked):
        yield f"{len(asked)} increments gave {history.final['value']}", asked


def decreased(history: History) -> Iterator[Found]:
    """Yield pairs of reads of one client of which the later one got less."""
    for operations in history.by_key(lambda operation: operation.client).values():
        reads = [o for o in operations if o.function == "read" and o.outcome == "returned"]
        for before, after in itertools.pairwise(reads):
            if after.result < before.result:
                yield f"client {after.client} read {before.result}, then {after.result}", (before, after)


def missed(history: History) -> Iterator[Found]:
    """Yield reads that got less than had been acknowledged before they began."""
    for read_ in told(history, "read"):
        before = tuple(
            o for o in told(history, "increment") if o.returned_ns is not None and o.returned_ns < read_.start_ns
        )
        if read_.result < len(before):
            yield f"{len(before)} increments were acknowledged, {read_.result} were read", (*before, read_)


SCENARIO = Scenario(
    name="g_counter",
    contract="The value is the number of increments, and never goes back.",
    section="Conflict Resolution Strategies: CRDT Pattern, GCounter",
    variants={"published": PublishedGCounter},
    operations={"increment": increment, "read": read},
    workload=workload,
    final_reads=final_reads,
    checkers=(
        rule("counted-twice", "An increment counts once.", counted_twice, needs_final=("value",)),
        rule("counter-went-back", "A client never sees less than before.", decreased),
        rule("missed-increment", "A read sees what was acknowledged before.", missed),
    ),
)
