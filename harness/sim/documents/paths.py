"""Dotted paths into documents, with the ways MongoDB walks through arrays.

A filter walks into every element of an array on its way and, at its end, tries the elements and the array itself
(:func:`visit`, :func:`matched_values`); a plain walk (:func:`lookup`) stops at the first array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from harness.sim.documents.values import MISSING

Parts = tuple[str, ...]

# Called with a value on the path and the index of the outermost array element passed (None: no array on the way);
# a true answer ends the walk.
Visitor = Callable[[Any, int | None], bool]

_PATHS_REMEMBERED: Final = 4096


@lru_cache(maxsize=_PATHS_REMEMBERED)
def split(path: str) -> Parts:
    """Return the field names of a dotted path: ``"a.0.b"`` is ``("a", "0", "b")``."""
    return tuple(path.split("."))


def array_index(part: str) -> int | None:
    """Return the array index that a field name spells in its canonical form (no sign, no leading zero), or None."""
    if not part.isascii() or not part.isdigit() or (part[0] == "0" and len(part) > 1):
        return None
    return int(part)


def lookup(document: Any, parts: Parts) -> Any:
    """Return the value at a path through embedded documents only; MISSING where a field or a document lacks."""
    value = document
    for part in parts:
        if type(value) is not dict:
            return MISSING
        value = value.get(part, MISSING)
    return value


def matched_values(document: Any, parts: Parts, *, expand: bool = True) -> Iterator[Any]:
    """Yield the values that a condition on the path is tried on, in mongod's order; MISSING where the path ends early.

    With ``expand`` an array at the end of the path yields its elements before itself.
    """
    found: list[Any] = []

    def collect(value: Any, _index: int | None) -> bool:
        found.append(value)
        return False

    visit(document, parts, collect, expand=expand)
    return iter(found)


def visit(document: Any, parts: Parts, visitor: Visitor, *, expand: bool = True) -> bool:
    """Call ``visitor`` on each value of the path until it answers True; return whether it did.

    An array on the way is entered in every element that is a document, and, where the next part is an index, in that
    element alone as well. A document without the field yields MISSING; an element that is no document yields nothing.
    """
    value = document
    for position, part in enumerate(parts):
        if type(value) is list:
            return _visit_elements(value, parts[position:], visitor, expand=expand)
        if type(value) is not dict:
            return visitor(MISSING, None)
        value = value.get(part, MISSING)
    return _visit_end(value, visitor, expand=expand)


def _visit_end(value: Any, visitor: Visitor, *, expand: bool) -> bool:
    if expand and type(value) is list:
        for index, item in enumerate(value):
            if visitor(item, index):
                return True
    return visitor(value, None)


def _visit_elements(array: list[Any], parts: Parts, visitor: Visitor, *, expand: bool) -> bool:
    wanted = array_index(parts[0])
    for index, item in enumerate(array):
        if type(item) is dict and visit(item, parts, _at(visitor, index), expand=expand):
            return True
        if index == wanted and _visit_indexed(item, parts[1:], visitor, expand=expand):
            return True
    return False


def _visit_indexed(item: Any, rest: Parts, visitor: Visitor, *, expand: bool) -> bool:
    if not rest:
        return visitor(item, None)
    if type(item) is list or type(item) is dict:
        return visit(item, rest, visitor, expand=expand)
    return False


def _at(visitor: Visitor, index: int) -> Visitor:
    return lambda value, _inner: visitor(value, index)
