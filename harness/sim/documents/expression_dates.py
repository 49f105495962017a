"""Date arithmetic in UTC: ``$dateAdd``, ``$dateSubtract``, ``$dateDiff``.

Other time zones than UTC are not modelled. Source: the manual's page "Date Expression Operators".
"""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Mapping
from typing import Any, Final

from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from harness.sim.documents.errors import FAILED_TO_PARSE, DocumentError, UnsupportedOperator
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Scope, fold, is_nullish
from harness.sim.documents.expression_numbers import NUMBERS, as_decimal, date_of, milliseconds_of
from harness.sim.documents.expression_parsing import named_arguments, parse, required
from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import INT64_MAX, INT64_MIN

_DAY_MS: Final = 86_400_000
_UNITS_MS: Final[Mapping[str, int]] = {
    "week": 7 * _DAY_MS,
    "day": _DAY_MS,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1_000,
    "millisecond": 1,
}
_UNITS_MONTHS: Final[Mapping[str, int]] = {"year": 12, "quarter": 3, "month": 1}
_SHORTEST_MONTH_MS: Final = 28 * _DAY_MS
_MONTHS: Final = 12
_EPOCH: Final = date_of(0, "a date operator")
_EPOCH_WEEKDAY: Final = 3
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UTC: Final = ("UTC", "GMT", "Etc/UTC")


def _as_date(value: Any) -> datetime.datetime | None:
    kind = type(value)
    if kind is datetime.datetime:
        return value  # type: ignore[no-any-return]
    if kind is ObjectId:
        return value.generation_time.replace(tzinfo=None)  # type: ignore[no-any-return]
    return date_of(value.time * 1000, "a date operator") if kind is Timestamp else None


def _check_time_zone(name: str, value: Any) -> None:
    if value not in _UTC:
        raise UnsupportedOperator(name, f"the time zone {value!r}")


def _date_arithmetic(name: str, argument: Any, scope: Scope) -> Node:
    """Parse ``$dateAdd`` or ``$dateSubtract``."""
    allowed = ("startDate", "unit", "amount", "timezone")
    arguments = named_arguments(name, argument, allowed, not_object=5166400, unknown=5166401)
    if not {"startDate", "unit", "amount"} <= arguments.keys():
        raise DocumentError(5166402, f"{name} requires startDate, unit, and amount to be present")
    operands = [parse(arguments[key], scope) for key in allowed if key in arguments]
    runs = [operand.run for operand in operands]
    sign = 1 if name == "$dateAdd" else -1

    def run(frame: Frame) -> Any:
        values = []
        for item in runs:
            value = item(frame)
            if is_nullish(value):
                return None
            values.append(value)
        if len(values) == len(allowed):
            _check_time_zone(name, values[3])
        return _moved(name, values[0], values[1], values[2], sign)

    return fold(operands, run, scope)


def _moved(name: str, start: Any, unit: Any, amount: Any, sign: int) -> datetime.datetime:
    date = _as_date(start)
    if date is None:
        raise DocumentError(5166403, f"{name} requires startDate to be convertible to a date")
    if type(unit) is not str:
        raise DocumentError(5166404, f"{name} expects string defining the time unit")
    if unit not in _UNITS_MS and unit not in _UNITS_MONTHS:
        raise DocumentError(FAILED_TO_PARSE, f"unknown time unit value: {unit}")
    count = sign * _integral(name, amount)
    if abs(count) * _UNITS_MS.get(unit, _SHORTEST_MONTH_MS) > INT64_MAX:
        raise DocumentError(5976500, f"invalid {name[1:]} 'amount' parameter value: {count} {unit}")
    if unit != "millisecond" and date < _EPOCH and date.microsecond:
        # mongod 6.0 cuts the seconds of such a date towards 1970 and adds its milliseconds to them all the same.
        date -= datetime.timedelta(seconds=1)
    if unit in _UNITS_MS:
        return date_of(milliseconds_of(date) + count * _UNITS_MS[unit], name)
    return _plus_months(name, date, count * _UNITS_MONTHS[unit])


