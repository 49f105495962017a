"""Immutable documents: an append-only store in which an update is a new version.

Seed section "Immutable Document Patterns", "Append-Only Pattern".
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from harness import Call, Context, Env, Expected, Operation, Rejected, Scenario, real_env
from harness.checkers import unexpected_errors, versions

COLLECTION = "entities"
SPAN = 60
"""Calls of a client before it turns to new entities, so that a history stays short enough to be read as a whole."""
CONTESTED = 5
"""The call of a span at which all clients create the same entity: early, so that short runs come to it."""


class PublishedImmutableDocuments:
    """Reads the active version, then deactivates it and inserts the next one in a transaction.

    The read stands outside the transaction, and the deactivation takes a version that is no longer active just as well.
    """

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._database = database

    async def create(self, collection: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Insert the first version of an entity; return it."""
        document = {
            "_id": self._env.object_id(),
            "entityId": data.get("entityId") or self._env.object_id(),
            "version": 1,
            "data": data,
            "createdAt": self._env.now(),
            "createdBy": data.get("userId"),
            "isActive": True,
        }
        await self._database[collection].insert_one(document)
        return document

    async def update(self, collection: str, entity_id: str, updates: Mapping[str, Any], user_id: str) -> dict[str, Any]:
        """Insert the next version, with ``updates`` over the data of the last; return it.

        Raises Rejected where there is no such entity.
        """
        current = await self._database[collection].find_one(
            {"entityId": entity_id, "isActive": True}, sort=[("version", -1)]
        )
        if not current:
            raise Rejected("Entity not found")
        new_version = {
            "_id": self._env.object_id(),
            "entityId": entity_id,
            "version": current["version"] + 1,
            "data": {**current["data"], **updates},
            "createdAt": self._env.now(),
            "createdBy": user_id,
            "isActive": True,
            "previousVersion": current["_id"],
        }

        async def append(session: Any) -> None:
            await self._database[collection].update_one(
                {"_id": current["_id"]},
                {"$set": {"isActive": False, "deactivatedAt": self._env.now()}},
                session=session,
            )
            await self._database[collection].insert_one(new_version, session=session)

        async with self._database.client.start_session() as session:
            await session.with_transaction(append)
        return new_version

    async def get_history(self, collection: str, entity_id: str) -> list[dict[str, Any]]:
        """Return all versions of an entity, newest first."""
        cursor = self._database[collection].find({"entityId": entity_id}).sort([("version", -1)])
        versions: list[dict[str, Any]] = await cursor.to_list()
        return versions


