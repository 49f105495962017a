"""Values on the way in: a caller's document becomes plain dicts, lists and BSON values, copied once.

After :func:`normalise` the Python type of a value says its BSON type: ``int`` is an int32, ``Int64`` an int64,
``float`` a double, ``bytes`` binary of subtype 0, ``Regex`` a regular expression, a naive ``datetime`` in whole
milliseconds a date in UTC. These are the types PyMongo returns, so a stored document can be handed out as it is.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from bson import DBRef
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.errors import InvalidDocument
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from bson.regex import Regex
from bson.timestamp import Timestamp

INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

Document = dict[str, Any]


class Missing:
    """The type of :data:`MISSING`: no value at a path, which is not the value null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

_UNCHANGED: Final = frozenset(
    {str, float, bool, type(None), bytes, ObjectId, Int64, Decimal128, Timestamp, MinKey, MaxKey}
)


def normalise(document: Mapping[str, Any]) -> Document:
    """Return ``document`` as a fresh plain dict, all the way down.

    Raises what ``bson.encode`` raises: InvalidDocument for a key or a value that BSON has no form for, OverflowError
    for an int beyond 64 bits.
    """
    if type(document) is not dict and isinstance(document, RawBSONDocument):
        raise InvalidDocument("a RawBSONDocument cannot be stored by the simulated server: decode it first")
    result: Document = {}
    for key, value in document.items():
        if type(key) is not str:
            raise InvalidDocument(f"documents must have only string keys, key was {key!r}")
        if "\x00" in key:
            raise InvalidDocument(f"Key names must not contain the NULL character: {key!r}")
        kind = type(value)
        if kind in _UNCHANGED or (kind is int and INT32_MIN <= value <= INT32_MAX):
            result[key] = value
        elif kind is dict:
            result[key] = normalise(value)
        else:
            result[key] = normalise_value(value)
    return result


def normalise_value(value: Any) -> Any:
    """Return one ``value`` in the form that documents store; raises as :func:`normalise` does."""
    kind = type(value)
    if kind in _UNCHANGED:
        return value
    convert = _CONVERSIONS.get(kind)
    if convert is not None:
        return convert(value)
    for base, convert in _CONVERSIONS_OF_SUBCLASSES:
        if isinstance(value, base):
            return convert(value)
    raise InvalidDocument(f"cannot encode object: {value!r}, of type: {kind!r}")


def integer(value: int, *, wide: bool = False) -> int:
    """Return ``value`` as a BSON integer: an int64 if it does not fit 32 bits, or if ``wide``."""
    return Int64(value) if wide or not INT32_MIN <= value <= INT32_MAX else int(value)


def identical(left: Any, right: Any) -> bool:
    """Return whether two values are the same BSON bytes: the type of a number and the order of fields count."""
    kind = type(left)
    if kind is not type(right):
        return False
    if kind in _COMPARED_PLAINLY:
        return bool(left == right)
    if kind is dict:
        return list(left) == list(right) and all(map(identical, left.values(), right.values()))
    if kind is list:
        return len(left) == len(right) and all(map(identical, left, right))
    return bool(_bits(left) == _bits(right))


def _bits(value: Any) -> Any:
    if type(value) is float:
        return value.hex()
    return value.bid if type(value) is Decimal128 else value


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a BSON number (a bool is not)."""
    return type(value) in _NUMBERS


def is_int64(value: Any) -> bool:
    """Return whether ``value`` is a BSON int64."""
    return type(value) is Int64


def milliseconds(value: datetime.datetime) -> datetime.datetime:
    """Return a date as stored: naive UTC, cut to whole milliseconds. A naive ``value`` is taken as UTC."""
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    excess_us = value.microsecond % 1000
    return value.replace(microsecond=value.microsecond - excess_us) if excess_us else value


_COMPARED_PLAINLY: Final = frozenset({str, int, Int64, bool, type(None), ObjectId, datetime.datetime, bytes})

_NUMBERS: Final = frozenset({int, float, Int64, Decimal128})


def _integer(value: int) -> int:
    if INT32_MIN <= value <= INT32_MAX:
        return int(value)
    if INT64_MIN <= value <= INT64_MAX:
        return Int64(value)
    raise OverflowError("MongoDB can only handle up to 8-byte ints")


def _list(value: Any) -> list[Any]:
    return [normalise_value(item) for item in value]


def _binary(value: Binary) -> bytes:
    return bytes(value) if value.subtype == 0 else value


def _code(value: Code) -> Code:
    return value if value.scope is None else Code(str(value), normalise(value.scope))


def _refused(value: Any) -> Any:
    raise InvalidDocument(f"the simulated server does not store values of type {type(value).__name__}: {value!r}")


_CONVERSIONS: Final[Mapping[type, Callable[[Any], Any]]] = {
    int: _integer,
    dict: normalise,
    list: _list,
    tuple: _list,
    datetime.datetime: milliseconds,
    re.Pattern: Regex.from_native,
    Regex: lambda value: value,
    Binary: _binary,
    Code: _code,
    DatetimeMS: lambda value: milliseconds(value.as_datetime()),
    DBRef: _refused,
}

_CONVERSIONS_OF_SUBCLASSES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (Mapping, normalise),
    (list, _list),
    (tuple, _list),
    (str, str),
    (float, float),
    (int, _integer),
    (bytes, bytes),
    (datetime.datetime, milliseconds),
)
