"""The commands ``createIndexes``, ``dropIndexes``, ``listIndexes`` and, for TTL indexes, ``collMod``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.rendering import type_name, value_text
from harness.sim.documents.values import is_number, normalise_value
from harness.sim.server.commands import arguments, storage
from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.codes import (
    BAD_VALUE,
    INDEX_NOT_FOUND,
    INVALID_OPTIONS,
    NAMESPACE_NOT_FOUND,
    NOT_SUPPORTED_IN_TRANSACTION,
    OPERATION_FAILED,
    failure,
)
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.cursors import ListResults, first_batch
from harness.sim.server.commands.exclusive import exclusively
from harness.sim.server.commands.reading import unsupported
from harness.sim.server.commands.writing import ensure_collection
from harness.sim.server.errors import CommandError
from harness.sim.server.records import Change, CollectionData, Document, Index

CREATE_FIELDS: Final = fields(
    "createIndexes",
    {"indexes": "array"},
    required=("indexes",),
    others=("commitQuorum", "ignoreUnknownIndexOptions"),
)
DROP_FIELDS: Final = fields("dropIndexes", {}, required=("index",), others=("index",))
LIST_FIELDS: Final = fields("listIndexes", {"cursor": "object"}, others=("includeBuildUUIDs",))
MODIFY_FIELDS: Final = fields("collMod", {"index": "object"}, others=("dryRun",))

_CANNOT_CREATE: Final = 67
_INVALID_OPTION: Final = 197
_OPTIONS_CONFLICT: Final = 85
_KEYS_CONFLICT: Final = 86
_ID_KEYS: Final = (("_id", 1),)
_OPTIONS: Final = frozenset({"key", "name", "unique", "sparse", "partialFilterExpression", "expireAfterSeconds", "v"})
_IGNORED_OPTIONS: Final = frozenset({"background", "hidden"})
_NOT_MODELLED: Final = ("collation", "wildcardProjection", "weights", "2dsphereIndexVersion", "clustered")
_PLUGINS: Final = ("text", "hashed", "2d", "2dsphere")


async def create_indexes(request: Request) -> dict[str, Any]:
    """Build the indexes, all or none; waits for open transactions on the collection."""
    command = request.command
    namespace = request.namespace
    arguments.check_writable(namespace)
    if not command["indexes"]:
        raise failure(BAD_VALUE, "Must specify at least one index to create")
    wanted = [_parse(specification) for specification in command["indexes"]]
    request.wrote = True
    created = namespace not in request.data.collections
    if request.transaction is not None and not created and namespace not in request.transaction.created:
        message = f"Cannot create new indexes on existing collection {namespace} in a multi-document transaction."
        raise failure(NOT_SUPPORTED_IN_TRANSACTION, message)
    await ensure_collection(request, namespace)
    present = request.data.collections[namespace]
    before = len(present.indexes) + 1
    new = _new_indexes(present, wanted)
    if not new:
        return {"numIndexesBefore": before, "numIndexesAfter": before, "note": "all indexes already exist"}
    if request.transaction is not None:
        collection = _built(namespace, present, new)
        request.transaction.write(namespace, collection, (), ())
    else:
        async with exclusively(request, namespace):
            await _build(request, namespace, new)
    if any(index.expire_after_seconds is not None for index in new):
        request.service.on_ttl_index()
    return {
        "numIndexesBefore": before,
        "numIndexesAfter": before + len(new),
        "createdCollectionAutomatically": created,
        "commitQuorum": "votingMembers",
    }


async def _build(request: Request, namespace: str, new: list[Index]) -> None:
    present = request.data.collections.get(namespace)
    if present is None:
        raise failure(NAMESPACE_NOT_FOUND, f"Collection {namespace} was dropped while its index was built")
    collection = _built(namespace, present, new)
    data = storage.with_collection(request.data, namespace, collection)
    change = Change(kind="createIndexes", namespace=namespace, uuid=collection.uuid)
    request.entry = request.service.replica_set.append(request.member, data, (change,))


def _built(namespace: str, collection: CollectionData, new: list[Index]) -> CollectionData:
    uuid = _uuid_text(collection.uuid)
    for index in new:
        try:
            collection = storage.add_index(namespace, collection, index)
        except DocumentError as error:
            message = f"Index build failed: {_uuid_text(0)}: Collection {namespace} ( {uuid} ) :: caused by :: "
            raise failure(error.code, message + error.message, extra=dict(error.details)) from error
    return collection


def _uuid_text(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _parse(given: Any) -> Index:
    """Return an index as ``createIndexes`` defines it. Raises CommandError (9, 14, 67, 197)."""
    key = given.get("key", {})
    _check_options(given)
    if "name" not in given:
        raise _in_specification(given, 9, "The 'name' field is a required property of an index specification")
    if not key:
        raise _in_specification(given, _CANNOT_CREATE, "Index keys cannot be empty.")
    for direction in key.values():
        _check_direction(given, direction)
    if given.get("sparse") and "partialFilterExpression" in given:
        shown = {**given, "v": 2}
        raise _in_specification(shown, _CANNOT_CREATE, 'cannot mix "partialFilterExpression" and "sparse" options')
    for name in ("unique", "sparse"):
        if name in given and not isinstance(given[name], bool | int | float):
            shown_flag = f"{name}: {value_text(given[name])}"
            message = f"The field '{name} has value {shown_flag}, which is not convertible to bool"
            raise _in_specification(given, 14, message)
    if tuple(key.items()) == _ID_KEYS and given.get("unique"):
        shown = {**given, "v": 2}
        message = f"The field 'unique' is not valid for an _id index specification. Specification: {value_text(shown)}"
        raise failure(_INVALID_OPTION, message)
    return Index(
        name=given["name"],
        keys=tuple(key.items()),
        unique=bool(given.get("unique")),
        sparse=bool(given.get("sparse")),
        partial_filter=given.get("partialFilterExpression"),
        expire_after_seconds=_expiry(given),
    )


def _check_options(given: Document) -> None:
    for name in given:
        if name in _NOT_MODELLED:
            raise unsupported(f"`{name}` of an index")
        if name not in _OPTIONS and name not in _IGNORED_OPTIONS:
            message = f"The field '{name}' is not valid for an index specification. Specification: {value_text(given)}"
            raise _in_specification(given, _INVALID_OPTION, message)


def _check_direction(given: Document, direction: Any) -> None:
    if type(direction) is str:
        if direction in _PLUGINS:
            raise unsupported(f"{direction} indexes")
        raise _in_specification(given, _CANNOT_CREATE, f"Unknown index plugin '{direction}'")
    if not is_number(direction):
        message = f"Values in v:2 index key pattern cannot be of type {type_name(normalise_value(direction))}."
        raise _in_specification(
            given, _CANNOT_CREATE, f"{message} Only numbers > 0, numbers < 0, and strings are allowed."
        )
    if not direction:
        raise _in_specification(given, _CANNOT_CREATE, "Values in the index key pattern cannot be 0.")


def _expiry(given: Document) -> int | None:
    if "expireAfterSeconds" not in given:
        return None
    seconds = given["expireAfterSeconds"]
    shown = f"Index spec: {value_text(given)}"
    option = "TTL index 'expireAfterSeconds' option"
    if not is_number(seconds):
        actual = type_name(normalise_value(seconds))
        message = f"{option} must be numeric, but received a type of '{actual}'. {shown}"
        raise failure(_CANNOT_CREATE, message)
    if seconds < 0:
        raise failure(_CANNOT_CREATE, f"{option} cannot be less than 0. {shown}")
    if len(given["key"]) > 1:
        message = f"TTL indexes are single-field indexes, compound indexes do not support TTL. {shown}"
        raise failure(_CANNOT_CREATE, message)
    return int(seconds)


def _in_specification(given: Document, code: int, message: str) -> CommandError:
    return failure(code, f"Error in specification {value_text(given)} :: caused by :: {message}")


def _new_indexes(collection: CollectionData, wanted: list[Index]) -> list[Index]:
    """Return the indexes that are not there yet. Raises CommandError (85, 86) for one that contradicts another."""
    new: list[Index] = []
    for index in wanted:
        if index.keys == _ID_KEYS or any(_refuse_conflict(index, present) for present in collection.indexes):
            continue
        for other in new:
            if index == other:
                message = "Cannot build two identical indexes. Try again without duplicate indexes."
                raise failure(OPERATION_FAILED, f"Index build failed: {message}")
            _refuse_conflict(index, other)
        new.append(index)
    return new


def _refuse_conflict(index: Index, present: Index) -> bool:
    """Return whether ``index`` is there already. Raises CommandError (85, 86)."""
    if index == present:
        return True
    same_keys = index.keys == present.keys and index.partial_filter == present.partial_filter
    shown = f"Requested index: {index_text(index)}, existing index: {index_text(present)}"
    if index.name == present.name:
        if same_keys and (index.unique, index.sparse) == (present.unique, present.sparse):
            message = "An equivalent index already exists with the same name but different options."
            raise failure(_OPTIONS_CONFLICT, f"{message} {shown}")
        message = (
            "An existing index has the same name as the requested index. When index names are not specified, they are "
            "auto generated and can cause conflicts. Please refer to our documentation."
        )
        raise failure(_KEYS_CONFLICT, f"{message} {shown}")
    if same_keys and (index.unique, index.sparse) == (present.unique, present.sparse):
        if index.expire_after_seconds == present.expire_after_seconds:
            raise failure(_OPTIONS_CONFLICT, f"Index already exists with a different name: {present.name}")
        message = "An equivalent index already exists with a different name and options."
        raise failure(_OPTIONS_CONFLICT, f"{message} {shown}")
    return False


def index_text(index: Index) -> str:
    """Return an index as mongod's messages show it."""
    return value_text(_stored(index))