class HardenedImmutableDocuments:
    """Appends as published, but reads the active version inside the transaction that replaces it.

    Changed: (1) the read moved into the transaction, and the deactivation asks for a version that is still active and
    must match one. Two clients that read the same version now collide on it, and the later one starts over from the
    version that the first has made. (2) A unique index on (entityId, version), :meth:`create_indexes`, refuses a second
    first version; the caller is told that the entity exists.

    It rejects what ``published`` accepts and forks, the second creations of one entity: of these alone its share of
    rejections is higher.
    """

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._database = database

    async def create_indexes(self, collection: str) -> None:
        """Create the index that the pattern depends on."""
        await self._database[collection].create_index([("entityId", 1), ("version", 1)], unique=True)

    async def create(self, collection: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Insert the first version of an entity; return it. Raises Rejected where the entity exists."""
        document = {
            "_id": self._env.object_id(),
            "entityId": data.get("entityId") or self._env.object_id(),
            "version": 1,
            "data": data,
            "createdAt": self._env.now(),
            "createdBy": data.get("userId"),
            "isActive": True,
        }
        try:
            await self._database[collection].insert_one(document)
        except DuplicateKeyError as error:
            raise Rejected("Entity exists") from error
        return document

    async def update(self, collection: str, entity_id: str, updates: Mapping[str, Any], user_id: str) -> dict[str, Any]:
        """Insert the next version, with ``updates`` over the data of the last; return it.

        Raises Rejected where there is no such entity.
        """

        async def append(session: Any) -> dict[str, Any]:
            current = await self._database[collection].find_one(
                {"entityId": entity_id, "isActive": True}, sort=[("version", -1)], session=session
            )
            if not current:
                raise Rejected("Entity not found")
            deactivated = await self._database[collection].update_one(
                {"_id": current["_id"], "isActive": True},
                {"$set": {"isActive": False, "deactivatedAt": self._env.now()}},
                session=session,
            )
            if deactivated.matched_count != 1:
                raise Rejected("The version was replaced meanwhile")
            new_version = {
                "_id": self._env.object_id(),
                "entityId": entity_id,
                "version": current["version"] + 1,
                "data": {**current["data"], **updates},
                "createdAt": self._env.now(),
                "createdBy": user_id,
                "isActive": True,
                "previousVersion": current["_id"],
            }
            await self._database[collection].insert_one(new_version, session=session)
            return new_version

        async with self._database.client.start_session() as session:
            appended: dict[str, Any] = await session.with_transaction(append)
            return appended

    async def get_history(self, collection: str, entity_id: str) -> list[dict[str, Any]]:
        """Return all versions of an entity, newest first."""
        cursor = self._database[collection].find({"entityId": entity_id}).sort([("version", -1)])
        versions: list[dict[str, Any]] = await cursor.to_list()
        return versions


async def create(context: Context, *, entity: str, token: str) -> dict[str, Any]:
    """Create an entity under a given id; return its first version."""
    data = {"entityId": entity, "userId": f"user-{context.client}", "token": token}
    return plain_version(await context.pattern.create(COLLECTION, data))


async def update(context: Context, *, entity: str, token: str) -> dict[str, Any]:
    """Append a version; return it."""
    updates = {"token": token}
    return plain_version(await context.pattern.update(COLLECTION, entity, updates, f"user-{context.client}"))


async def audit(context: Context, *, entity: str) -> list[dict[str, Any]]:
    """Read all versions of an entity in one snapshot."""
    async with context.database.client.start_session(snapshot=True) as session:
        documents = await context.database[COLLECTION].find({"entityId": entity}, session=session).to_list()
    return [plain_version(document) for document in documents]


def plain_version(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a version as plain JSON."""
    previous = document.get("previousVersion")
    return {
        "id": str(document["_id"]),
        "entity": document["entityId"],
        "version": document["version"],
        "token": document["data"]["token"],
        "created_by": document["createdBy"],
        "previous": None if previous is None else str(previous),
        "active": document["isActive"],
    }


def entity_of(client: int, span: int) -> str:
    """Return the name of the entity that a client creates for a span of calls."""
    return f"entity-{client}-{span}"


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Update one's own entity or a neighbour's, audit now and then; race the others to create one entity a span.

    The entities of a span are created a whole span before, so that a client that runs ahead finds its neighbour's.
    """
    neighbour = client - 1 if client else 1
    for number in itertools.count():
        span, position = divmod(number, SPAN)
        token = f"{client}-{number}"
        entity = entity_of(random.choice((client, neighbour)), span)
        if position == 0:
            yield Call(function="create", arguments={"entity": entity_of(client, span + 1), "token": token})
        elif position == CONTESTED:
            yield Call(function="create", arguments={"entity": f"contested-{span}", "token": token})
        elif random.random() < 0.05:
            yield Call(function="audit", arguments={"entity": entity})
        else:
            yield Call(function="update", arguments={"entity": entity, "token": token})


async def setup(context: Context) -> None:
    """Create the indexes and the first version of each client's first entity.

    Without the unique index there is a plain one on the same fields: it makes the reads as fast and refuses nothing.
    """
    unique = context.settings.unique_index
    if unique is None:
        unique = hasattr(context.pattern, "create_indexes")
    if unique and hasattr(context.pattern, "create_indexes"):
        await context.pattern.create_indexes(COLLECTION)
    else:
        await context.database[COLLECTION].create_index([("entityId", 1), ("version", 1)], unique=unique)
    for client in range(max(2, context.clients)):
        data = {"entityId": entity_of(client, 0), "userId": "setup", "token": f"first-{client}"}
        await context.pattern.create(COLLECTION, data)


async def final_reads(context: Context) -> dict[str, Any]:
    """Read every version of every entity."""
    documents = await context.database[COLLECTION].find({}).to_list()
    return {"versions": [plain_version(document) for document in documents]}


def written_by(operation: Operation) -> str | None:
    """Return the identity of the version that an operation was told it had made."""
    made = operation.function in {"create", "update"} and operation.outcome == "returned"
    return operation.result["id"] if made else None


EXPECTED = (
    Expected(
        variant="published",
        setting="uniqueIndex=true",
        verdict="violated",
        anomaly="unexpected-error",
        why="the index refuses the fork, and E11000 reaches a caller whom the pattern promised a new version",
    ),
    Expected(
        variant="published",
        verdict="violated",
        anomaly="forked-history",
        why="the active version is read outside the transaction, so two clients append to the same one",
    ),
    Expected(
        setting="uniqueIndex=false",
        verdict="violated",
        anomaly="forked-history",
        why="without the index two creations of one entity make two first versions",
    ),
    Expected(verdict="holds", why="two appends to a version collide in their transactions, two creations in the index"),
)

SCENARIO = Scenario(
    name="immutable_document",
    contract="Each entity has exactly one active version in every snapshot read; its versions are 1 to n without "
    "duplicate, each names its predecessor, and nothing is ever changed but isActive and deactivatedAt.",
    section="Immutable Document Patterns: Append-Only Pattern",
    variants={"published": PublishedImmutableDocuments, "hardened": HardenedImmutableDocuments},
    operations={"create": create, "update": update, "audit": audit},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        versions(
            documents=lambda final: final["versions"],
            needs_final=("versions",),
            entity=lambda document: document["entity"],
            identity=lambda document: document["id"],
            active=lambda document: document["active"],
            predecessor=lambda document: document["previous"],
            content=lambda document: {**document, "active": None},
            wrote=written_by,
            snapshot=lambda operation: operation.result if operation.function == "audit" else None,
        ),
        unexpected_errors(),
    ),
    settings=("default", "uniqueIndex=true", "uniqueIndex=false"),
    faults=("none", "partition-primary", "kill-primary"),
    expected=EXPECTED,
    advice={
        "published": "Do not adopt it where two clients may update one entity: its history forks. A unique index on "
        "(entityId, version) turns the fork into an error, and is the least to add.",
        "hardened": "Adopt it with its unique index on (entityId, version); without the index two creations of one "
        "entity both succeed.",
    },
    think_ms=5.0,
)
