"""Filters at work on a collection: which documents they find, and in which order without a sort.

A filter that pins ``_id`` looks the document up. One with a range or a list on ``_id``, or on the first field of an
index, finds in the order of that index, as mongod's plans do; any other in natural order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bson.regex import Regex

from harness.sim.documents.expressions import Environment
from harness.sim.documents.match import NO_ENVIRONMENT, compile_filter
from harness.sim.documents.match_nodes import Matches
from harness.sim.documents.order import hashable_key, sort_key
from harness.sim.documents.sort import sort_documents
from harness.sim.server.records import CollectionData, Document, IdKey

Found = tuple[IdKey, Document]
_INDEXED_OPERATORS: Final = frozenset({"$eq", "$in", "$gt", "$gte", "$lt", "$lte"})
_NOTHING: Final[Mapping[IdKey, Document]] = {}


class Selection:
    """A filter in runnable form. Raises DocumentError where it is made of a malformed ``query``."""

    __slots__ = ("key", "matches", "pinned", "query")

    def __init__(self, query: Document, environment: Environment = NO_ENVIRONMENT) -> None:
        self.query = query
        self.key: IdKey = None
        self.matches: Matches | None = None
        identity = query.get("_id", _NOTHING)
        self.pinned = identity is not _NOTHING and pins(identity)
        if self.pinned:
            self.key = hashable_key(identity)
            if len(query) > 1:
                self.matches = compile_filter(query, environment)
        elif query:
            self.matches = compile_filter(query, environment)

    def first(self, collection: CollectionData | None) -> Found | None:
        """Return the first document that matches, and its key."""
        if not self.pinned:
            return next(self.each(collection), None)
        document = collection.documents.get(self.key) if collection is not None else None
        if document is None or (self.matches is not None and not self.matches(document)):
            return None
        return self.key, document

    def each(self, collection: CollectionData | None) -> Iterator[Found]:
        """Yield the documents that match, with their keys, in the order of :meth:`order`."""
        documents = collection.documents if collection is not None else _NOTHING
        matches = self.matches
        if self.pinned:
            found = self.first(collection)
            if found is not None:
                yield found
            return
        items = documents.items() if collection is None else self._ordered(collection)
        for key, document in items:
            if matches is None or matches(document):
                yield key, document

    def order(self, collection: CollectionData | None) -> list[IdKey]:
        """Return the keys of all documents that a scan for this filter examines, in its order."""
        if collection is None:
            return []
        if self.pinned:
            return [self.key] if self.key in collection.documents else []
        return [key for key, _ in self._ordered(collection)]

    def is_sorted_by_index(self, collection: CollectionData | None, sort: Document) -> bool:
        """Return whether a plan gets this sort from an index, and so need not see all matches before the first."""
        if collection is None or self.pinned:
            return False
        wanted = tuple(sort.items())
        path = self._index_path(collection)
        if path is not None and path != wanted[0][0]:
            return False
        if len(wanted) == 1 and wanted[0][0] == "_id":
            return True
        backwards = tuple((name, -direction) for name, direction in wanted)
        full = (index.keys[: len(wanted)] for index in collection.indexes if index.is_full)
        return any(keys in (wanted, backwards) for keys in full)

    def again(self, collection: CollectionData | None, key: IdKey) -> Found | None:
        """Return a document that was found before, if it is there and still matches."""
        document = collection.documents.get(key) if collection is not None else None
        return (key, document) if document is not None and self.accepts(document) else None

    def accepts(self, document: Document) -> bool:
        """Return whether a document, found by its key before, still matches."""
        return self.matches is None or self.matches(document)

    def _ordered(self, collection: CollectionData) -> Iterator[Found]:
        path = self._index_path(collection)
        items = iter(collection.documents.items())
        if path is None:
            return items
        if path == "_id":
            return iter(sorted(items, key=lambda item: sort_key(item[1]["_id"])))
        in_order = sort_documents(collection.documents.values(), {path: 1})
        return iter([(hashable_key(document["_id"]), document) for document in in_order])

    def _index_path(self, collection: CollectionData) -> str | None:
        """Return the field whose index a plan for this filter walks, None for a scan of the collection."""
        query = self.query
        if "_id" in query:
            return "_id" if _bounds(query["_id"]) else None
        usable = [index.keys[0][0] for index in collection.indexes if index.is_full]
        fitting = [path for path in usable if path in query and _bounds(query[path])]
        return fitting[0] if len(fitting) == 1 else None


def has_operator(query: Document) -> bool:
    """Return whether a filter has an operator at its top, as ``$expr``, and so may read the clock or variables."""
    for name in query:  # noqa: SIM110 - a generator would take half as long again
        if name[:1] == "$":
            return True
    return False


def pins(value: Any) -> bool:
    """Return whether ``{_id: value}`` can match one document only."""
    if type(value) is dict:
        return not next(iter(value), "").startswith("$")
    return type(value) is not Regex


def _bounds(value: Any) -> bool:
    if type(value) is not dict:
        return type(value) is not Regex
    return bool(value) and all(name in _INDEXED_OPERATORS for name in value)