def _stored(index: Index) -> Document:
    shown: Document = {"v": 2}
    if index.unique:
        shown["unique"] = True
    shown["key"] = dict(index.keys)
    shown["name"] = index.name
    for name, value in _options(index).items():
        shown.setdefault(name, value)
    return shown


def _options(index: Index) -> Document:
    options: Document = {}
    if index.unique:
        options["unique"] = True
    if index.sparse:
        options["sparse"] = True
    if index.partial_filter is not None:
        options["partialFilterExpression"] = index.partial_filter
    if index.expire_after_seconds is not None:
        options["expireAfterSeconds"] = index.expire_after_seconds
    return options


async def drop_indexes(request: Request) -> dict[str, Any]:
    """Drop indexes by name, by keys, or all but the one on ``_id``."""
    namespace = request.namespace
    request.wrote = True
    collection = request.data.collections.get(namespace)
    if collection is None:
        raise failure(NAMESPACE_NOT_FOUND, f"ns not found {namespace}")
    before = len(collection.indexes) + 1
    wanted = request.command["index"]
    reply: dict[str, Any] = {"nIndexesWas": before}
    if wanted == "*":
        reply["msg"] = "non-_id indexes dropped for collection"
        names = [index.name for index in collection.indexes]
    else:
        names = _names(collection, wanted)
    async with exclusively(request, namespace):
        collection = request.data.collections.get(namespace)
        if collection is None:
            raise failure(NAMESPACE_NOT_FOUND, f"ns not found {namespace}")
        if names:
            data = storage.with_collection(request.data, namespace, storage.drop_indexes(collection, names))
            change = Change(kind="createIndexes", namespace=namespace, uuid=collection.uuid)
            request.entry = request.service.replica_set.append(request.member, data, (change,))
    return reply


