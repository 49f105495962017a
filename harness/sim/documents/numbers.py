"""Arithmetic on BSON numbers as the update operators do it: 32 bits widen to 64, 64 bits do not overflow silently.

A double meets a decimal rounded to 15 significant digits, decimals compute in 34 digits, half to even.
"""

from __future__ import annotations

import decimal
import operator
from collections.abc import Callable
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from harness.sim.documents.values import INT64_MAX, INT64_MIN, integer

DECIMAL_CONTEXT: Final = decimal.Context(
    prec=34, rounding=decimal.ROUND_HALF_EVEN, Emin=-6143, Emax=6144, clamp=1, traps=[], flags=[]
)
_DOUBLE_DIGITS: Final = 15


def add(left: Any, right: Any) -> Any:
    """Return the sum of two BSON numbers; raises OverflowError where two integers leave 64 bits."""
    return _compute(operator.add, DECIMAL_CONTEXT.add, left, right)


def multiply(left: Any, right: Any) -> Any:
    """Return the product of two BSON numbers; raises OverflowError where two integers leave 64 bits."""
    return _compute(operator.mul, DECIMAL_CONTEXT.multiply, left, right)


def unchanged(before: Any, after: Any) -> bool:
    """Return whether a computation left a number as it was: the same type and value (NaN never is)."""
    if type(before) is not type(after):
        return False
    if type(before) is Decimal128:
        return bool(before.to_decimal() == after.to_decimal())
    return bool(before == after)


def to_decimal(number: Any) -> decimal.Decimal:
    """Return a BSON number as the decimal that mongod computes with."""
    if type(number) is Decimal128:
        return number.to_decimal()
    return _double_to_decimal(number) if type(number) is float else decimal.Decimal(int(number))


def decimal128(number: decimal.Decimal) -> Decimal128:
    """Return a decimal as BSON stores it, rounded to 34 digits; overflow becomes an infinity."""
    with decimal.localcontext(DECIMAL_CONTEXT):
        return Decimal128(DECIMAL_CONTEXT.plus(number) if number.is_finite() else number)


def _compute(
    on_binary: Callable[[Any, Any], Any],
    on_decimal: Callable[[decimal.Decimal, decimal.Decimal], decimal.Decimal],
    left: Any,
    right: Any,
) -> Any:
    kinds = (type(left), type(right))
    if Decimal128 in kinds:
        return decimal128(on_decimal(to_decimal(left), to_decimal(right)))
    if float in kinds:
        try:
            return on_binary(float(left), float(right))
        except OverflowError:
            return float("inf")
    result = on_binary(int(left), int(right))
    if not INT64_MIN <= result <= INT64_MAX:
        raise OverflowError("the result is no 64-bit integer")
    return integer(result, wide=Int64 in kinds)


def _double_to_decimal(value: float) -> decimal.Decimal:
    exact = decimal.Decimal(value)
    if not exact.is_finite() or exact == 0:
        return exact
    quantum = decimal.Decimal(1).scaleb(exact.adjusted() - _DOUBLE_DIGITS + 1)
    rounded = exact.quantize(quantum, context=DECIMAL_CONTEXT)
    if rounded.adjusted() > exact.adjusted():
        return rounded.quantize(quantum.scaleb(1), context=DECIMAL_CONTEXT)
    return rounded
