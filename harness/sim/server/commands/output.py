"""The stages that write: ``$out`` replaces a collection, ``$merge`` goes through one document by document."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import DUPLICATE_KEY, DocumentError
from harness.sim.documents.order import hashable_key
from harness.sim.documents.paths import lookup, split
from harness.sim.documents.values import MISSING, identical
from harness.sim.server.commands import storage
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.insert import insertion
from harness.sim.server.commands.reading import unsupported
from harness.sim.server.commands.writing import Effect, ensure_collection, perform
from harness.sim.server.records import Change, CollectionData, Document, IdKey

_NO_SUCH_KEY: Final = 51132
_MATCHED: Final = frozenset({"replace", "keepExisting", "merge", "fail"})
_NOT_MATCHED: Final = frozenset({"insert", "discard", "fail"})


async def write_output(request: Request, stage: Document, documents: list[Document]) -> None:
    """Write what a pipeline made. Raises DocumentError where the stage or a document does not allow it."""
    request.wrote = True
    if "$out" in stage:
        await _out(request, stage["$out"], documents)
    else:
        await _merge(request, stage["$merge"], documents)


def _target(request: Request, into: Any) -> str:
    if type(into) is dict:
        return f"{into.get('db', request.database)}.{into['coll']}"
    return f"{request.database}.{into}"


async def _out(request: Request, into: Any, documents: list[Document]) -> None:
    namespace = _target(request, into)
    before = request.data.collections.get(namespace)
    made = CollectionData(uuid=request.service.next_number())
    for index in before.indexes if before is not None else ():
        made = storage.add_index(namespace, made, index)
    for document in documents:
        stored = document if "_id" in document else {"_id": request.service.new_object_id(request.member), **document}
        made = storage.insert(namespace, made, hashable_key(stored["_id"]), stored)
    kind = Change(kind="create", namespace=namespace, uuid=made.uuid)
    data = storage.with_collection(request.data, namespace, made)
    request.entry = request.service.replica_set.append(request.member, data, (kind,))


async def _merge(request: Request, options: Any, documents: list[Document]) -> None:
    given = options if type(options) is dict else {"into": options}
    namespace = _target(request, given["into"])
    matched, not_matched = given.get("whenMatched", "merge"), given.get("whenNotMatched", "insert")
    if type(matched) is not str or matched not in _MATCHED or not_matched not in _NOT_MATCHED or "let" in given:
        raise unsupported("a $merge with a pipeline")
    on = given.get("on", "_id")
    paths = [on] if type(on) is str else list(on)
    await ensure_collection(request, namespace)
    for place, document in enumerate(documents):
        if place:
            await request.let_others_run(((f"{namespace}:*", True),))
        await _merge_one(request, namespace, document, paths, (matched, not_matched))


async def _merge_one(
    request: Request, namespace: str, document: Document, paths: list[str], actions: tuple[str, str]
) -> None:
    matched, not_matched = actions
    if "_id" not in document:
        document = {"_id": request.service.new_object_id(request.member), **document}
    key = tuple(lookup(document, split(path)) for path in paths)
    if any(value is MISSING or value is None or type(value) is list for value in key):
        missing = next(p for p, v in zip(paths, key, strict=True) if v is MISSING or v is None or type(v) is list)
        message = f"$merge write error: 'on' field '{missing}' cannot be missing, null, undefined or an array"
        raise DocumentError(_NO_SUCH_KEY, f"PlanExecutor error during aggregation :: caused by :: {message}")

    def statement(collection: CollectionData | None) -> Effect:
        present = _find(collection, paths, key)
        if present is None or collection is None:
            if not_matched == "insert":
                return insertion(request, document, namespace=namespace)(collection)
            if not_matched == "fail":
                raise DocumentError(13113, "$merge could not find a matching document in the target collection")
            return Effect(collection, (), (), {})
        if matched == "fail":
            raise DocumentError(DUPLICATE_KEY, f"E11000 duplicate key error collection: {namespace}")
        return _onto(namespace, collection, present, document, matched)

    await perform(request, namespace, statement, 0)


def _find(collection: CollectionData | None, paths: list[str], key: tuple[Any, ...]) -> tuple[IdKey, Document] | None:
    wanted = tuple(map(hashable_key, key))
    for place, document in collection.documents.items() if collection is not None else ():
        values = [lookup(document, split(path)) for path in paths]
        if MISSING not in values and tuple(map(hashable_key, values)) == wanted:
            return place, document
    return None


def _onto(
    namespace: str, collection: CollectionData, found: tuple[IdKey, Document], document: Document, matched: str
) -> Effect:
    key, before = found
    merged = {**before, **document} if matched == "merge" else {"_id": before["_id"], **document}
    if matched == "keepExisting" or identical(merged, before):
        return Effect(collection, (), (), {})
    change = Change(
        kind="replace" if matched == "replace" else "update",
        namespace=namespace,
        key={"_id": before["_id"]},
        document=merged,
        before=before,
        update=[],
        uuid=collection.uuid,
    )
    locks = storage.changed_locks(namespace, collection, key, before, merged)
    return Effect(storage.replace(namespace, collection, key, merged), (change,), locks, {})
