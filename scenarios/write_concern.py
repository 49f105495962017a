"""Write concerns: which level of acknowledgement buys that an acknowledged write stays.

Seed section "Write Concerns and Journaling", "Write Concern Levels". The level is the setting: both variants write
with the concern of the handle that they are given, and the seed's three levels are rows of the matrix.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.write_concern import WriteConcern

from harness import Call, Context, Env, Expected, Scenario, real_env
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
