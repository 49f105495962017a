"""Documents that are inserted once, and nothing else: which write concerns keep what they acknowledge."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from harness import Call, Context, Env, Operation, Scenario, real_env
from harness.checkers import durability


class Documents:
    """Inserts."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._documents = database["documents"]

    async def insert(self, token: str) -> None:
        """Insert a document."""
        await self._documents.insert_one({"_id": token})


async def insert(context: Context, *, token: str) -> None:
    """Insert a document."""
    await context.pattern.insert(token)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Insert one document after the other."""
    for number in itertools.count():
        yield Call(function="insert", arguments={"token": f"{client}-{number}"})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the tokens that are there."""
    return {"tokens": [document["_id"] for document in await context.database["documents"].find({}).to_list()]}


def token_of(operation: Operation) -> str:
    """Return the token of an insert."""
    token: str = operation.arguments["token"]
    return token


def tokens(final: Mapping[str, Any]) -> list[str]:
    """Return the tokens of the final state."""
    found: list[str] = final["tokens"]
    return found


SCENARIO = Scenario(
    name="inserts",
    contract="Every acknowledged insert is there.",
    section="write concern",
    variants={"documents": Documents},
    operations={"insert": insert},
    workload=workload,
    final_reads=final_reads,
    checkers=(durability(writes=token_of, survivors=tokens, needs_final=("tokens",)),),
)
