"""A list that only grows, and change streams that follow it: each stream tells of every place of the list, in order.

An event says at which index a token was put, so that what a stream leaves out, repeats or tells too early shows by
itself, without a look at any other client.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo.errors import PyMongoError

from harness import Call, Context, Env, History, Scenario, real_env
from harness.checkers.findings import Findings
from harness.interfaces.checker import Checker
from harness.verdict import Verdict

KEY = "list"
FIELD = "tokens"
APPENDS_SHARE = 0.7
GUARANTEE = "A change stream tells of every committed change, of each once, in order, and of nothing else."


class Feed:
    """Appends to the list, and follows it with one stream that is opened at the first call."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._lists = database["lists"]
        self._stream: Any = None
        self._number = 0

    async def append(self, token: str) -> None:
        """Append a token."""
        await self._lists.update_one({"_id": KEY}, {"$push": {FIELD: token}})

    async def follow(self) -> dict[str, Any]:
        """Return the number of the stream, and the events that are ready: pairs of index and token."""
        if self._stream is None:
            self._number += 1
            self._stream = await self._lists.watch()
        events = []
        try:
            while (change := await self._stream.try_next()) is not None:
                events.append(change_of(change))
        except PyMongoError:
            # What the driver does not resume is over; the next call opens another stream.
            self._stream = None
        return {"stream": self._number, "events": events}


def change_of(change: Mapping[str, Any]) -> list[Any]:
    """Return the index and the token that a change put there."""
    ((path, token),) = change["updateDescription"]["updatedFields"].items()
    return [int(path.removeprefix(f"{FIELD}.")), token]


async def append(context: Context, *, token: str) -> None:
    """Append a token."""
    await context.pattern.append(token)


async def follow(context: Context) -> dict[str, Any]:
    """Take what the stream has ready."""
    events: dict[str, Any] = await context.pattern.follow()
    return events


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Append often, follow now and then."""
    for number in itertools.count():
        if random.random() < APPENDS_SHARE:
            yield Call(function="append", arguments={"token": f"{client}-{number}"})
        else:
            yield Call(function="follow")


async def setup(context: Context) -> None:
    """Insert the list with a first token, so that every change is told by its index."""
    await context.database["lists"].insert_one({"_id": KEY, FIELD: ["setup"]})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the list."""
    document = await context.database["lists"].find_one({"_id": KEY})
    return {"tokens": document[FIELD]}


def judge(history: History) -> Verdict:
    """Judge each stream of each client by itself."""
    findings = Findings(history, GUARANTEE)
    streams: dict[tuple[int, int], list[list[Any]]] = {}
    for each in history.of("follow"):
        if each.outcome == "returned":
            streams.setdefault((each.client, each.result["stream"]), []).extend(each.result["events"])
    for name, events in streams.items():
        _judge_stream(f"stream {name[1]} of client {name[0]}", events, history.final["tokens"], findings)
    told = sum(len(events) for events in streams.values())
    return findings.conclude("feed", operations=told, unknown="" if told else "no stream told of anything")


def _judge_stream(name: str, events: Sequence[Sequence[Any]], final: Sequence[str], findings: Findings) -> None:
    for index, token in events:
        if index >= len(final) or final[index] != token:
            findings.add("uncommitted-event", (f"{name} told that {token} is at {index}, and it did not stay",))
    for (earlier, _), (later, token) in itertools.pairwise(events):
        if later > earlier + 1:
            findings.add("skipped-event", (f"{name} told of {token} at {later} right after index {earlier}",))
        elif later <= earlier:
            findings.add("repeated-event", (f"{name} told of {token} at {later} after index {earlier}",))


SCENARIO = Scenario(
    name="feed",
    contract=GUARANTEE,
    section="change streams",
    variants={"feed": Feed},
    operations={"append": append, "follow": follow},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(Checker(name="feed", guarantee=GUARANTEE, check=judge, needs_final=("tokens",)),),
)
