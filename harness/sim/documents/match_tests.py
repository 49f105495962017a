"""Conditions on one value: each function compiles an operator's argument into a test of a single element.

A test takes a value or ``MISSING`` and never looks into an array on its own: the nodes of ``match_nodes`` decide
which values of a path it is tried on.
"""

from __future__ import annotations

import datetime
import math
import operator
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal
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

from harness.sim.documents.errors import BAD_VALUE, FAILED_TO_PARSE, TYPE_MISMATCH, DocumentError
from harness.sim.documents.order import NULL_RANK, hashable_key, rank, sort_key
from harness.sim.documents.regex import compile_regex
from harness.sim.documents.rendering import element_text
from harness.sim.documents.values import INT64_MAX, INT64_MIN, MISSING, is_number

Test = Callable[[Any], bool]

_BINARY_NUMBERS: Final = frozenset({int, Int64, float})
_PLAIN_TYPES: Final = frozenset({str, ObjectId, bool, datetime.datetime, Timestamp})

_MODULO_PARTS: Final = ("divisor", "remainder")

_PYTHON_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def equality_test(wanted: Any) -> Test:
    """Return the test for a value equal to ``wanted``; null also takes a missing value."""
    kind = type(wanted)
    if wanted is None:
        return lambda value: value is None or value is MISSING
    if kind in _PLAIN_TYPES:
        return lambda value: type(value) is kind and value == wanted
    key = sort_key(wanted)
    if is_number(wanted):
        if kind in _BINARY_NUMBERS and wanted == wanted:  # noqa: PLR0124 - NaN is what differs from itself
            return lambda value: (
                value == wanted
                if type(value) in _BINARY_NUMBERS
                else type(value) is Decimal128 and sort_key(value) == key
            )
        return lambda value: is_number(value) and sort_key(value) == key
    wanted_rank = key[0]
    return lambda value: rank(value) == wanted_rank and sort_key(value) == key


def comparison_test(name: str, wanted: Any) -> Test:
    """Return the test for ``$gt``, ``$gte``, ``$lt`` or ``$lte``: only values of the type of ``wanted`` can pass.

    Null takes a missing value where equality counts; MinKey and MaxKey compare with every type.
    """
    compare = _PYTHON_COMPARISONS[name]
    kind = type(wanted)
    if kind is MinKey or kind is MaxKey:
        return _extreme_test(name, wanted)
    if wanted is None:
        takes_null = name in ("$gte", "$lte")
        return lambda value: takes_null and (value is None or value is MISSING)
    if kind in _PLAIN_TYPES:
        return lambda value: type(value) is kind and compare(value, wanted)
    if is_number(wanted):
        return _number_comparison(compare, wanted)
    key, wanted_rank = sort_key(wanted), rank(wanted)
    return lambda value: rank(value) == wanted_rank and compare(sort_key(value), key)


def _extreme_test(name: str, wanted: MinKey | MaxKey) -> Test:
    kind = type(wanted)
    takes_itself = name in ("$gte", "$lte")
    takes_others = name in (("$gt", "$gte") if kind is MinKey else ("$lt", "$lte"))
    return lambda value: takes_itself if type(value) is kind else takes_others


def _number_comparison(compare: Callable[[Any, Any], bool], wanted: Any) -> Test:
    key = sort_key(wanted)
    if type(wanted) in _BINARY_NUMBERS and wanted == wanted:  # noqa: PLR0124 - NaN is what differs from itself
        return lambda value: (
            compare(value, wanted)
            if type(value) in _BINARY_NUMBERS
            else type(value) is Decimal128 and not value.to_decimal().is_nan() and compare(sort_key(value), key)
        )
    wanted_is_nan = _is_nan(wanted)
    return lambda value: is_number(value) and _is_nan(value) == wanted_is_nan and compare(sort_key(value), key)


def _is_nan(value: Any) -> bool:
    return value.to_decimal().is_nan() if type(value) is Decimal128 else value != value  # noqa: PLR0124 - tells NaN


def inclusion_test(wanted: Any) -> Test:
    """Return the test for ``$in``; a regular expression in the list matches strings.

    Raises DocumentError (2) if ``wanted`` is no list or holds an operator.
    """
    if type(wanted) is not list:
        raise DocumentError(BAD_VALUE, "$in needs an array")
    for item in wanted:
        if type(item) is dict and is_operator_document(item):
            raise DocumentError(BAD_VALUE, "cannot nest $ under $in")
    keys = frozenset(hashable_key(item) for item in wanted)
    patterns = [regex_test(item) for item in wanted if type(item) is Regex]
    takes_missing = (NULL_RANK, 0) in keys

    def test(value: Any) -> bool:
        if value is MISSING:
            return takes_missing
        return hashable_key(value) in keys or any(pattern(value) for pattern in patterns)

    return test


def is_operator_document(value: Mapping[str, Any]) -> bool:
    """Return whether an embedded document in a filter stands for operators: its first name begins with a dollar.

    A database reference (``$ref`` and ``$id``) is a value.
    """
    first = next(iter(value), "")
    return first.startswith("$") and not ("$ref" in value and "$id" in value)


def regex_test(pattern: Regex[Any]) -> Test:
    """Return the test for a regular expression: strings in which it is found, and the same expression as a value."""
    search = compile_regex(pattern).search
    key = sort_key(pattern)

    def test(value: Any) -> bool:
        if type(value) is str:
            return search(value) is not None
        return type(value) is Regex and sort_key(value) == key

    return test


