"""Lists of keys as PyMongo's callers write them: for sorts, hints, indexes and projections."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

ASCENDING = 1


def index_document(keys: Any) -> dict[str, Any]:
    """Return the document of a list of keys. Raises TypeError or ValueError as PyMongo does."""
    if not isinstance(keys, list | tuple | Mapping):
        raise TypeError("must use a dictionary or a list of (key, direction) pairs, not: " + repr(keys))
    if not keys:
        raise ValueError("key_or_list must not be empty")
    items = keys.items() if isinstance(keys, Mapping) else [_pair(item) for item in keys]
    document: dict[str, Any] = {}
    for key, value in items:
        if not isinstance(key, str):
            raise TypeError(f"first item in each key pair must be an instance of str, not {type(key)}")
        if not isinstance(value, str | int | Mapping):
            raise TypeError(
                "second item in each key pair must be 1, -1, '2d', or another valid MongoDB index specifier."
                f", not {type(value)}"
            )
        document[key] = value
    return document


def index_list(key_or_list: Any, direction: int | str | None = None) -> Sequence[tuple[str, Any]]:
    """Return pairs of key and direction. Raises TypeError as PyMongo does."""
    if direction is not None:
        if not isinstance(key_or_list, str):
            raise TypeError(f"Expected a string and a direction, not {type(key_or_list)}")
        return [(key_or_list, direction)]
    if isinstance(key_or_list, str):
        return [(key_or_list, ASCENDING)]
    if isinstance(key_or_list, ItemsView):
        return list(key_or_list)
    if isinstance(key_or_list, Mapping):
        return list(key_or_list.items())
    if not isinstance(key_or_list, list | tuple):
        raise TypeError(
            f"if no direction is specified, key_or_list must be an instance of list, not {type(key_or_list)}"
        )
    return [_pair(item) for item in key_or_list]


def hint_document(hint: Any) -> Any:
    """Return a hint as a command has it: the name of an index, or its keys."""
    return hint if hint is None or isinstance(hint, str) else index_document(hint)


def index_name(keys: Sequence[Any]) -> str:
    """Return the name that an index of these keys has by default."""
    return "_".join(["{}_{}".format(*item) for item in keys])


def projection_document(projection: Any, name: str) -> Mapping[str, Any]:
    """Return a projection as a document. Raises TypeError as PyMongo does; ``name`` is the argument's."""
    if isinstance(projection, Mapping):
        return projection
    if isinstance(projection, Sequence | AbstractSet):
        if not all(isinstance(field, str) for field in projection):
            raise TypeError(f"{name} must be a list of key names, each an instance of str")
        # A set of names has no order of its own; a sorted one makes the same command in every run.
        names = sorted(projection) if isinstance(projection, AbstractSet) else projection
        return dict.fromkeys(names, 1)
    raise TypeError(f"{name} must be a mapping or list of key names")


def _pair(item: Any) -> Any:
    return (item, ASCENDING) if isinstance(item, str) else item
