"""Copy-on-write changes of a collection's documents, its indexes, and the keys of its unique indexes.

Pure: each function returns a new collection and leaves the old one, which other oplog entries hold, as it was.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from harness.sim.documents.unique import ID_INDEX, duplicate_key_error, find_duplicate, keys_in
from harness.sim.server.document_map import drop, put
from harness.sim.server.records import CollectionData, Data, Document, IdKey, Index

Keys = Mapping[str, tuple[Hashable, ...]]
LockKey = tuple[str, str, Hashable]
"""What a write claims until it is committed: (namespace, index name or "" for the document itself, key)."""


def with_collection(data: Data, namespace: str, collection: CollectionData) -> Data:
    """Return ``data`` with that collection in the place of what has its name."""
    return Data(collections={**data.collections, namespace: collection}, sessions=data.sessions)


def without_collections(data: Data, namespaces: Iterable[str]) -> Data:
    """Return ``data`` without those collections."""
    gone = frozenset(namespaces)
    kept = {name: collection for name, collection in data.collections.items() if name not in gone}
    return Data(collections=kept, sessions=data.sessions)


def insert(
    namespace: str, collection: CollectionData, key: IdKey, document: Document, *, unique: bool = True
) -> CollectionData:
    """Return the collection with one document more. Raises DocumentError 11000 where ``unique`` and a key is taken."""
    documents = collection.documents
    if key in documents:
        if unique:
            raise duplicate_key_error(namespace, ID_INDEX, (document["_id"],))
        key = (key, len(documents))
    keys = collection.unique_keys
    if keys:
        keys = _claim(namespace, collection, (key, document), {}, unique=unique)
    return CollectionData(
        uuid=collection.uuid,
        documents=put(documents, key, document),
        indexes=collection.indexes,
        unique_keys=keys,
    )


def replace(
    namespace: str, collection: CollectionData, key: IdKey, document: Document, *, unique: bool = True
) -> CollectionData:
    """Return the collection with ``document`` in the place of the one that has that key; raises as :func:`insert`."""
    keys = collection.unique_keys
    if keys:
        before = _unique_keys(collection, collection.documents[key])
        if before != _unique_keys(collection, document):
            keys = _claim(namespace, collection, (key, document), before, unique=unique)
    return CollectionData(
        uuid=collection.uuid,
        documents=put(collection.documents, key, document),
        indexes=collection.indexes,
        unique_keys=keys,
    )


def remove(collection: CollectionData, key: IdKey) -> CollectionData:
    """Return the collection without the document that has that key."""
    document = collection.documents[key]
    documents = drop(collection.documents, key)
    keys = collection.unique_keys
    if keys:
        keys = _released(collection, key, _unique_keys(collection, document))
    return CollectionData(uuid=collection.uuid, documents=documents, indexes=collection.indexes, unique_keys=keys)


def changed_locks(
    namespace: str, collection: CollectionData, key: IdKey, before: Document | None, after: Document | None
) -> tuple[LockKey, ...]:
    """Return what a write of one document claims: the document, and each unique key that comes or goes with it."""
    document_lock: LockKey = (namespace, "", key)
    if not collection.unique_keys:
        return (document_lock,)
    old = _unique_keys(collection, before) if before is not None else {}
    new = _unique_keys(collection, after) if after is not None else {}
    locks = [document_lock]
    for name in collection.unique_keys:
        was, will_be = old.get(name, ()), new.get(name, ())
        locks += [(namespace, name, value) for value in was if value not in will_be]
        locks += [(namespace, name, value) for value in will_be if value not in was]
    return tuple(locks)


def add_index(namespace: str, collection: CollectionData, index: Index) -> CollectionData:
    """Return the collection with the index built. Raises DocumentError 11000 where a unique one finds a key twice."""
    keys = collection.unique_keys
    if index.unique:
        taken: dict[Hashable, IdKey] = {}
        for key, document in collection.documents.items():
            _refuse_taken(namespace, index, key, document, taken)
            for value in keys_in(document, index.definition):
                taken[value] = key
        keys = {**keys, index.name: taken}
    return CollectionData(
        uuid=collection.uuid, documents=collection.documents, indexes=(*collection.indexes, index), unique_keys=keys
    )


def drop_indexes(collection: CollectionData, names: Iterable[str]) -> CollectionData:
    """Return the collection without the indexes of those names."""
    gone = frozenset(names)
    return CollectionData(
        uuid=collection.uuid,
        documents=collection.documents,
        indexes=tuple(index for index in collection.indexes if index.name not in gone),
        unique_keys={name: keys for name, keys in collection.unique_keys.items() if name not in gone},
    )


def _unique_keys(collection: CollectionData, document: Document) -> Keys:
    return {index.name: keys_in(document, index.definition) for index in collection.indexes if index.unique}


def _claim(
    namespace: str, collection: CollectionData, found: tuple[IdKey, Document], before: Keys, *, unique: bool
) -> dict[str, Mapping[Hashable, IdKey]]:
    """Return the keys of the unique indexes after a document came, or took the place of one that had ``before``."""
    key, document = found
    after = _unique_keys(collection, document)
    result: dict[str, Mapping[Hashable, IdKey]] = {}
    for index in collection.indexes:
        if not index.unique:
            continue
        taken = collection.unique_keys[index.name]
        for value in before.get(index.name, ()):
            if value in taken:
                taken = drop(taken, value)
        if unique:
            _refuse_taken(namespace, index, key, document, taken)
        for value in after[index.name]:
            taken = put(taken, value, key)
        result[index.name] = taken
    return result


def _released(collection: CollectionData, key: IdKey, before: Keys) -> dict[str, Mapping[Hashable, IdKey]]:
    result: dict[str, Mapping[Hashable, IdKey]] = {}
    for name, values in collection.unique_keys.items():
        taken = values
        for value in before[name]:
            if taken.get(value) == key:
                taken = drop(taken, value)
        result[name] = taken
    return result


def _refuse_taken(
    namespace: str, index: Index, key: IdKey, document: Document, taken: Mapping[Hashable, IdKey]
) -> None:
    found = find_duplicate(document, index.definition, lambda value: taken.get(value, key) != key)
    if found is not None:
        raise duplicate_key_error(namespace, index.definition, found)
