"""Arithmetic operators, and the accumulators that are expressions too (``$sum``, ``$avg``, ``$max``, ``$min``).

Source: the manual's page "Arithmetic Expression Operators"; each error code is the one mongod 6.0 answers.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from harness.sim.documents.errors import BAD_VALUE, TYPE_MISMATCH, DocumentError
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Run, Scope, fold, gather, is_nullish
from harness.sim.documents.expression_numbers import (
    DECIMAL,
    INTEGERS,
    NUMBERS,
    Total,
    as_decimal,
    as_double,
    as_long,
    average_of,
    decimal_result,
    int32,
    later,
    milliseconds_of,
    narrowest,
    sum_of,
)
from harness.sim.documents.expression_parsing import (
    BINARY,
    UNARY,
    built,
    fixed,
    operands_of,
    ranged,
    right_first,
    variadic,
)
from harness.sim.documents.order import compare
from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import INT64_MAX, INT64_MIN, MISSING

_SMALLEST_PLACE: Final = -20
_LARGEST_PLACE: Final = 100


def _add(runs: Sequence[Run], frame: Frame) -> Any:
    integers = 0
    date: datetime.datetime | None = None
    for position, run in enumerate(runs):
        value = run(frame)
        kind = type(value)
        if kind is int:
            integers += value
        elif kind is datetime.datetime and date is None:
            date = value
        else:
            return _add_mixed(integers, date, value, (runs[position + 1 :], frame))
    return narrowest(integers, wide=False) if date is None else later(date, integers, "$add")


def _add_mixed(integers: int, date: Any, value: Any, rest: tuple[Sequence[Run], Frame]) -> Any:
    """Go on with a sum of 32-bit integers and at most one date, the next operand of which has another type."""
    runs, frame = rest
    total = Total()
    total.add(integers if date is None else integers + milliseconds_of(date))
    is_date = date is not None
    position = 0
    while True:
        kind = type(value)
        if kind in NUMBERS:
            total.add(value)
        elif kind is datetime.datetime:
            if is_date:
                raise DocumentError(16612, "only one date allowed in an $add expression")
            is_date = True
            total.add(milliseconds_of(value))
        elif is_nullish(value):
            return None
        else:
            raise DocumentError(16554, f"$add only supports numeric or date types, not {type_name(value)}")
        if position == len(runs):
            return total.date() if is_date else total.value()
        value = runs[position](frame)
        position += 1


def _subtract(left: Any, right: Any) -> Any:
    kinds = (type(left), type(right))
    if kinds == (int, int):
        return narrowest(left - right, wide=False)
    if kinds[0] in NUMBERS and kinds[1] in NUMBERS:
        return _subtract_numbers(left, right, kinds)
    if is_nullish(left) or is_nullish(right):
        return None
    if kinds[0] is datetime.datetime:
        if kinds[1] is datetime.datetime:
            return Int64(milliseconds_of(left) - milliseconds_of(right))
        if kinds[1] in NUMBERS:
            moved = as_long(right)
            if moved == INT64_MIN:
                raise DocumentError(159, "Cannot negate the minimum duration")
            return later(left, -moved, "$subtract")
    raise DocumentError(TYPE_MISMATCH, f"can't $subtract {type_name(right)} from {type_name(left)}")


def _subtract_numbers(left: Any, right: Any, kinds: tuple[type, ...]) -> Any:
    if Decimal128 in kinds:
        return decimal_result(DECIMAL.subtract(as_decimal(left), as_decimal(right)))
    if float in kinds:
        return float(left) - float(right)
    return narrowest(left - right, wide=True)


def _multiply(runs: Sequence[Run], frame: Frame) -> Any:
    integers, doubles, decimals = 1, 1.0, Decimal(1)
    widest: type = int
    for run in runs:
        value = run(frame)
        kind = type(value)
        if kind not in NUMBERS:
            if is_nullish(value):
                return None
            raise DocumentError(TYPE_MISMATCH, f"$multiply only supports numeric types, not {type_name(value)}")
        if kind is Decimal128 and widest is not Decimal128:
            decimals = as_decimal(doubles) if widest is float else Decimal(integers)
            widest = Decimal128
        elif kind is float and widest is not Decimal128:
            widest = float
        elif kind is Int64 and widest is int:
            widest = Int64
        if widest is Decimal128:
            decimals = DECIMAL.multiply(decimals, as_decimal(value))
            continue
        doubles *= value
        if widest is not float:
            integers *= value
            if not INT64_MIN <= integers <= INT64_MAX:
                widest = float
    return _product(widest, integers, doubles, decimals)


def _product(widest: type, integers: int, doubles: float, decimals: Decimal) -> Any:
    if widest is Decimal128:
        return decimal_result(decimals)
    return doubles if widest is float else narrowest(integers, wide=widest is Int64)


def _divide(left: Any, right: Any) -> Any:
    if type(left) in NUMBERS and type(right) in NUMBERS:
        if as_double(right) == 0:
            raise DocumentError(BAD_VALUE, "can't $divide by zero")
        if type(left) is Decimal128 or type(right) is Decimal128:
            return decimal_result(DECIMAL.divide(as_decimal(left), as_decimal(right)))
        return float(left) / float(right)
    if is_nullish(left) or is_nullish(right):
        return None
    message = f"$divide only supports numeric types, not {type_name(left)} and {type_name(right)}"
    raise DocumentError(TYPE_MISMATCH, message)


def _mod(left: Any, right: Any) -> Any:
    if not (type(left) in NUMBERS and type(right) in NUMBERS):
        if is_nullish(left) or is_nullish(right):
            return None
        raise DocumentError(16611, f"$mod only supports numeric types, not {type_name(left)} and {type_name(right)}")
    if type(left) is Decimal128 or type(right) is Decimal128:
        divisor = as_decimal(right)
        if divisor == 0:
            raise DocumentError(5733415, "can't $mod by zero")
        return decimal_result(DECIMAL.remainder(as_decimal(left), divisor))
    if right == 0:
        raise DocumentError(16610, "can't $mod by zero")
    if float in (type(left), type(right)) and (int32(right) is None or not _whole(left)):
        return _double_remainder(float(left), float(right))
    remainder = _cut_remainder(as_long(left), as_long(right))
    return Int64(remainder) if Int64 in (type(left), type(right)) else remainder


def _whole(value: Any) -> bool:
    return type(value) in INTEGERS or int32(value) is not None


def _double_remainder(left: float, right: float) -> float:
    return math.nan if math.isinf(left) else math.fmod(left, right)


def _cut_remainder(left: int, right: int) -> int:
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _abs(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return abs(value)
    if kind is Decimal128:
        return decimal_result(value.to_decimal().copy_abs())
    if value == INT64_MIN:
        raise DocumentError(28680, "can't take $abs of long long min")
    return narrowest(abs(value), wide=kind is Int64)


def _towards(double: Callable[[float], int], rounding: str) -> Callable[[Any], Any]:
    def compute(value: Any) -> Any:
        kind = type(value)
        if kind in INTEGERS:
            return value
        if kind is Decimal128:
            return _quantized(value.to_decimal(), 0, rounding)
        return math.copysign(double(value), value) if math.isfinite(value) else value

    return compute


def _quantized(value: Decimal, place: int, rounding: str) -> Decimal128:
    if not value.is_finite():
        return Decimal128(value)
    return Decimal128(value.quantize(Decimal(1).scaleb(-place), rounding, DECIMAL))


def _quantized_as_far_as_fits(value: Decimal, place: int, rounding: str) -> Decimal128:
    if value.is_finite() and value != 0:
        place = min(place, DECIMAL.prec - 1 - value.adjusted())
    return _quantized(value, place, rounding)


def _numeric(name: str, compute: Callable[[Any], Any]) -> Parser:
    """Return the parser of an operator on one number, which is null for null."""

    def checked(value: Any) -> Any:
        if type(value) in NUMBERS:
            return compute(value)
        if is_nullish(value):
            return None
        raise DocumentError(28765, f"{name} only supports numeric types, not {type_name(value)}")

    return fixed(UNARY, checked)


def _round_to(name: str, rounding: str) -> Parser:
    def compute(runs: Sequence[Run], frame: Frame) -> Any:
        value = runs[0](frame)
        if is_nullish(value):
            return None
        if type(value) not in NUMBERS:
            raise DocumentError(51081, f"{name} only supports numeric types, not {type_name(value)}")
        place = runs[1](frame) if len(runs) > 1 else 0
        return None if is_nullish(place) else _rounded(name, value, _place(name, place), rounding)

    return ranged(1, 2, compute)


def _place(name: str, place: Any) -> int:
    if type(place) not in NUMBERS:
        raise DocumentError(16004, f"can't convert from BSON type {type_name(place)} to long")
    as_long(place)
    exact = int32(place)
    if exact is None:
        raise DocumentError(51082, f"precision argument to  {name} must be a integral value")
    if not _SMALLEST_PLACE <= exact <= _LARGEST_PLACE:
        limits = f"[{_SMALLEST_PLACE}, {_LARGEST_PLACE}]"
        raise DocumentError(51083, f"cannot apply {name} with precision value {exact} value must be in {limits}")
    return exact


def _rounded(name: str, value: Any, place: int, rounding: str) -> Any:
    kind = type(value)
    if kind is Decimal128:
        return _quantized_as_far_as_fits(value.to_decimal(), place, rounding)
    if kind is float:
        if not math.isfinite(value):
            return value
        return float(_quantized_as_far_as_fits(DECIMAL.create_decimal(value), place, rounding).to_decimal())
    if place >= 0:
        return value
    result = int(_quantized(Decimal(int(value)), place, rounding).to_decimal())
    if not INT64_MIN <= result <= INT64_MAX:
        raise DocumentError(51080, f"invalid conversion from Decimal128 result in {name}")
    return narrowest(result, wide=kind is Int64)


def _values(runs: Sequence[Run], frame: Frame) -> Iterable[Any]:
    """Return what an accumulator used as an expression reads: the elements of a single array, or each operand."""
    if len(runs) == 1:
        value = runs[0](frame)
        return value if type(value) is list else (value,)
    return [run(frame) for run in runs]


def _sum(runs: Sequence[Run], frame: Frame) -> Any:
    return sum_of(_values(runs, frame))


def _avg(runs: Sequence[Run], frame: Frame) -> Any:
    return average_of(_values(runs, frame))


def extreme(values: Iterable[Any], sign: int) -> Any:
    """Return the largest (``sign`` 1) or smallest (-1) of ``values``, the first of equals; null if all are null."""
    best: Any = None
    for value in values:
        if value is None or value is MISSING:
            continue
        if best is None or compare(value, best) == sign:
            best = value
    return best


def _extreme(sign: int) -> Callable[[Sequence[Run], Frame], Any]:
    return lambda runs, frame: extreme(_values(runs, frame), sign)


def _gathered(compute: Callable[[Sequence[Run], Frame], Any]) -> Parser:
    """Return the parser of an accumulator whose constants mongod gathers, unless it has one operand (an array?)."""

    def parser(name: str, argument: Any, scope: Scope) -> Node:
        operands = operands_of(argument, scope)
        if len(operands) == 1:
            return fold(operands, built(compute)([operands[0].run]), scope)
        return gather(name, operands, built(compute), scope, commutative=True)

    return parser


OPERATORS: Final[Mapping[str, Parser]] = {
    "$add": variadic(_add, associative=True, commutative=True),
    "$subtract": right_first(_subtract),
    "$multiply": variadic(_multiply, associative=True, commutative=True),
    "$divide": right_first(_divide),
    "$mod": fixed(BINARY, _mod),
    "$abs": _numeric("$abs", _abs),
    "$ceil": _numeric("$ceil", _towards(math.ceil, decimal.ROUND_CEILING)),
    "$floor": _numeric("$floor", _towards(math.floor, decimal.ROUND_FLOOR)),
    "$round": _round_to("$round", decimal.ROUND_HALF_EVEN),
    "$trunc": _round_to("$trunc", decimal.ROUND_DOWN),
    "$sum": _gathered(_sum),
    "$avg": variadic(_avg),
    "$max": _gathered(_extreme(1)),
    "$min": _gathered(_extreme(-1)),
}
