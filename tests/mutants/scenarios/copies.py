"""Documents that are inserted once, and read at the end from two members: all copies of the data are the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from harness import Call, Context, Env, History, Operation, Scenario, real_env
from harness.checkers import durability
from harness.checkers.findings import Findings
from harness.interfaces.checker import Checker
from harness.verdict import Verdict

GUARANTEE = "Once the faults are healed, every member has the same documents."


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


async def setup(context: Context) -> None:
    """Make the collection."""
    await context.database["documents"].insert_one({"_id": "setup"})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the tokens from the primary and from a secondary."""
    found = {}
    for name, preference in (("primary", ReadPreference.PRIMARY), ("secondary", ReadPreference.SECONDARY)):
        documents = context.database.get_collection(
            "documents", read_preference=preference, read_concern=ReadConcern("local")
        )
        found[name] = sorted([document["_id"] for document in await documents.find({}).to_list()])
    return found


def token_of(operation: Operation) -> str:
    """Return the token of an insert."""
    token: str = operation.arguments["token"]
    return token


def tokens(final: Mapping[str, Any]) -> list[str]:
    """Return the tokens that the primary has in the end, without that of the setup."""
    return [token for token in final["primary"] if token != "setup"]


def judge(history: History) -> Verdict:
    """Compare the copies."""
    findings = Findings(history, GUARANTEE)
    primary, secondary = set(history.final["primary"]), set(history.final["secondary"])
    if primary != secondary:
        findings.add("members-differ", (f"only one of primary and secondary has {sorted(primary ^ secondary)}",))
    return findings.conclude("copies", operations=len(history.operations))


SCENARIO = Scenario(
    name="copies",
    contract=GUARANTEE,
    section="rollback",
    variants={"documents": Documents},
    operations={"insert": insert},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        durability(writes=token_of, survivors=tokens, needs_final=("primary",)),
        Checker(name="copies", guarantee=GUARANTEE, check=judge, needs_final=("primary", "secondary")),
    ),
    faults=("none", "partition-primary", "stepdown"),
)
