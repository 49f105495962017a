"""Documents that expire in a day, in runs that last minutes: the TTL monitor passes and must leave them alone."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Iterator
from typing import Any

from harness import Call, Context, Env, Scenario, real_env
from harness.checkers import durability

LIFETIME = datetime.timedelta(days=1)
LONGEST_PAUSE_S = 40


class Expiring:
    """Inserts documents that a TTL index removes a day later."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._documents = database["documents"]

    async def insert(self, token: str, pause_s: int) -> None:
        """Insert a document, then let some time pass."""
        await self._documents.insert_one({"_id": token, "expiresAt": self._env.now() + LIFETIME})
        await self._env.sleep(pause_s)


async def insert(context: Context, *, token: str, pause_s: int) -> None:
    """Insert and pause."""
    await context.pattern.insert(token, pause_s)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Insert at a pace at which the TTL monitor passes several times."""
    for number in itertools.count():
        arguments = {"token": f"{client}-{number}", "pause_s": random.randrange(LONGEST_PAUSE_S)}
        yield Call(function="insert", arguments=arguments)


async def setup(context: Context) -> None:
    """Make the TTL index."""
    await context.database["documents"].create_index("expiresAt", expireAfterSeconds=0)


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the tokens that are there."""
    return {"tokens": [document["_id"] for document in await context.database["documents"].find({}).to_list()]}


SCENARIO = Scenario(
    name="expiry",
    contract="A document stays until it expires.",
    section="TTL indexes",
    variants={"expiring": Expiring},
    operations={"insert": insert},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        durability(
            writes=lambda operation: operation.arguments["token"],
            survivors=lambda final: final["tokens"],
            needs_final=("tokens",),
        ),
    ),
)
