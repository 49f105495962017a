"""Sessions: what one has written is handed to another that was not told how far the first had come."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Scenario, real_env


class PublishedSessions:
    """Neither session is advanced by the other, so a member that lags may answer the second one."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._client = database.client
        self._notes = database["notes"]

    async def write(self, token: str) -> None:
        """Write in a session of its own."""
        async with self._client.start_session(causal_consistency=True) as session:
            await self._notes.insert_one({"_id": token}, session=session)

    async def read(self) -> list[str]:
        """Read everything in another session."""
        async with self._client.start_session(causal_consistency=True) as session:
            return [note["_id"] for note in await self._notes.find({}, session=session).to_list()]


async def write(context: Context, *, token: str) -> None:
    """Write a note."""
    await context.pattern.write(token)


async def read(context: Context) -> list[str]:
    """Read all notes."""
    return await context.pattern.read()


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Write notes and read them."""
    for number in itertools.count():
        if random.random() < 0.5:
            yield Call(function="write", arguments={"token": f"{client}-{number}"})
        else:
            yield Call(function="read")


def own_write_missed(history: History) -> Iterator[Found]:
    """Yield reads of a client that miss what it had written."""
    for operation in told(history, "read"):
        own = tuple(
            o
            for o in told(history, "write")
            if o.client == operation.client
            and o.returned_ns is not None
            and o.returned_ns < operation.start_ns
            and o.arguments["token"] not in operation.result
        )
        if own:
            yield f"client {operation.client} did not see {own[0].arguments['token']}", (*own, operation)


def went_back(history: History) -> Iterator[Found]:
    """Yield reads of a client that miss what its last read had shown of others."""
    for operations in history.by_key(lambda operation: operation.client).values():
        reads = [o for o in operations if o.function == "read" and o.outcome == "returned"]
        for before, after in itertools.pairwise(reads):
            gone = [t for t in before.result if t not in after.result and not t.startswith(f"{after.client}-")]
            if gone:
                yield f"client {after.client} saw {gone[0]}, then did not", (before, after)


SCENARIO = Scenario(
    name="causal_session",
    contract="A client sees what it wrote, and never less than it has seen.",
    section="Causal Consistency: Causal Session",
    variants={"published": PublishedSessions},
    operations={"write": write, "read": read},
    workload=workload,
    settings=("readPreference=secondary",),
    checkers=(
        rule("own-write-missed", "A client sees what it wrote.", own_write_missed),
        rule("non-monotonic-read", "A client never sees less than before.", went_back),
    ),
)
