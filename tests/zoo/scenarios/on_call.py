"""Three on call, one of whom must stay: each looks at the others in a snapshot, and writes its own document alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Rejected, Scenario, real_env

NAMES = ("doctor-0", "doctor-1", "doctor-2")


class PublishedRota:
    """A transaction a change: snapshots do not collide on what was only read."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._client = database.client
        self._doctors = database["doctors"]

    async def leave(self, name: str) -> None:
        """Go off call. Raises Rejected where nobody else would be left."""

        async def change(session: Any) -> None:
            doctors = await self._doctors.find({"on_call": True}, session=session).to_list()
            if not any(doctor["_id"] != name for doctor in doctors):
                raise Rejected("Nobody else is on call")
            await self._doctors.update_one({"_id": name}, {"$set": {"on_call": False}}, session=session)

        async with self._client.start_session() as session:
            await session.with_transaction(
                change, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
            )


async def leave(context: Context) -> None:
    """Go off call as this client."""
    await context.pattern.leave(NAMES[context.client])


async def come_back(context: Context) -> None:
    """Go on call again."""
    await context.database["doctors"].update_one({"_id": NAMES[context.client]}, {"$set": {"on_call": True}})


async def count(context: Context) -> int:
    """Count who is on call."""
    return await context.database["doctors"].count_documents({"on_call": True})


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Go and come, and look who is there."""
    while True:
        yield Call(function=random.choice(("leave", "come_back", "count")))


async def setup(context: Context) -> None:
    """Let all be on call."""
    await context.database["doctors"].insert_many([{"_id": name, "on_call": True} for name in NAMES])


async def final_reads(context: Context) -> dict[str, Any]:
    """Count who is on call."""
    return {"on_call": await context.database["doctors"].count_documents({"on_call": True})}


def nobody(history: History) -> Iterator[Found]:
    """Yield an end at which nobody is on call."""
    if history.final["on_call"] == 0:
        yield "nobody is on call", history.of("leave")


SCENARIO = Scenario(
    name="on_call",
    contract="Somebody is on call.",
    section="Snapshot isolation: write skew",
    variants={"published": PublishedRota},
    operations={"leave": leave, "come_back": come_back, "count": count},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(rule("nobody-on-call", "Somebody is on call.", nobody, needs_final=("on_call",)),),
)
