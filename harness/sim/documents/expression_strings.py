"""String operators, and how other values become strings for them; ``$type`` and ``$isNumber``.

Case changes touch ASCII letters only, as in mongod. Source: the manual's page "String Expression Operators".
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.timestamp import Timestamp

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_nodes import Frame, Parser, Run, is_nullish
from harness.sim.documents.expression_numbers import NUMBERS, int32
from harness.sim.documents.expression_parsing import TERNARY, UNARY, fixed, variadic
from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import MISSING, Missing

_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - dates are stored naive, in UTC
_LOWER: Final = {ord(letter): ord(letter) + 32 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_UPPER: Final = {lower: upper for upper, lower in _LOWER.items()}


def double_text(value: float) -> str:
    """Return a double as mongod's conversions write it: six significant digits."""
    if math.isfinite(value):
        return f"{value:g}"
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def date_text(value: datetime.datetime) -> str:
    """Return a date in ISO 8601, with milliseconds and ``Z``."""
    return f"{value.isoformat(timespec='milliseconds')}Z"


def _timestamp_text(value: Timestamp) -> str:
    moment = _EPOCH + datetime.timedelta(seconds=value.time)
    return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}:{value.inc:x}"


_TEXTS: Final[Mapping[type, Callable[[Any], str]]] = {
    str: str,
    Code: str,
    int: str,
    Int64: str,
    float: lambda value: f"{value:g}",
    Decimal128: str,
    datetime.datetime: date_text,
    Timestamp: _timestamp_text,
    type(None): lambda _: "",
    Missing: lambda _: "",
}


def _text(value: Any) -> str:
    """Return ``value`` as string operators read it; raises DocumentError (16007) for a type they cannot read."""
    convert = _TEXTS.get(type(value))
    if convert is None:
        raise DocumentError(16007, f"can't convert from BSON type {type_name(value)} to String")
    return convert(value)


def _concat(runs: Sequence[Run], frame: Frame) -> Any:
    parts: list[str] = []
    for run in runs:
        value = run(frame)
        if type(value) is str:
            parts.append(value)
        elif is_nullish(value):
            return None
        else:
            raise DocumentError(16702, f"$concat only supports strings, not {type_name(value)}")
    return "".join(parts)


def _to_lower(value: Any) -> str:
    return _text(value).translate(_LOWER)


def _to_upper(value: Any) -> str:
    return _text(value).translate(_UPPER)


def _substr_cp(value: Any, start: Any, length: Any) -> str:
    text = _text(value)
    first = _index("starting index", start, not_number=34450, not_integral=34451)
    count = _index("length", length, not_number=34452, not_integral=34453)
    if count < 0:
        raise DocumentError(34454, "$substrCP: length must be a nonnegative integer.")
    if first < 0:
        raise DocumentError(34455, "$substrCP: the starting index must be nonnegative integer.")
    return text[first : first + count]


def _index(what: str, value: Any, *, not_number: int, not_integral: int) -> int:
    if type(value) not in NUMBERS:
        message = f"$substrCP: {what} must be a numeric type (is BSON type {type_name(value)})"
        raise DocumentError(not_number, message)
    exact = int32(value)
    if exact is None:
        message = f"$substrCP: {what} cannot be represented as a 32-bit integral value: {value}"
        raise DocumentError(not_integral, message)
    return exact


def _str_len_cp(value: Any) -> int:
    if type(value) is not str:
        raise DocumentError(34471, f"$strLenCP requires a string argument, found: {type_name(value)}")
    return len(value)


def _type(value: Any) -> str:
    if type(value) is Code and value.scope is not None:
        return "javascriptWithScope"
    return "missing" if value is MISSING else type_name(value)


def _is_number(value: Any) -> bool:
    return type(value) in NUMBERS


OPERATORS: Final[Mapping[str, Parser]] = {
    "$concat": variadic(_concat, associative=True),
    "$toLower": fixed(UNARY, _to_lower),
    "$toUpper": fixed(UNARY, _to_upper),
    "$substrCP": fixed(TERNARY, _substr_cp),
    "$strLenCP": fixed(UNARY, _str_len_cp),
    "$type": fixed(UNARY, _type),
    "$isNumber": fixed(UNARY, _is_number),
}
