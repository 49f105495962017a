"""Commands on collections and databases: ``create``, ``drop``, ``renameCollection``, ``dropDatabase`` and the lists."""

from __future__ import annotations

from typing import Any, Final

from bson.binary import Binary

from harness.sim.documents.match import compile_filter
from harness.sim.server.commands import arguments, storage
from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.codes import (
    ILLEGAL_OPERATION,
    NAMESPACE_EXISTS,
    NAMESPACE_NOT_FOUND,
    failure,
)
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.cursors import ListResults, first_batch
from harness.sim.server.commands.exclusive import exclusively
from harness.sim.server.commands.reading import unsupported
from harness.sim.server.commands.writing import ensure_collection
from harness.sim.server.records import Change, CollectionData, Data, Document

_CREATE_OPTIONS: Final = (
    *("capped", "size", "max", "storageEngine", "validator", "validationLevel", "validationAction", "viewOn"),
    *("indexOptionDefaults", "pipeline", "collation", "timeseries", "expireAfterSeconds", "clusteredIndex"),
    *("changeStreamPreAndPostImages", "encryptedFields", "idIndex", "autoIndexId", "temp", "recordPreImages"),
)
CREATE_FIELDS: Final = fields("create", {}, others=_CREATE_OPTIONS)
DROP_FIELDS: Final = fields("drop", {}, others=("collectionUUID", "encryptedFields"))
DROP_DATABASE_FIELDS: Final = fields("dropDatabase", {})
RENAME_FIELDS: Final = fields(
    "renameCollection", {"to": "string"}, required=("to",), others=("dropTarget", "stayTemp", "collectionUUID")
)
LIST_COLLECTIONS_FIELDS: Final = fields(
    "listCollections", {"filter": "object", "cursor": "object"}, others=("nameOnly", "authorizedCollections")
)
LIST_DATABASES_FIELDS: Final = fields("listDatabases", {"filter": "object"}, others=("nameOnly", "authorizedDatabases"))

_OWN_DATABASES: Final = ("admin", "config", "local")
_SIZE: Final = 20480


async def create(request: Request) -> dict[str, Any]:
    """Make an empty collection. Raises CommandError 48 where there is one."""
    arguments.check_writable(request.namespace)
    for name in _CREATE_OPTIONS:
        if request.command.get(name):
            raise unsupported(f"`{name}` of create")
    request.wrote = True
    if request.namespace in request.data.collections:
        raise failure(NAMESPACE_EXISTS, f"Collection {request.namespace} already exists.")
    await ensure_collection(request, request.namespace)
    return {}


async def drop(request: Request) -> dict[str, Any]:
    """Drop a collection; waits for open transactions on it. Raises CommandError 26 where there is none."""
    request.wrote = True
    namespace = request.namespace
    if namespace not in request.data.collections:
        raise failure(NAMESPACE_NOT_FOUND, "ns not found")
    async with exclusively(request, namespace):
        collection = request.data.collections.get(namespace)
        if collection is None:
            raise failure(NAMESPACE_NOT_FOUND, "ns not found")
        _drop(request, namespace, collection)
    return {"nIndexesWas": len(collection.indexes) + 1, "ns": namespace}


def _drop(request: Request, namespace: str, collection: CollectionData) -> None:
    data = storage.without_collections(request.data, [namespace])
    change = Change(kind="drop", namespace=namespace, uuid=collection.uuid)
    request.entry = request.service.replica_set.append(request.member, data, (change,))


async def drop_database(request: Request) -> dict[str, Any]:
    """Drop every collection of the database, one by one."""
    request.wrote = True
    names = _of_database(request.data, request.database)
    async with exclusively(request, *names):
        for namespace in names:
            collection = request.data.collections.get(namespace)
            if collection is not None:
                _drop(request, namespace, collection)
        if names:
            change = Change(kind="dropDatabase", namespace=request.database)
            request.entry = request.service.replica_set.append(request.member, request.data, (change,))
    return {}


async def rename(request: Request) -> dict[str, Any]:
    """``renameCollection``, of the admin database, with both names in full. Raises CommandError (26, 48)."""
    request.wrote = True
    source, target = request.command["renameCollection"], request.command["to"]
    if source not in request.data.collections:
        raise failure(NAMESPACE_NOT_FOUND, f"Source collection {source} does not exist")
    if source == target:
        raise failure(ILLEGAL_OPERATION, "Can't rename a collection to itself")
    if target in request.data.collections and not request.command.get("dropTarget"):
        raise failure(NAMESPACE_EXISTS, "target namespace exists")
    async with exclusively(request, source, target):
        data = request.data
        collection = data.collections.get(source)
        if collection is None:
            raise failure(NAMESPACE_NOT_FOUND, f"Source collection {source} does not exist")
        kept = {name: held for name, held in data.collections.items() if name not in (source, target)}
        kept[target] = collection
        change = Change(kind="rename", namespace=source, target=target, uuid=collection.uuid)
        after = Data(collections=kept, sessions=data.sessions)
        request.entry = request.service.replica_set.append(request.member, after, (change,))
    return {}


async def list_collections(request: Request) -> dict[str, Any]:
    """List the collections of a database that match ``filter``."""
    command = request.command
    data = request.service.replica_set.applied(request.member).data
    matches = compile_filter(command.get("filter") or {})
    listed = [_described(data, namespace) for namespace in _of_database(data, request.database)]
    chosen = [item for item in listed if matches(item)]
    if command.get("nameOnly"):
        chosen = [{"name": item["name"], "type": item["type"]} for item in chosen]
    cursor = command.get("cursor") or {}
    size = arguments.natural(cursor, "batchSize") if "batchSize" in cursor else None
    namespace = f"{request.database}.$cmd.listCollections"
    return await first_batch(request, namespace, ListResults(chosen), batch_size=size)


def _described(data: Data, namespace: str) -> Document:
    uuid = data.collections[namespace].uuid
    return {
        "name": namespace.partition(".")[2],
        "type": "collection",
        "options": {},
        "info": {"readOnly": False, "uuid": Binary(uuid.to_bytes(16, "big"), 4)},
        "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"},
    }


async def list_databases(request: Request) -> dict[str, Any]:
    """List the databases that match ``filter``."""
    command = request.command
    data = request.service.replica_set.applied(request.member).data
    names = {namespace.partition(".")[0]: None for namespace in data.collections}
    listed = [{"name": name, "sizeOnDisk": _SIZE, "empty": False} for name in sorted([*names, *_OWN_DATABASES])]
    matches = compile_filter(command.get("filter") or {})
    chosen = [item for item in listed if matches(item)]
    if command.get("nameOnly"):
        return {"databases": [{"name": item["name"]} for item in chosen]}
    return {"databases": chosen, "totalSize": _SIZE * len(chosen), "totalSizeMb": 0}


def _of_database(data: Data, database: str) -> list[str]:
    return [namespace for namespace in data.collections if namespace.partition(".")[0] == database]
