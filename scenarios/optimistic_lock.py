"""FindAndModify: optimistic locking with a version field.

Seed section "FindAndModify Patterns", "Optimistic Locking Pattern".
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.read_concern import ReadConcern

from harness import Call, Context, Env, Expected, Operation, Rejected, Scenario, real_env
from harness.checkers import Step, Update, linearizable, lost_updates, unexpected_errors, versioned_document
from harness.scenario.retry import with_application_retry

Compute = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What the caller does with a document: returns the fields that it wants to set, computed from those it saw."""

DOCUMENTS = 5
FIRST_KEY = "setup"


class PublishedOptimisticLock:
    """Reads the version itself, updates where the version is still that one, and tries three times in all.

    The version that it compares is the one that it has just read, not the one that the caller's update was computed
    from.
    """

    def __init__(
        self, database: Any, *, env: Env = real_env, max_retries: int = 3, retry_delay_ms: float = 100.0
    ) -> None:
        self._env = env
        self._collection = database["documents"]
        self._max_retries = max_retries
        self._retry_delay_ms = retry_delay_ms

    async def update_with_optimistic_lock(self, document_id: str, updates: Mapping[str, Any]) -> dict[str, Any]:
        """Set ``updates``; return the document as it was written.

        Raises Rejected where there is no such document, or where each try met another version.
        """
        retries = 0
        while retries < self._max_retries:
            current = await self._collection.find_one({"_id": document_id})
            if not current:
                raise Rejected("Document not found")
            written: dict[str, Any] | None = await self._collection.find_one_and_update(
                {"_id": document_id, "version": current["version"]},
                {"$set": updates, "$inc": {"version": 1}},
                return_document=ReturnDocument.AFTER,
            )
            if written:
                return written
            retries += 1
            await self._env.sleep(self._retry_delay_ms * retries / 1000)
        raise Rejected("Optimistic lock failed after max retries")

    # What the seed leaves out, in the plainest code: the caller, who reads, computes and asks for the update.

    async def change(self, document_id: str, compute: Compute, key: str) -> dict[str, Any]:
        """Read the document, compute from it what to set, and set it, signed with ``key``."""
        seen = await self._collection.find_one({"_id": document_id})
        if not seen:
            raise Rejected("Document not found")
        return await self.update_with_optimistic_lock(document_id, {**compute(seen), "key": key})


class HardenedOptimisticLock:
    """Compares the version that the update was computed from, and computes anew after each conflict.

    Changed: (1) the caller hands in how to compute, not what was computed once, so that what is compared and what was
    computed from are the same read. (2) The filter also asks for the key of the write that made this version: version
    numbers come round again after a rollback, when two primaries have each made a version 8; keys do not. (3) The last
    ``remembered`` keys stay in the document with the version each made: a caller that starts over after a lost reply
    (``retry=application``) finds its key and is answered, instead of being applied twice.

    A key must be unique, and at most ``remembered`` writes may come between a lost reply and the caller's next try.
    """

    def __init__(
        self,
        database: Any,
        *,
        env: Env = real_env,
        max_retries: int = 3,
        retry_delay_ms: float = 100.0,
        remembered: int = 100,
    ) -> None:
        self._env = env
        self._collection = database["documents"]
        self._committed = database["documents"].with_options(read_concern=ReadConcern("majority"))
        self._max_retries = max_retries
        self._retry_delay_ms = retry_delay_ms
        self._remembered = remembered

    async def change(self, document_id: str, compute: Compute, key: str) -> dict[str, Any]:
        """Set what ``compute`` makes of the document, once per ``key``; return the document as it was written.

        Raises Rejected where there is no such document, or where each try met another version.
        """
        retries = 0
        while retries < self._max_retries:
            current = await self._collection.find_one({"_id": document_id})
            if not current:
                raise Rejected("Document not found")
            if made_by(current, key):
                committed = made_by(await self._committed.find_one({"_id": document_id}), key)
                if committed:
                    return {**current, **committed}
                # Neither committed nor rolled back yet: only one of the two may be told to the caller.
                await self._env.sleep(self._retry_delay_ms / 1000)
                continue
            written = await self._replace_version(current, {**compute(current), "key": key})
            if written:
                return written
            retries += 1
            await self._env.sleep(self._retry_delay_ms * retries / 1000)
        raise Rejected("Optimistic lock failed after max retries")

    async def _replace_version(self, current: Mapping[str, Any], updates: Mapping[str, Any]) -> dict[str, Any] | None:
        """Set ``updates`` where the document is still as ``current`` says; return it as written, or None."""
        made = {**updates, "version": current["version"] + 1}
        written: dict[str, Any] | None = await self._collection.find_one_and_update(
            {"_id": current["_id"], "version": current["version"], "key": current["key"]},
            {
                "$set": updates,
                "$inc": {"version": 1},
                "$push": {"made": {"$each": [made], "$slice": -self._remembered}},
            },
            return_document=ReturnDocument.AFTER,
        )
        return written


