"""Sorting documents by BSON order; an array sorts by its least element upwards, by its greatest downwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from harness.sim.documents.errors import BAD_VALUE, DocumentError
from harness.sim.documents.expression_paths import field_path
from harness.sim.documents.index_keys import PARALLEL_ARRAYS, compound_keys
from harness.sim.documents.match_tests import whole_part
from harness.sim.documents.order import SortKey, sort_key
from harness.sim.documents.paths import Parts, split
from harness.sim.documents.rendering import element_text
from harness.sim.documents.values import Document, is_number

_ILLEGAL_KEY: Final = 15974
_ILLEGAL_DIRECTION: Final = 15975
_META_EXPECTED: Final = 17312


def sort_documents(documents: Iterable[Document], specification: Mapping[str, Any]) -> list[Document]:
    """Return the documents in the order of ``{path: 1 or -1, …}``; equal ones keep their order.

    Raises DocumentError (2, 15974, 15975, 17312) for a malformed specification or two arrays in one document's keys.
    """
    fields = [(field_path(path), _descends(path, direction)) for path, direction in specification.items()]
    if not fields:
        return list(documents)
    keyed = [(_document_key(document, fields), document) for document in documents]
    for place in reversed(range(len(fields))):
        keyed.sort(key=lambda pair: pair[0][place], reverse=fields[place][1])
    return [document for _, document in keyed]


def _descends(path: str, direction: Any) -> bool:
    if type(direction) is dict:
        raise DocumentError(_META_EXPECTED, "$meta is the only expression supported by $sort right now")
    if not is_number(direction):
        raise DocumentError(_ILLEGAL_KEY, f"Illegal key in $sort specification: {element_text(path, direction)}")
    value = whole_part(direction)
    if value not in (1, -1):
        message = "$sort key ordering must be 1 (for ascending) or -1 (for descending)"
        raise DocumentError(_ILLEGAL_DIRECTION, message)
    return value < 0


def _document_key(document: Document, fields: Sequence[tuple[Parts, bool]]) -> list[SortKey]:
    if len(fields) == 1 and len(fields[0][0]) == 1:
        value = document.get(fields[0][0][0])
        if type(value) is not list:
            return [sort_key(value)]
    try:
        candidates = compound_keys(document, [parts for parts, _ in fields])
    except DocumentError as error:
        if error.code != PARALLEL_ARRAYS:
            raise
        raise DocumentError(BAD_VALUE, "cannot sort with keys that are parallel arrays") from error
    keys = [[sort_key(value) for value in candidate] for candidate in candidates]
    for place in reversed(range(len(fields))):
        keys.sort(key=lambda key: key[place], reverse=fields[place][1])
    return keys[0]


def array_element_sorter(pattern: Mapping[str, Any]) -> Callable[[list[Any]], list[Any]]:
    """Return the sort of ``$push`` with ``$sort: {path: 1 or -1}``; an element without the field sorts as null."""
    fields = [(split(path), sort_key(direction)[1] < 0) for path, direction in pattern.items()]

    def sorted_array(array: list[Any]) -> list[Any]:
        result = list(array)
        for parts, descending in reversed(fields):
            result.sort(key=lambda item: _plain_key(item, parts), reverse=descending)
        return result

    return sorted_array


def _plain_key(item: Any, parts: Parts) -> SortKey:
    value = item
    for part in parts:
        if type(value) is list:
            index = int(part) if part.isdigit() else len(value)
            value = value[index] if index < len(value) else None
        else:
            value = value.get(part) if type(value) is dict else None
    return sort_key(value)
