"""Commits that are confirmed later: first with one member, after a while by the same commit with a majority.

The second commit asks the set whether it still knows the first. A member that undid the transaction in a rollback,
and is primary again, must have forgotten it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from harness import Call, Context, Env, Operation, Rejected, Scenario, real_env
from harness.checkers import durability

NO_SUCH_TRANSACTION = 251
WAITS_S = range(8, 20)


class ConfirmedCommits:
    """Inserts in a transaction and asks again later whether it is committed."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._documents = database["documents"]
        self._client = database.client

    async def insert(self, token: str, wait_s: int) -> None:
        """Insert a document and confirm it after ``wait_s``. Raises Rejected where the set knows of no such commit."""
        async with self._client.start_session() as session:
            await session.start_transaction(write_concern=WriteConcern(1))
            await self._documents.insert_one({"_id": token}, session=session)
            await session.commit_transaction()
            await self._env.sleep(wait_s)
            try:
                await session.commit_transaction()
            except OperationFailure as error:
                if error.code != NO_SUCH_TRANSACTION:
                    raise
                raise Rejected("the transaction was rolled back") from error


async def insert(context: Context, *, token: str, wait_s: int) -> None:
    """Insert and confirm."""
    await context.pattern.insert(token, wait_s)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Insert, and wait between the two commits for a while that a rollback may fit in."""
    for number in itertools.count():
        yield Call(function="insert", arguments={"token": f"{client}-{number}", "wait_s": random.choice(WAITS_S)})


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
    name="confirmed_commit",
    contract="A commit that was confirmed with a majority is there.",
    section="transactions, unknown commit results",
    variants={"confirmed": ConfirmedCommits},
    operations={"insert": insert},
    workload=workload,
    final_reads=final_reads,
    checkers=(durability(writes=token_of, survivors=tokens, needs_final=("tokens",)),),
    faults=("partition-primary+stepdown",),
)