def _integral(name: str, amount: Any) -> int:
    exact = as_decimal(amount) if type(amount) in NUMBERS else None
    if exact is None or not exact.is_finite() or exact != exact.to_integral_value():
        raise DocumentError(5166405, f"{name} expects integer amount of time units")
    if not INT64_MIN <= exact <= INT64_MAX:
        raise DocumentError(5166405, f"{name} expects integer amount of time units")
    return int(exact)


def _plus_months(name: str, date: datetime.datetime, months: int) -> datetime.datetime:
    year, month = divmod(date.year * _MONTHS + date.month - 1 + months, _MONTHS)
    if not datetime.MINYEAR <= year <= datetime.MAXYEAR:
        raise UnsupportedOperator(name, "a date outside the years 1 to 9999")
    day = min(date.day, calendar.monthrange(year, month + 1)[1])
    return date.replace(year=year, month=month + 1, day=day)


def _date_diff(name: str, argument: Any, scope: Scope) -> Node:
    allowed = ("startDate", "endDate", "unit", "startOfWeek", "timezone")
    arguments = named_arguments(name, argument, allowed, not_object=5166301, unknown=5166302)
    required(name, arguments, {"startDate": 5166303, "endDate": 5166304, "unit": 5166305})
    present = [key for key in allowed if key in arguments]
    operands = [parse(arguments[key], scope) for key in present]
    runs = [operand.run for operand in operands]

    def run(frame: Frame) -> Any:
        values: dict[str, Any] = {}
        for key, item in zip(present, runs, strict=True):
            if key == "startOfWeek" and values["unit"] != "week":
                continue
            value = item(frame)
            if is_nullish(value):
                return None
            values[key] = value
        if "timezone" in values:
            _check_time_zone(name, values["timezone"])
        return _difference(name, values)

    return fold(operands, run, scope)


def _difference(name: str, values: Mapping[str, Any]) -> Int64:
    start, end = (_checked_date(name, key, values[key]) for key in ("startDate", "endDate"))
    unit = values["unit"]
    if type(unit) is not str:
        raise DocumentError(5439013, f"{name} requires 'unit' to be a string, but got {type_name(unit)}")
    if unit in _UNITS_MONTHS:
        return Int64(_months(end) // _UNITS_MONTHS[unit] - _months(start) // _UNITS_MONTHS[unit])
    if unit not in _UNITS_MS:
        message = f"{name} parameter 'unit' value cannot be recognized as a time unit: {unit}"
        raise DocumentError(5439014, message)
    start_ms, end_ms = milliseconds_of(start), milliseconds_of(end)
    if unit == "week":
        # Weeks are counted from the weekday that starts them; day 0, in 1970, was a Thursday.
        shift_ms = (_EPOCH_WEEKDAY - _first_weekday(name, values.get("startOfWeek", "sunday"))) * _DAY_MS
        start_ms, end_ms = start_ms + shift_ms, end_ms + shift_ms
    return Int64(end_ms // _UNITS_MS[unit] - start_ms // _UNITS_MS[unit])


def _checked_date(name: str, key: str, value: Any) -> datetime.datetime:
    date = _as_date(value)
    if date is None:
        raise DocumentError(5166307, f"{name} requires '{key}' to be a date, but got {type_name(value)}")
    return date


def _months(date: datetime.datetime) -> int:
    return date.year * _MONTHS + date.month - 1


def _first_weekday(name: str, value: Any) -> int:
    if type(value) is not str:
        raise DocumentError(5439015, f"{name} requires 'startOfWeek' to be a string, but got {type_name(value)}")
    for index, weekday in enumerate(_WEEKDAYS):
        if value.lower() in (weekday, weekday[:3]):
            return index
    message = f"{name} parameter 'startOfWeek' value cannot be recognized as a day of a week: {value}"
    raise DocumentError(5439016, message)


OPERATORS: Final[Mapping[str, Parser]] = {
    "$dateAdd": _date_arithmetic,
    "$dateSubtract": _date_arithmetic,
    "$dateDiff": _date_diff,
}