def made_by(document: Mapping[str, Any] | None, key: str) -> Mapping[str, Any] | None:
    """Return what the write with ``key`` set, as the document remembers it, or None."""
    made = document.get("made", ()) if document else ()
    return next((entry for entry in reversed(made) if entry["key"] == key), None)


def add_one(document: Mapping[str, Any]) -> dict[str, Any]:
    """Count one up, and note the write that this was computed from: an update that depends on what was read."""
    return {"counter": document["counter"] + 1, "base": document["key"]}


async def increment(context: Context, *, document: str, token: str) -> dict[str, Any]:
    """Count a document up by one; return it as it was written."""
    written = await with_application_retry(context, lambda: context.pattern.change(document, add_one, token))
    return {name: written[name] for name in ("version", "counter", "key", "base")}


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Count up one of a few documents."""
    for number in itertools.count():
        document = f"document-{random.randrange(DOCUMENTS)}"
        yield Call(function="increment", arguments={"document": document, "token": f"{client}-{number}"})


async def setup(context: Context) -> None:
    """Insert the documents, their counters at 0."""
    await context.database["documents"].insert_many(
        [{"_id": f"document-{number}", "counter": 0, "version": 0, "key": FIRST_KEY} for number in range(DOCUMENTS)]
    )


async def final_reads(context: Context) -> dict[str, Any]:
    """Read every document."""
    documents = await context.database["documents"].find({}, {"made": 0}).to_list()
    return {"documents": {document.pop("_id"): document for document in documents}}


def update_of(operation: Operation) -> Update:
    """Return what an increment added, and the write that it was computed from, where it was told."""
    base = operation.result["base"] if operation.outcome == "returned" else None
    return Update(key=operation.arguments["document"], base=base)


def step_of(operation: Operation) -> Step:
    """Return what an increment did to its document: the key that it left, and at which version."""
    written = operation.result
    return Step(
        "write",
        operation.arguments["token"],
        (written["version"], written["key"]) if operation.outcome == "returned" else None,
    )


EXPECTED = (
    Expected(
        variant="published",
        verdict="violated",
        anomaly="lost-update",
        why="the version that is compared was read after the update had been computed, so a stale update passes",
    ),
    Expected(
        setting="w=1",
        fault="partition-primary",
        verdict="violated",
        why="no variant can hold: the new primary never heard of what the old one acknowledged alone",
    ),
    Expected(
        setting="w=1",
        fault="kill-primary",
        verdict="may-violate",
        why="what the primary acknowledged alone in its last milliseconds may not have left it",
    ),
    Expected(verdict="holds", why="an update is only applied to the very write that it was computed from, and once"),
)

SCENARIO = Scenario(
    name="optimistic_lock",
    contract="No acknowledged update is lost, and none is applied twice.",
    section="FindAndModify Patterns: Optimistic Locking Pattern",
    variants={"published": PublishedOptimisticLock, "hardened": HardenedOptimisticLock},
    operations={"increment": increment},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        lost_updates(
            update=update_of,
            final=lambda final: {key: document["counter"] for key, document in final["documents"].items()},
            needs_final=("documents",),
            guarantee="No acknowledged update is lost, and none is applied twice.",
        ),
        linearizable(
            versioned_document(version=0, document=FIRST_KEY),
            step=step_of,
            key=lambda operation: operation.arguments["document"],
            name="versions",
            guarantee="The version grows by one with each accepted update, in an order that respects real time.",
        ),
        unexpected_errors(),
    ),
    settings=("default", "w=1", "retry=application"),
    faults=("none", "partition-primary", "kill-primary", "lost-reply"),
    expected=EXPECTED,
    advice={
        "published": "Do not adopt it for updates that depend on what was read: it overwrites newer ones unseen, under "
        "every setting and without any fault.",
        "hardened": "Adopt it at w:majority: compare the version that the update was computed from, and compute anew "
        "after a conflict. Below a majority a failover still loses acknowledged updates.",
    },
    think_ms=5.0,
)
