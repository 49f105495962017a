"""Write concerns: which level of acknowledgement buys that an acknowledged write stays.

Seed section "Write Concerns and Journaling", "Write Concern Levels". The level is the setting: both variants write
with the concern of the handle that they are given, and the seed's three levels are rows of the matrix.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from pymongo.write_concern import WriteConcern

from harness import Call, Context, Env, Expected, Operation, Scenario, real_env
from harness.checkers import durability, unexpected_errors

BATCH = 5
"""Documents that one ``updateMany`` of the workload changes."""

LARGEST_MAJORITY = 3
"""Votes that are a majority in a set of five, the largest that the harness starts."""


class PublishedWriter:
    """Inserts one document, or updates many, and takes the acknowledgement at its word.

    The seed passes the concern with each call; PyMongo takes it from the handle, so the handle's concern stands for it.
    """

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._documents = database["documents"]

    async def insert(self, document: Mapping[str, Any]) -> Any:
        """Insert ``document``; return PyMongo's result."""
        return await self._documents.insert_one(document)

    async def update_many(self, criteria: Mapping[str, Any], update: Mapping[str, Any]) -> Any:
        """Apply ``update`` to every document that matches ``criteria``; return PyMongo's result."""
        return await self._documents.update_many(criteria, update)


class HardenedWriter:
    """Writes as published, but never with less than a majority, and never from memory alone.

    Changed: a ``w`` below a majority is raised to ``majority``, and ``j`` is set. An acknowledgement by fewer members
    than a majority is a promise that the next election may break, and a majority that has the write in memory alone
    loses it when all of them are killed (``writeConcernMajorityJournalDefault`` off). A higher ``w`` and a ``wtimeout``
    stay as they were asked for.

    At a majority the rate is that of ``published``. At ``w=1`` it cannot be half of it: each write waits for the
    journal of a second member, and that wait is the promise.
    """

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        documents = database["documents"]
        self._documents = documents.with_options(write_concern=at_least_majority(documents.write_concern))

    async def insert(self, document: Mapping[str, Any]) -> Any:
        """Insert ``document`` at a majority or more; return PyMongo's result."""
        return await self._documents.insert_one(document)

    async def update_many(self, criteria: Mapping[str, Any], update: Mapping[str, Any]) -> Any:
        """Apply ``update`` to every document that matches ``criteria``, at a majority or more."""
        return await self._documents.update_many(criteria, update)


def at_least_majority(concern: WriteConcern) -> WriteConcern:
    """Return ``concern`` with a journaled majority where it asks for less."""
    asked = concern.document
    w = asked.get("w", "majority")
    if isinstance(w, int) and w < LARGEST_MAJORITY:
        w = "majority"
    return WriteConcern(w=w, wtimeout=asked.get("wtimeout"), j=True)


async def insert(context: Context, *, token: str, batch: str) -> dict[str, Any]:
    """Insert one document under its token."""
    result = await context.pattern.insert({"_id": token, "batch": batch, "stamps": []})
    return {"acknowledged": result.acknowledged}


async def stamp(context: Context, *, token: str, batch: str) -> dict[str, Any]:
    """Append a token to every document of one of this client's batches."""
    result = await context.pattern.update_many({"batch": batch}, {"$push": {"stamps": token}})
    matched = result.matched_count if result.acknowledged else None
    return {"acknowledged": result.acknowledged, "matched": matched}


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Insert batch after batch; stamp each batch once or more, some of them while the next one is being written."""
    for number in itertools.count():
        batch = f"{client}-{number}"
        for position in range(BATCH):
            yield Call(function="insert", arguments={"token": f"{batch}-{position}", "batch": batch})
        earlier = f"{client}-{random.randint(max(0, number - 3), number)}"
        yield Call(function="stamp", arguments={"token": f"{batch}-stamp", "batch": earlier})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read every document with its stamps."""
    documents = await context.database["documents"].find({}, {"stamps": 1}).to_list()
    return {"documents": {document["_id"]: document["stamps"] for document in documents}}


def writes_of(operation: Operation) -> Hashable | list[Hashable]:
    """Return the tokens that an operation wrote: a document, or a stamp on each document that it matched."""
    token: str = operation.arguments["token"]
    if operation.function == "insert":
        return token
    matched = operation.result["matched"] if operation.outcome == "returned" else None
    return stamp_tokens(token, BATCH if matched is None else matched)


def stamp_tokens(token: str, documents: int) -> list[Hashable]:
    """Return a token for each document that bears the stamp, counted from 1."""
    return [f"{token} in document {number}" for number in range(1, documents + 1)]


def survivors(final: Mapping[str, Any]) -> Iterator[Hashable]:
    """Yield the tokens that are there at the end."""
    stamps = Counter(token for document_stamps in final["documents"].values() for token in document_stamps)
    yield from final["documents"]
    for token, documents in stamps.items():
        yield from stamp_tokens(token, documents)


EXPECTED = (
    Expected(
        setting="w=0",
        verdict="not-applicable",
        why="w=0 acknowledges nothing, so there is no promise to keep; the report shows the rate of loss",
    ),
    Expected(
        variant="hardened",
        setting="w=1",
        verdict="not-applicable",
        why="it raises w=1 to a majority, so that w=1 reaches no command",
    ),
    Expected(setting="w=1", fault="none", verdict="holds", why="nothing is lost while the primary stays"),
    Expected(
        setting="w=1",
        fault="partition-primary",
        verdict="violated",
        anomaly="lost-write",
        why="a cut primary acknowledges alone until it steps down, and is rolled back when it is healed",
    ),
    Expected(
        setting="w=1",
        verdict="may-violate",
        why="what the primary acknowledged alone in its last milliseconds may not have left it",
    ),
    Expected(
        variant="published",
        setting="w=majority,journalDefault=false",
        fault="kill-all",
        verdict="may-violate",
        why="a majority acknowledges from memory, and memory dies with the processes",
    ),
    Expected(verdict="holds", why="an acknowledged write is on a majority, and every new primary has it"),
)

SCENARIO = Scenario(
    name="write_concern",
    contract="Every acknowledged write is there after the faults are healed, whatever the level.",
    section="Write Concerns and Journaling: Write Concern Levels",
    variants={"published": PublishedWriter, "hardened": HardenedWriter},
    operations={"insert": insert, "stamp": stamp},
    workload=workload,
    final_reads=final_reads,
    checkers=(
        durability(writes=writes_of, survivors=survivors, needs_final=("documents",), exactly_once=True),
        unexpected_errors(),
    ),
    settings=(
        "default",
        "w=majority",
        "w=majority,j=true,wtimeoutMS=5000",
        "w=3,j=true,wtimeoutMS=10000",
        "w=1",
        "w=0",
        "w=majority,journalDefault=false",
    ),
    faults=("none", "partition-primary", "kill-primary", "kill-all", "pause-primary", "stepdown"),
    expected=EXPECTED,
    advice={
        "published": "Adopt it with w:majority, the server's default; a lower level buys speed with writes that a "
        "failover takes back after they were acknowledged.",
        "hardened": "Adopt it where the level comes from a configuration that you do not control: it never writes with "
        "less than a journaled majority.",
    },
    think_ms=10.0,
)
