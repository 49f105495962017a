"""Immutable documents: an append-only store in which an update is a new version.

Seed section "Immutable Document Patterns", "Append-Only Pattern".
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from harness import Call, Context, Env, Expected, Rejected, Scenario, real_env

COLLECTION = "entities"
ENTITIES = 5
NEW_ENTITY_EVERY = 40
"""Calls between two creations of a client. All clients create the same entities, so they race."""


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

    async def update(
        self, collection: str, entity_id: str, updates: Mapping[str, Any], user_id: str
    ) -> dict[str, Any]:
        """Insert the next version, with ``updates`` over the data of the last; return it. Raises Rejected if unknown."""
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

    async def update(
        self, collection: str, entity_id: str, updates: Mapping[str, Any], user_id: str
    ) -> dict[str, Any]:
        """Insert the next version, with ``updates`` over the data of the last; return it. Raises Rejected if unknown."""

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


async def audit(context: Context, *, entity: str) -> dict[str, Any]:
    """Read the active versions of an entity in one snapshot."""
    async with context.database.client.start_session(snapshot=True) as session:
        query = {"entityId": entity, "isActive": True}
        documents = await context.database[COLLECTION].find(query, session=session).to_list()
    return {"versions": [plain_version(document) for document in documents]}


def plain_version(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a version as plain JSON, without the two fields that may change."""
    previous = document.get("previousVersion")
    return {
        "id": str(document["_id"]),
        "entity": document["entityId"],
        "version": document["version"],
        "token": document["data"]["token"],
        "created_by": document["createdBy"],
        "previous": None if previous is None else str(previous),
    }


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Update one of a few entities, audit now and then, and create an entity that the others create as well."""
    for number in itertools.count():
        token = f"{client}-{number}"
        if number % NEW_ENTITY_EVERY == 0:
            entity = f"created-{number // NEW_ENTITY_EVERY}"
            yield Call(function="create", arguments={"entity": entity, "token": token})
            continue
        entity = f"entity-{random.randrange(ENTITIES)}"
        if random.random() < 0.05:
            yield Call(function="audit", arguments={"entity": entity})
        else:
            yield Call(function="update", arguments={"entity": entity, "token": token})


async def setup(context: Context) -> None:
    """Create the indexes and the first version of each entity.

    Without the unique index there is a plain one on the same fields: it makes the reads as fast and refuses nothing.
    """
    unique = context.settings.unique_index
    if unique is None:
        unique = hasattr(context.pattern, "create_indexes")
    if unique and hasattr(context.pattern, "create_indexes"):
        await context.pattern.create_indexes(COLLECTION)
    else:
        await context.database[COLLECTION].create_index([("entityId", 1), ("version", 1)], unique=unique)
    for number in range(ENTITIES):
        data = {"entityId": f"entity-{number}", "userId": "setup", "token": f"first-{number}"}
        await context.pattern.create(COLLECTION, data)


async def final_reads(context: Context) -> dict[str, Any]:
    """Read every version of every entity."""
    documents = await context.database[COLLECTION].find({}).to_list()
    return {"versions": [{**plain_version(document), "active": document["isActive"]} for document in documents]}
