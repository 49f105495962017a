"""BSON comparison order, equality and hashable keys, as mongod compares values of mixed types.

Source: the manual's page "Comparison/Sort Order" and ``compareElements`` of mongod 6.0: types order first, numbers of
all types compare exactly by value with NaN below them, embedded documents compare field by field (type, then name,
then value), binary data by length, subtype, bytes.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Final

from bson.binary import Binary
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from harness.sim.documents.values import Missing

MIN_KEY_RANK: Final = -1
MISSING_RANK: Final = 0
NULL_RANK: Final = 5
NUMBER_RANK: Final = 10
STRING_RANK: Final = 15
OBJECT_RANK: Final = 20
ARRAY_RANK: Final = 25
BINARY_RANK: Final = 30
OBJECT_ID_RANK: Final = 35
BOOL_RANK: Final = 40
DATE_RANK: Final = 45
TIMESTAMP_RANK: Final = 47
REGEX_RANK: Final = 50
CODE_RANK: Final = 60
CODE_WITH_SCOPE_RANK: Final = 65
MAX_KEY_RANK: Final = 127

SortKey = tuple[Any, ...]


class _NotANumber:
    """Compares below every number and equal to itself, as NaN does in BSON order."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return other is not self

    def __gt__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return "NaN"


_NAN: Final = _NotANumber()


def sort_key(value: Any) -> SortKey:
    """Return the key of ``value`` in BSON order, as Python compares keys.

    Keys are hashable, and equal iff the values are equal in BSON order. ``MISSING`` sorts below null.
    """
    return _KEYS[type(value)](value)


def rank(value: Any) -> int:
    """Return the place of the type of ``value`` in BSON order; values of one rank compare with each other."""
    kind = type(value)
    if kind is Code and value.scope is not None:
        return CODE_WITH_SCOPE_RANK
    return _RANKS[kind]


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal in BSON: 1 and 1.0 are, True and 1 are not, the order of fields counts."""
    kind = type(left)
    if kind in _PLAINLY_COMPARED and kind is type(right):
        return bool(left == right)
    return _KEYS[kind](left) == _KEYS[type(right)](right)


def compare(left: Any, right: Any) -> int:
    """Return -1, 0 or 1 as ``left`` sorts below, with or above ``right``."""
    left_key, right_key = sort_key(left), sort_key(right)
    if left_key == right_key:
        return 0
    return -1 if left_key < right_key else 1


def hashable_key(value: Any) -> Any:
    """Return a key for dicts: the same for two values iff :func:`equal` says so (1 and 1.0, not 1 and True)."""
    kind = type(value)
    if kind in _OWN_KEYS:
        return value
    key = _KEYS[kind](value)
    return key[1] if kind is float or kind is Decimal128 else key


def _number(value: float) -> Any:
    return _NAN if value != value else value  # noqa: PLR0124 - NaN is what differs from itself


def _decimal_key(value: Decimal128) -> SortKey:
    number = value.to_decimal()
    return (NUMBER_RANK, _NAN) if number.is_nan() else (NUMBER_RANK, number)


def _object_key(value: Mapping[str, Any]) -> SortKey:
    fields = []
    for name, item in value.items():
        key = _KEYS[type(item)](item)
        fields.append((key[0], name, key[1]))
    return (OBJECT_RANK, tuple(fields))


def _array_key(value: list[Any]) -> SortKey:
    return (ARRAY_RANK, tuple([_KEYS[type(item)](item) for item in value]))


def _binary_key(value: Binary) -> SortKey:
    return (BINARY_RANK, (len(value), value.subtype, bytes(value)))


def _code_key(value: Code) -> SortKey:
    if value.scope is None:
        return (CODE_RANK, str(value))
    return (CODE_WITH_SCOPE_RANK, (str(value), _object_key(value.scope)))


def regex_options(value: Regex[Any]) -> str:
    """Return the options of a regular expression as BSON stores them, in alphabetical order."""
    return "".join(letter for letter, flag in _REGEX_FLAGS if value.flags & flag)


_REGEX_FLAGS: Final = (("i", 2), ("l", 4), ("m", 8), ("s", 16), ("u", 32), ("x", 64))


def _regex_key(value: Regex[Any]) -> SortKey:
    pattern = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("utf-8", "surrogateescape")
    return (REGEX_RANK, (pattern, regex_options(value)))


# Keys are pairs of the rank and one comparable value; a str compares by code points, which is UTF-8's byte order.
_KEYS: Final[Mapping[type, Callable[[Any], SortKey]]] = {
    Missing: lambda _: (MISSING_RANK, 0),
    MinKey: lambda _: (MIN_KEY_RANK, 0),
    type(None): lambda _: (NULL_RANK, 0),
    int: lambda value: (NUMBER_RANK, value),
    Int64: lambda value: (NUMBER_RANK, value),
    float: lambda value: (NUMBER_RANK, _number(value)),
    Decimal128: _decimal_key,
    str: lambda value: (STRING_RANK, value),
    dict: _object_key,
    list: _array_key,
    bytes: lambda value: (BINARY_RANK, (len(value), 0, value)),
    Binary: _binary_key,
    ObjectId: lambda value: (OBJECT_ID_RANK, value.binary),
    bool: lambda value: (BOOL_RANK, value),
    datetime.datetime: lambda value: (DATE_RANK, value),
    Timestamp: lambda value: (TIMESTAMP_RANK, (value.time, value.inc)),
    Regex: _regex_key,
    Code: _code_key,
    MaxKey: lambda _: (MAX_KEY_RANK, 0),
}

_RANKS: Final[Mapping[type, int]] = {
    Missing: MISSING_RANK,
    MinKey: MIN_KEY_RANK,
    type(None): NULL_RANK,
    int: NUMBER_RANK,
    Int64: NUMBER_RANK,
    float: NUMBER_RANK,
    Decimal128: NUMBER_RANK,
    str: STRING_RANK,
    dict: OBJECT_RANK,
    list: ARRAY_RANK,
    bytes: BINARY_RANK,
    Binary: BINARY_RANK,
    ObjectId: OBJECT_ID_RANK,
    bool: BOOL_RANK,
    datetime.datetime: DATE_RANK,
    Timestamp: TIMESTAMP_RANK,
    Regex: REGEX_RANK,
    Code: CODE_RANK,
    MaxKey: MAX_KEY_RANK,
}

_PLAINLY_COMPARED: Final = frozenset({str, int, Int64, bool, type(None), ObjectId, datetime.datetime, bytes, Timestamp})

# These are their own keys in dicts: all others but the numbers are tuples, and Python's numbers hash by value.
_OWN_KEYS: Final = frozenset({str, int, Int64, ObjectId})
