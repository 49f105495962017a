"""The keys under which an index, or a sort, sees a document: one per element of an array on the way.

Source: the manual's page "Multikey Indexes". A missing field counts as null, an empty array as a value of its own
(BSON's old type undefined, here ``MISSING``), which sorts below null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.paths import Parts, array_index
from harness.sim.documents.values import MISSING, Document

PARALLEL_ARRAYS: Final = 171

CompoundKey = tuple[Any, ...]


# A field on its way: the value it has reached and the parts that are left; None once its value is found.
_Open = tuple[Any, Parts] | None


def compound_keys(document: Document, paths: Sequence[Parts]) -> list[CompoundKey]:
    """Return the values of the fields of a compound index, once per array element.

    Raises DocumentError (171) where two fields lead into different arrays.
    """
    return _keys([(document, path) for path in paths], [None] * len(paths))


def holds_any(document: Document, paths: Sequence[Parts]) -> bool:
    """Return whether the document has at least one of the fields: what a sparse index asks."""
    return any(_walk(document, path)[0] is not MISSING for path in paths)


def _keys(fields: Sequence[_Open], found: Sequence[Any]) -> list[CompoundKey]:
    values = list(found)
    waiting: list[tuple[int, Parts]] = []
    array: list[Any] | None = None
    nested, first_name = False, ""
    for place, field in enumerate(fields):
        if field is None:
            continue
        value, rest = _walk(*field)
        if type(value) is not list:
            values[place] = None if value is MISSING else value
            continue
        if array is not None and array is not value:
            raise DocumentError(PARALLEL_ARRAYS, f"cannot index parallel arrays [{_name(field, rest)}] [{first_name}]")
        if array is None:
            first_name = _name(field, rest)
        array = value
        nested = nested or value is field[0]
        waiting.append((place, rest))
    if array is None:
        return [tuple(values)]
    keys: list[CompoundKey] = []
    for entry in array or [MISSING]:
        # An array that a path picked out of an array by its index is a key as a whole.
        terminal = array if nested and array else entry
        keys.extend(_entry_keys(array, entry, terminal, waiting, values))
    return keys


def _entry_keys(
    array: list[Any], entry: Any, terminal: Any, waiting: Sequence[tuple[int, Parts]], found: Sequence[Any]
) -> list[CompoundKey]:
    values = list(found)
    fields: list[_Open] = [None] * len(found)
    for place, rest in waiting:
        if not rest:
            values[place] = terminal
            continue
        index = array_index(rest[0])
        if index is not None and index < len(array):
            fields[place] = (array[index], rest[1:])
        else:
            fields[place] = (entry if type(entry) is dict else {}, rest)
    return _keys(fields, values)


def _name(field: tuple[Any, Parts], rest: Parts) -> str:
    """Return the name of the array at which a walk over ``field`` stopped."""
    taken = len(field[1]) - len(rest)
    return field[1][taken - 1] if taken else ""


def _walk(value: Any, parts: Parts) -> tuple[Any, Parts]:
    """Return the value at the end of a path or the first array on it, and the parts that are left."""
    for place, part in enumerate(parts):
        if type(value) is list:
            return value, parts[place:]
        value = value.get(part, MISSING) if type(value) is dict else MISSING
    return value, ()
