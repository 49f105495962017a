"""Arithmetic on BSON numbers: the type of a result, compensated sums, decimals, dates moved by milliseconds.

An int32 becomes an int64 and an int64 a double where a result does not fit; a double beside a decimal becomes a
decimal of 15 digits, in a sum of 34. Source: ``Value``, ``DoubleDoubleSummation`` and ``AddState`` of mongod 6.0.
"""

from __future__ import annotations

import datetime
import decimal
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from harness.sim.documents.errors import OVERFLOW, DocumentError, UnsupportedOperator
from harness.sim.documents.values import INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN

DECIMAL: Final = decimal.Context(prec=34, rounding=decimal.ROUND_HALF_EVEN, Emin=-6143, Emax=6144, clamp=1, traps=[])

_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - dates are stored naive, in UTC
_MILLISECOND: Final = datetime.timedelta(milliseconds=1)
_HALF_OF_LONG: Final = 2**32
_LARGEST_EXACT: Final = 2**53
_LONG_BOUND: Final = float(2**63)

INTEGERS: Final = frozenset({int, Int64})
NUMBERS: Final = frozenset({int, Int64, float, Decimal128})


def narrowest(value: int, *, wide: bool) -> Any:
    """Return an exact integer result: int32, int64 if ``wide`` or too large for 32 bits, double beyond 64 bits."""
    if not wide and INT32_MIN <= value <= INT32_MAX:
        return int(value)
    return Int64(value) if INT64_MIN <= value <= INT64_MAX else float(value)


def as_decimal(value: Any) -> Decimal:
    """Return a number as a decimal; a double keeps 15 digits, as mongod coerces it."""
    kind = type(value)
    if kind is Decimal128:
        decimal_value: Decimal = value.to_decimal()
        return decimal_value
    if kind is not float:
        return Decimal(int(value))
    if value == 0 or not math.isfinite(value):
        return Decimal(repr(value).removesuffix(".0"))
    return Decimal(f"{value:.14e}")


def as_double(value: Any) -> float:
    """Return a number as a double."""
    return float(value.to_decimal()) if type(value) is Decimal128 else float(value)


def as_long(value: Any) -> int:
    """Return a number as a 64-bit integer: a double is cut, a decimal rounded half to even and held within bounds.

    Raises DocumentError (31109) for a double beyond 64 bits, or NaN.
    """
    kind = type(value)
    if kind in INTEGERS:
        return int(value)
    if kind is float:
        if not -_LONG_BOUND <= value < _LONG_BOUND:
            raise DocumentError(31109, f"Can't coerce out of range value {value:g} to long")
        return int(value)
    exact = value.to_decimal()
    if not exact.is_finite():
        return INT64_MAX if exact.is_infinite() and exact > 0 else INT64_MIN
    return int(max(min(exact.to_integral_value(decimal.ROUND_HALF_EVEN), Decimal(INT64_MAX)), Decimal(INT64_MIN)))


def int32(value: Any) -> int | None:
    """Return the 32-bit integer that a number equals, None for one that equals none."""
    kind = type(value)
    if kind is int:
        return int(value)
    if kind is float:
        if not value.is_integer():
            return None
    elif kind is Decimal128:
        value = value.to_decimal()
        if not value.is_finite() or value != value.to_integral_value():
            return None
    return int(value) if INT32_MIN <= value <= INT32_MAX else None


def decimal_result(value: Decimal) -> Decimal128:
    """Return a decimal as BSON stores it."""
    return Decimal128(DECIMAL.plus(value) if value.is_finite() else value)


def milliseconds_of(date: datetime.datetime) -> int:
    """Return a date as milliseconds since 1970."""
    return (date - _EPOCH) // _MILLISECOND


def date_of(milliseconds: int, operator: str) -> datetime.datetime:
    """Return the date ``milliseconds`` after 1970.

    Raises DocumentError (15) beyond 64 bits, UnsupportedOperator for ``operator`` beyond the years 1 to 9999.
    """
    if not INT64_MIN <= milliseconds <= INT64_MAX:
        raise DocumentError(OVERFLOW, f"date overflow in {operator}")
    try:
        return _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise UnsupportedOperator(operator, "a date outside the years 1 to 9999") from error


