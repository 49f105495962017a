"""Values from files as values that checkers compare: hashable, and equal exactly where the format calls them equal."""

from __future__ import annotations

from typing import Any, Final

from harness.checkers.frozen import FrozenMap
from harness.exchange.edn import EdnSet, Tagged, write_value

_EQUAL_TO_NUMBERS: Final = (bool, float)
_TAGS: Final = frozenset(kind.__name__ for kind in _EQUAL_TO_NUMBERS)


def comparable(value: Any) -> Any:
    """Return the hashable twin of a value.

    Lists are tuples, sets frozensets, maps :class:`FrozenMap`. To Python ``True == 1 == 1.0``, to EDN and JSON not: a
    boolean or a float that equals a whole number is tagged. A keyword and a string of the same letters stay equal.
    """
    kind = type(value)
    if kind is int or kind is str or value is None:
        return value
    if isinstance(value, _EQUAL_TO_NUMBERS):
        return Tagged(kind.__name__, value) if value == int_of(value) else value
    if isinstance(value, EdnSet | set | frozenset):
        return frozenset(comparable(part) for part in value)
    if isinstance(value, list | tuple):
        return tuple(comparable(part) for part in value)
    if isinstance(value, dict):
        return FrozenMap((comparable(name), comparable(part)) for name, part in value.items())
    return Tagged(value.tag, comparable(value.value)) if isinstance(value, Tagged) else value


def int_of(number: float) -> int | None:
    """Return the whole number that ``number`` equals, or None for a fraction, an infinite one or none at all."""
    try:
        return int(number) if number == int(number) else None
    except (OverflowError, ValueError):
        return None


def shown(value: Any) -> str:
    """Return a value as the file has it, comparable or not, on one line."""
    return write_value(value.value if isinstance(value, Tagged) and value.tag in _TAGS else value)
