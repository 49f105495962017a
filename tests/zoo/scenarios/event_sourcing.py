"""Events of aggregates, numbered by who read the last number, and snapshots of their prefixes."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Scenario, real_env

AGGREGATES = ("x", "y")
SNAPSHOT_EVERY = 2


class PublishedRepository:
    """No unique index on (aggregate, version): two that read one last version append the same next one."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._events = database["events"]
        self._snapshots = database["snapshots"]

    async def append(self, aggregate: str, token: str) -> int:
        """Append an event; return its version."""
        last = await self._events.find_one({"aggregate": aggregate}, sort=[("version", -1)])
        version = (last["version"] if last else 0) + 1
        await self._events.insert_one({"_id": token, "aggregate": aggregate, "version": version})
        return version

    async def take_snapshot(self, aggregate: str) -> int | None:
        """Store what the events come to; return its version, None where it is too early for one."""
        events = await self._events.find({"aggregate": aggregate}).to_list()
        version = max((event["version"] for event in events), default=0)
        if version < SNAPSHOT_EVERY:
            return None
        await self._snapshots.replace_one(
            {"_id": f"{aggregate}-{version}"},
            {"aggregate": aggregate, "version": version, "events": len(events)},
            upsert=True,
        )
        return version


async def append(context: Context, *, aggregate: str, token: str) -> int:
    """Append an event."""
    return await context.pattern.append(aggregate, token)


async def take_snapshot(context: Context, *, aggregate: str) -> int | None:
    """Take a snapshot."""
    return await context.pattern.take_snapshot(aggregate)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Append events, and take snapshots now and then."""
    for number in itertools.count():
        aggregate = random.choice(AGGREGATES)
        if random.random() < 0.3:
            yield Call(function="take_snapshot", arguments={"aggregate": aggregate})
        else:
            yield Call(function="append", arguments={"aggregate": aggregate, "token": f"{client}-{number}"})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all events and snapshots."""
    events = await context.database["events"].find({}).to_list()
    snapshots = await context.database["snapshots"].find({}).to_list()
    return {"events": events, "snapshots": snapshots}


def numbered_twice(history: History) -> Iterator[Found]:
    """Yield versions that several events of one aggregate have."""
    counts = Counter((event["aggregate"], event["version"]) for event in history.final["events"])
    for (aggregate, version), count in counts.items():
        if count > 1:
            tokens = {
                event["_id"]
                for event in history.final["events"]
                if (event["aggregate"], event["version"]) == (aggregate, version)
            }
            evidence = tuple(o for o in history.of("append") if o.arguments["token"] in tokens)
            yield f"{count} events of {aggregate} have version {version}", evidence


def overtaken(history: History) -> Iterator[Found]:
    """Yield snapshots that are not what the events up to their version come to."""
    for snapshot in history.final["snapshots"]:
        prefix = sum(
            event["aggregate"] == snapshot["aggregate"] and event["version"] <= snapshot["version"]
            for event in history.final["events"]
        )
        if prefix != snapshot["events"]:
            evidence = tuple(
                o for o in history.of("take_snapshot") if o.arguments["aggregate"] == snapshot["aggregate"]
            )
            yield f"the snapshot {snapshot['_id']} has {snapshot['events']} events, its prefix {prefix}", evidence


SCENARIO = Scenario(
    name="event_sourcing",
    contract="Versions of events are unique, and a snapshot is what the events up to its version come to.",
    section="Change Streams: Event Sourcing",
    variants={"published": PublishedRepository},
    operations={"append": append, "take_snapshot": take_snapshot},
    workload=workload,
    final_reads=final_reads,
    checkers=(
        rule("event-version-twice", "Versions are unique.", numbered_twice, needs_final=("events",)),
        rule("stale-snapshot", "A snapshot is its prefix.", overtaken, needs_final=("events", "snapshots")),
    ),
)
