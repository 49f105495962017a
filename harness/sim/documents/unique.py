"""Indexes as far as writes see them: the keys of a document, and the duplicates that a unique index refuses.

Source: the manual's pages "Unique Indexes", "Sparse Indexes", "Partial Indexes" and "Multikey Indexes".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.sim.documents.errors import DUPLICATE_KEY, DocumentError
from harness.sim.documents.index_keys import CompoundKey, compound_keys, holds_any
from harness.sim.documents.match import compile_filter
from harness.sim.documents.order import hashable_key
from harness.sim.documents.paths import Parts, split
from harness.sim.documents.rendering import value_text
from harness.sim.documents.values import MISSING, Document

HashableKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """An index on a collection.

    Arguments: ``keys`` are its fields with their directions, ``partial`` its ``partialFilterExpression``.
    """

    name: str
    keys: Mapping[str, Any]
    unique: bool = False
    sparse: bool = False
    partial: Mapping[str, Any] | None = None
    paths: tuple[Parts, ...] = field(init=False)
    covers: Callable[[Document], bool] | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(split(path) for path in self.keys))
        object.__setattr__(self, "covers", None if self.partial is None else compile_filter(self.partial))


ID_INDEX: Final = IndexDefinition("_id_", {"_id": 1}, unique=True)


def index_keys(document: Document, keys: Mapping[str, Any]) -> tuple[HashableKey, ...]:
    """Return the keys of a document in an index on ``keys``, each a tuple of hashable values, without repetition.

    Raises DocumentError (171) where two fields lead into different arrays.
    """
    return _hashable(compound_keys(document, [split(path) for path in keys]))


def keys_in(document: Document, index: IndexDefinition) -> tuple[HashableKey, ...]:
    """Return the keys of a document in ``index``: none where a sparse or partial index leaves it out."""
    return _hashable(_values_in(document, index))


def _values_in(document: Document, index: IndexDefinition) -> list[CompoundKey]:
    if index.covers is not None and not index.covers(document):
        return []
    if len(index.paths) == 1 and len(index.paths[0]) == 1:
        value = document.get(index.paths[0][0], MISSING)
        if value is MISSING:
            return [] if index.sparse else [(None,)]
        if type(value) is not list:
            return [(value,)]
    if index.sparse and not holds_any(document, index.paths):
        return []
    return compound_keys(document, index.paths)


def _hashable(values: Iterable[CompoundKey]) -> tuple[HashableKey, ...]:
    return tuple({tuple(map(hashable_key, key)): None for key in values})


def find_duplicate(
    document: Document, index: IndexDefinition, taken: Callable[[HashableKey], bool]
) -> CompoundKey | None:
    """Return the first key of ``document`` that a unique index already holds for another document, as values.

    Arguments: ``taken`` says of a hashable key whether another document holds it.
    """
    if not index.unique:
        return None
    for values in _values_in(document, index):
        if taken(tuple(map(hashable_key, values))):
            return values
    return None


def duplicate_key_error(namespace: str, index: IndexDefinition, key: CompoundKey) -> DocumentError:
    """Return mongod's error 11000 for a ``key`` that is taken; ``namespace`` is ``database.collection``."""
    shown = ", ".join(f"{path}: {_key_text(value)}" for path, value in zip(index.keys, key, strict=True))
    message = f"E11000 duplicate key error collection: {namespace} index: {index.name} dup key: {{ {shown} }}"
    value = {path: None if item is MISSING else item for path, item in zip(index.keys, key, strict=True)}
    return DocumentError(DUPLICATE_KEY, message, details={"keyPattern": dict(index.keys), "keyValue": value})


def _key_text(value: Any) -> str:
    return "undefined" if value is MISSING else value_text(value)