def modulo_test(argument: Any) -> Test:
    """Return the test for ``$mod``; raises DocumentError (2) for a malformed ``[divisor, remainder]``."""
    if type(argument) is not list:
        raise DocumentError(BAD_VALUE, "malformed mod, needs to be an array")
    if len(argument) < len(_MODULO_PARTS):
        raise DocumentError(BAD_VALUE, "malformed mod, not enough elements")
    if len(argument) > len(_MODULO_PARTS):
        raise DocumentError(BAD_VALUE, "malformed mod, too many elements")
    for number, name in zip(argument, _MODULO_PARTS, strict=True):
        if not is_number(number):
            raise DocumentError(BAD_VALUE, f"malformed mod, {name} not a number")
    divisor, remainder = (_truncated(number, name) for number, name in zip(argument, _MODULO_PARTS, strict=True))
    if divisor == 0:
        raise DocumentError(BAD_VALUE, "divisor cannot be 0")

    def test(value: Any) -> bool:
        whole = whole_part(value) if is_number(value) else None
        return whole is not None and _remainder(whole, divisor) == remainder

    return test


def _remainder(dividend: int, divisor: int) -> int:
    return abs(dividend) % abs(divisor) * (-1 if dividend < 0 else 1)


def _truncated(number: Any, name: str) -> int:
    whole = whole_part(number)
    if whole is None:
        raise DocumentError(BAD_VALUE, f"malformed mod, {name} value is invalid :: caused by :: Unable to coerce value")
    return whole


def whole_part(number: Any) -> int | None:
    """Return a BSON number cut towards zero, or None where that is no int64 (NaN, infinity, too large)."""
    if type(number) is Decimal128:
        decimal = number.to_decimal()
        if not decimal.is_finite() or abs(decimal) >= Decimal(2**64):
            return None
        whole = int(decimal.to_integral_value(ROUND_DOWN))
    elif type(number) is float:
        if not math.isfinite(number):
            return None
        whole = int(number)
    else:
        whole = int(number)
    return whole if INT64_MIN <= whole <= INT64_MAX else None


def parse_whole_number(argument: Any, name: str) -> int:
    """Return an argument that must be a whole number of 64 bits; raises DocumentError (9) for any other."""
    text = element_text(name, argument)
    if not is_number(argument):
        raise DocumentError(FAILED_TO_PARSE, f"Expected a number in: {text}")
    if type(argument) is float and argument != argument:  # noqa: PLR0124 - tells NaN
        raise DocumentError(FAILED_TO_PARSE, f"Expected an integer, but found NaN in: {text}")
    whole = whole_part(argument)
    if whole is None:
        raise DocumentError(FAILED_TO_PARSE, f"Cannot represent as a 64-bit integer: {text}")
    exact = argument.to_decimal() if type(argument) is Decimal128 else argument
    if whole != exact:
        raise DocumentError(FAILED_TO_PARSE, f"Expected an integer: {text}")
    return whole


_TYPES_BY_CODE: Final[Mapping[int, Callable[[Any], bool]]] = {
    1: lambda value: type(value) is float,
    2: lambda value: type(value) is str,
    3: lambda value: type(value) is dict,
    4: lambda value: type(value) is list,
    5: lambda value: type(value) is bytes or type(value) is Binary,
    6: lambda _: False,
    7: lambda value: type(value) is ObjectId,
    8: lambda value: type(value) is bool,
    9: lambda value: type(value) is datetime.datetime,
    10: lambda value: value is None,
    11: lambda value: type(value) is Regex,
    12: lambda _: False,
    13: lambda value: type(value) is Code and value.scope is None,
    14: lambda _: False,
    15: lambda value: type(value) is Code and value.scope is not None,
    16: lambda value: type(value) is int,
    17: lambda value: type(value) is Timestamp,
    18: lambda value: type(value) is Int64,
    19: lambda value: type(value) is Decimal128,
    -1: lambda value: type(value) is MinKey,
    127: lambda value: type(value) is MaxKey,
}

_TYPE_ALIASES: Final[Mapping[str, int]] = {
    "double": 1,
    "string": 2,
    "object": 3,
    "array": 4,
    "binData": 5,
    "undefined": 6,
    "objectId": 7,
    "bool": 8,
    "date": 9,
    "null": 10,
    "regex": 11,
    "dbPointer": 12,
    "javascript": 13,
    "symbol": 14,
    "javascriptWithScope": 15,
    "int": 16,
    "timestamp": 17,
    "long": 18,
    "decimal": 19,
    "minKey": -1,
    "maxKey": 127,
}


def type_test(argument: Any, path: str = "") -> Test:
    """Return the test for ``$type``: codes, aliases, ``"number"``, or a list of them.

    Raises DocumentError (2, 9, 14) for an unknown type, an empty list, or an argument of another kind.
    """
    wanted = argument if type(argument) is list else [argument]
    if not wanted:
        raise DocumentError(FAILED_TO_PARSE, f"{path} must match at least one type")
    tests = [_single_type_test(item) for item in wanted]
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _single_type_test(wanted: Any) -> Test:
    if wanted == "number":
        return is_number
    if type(wanted) is str:
        if wanted not in _TYPE_ALIASES:
            raise DocumentError(BAD_VALUE, f"Unknown type name alias: {wanted}")
        return _TYPES_BY_CODE[_TYPE_ALIASES[wanted]]
    if not is_number(wanted):
        raise DocumentError(TYPE_MISMATCH, "type must be represented as a number or a string")
    code = whole_part(wanted)
    if (
        code is None
        or code != (wanted.to_decimal() if type(wanted) is Decimal128 else wanted)
        or code not in _TYPES_BY_CODE
    ):
        raise DocumentError(BAD_VALUE, f"Invalid numerical type code: {wanted}")
    return _TYPES_BY_CODE[code]
