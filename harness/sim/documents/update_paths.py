"""The dotted paths of updates: which are allowed, and in which order mongod visits fields."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cmp_to_key
from typing import Any, Final

from harness.sim.documents.errors import (
    BAD_VALUE,
    DOLLAR_PREFIXED_FIELD_NAME,
    EMPTY_FIELD_NAME,
    PATH_NOT_VIABLE,
    DocumentError,
)
from harness.sim.documents.paths import Parts, split
from harness.sim.documents.rendering import element_text

POSITIONAL: Final = "$"


def update_path(path: str) -> Parts:
    """Return the parts of the path of an update; raises DocumentError (2, 56) for one that cannot be updated."""
    if not path:
        raise DocumentError(EMPTY_FIELD_NAME, "An empty update path is not valid.")
    parts = split(path)
    if "" in parts:
        message = f"The update path '{path}' contains an empty field name, which is not allowed."
        raise DocumentError(EMPTY_FIELD_NAME, message)
    if "$" in path:
        _check_dynamic_parts(path, parts)
    return parts


def _check_dynamic_parts(path: str, parts: Parts) -> None:
    if parts.count(POSITIONAL) > 1:
        message = f"Too many positional (i.e. '$') elements found in path '{path}'"
        raise DocumentError(BAD_VALUE, message)
    if parts[0] == POSITIONAL:
        message = f"Cannot have positional (i.e. '$') element in the first position in path '{path}'"
        raise DocumentError(BAD_VALUE, message)
    if is_array_part(parts[0]):
        message = f"Cannot have array filter identifier (i.e. '$[<id>]') element in the first position in path '{path}'"
        raise DocumentError(BAD_VALUE, message)


def is_array_part(part: str) -> bool:
    """Return whether a part of a path is ``$[]`` or ``$[identifier]``."""
    return part.startswith("$[") and part.endswith("]")


def identifier(part: str) -> str:
    """Return the identifier of a ``$[identifier]`` part, empty for ``$[]``."""
    return part[2:-1]


def is_dynamic(parts: Parts) -> bool:
    """Return whether a path depends on the matched element or on array filters."""
    return any(part == POSITIONAL or is_array_part(part) for part in parts)


def list_index(part: str) -> int | None:
    """Return the array index that a part of an update path stands for, or None (leading zeros are allowed)."""
    return int(part) if part.isascii() and part.isdigit() else None


def in_update_order(names: Iterable[str]) -> list[str]:
    """Return field names in the order in which mongod 5.0 and later updates them.

    It is lexicographic, and numeric for names that are numbers; new fields are appended in this order.
    """
    names = list(names)
    return sorted(names, key=cmp_to_key(_compare)) if any(map(str.isdigit, names)) else sorted(names)


def _compare(left: str, right: str) -> int:
    if left.isdigit() and right.isdigit() and len(left) != len(right):
        return len(left) - len(right)
    return (left > right) - (left < right)


def not_traversable(parts: Parts, place: int, value: Any) -> DocumentError:
    """Return the error for a path whose part at ``place`` finds a value that holds no such part."""
    name = parts[place - 1] if place else ""
    message = (
        f"Cannot use the part ({parts[place]}) of ({'.'.join(parts)}) to traverse the element "
        f"({{{element_text(name, value)}}})"
    )
    return DocumentError(PATH_NOT_VIABLE, message)


def dollar_prefixed(name: str) -> DocumentError:
    """Return the error for a top-level field with a dollar sign."""
    message = (
        f"The dollar ($) prefixed field '{name}' in '{name}' is not allowed in the context of an update's replacement "
        "document. Consider using an aggregation pipeline with $replaceWith."
    )
    return DocumentError(DOLLAR_PREFIXED_FIELD_NAME, message)
