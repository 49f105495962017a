"""Conversions: ``$convert`` and its short forms (``$toInt``, ``$toString``, ``$toDate`` and so on).

Source: the manual's page "$convert (aggregation)"; a failed conversion is error 241, which ``onError`` replaces.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from harness.sim.documents.errors import BAD_VALUE, FAILED_TO_PARSE, DocumentError, UnsupportedOperator
from harness.sim.documents.expression_compare import truthy
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Run, Scope, constant, fold, is_nullish
from harness.sim.documents.expression_numbers import (
    DECIMAL,
    NUMBERS,
    as_decimal,
    as_double,
    date_of,
    int32,
    milliseconds_of,
)
from harness.sim.documents.expression_parsing import operands_of, parse
from harness.sim.documents.expression_strings import date_text, double_text
from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN

CONVERSION_FAILURE: Final = 241

_TYPES_BY_CODE: Final[Mapping[int, str]] = {
    -1: "minKey",
    0: "missing",
    1: "double",
    2: "string",
    3: "object",
    4: "array",
    5: "binData",
    6: "undefined",
    7: "objectId",
    8: "bool",
    9: "date",
    10: "null",
    11: "regex",
    12: "dbPointer",
    13: "javascript",
    14: "symbol",
    15: "javascriptWithScope",
    16: "int",
    17: "timestamp",
    18: "long",
    19: "decimal",
    127: "maxKey",
}
_TYPE_NAMES: Final = frozenset(_TYPES_BY_CODE.values())

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|infinity|nan)", re.IGNORECASE
)
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")
_ISO_DATE: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?)?"
    r"\s*(?P<zone>[Zz]|UTC|(?P<sign>[+-])(?P<zone_hour>\d{2}):?(?P<zone_minute>\d{2})?)?",
    re.ASCII,
)
_TWO_DIGITS: Final = ("hour", "minute", "second", "zone_hour", "zone_minute")
_LAST_HOUR: Final = 23
_LAST_OF_SIXTY: Final = 59


def _fail(message: str) -> NoReturn:
    raise DocumentError(CONVERSION_FAILURE, message)


def _integer_of(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if type(value) is str:
            if not _INTEGER.fullmatch(value):
                _fail(f"Failed to parse number '{value}' in $convert with no onError value")
            number = int(value)
        else:
            number = _cut(value)
        if not low <= number <= high:
            _fail(f"Conversion would overflow target type in $convert with no onError value: {value}")
        return number

    return convert


def _cut(value: Any) -> int:
    """Return a number or bool cut to an integer."""
    exact = value.to_decimal() if type(value) is Decimal128 else value
    if exact != exact:  # noqa: PLR0124 - NaN is what differs from itself
        _fail("Attempt to convert NaN value to integer type in $convert with no onError value")
    if exact in (math.inf, -math.inf):
        _fail("Attempt to convert infinity value to integer type in $convert with no onError value")
    return int(exact)


_int_of: Final = _integer_of(INT32_MIN, INT32_MAX)
_long_of: Final = _integer_of(INT64_MIN, INT64_MAX)


def _to_long(value: Any) -> Int64:
    return Int64(milliseconds_of(value) if type(value) is datetime.datetime else _long_of(value))


def _to_double(value: Any) -> float:
    if type(value) is datetime.datetime:
        return float(milliseconds_of(value))
    if type(value) is not str:
        result = as_double(value)
        if type(value) is Decimal128 and math.isinf(result) and not value.to_decimal().is_infinite():
            _fail(f"Conversion would overflow target type in $convert with no onError value: {value}")
        return result
    if not _NUMBER.fullmatch(value):
        _fail(f"Failed to parse number '{value}' in $convert with no onError value")
    result = float(value)
    is_infinity = "inf" in value.lower()
    if (math.isinf(result) and not is_infinity) or (result == 0 and re.search(r"[1-9]", re.split("[eE]", value)[0])):
        _fail(f"Failed to parse number '{value}' in $convert with no onError value: Out of range")
    return result


def _to_decimal(value: Any) -> Decimal128:
    if type(value) is datetime.datetime:
        return Decimal128(Decimal(milliseconds_of(value)))
    if type(value) is not str:
        return value if type(value) is Decimal128 else Decimal128(as_decimal(value))
    if not _NUMBER.fullmatch(value):
        _fail(f"Failed to parse number '{value}' in $convert with no onError value")
    result = DECIMAL.create_decimal(value)
    if result.is_finite() and result != Decimal(value):
        raise UnsupportedOperator("$toDecimal", "a string of more than 34 digits")
    if result.is_infinite() and "inf" not in value.lower():
        _fail(f"Failed to parse number '{value}' in $convert with no onError value: overflow")
    return Decimal128(result)


def _to_object_id(value: Any) -> ObjectId:
    if type(value) is ObjectId:
        return value
    if not _OBJECT_ID.fullmatch(value):
        _fail(f"Failed to parse objectId '{value}' in $convert with no onError value")
    return ObjectId(value)


def _to_date(value: Any) -> datetime.datetime:
    kind = type(value)
    if kind is datetime.datetime:
        return value  # type: ignore[no-any-return]
    if kind is ObjectId:
        return value.generation_time.replace(tzinfo=None)  # type: ignore[no-any-return]
    if kind is Timestamp:
        return date_of(value.time * 1000, "$toDate")
    if kind is str:
        return _parsed_date(value)
    return date_of(_long_of(value), "$toDate")


def _parsed_date(text: str) -> datetime.datetime:
    """Return the date of an ISO 8601 string; mongod reads many more forms, which are not modelled."""
    match = _ISO_DATE.fullmatch(text)
    if match is None:
        if any(character.isdigit() for character in text):
            raise UnsupportedOperator("$toDate", "a string that is not a date in ISO 8601")
        _fail(f'an incomplete date/time string has been found, with elements missing: "{text}"')
    parts = match.groupdict()
    hour, minute, second, zone_hour, zone_minute = (int(parts[name] or 0) for name in _TWO_DIGITS)
    if hour > _LAST_HOUR or minute > _LAST_OF_SIXTY or second > _LAST_OF_SIXTY:
        if (hour, minute, second) == (_LAST_HOUR + 1, 0, 0) or second == _LAST_OF_SIXTY + 1:
            raise UnsupportedOperator("$toDate", "a string with an hour 24 or a second 60")
        _fail(f"Error parsing date string '{text}'")
    try:
        day = datetime.datetime(int(parts["year"]), int(parts["month"]), int(parts["day"]))  # noqa: DTZ001 - UTC
    except ValueError:
        _fail(f"Error parsing date string '{text}'; The parsed date was invalid")
    offset = datetime.timedelta(hours=zone_hour, minutes=zone_minute) * (-1 if parts["sign"] == "-" else 1)
    milliseconds = int((parts["fraction"] or "0").ljust(3, "0")[:3])
    return day + datetime.timedelta(hours=hour, minutes=minute, seconds=second, milliseconds=milliseconds) - offset


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


_TO_STRING: Final[Mapping[type, Callable[[Any], str]]] = {
    str: str,
    int: str,
    Int64: str,
    float: double_text,
    Decimal128: str,
    bool: _bool_text,
    ObjectId: str,
    datetime.datetime: date_text,
}

_NUMERIC_SOURCES: Final = frozenset({*NUMBERS, bool, str})
_DATED_SOURCES: Final = _NUMERIC_SOURCES | {datetime.datetime}
_Conversion = Callable[[Any], Any]
_CONVERSIONS: Final[Mapping[str, tuple[frozenset[type] | None, _Conversion]]] = {
    "int": (_NUMERIC_SOURCES, _int_of),
    "long": (_DATED_SOURCES, _to_long),
    "double": (_DATED_SOURCES, _to_double),
    "decimal": (_DATED_SOURCES, _to_decimal),
    "bool": (None, truthy),
    "string": (frozenset(_TO_STRING), lambda value: _TO_STRING[type(value)](value)),
    "objectId": (frozenset({ObjectId, str}), _to_object_id),
    "date": (frozenset({datetime.datetime, ObjectId, Timestamp, str, float, Int64, Decimal128}), _to_date),
}


def _converted(value: Any, target: str) -> Any:
    sources, convert = _CONVERSIONS.get(target, (frozenset(), truthy))
    if sources is not None and type(value) not in sources:
        _fail(f"Unsupported conversion from {type_name(value)} to {target} in $convert with no onError value")
    return convert(value)


def _target(value: Any) -> str | None:
    if is_nullish(value):
        return None
    if type(value) is str:
        if value not in _TYPE_NAMES:
            raise DocumentError(BAD_VALUE, f"Unknown type name: {value}")
        return value
    if type(value) not in NUMBERS:
        message = f"$convert's 'to' argument must be a string or number, but is {type_name(value)}"
        raise DocumentError(FAILED_TO_PARSE, message)
    code = int32(value)
    if code is None:
        raise DocumentError(FAILED_TO_PARSE, "In $convert, numeric 'to' argument is not an integer")
    if code not in _TYPES_BY_CODE:
        message = f"In $convert, numeric value for 'to' does not correspond to a BSON type: {code}"
        raise DocumentError(FAILED_TO_PARSE, message)
    return _TYPES_BY_CODE[code]


def _convert(name: str, argument: Any, scope: Scope) -> Node:
    if type(argument) is not dict:
        message = f"{name} expects an object of named arguments but found: {type_name(argument)}"
        raise DocumentError(FAILED_TO_PARSE, message)
    parsed: dict[str, Node] = {}
    for key, value in argument.items():
        if key not in ("input", "to", "onError", "onNull"):
            raise DocumentError(FAILED_TO_PARSE, f"{name} found an unknown argument: {key}")
        parsed[key] = parse(value, scope)
    for key in ("input", "to"):
        if key not in parsed:
            raise DocumentError(FAILED_TO_PARSE, f"Missing '{key}' parameter to {name}")
    on_null = parsed.get("onNull", constant(None)).run
    on_error = parsed["onError"].run if "onError" in parsed else None
    return fold(list(parsed.values()), _conversion(parsed["input"].run, parsed["to"].run, on_null, on_error), scope)


def _conversion(source: Run, to: Run, on_null: Run, on_error: Run | None) -> Run:
    def run(frame: Frame) -> Any:
        wanted = to(frame)
        value = source(frame)
        target = _target(wanted)
        if is_nullish(value):
            return on_null(frame)
        if target is None:
            return None
        try:
            return _converted(value, target)
        except DocumentError as error:
            if on_error is None or error.code != CONVERSION_FAILURE:
                raise
        return on_error(frame)

    return run


def _short_form(target: str) -> Parser:
    def parser(name: str, argument: Any, scope: Scope) -> Node:
        operands = operands_of(argument, scope)
        if len(operands) != 1:
            raise DocumentError(50723, f"{name} requires a single argument, got {len(operands)}")
        source = operands[0].run

        def run(frame: Frame) -> Any:
            value = source(frame)
            return None if is_nullish(value) else _converted(value, target)

        return fold(operands, run, scope)

    return parser


OPERATORS: Final[Mapping[str, Parser]] = {
    "$convert": _convert,
    "$toBool": _short_form("bool"),
    "$toDate": _short_form("date"),
    "$toDecimal": _short_form("decimal"),
    "$toDouble": _short_form("double"),
    "$toInt": _short_form("int"),
    "$toLong": _short_form("long"),
    "$toObjectId": _short_form("objectId"),
    "$toString": _short_form("string"),
}