def _names(collection: CollectionData, wanted: Any) -> list[str]:
    if type(wanted) is dict:
        keys = tuple(wanted.items())
        if keys == _ID_KEYS:
            raise failure(INVALID_OPTIONS, "cannot drop _id index")
        found = [index.name for index in collection.indexes if index.keys == keys]
        if not found:
            raise failure(INDEX_NOT_FOUND, f"can't find index with key: {value_text(wanted)}")
        return found
    names = [wanted] if type(wanted) is str else list(wanted)
    for name in names:
        if name == "_id_":
            raise failure(INVALID_OPTIONS, "cannot drop _id index")
        if all(index.name != name for index in collection.indexes):
            raise failure(INDEX_NOT_FOUND, f"index not found with name [{name}]")
    return names


async def list_indexes(request: Request) -> dict[str, Any]:
    """List the indexes. Raises CommandError 26 where there is no such collection."""
    collection = request.service.replica_set.applied(request.member).data.collections.get(request.namespace)
    if collection is None:
        raise failure(NAMESPACE_NOT_FOUND, f"ns does not exist: {request.namespace}")
    own = [{"v": 2, "key": dict(index.keys), "name": index.name, **_options(index)} for index in collection.indexes]
    listed: list[Document] = [{"v": 2, "key": {"_id": 1}, "name": "_id_"}, *own]
    cursor = request.command.get("cursor") or {}
    size = arguments.natural(cursor, "batchSize") if "batchSize" in cursor else None
    return await first_batch(request, request.namespace, ListResults(listed), batch_size=size)


async def modify_collection(request: Request) -> dict[str, Any]:
    """``collMod`` with ``{index: {name or keyPattern, expireAfterSeconds}}``, which is all that is modelled."""
    request.wrote = True
    collection = request.data.collections.get(request.namespace)
    if collection is None:
        raise failure(NAMESPACE_NOT_FOUND, "ns does not exist")
    wanted = request.command.get("index") or {}
    if not wanted.keys() <= {"name", "keyPattern", "expireAfterSeconds"} or "expireAfterSeconds" not in wanted:
        raise unsupported("collMod beyond expireAfterSeconds")
    for place, index in enumerate(collection.indexes):
        if index.name == wanted.get("name") or dict(index.keys) == wanted.get("keyPattern"):
            seconds = int(wanted["expireAfterSeconds"])
            changed = replace(index, expire_after_seconds=seconds)
            indexes = (*collection.indexes[:place], changed, *collection.indexes[place + 1 :])
            data = storage.with_collection(request.data, request.namespace, replace(collection, indexes=indexes))
            change = Change(kind="createIndexes", namespace=request.namespace, uuid=collection.uuid)
            request.entry = request.service.replica_set.append(request.member, data, (change,))
            request.service.on_ttl_index()
            before = index.expire_after_seconds
            old = {} if before is None else {"expireAfterSeconds_old": before}
            return {**old, "expireAfterSeconds_new": seconds}
    raise failure(INDEX_NOT_FOUND, f"cannot find index {wanted.get('name')} for ns {request.namespace}")