def later(date: datetime.datetime, milliseconds: int, operator: str) -> datetime.datetime:
    """Return a date moved by ``milliseconds``; raises as :func:`date_of` does."""
    try:
        return date + datetime.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return date_of(milliseconds_of(date) + milliseconds, operator)


class Total:
    """A sum of numbers of all types: exact in integers, compensated in doubles, of 34 digits in decimals."""

    __slots__ = ("_addend", "_decimal", "_has_doubles", "_integers", "_special", "_sum", "_widest")

    def __init__(self) -> None:
        self._integers = 0
        self._sum = 0.0
        self._addend = 0.0
        self._special = 0.0
        self._has_doubles = False
        self._decimal: Decimal | None = None
        self._widest: type = int

    def add(self, value: Any) -> None:
        """Add one number."""
        kind = type(value)
        if kind is Decimal128:
            self._decimal = DECIMAL.add(Decimal(0) if self._decimal is None else self._decimal, value.to_decimal())
            self._widest = Decimal128
            return
        if kind is float:
            self._settle()
            self._add_double(value)
            if self._widest is not Decimal128:
                self._widest = float
            return
        self._integers += value
        if kind is Int64 and self._widest is int:
            self._widest = Int64
        if self._has_doubles:
            self._settle()

    def _add_double(self, value: float) -> None:
        self._has_doubles = True
        self._special += value
        value, error = _two_sum(value, self._addend)
        self._sum, self._addend = _two_sum(self._sum, value)
        self._addend += error

    def _settle(self) -> None:
        """Add the integers so far to the doubles, in two parts that doubles hold exactly."""
        if abs(self._integers) <= _LARGEST_EXACT:
            self._add_double(float(self._integers))
        else:
            high = self._integers // _HALF_OF_LONG * _HALF_OF_LONG
            self._add_double(float(self._integers - high))
            self._add_double(float(high))
        self._integers = 0

    def double(self) -> float:
        """Return the sum of what is no decimal, as a double."""
        if self._integers or not self._has_doubles:
            self._settle()
        return self._sum if math.isfinite(self._sum) else self._special

    @property
    def is_decimal(self) -> bool:
        """Whether a decimal was added."""
        return self._decimal is not None

    def decimal(self) -> Decimal:
        """Return the whole sum as a decimal."""
        rest = self.double()
        total = Decimal(0) if self._decimal is None else self._decimal
        if not math.isfinite(rest):
            return DECIMAL.add(total, Decimal(rest))
        exact = DECIMAL.add(DECIMAL.create_decimal(self._sum), DECIMAL.create_decimal(self._addend))
        return DECIMAL.add(total, exact)

    def value(self) -> Any:
        """Return the sum in its BSON type: the widest of what was added, wider still where that does not fit."""
        if self._widest is Decimal128:
            return decimal_result(self.decimal())
        if self._widest is float:
            return self.double()
        return narrowest(self._integers, wide=self._widest is Int64)

    def date(self) -> datetime.datetime:
        """Return the sum, of which a date's milliseconds are a part, as a date; raises as :func:`date_of` does."""
        if self._widest is Decimal128:
            return date_of(as_long(Decimal128(self.decimal())), "$add")
        if self._widest is float:
            if not math.isfinite(self.double()):
                raise DocumentError(OVERFLOW, "date overflow in $add")
            return date_of(math.trunc(Fraction(self._sum) + Fraction(self._addend)), "$add")
        return date_of(self._integers, "$add")


def _two_sum(left: float, right: float) -> tuple[float, float]:
    """Return the rounded sum and its rounding error (Knuth)."""
    total = left + right
    back = total - left
    return total, (left - (total - back)) + (right - back)


def sum_of(values: Any) -> Any:
    """Return what ``$sum`` makes of ``values``: what is no number counts nothing."""
    total = Total()
    for value in values:
        if type(value) in NUMBERS:
            total.add(value)
    return total.value()


def average_of(values: Any) -> Any:
    """Return what ``$avg`` makes of ``values``: null if no number is among them."""
    total = Total()
    count = 0
    for value in values:
        if type(value) in NUMBERS:
            total.add(value)
            count += 1
    if not count:
        return None
    if total.is_decimal:
        return decimal_result(DECIMAL.divide(total.decimal(), Decimal(count)))
    return total.double() / count
