"""The accumulators of ``$group``: each starts per group, takes one value per document, and ends as a value.

Source: the manual's page "Accumulators ($group)" (6.0). ``$addToSet`` keeps the order of first appearance, which
mongod leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from harness.sim.documents.errors import TYPE_MISMATCH, DocumentError, UnsupportedOperator
from harness.sim.documents.expression_arithmetic import extreme
from harness.sim.documents.expression_nodes import Run, Scope, constant, is_nullish
from harness.sim.documents.expression_numbers import NUMBERS, Total, average_of
from harness.sim.documents.expression_parsing import parse
from harness.sim.documents.order import hashable_key
from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import MISSING, Document

_UNMODELLED: Final = frozenset(
    {
        "$accumulator",
        "$bottom",
        "$bottomN",
        "$firstN",
        "$lastN",
        "$maxN",
        "$minN",
        "$stdDevPop",
        "$stdDevSamp",
        "$top",
        "$topN",
    }
)


class Accumulator(Protocol):
    """The state of one accumulator in one group."""

    def add(self, value: Any) -> None:
        """Take the value of one more document."""

    def result(self) -> Any:
        """Return what the group's document shows; MISSING is shown as null."""


class _Sum:
    def __init__(self) -> None:
        self._total = Total()

    def add(self, value: Any) -> None:
        if type(value) in NUMBERS:
            self._total.add(value)

    def result(self) -> Any:
        return self._total.value()


class _Average:
    def __init__(self) -> None:
        self._numbers: list[Any] = []

    def add(self, value: Any) -> None:
        if type(value) in NUMBERS:
            self._numbers.append(value)

    def result(self) -> Any:
        return average_of(self._numbers)


class _Extreme:
    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._best: Any = None

    def add(self, value: Any) -> None:
        self._best = extreme((self._best, value), self._sign)

    def result(self) -> Any:
        return self._best


class _First:
    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        if not self._values:
            self._values.append(value)

    def result(self) -> Any:
        return self._values[0] if self._values else None


class _Last:
    def __init__(self) -> None:
        self._value: Any = None

    def add(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value


class _Push:
    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        if value is not MISSING:
            self._values.append(value)

    def result(self) -> Any:
        return self._values


class _AddToSet:
    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}

    def add(self, value: Any) -> None:
        if value is not MISSING:
            self._values.setdefault(hashable_key(value), value)

    def result(self) -> Any:
        return list(self._values.values())


class _Merge:
    def __init__(self) -> None:
        self._merged: Document = {}

    def add(self, value: Any) -> None:
        if type(value) is dict:
            self._merged.update(value)
        elif not is_nullish(value):
            raise DocumentError(5911200, "$mergeObjects only supports objects")

    def result(self) -> Any:
        return self._merged


Start = Callable[[], Accumulator]

_STARTS: Final[Mapping[str, Start]] = {
    "$sum": _Sum,
    "$avg": _Average,
    "$min": lambda: _Extreme(-1),
    "$max": lambda: _Extreme(1),
    "$first": _First,
    "$last": _Last,
    "$push": _Push,
    "$addToSet": _AddToSet,
    "$mergeObjects": _Merge,
    "$count": _Sum,
}


def parse_accumulator(field: str, specification: Any, scope: Scope) -> tuple[Start, Run]:
    """Return how the accumulator of a group's ``field`` starts, and what computes the value it takes.

    Raises DocumentError with mongod's code, UnsupportedOperator for an accumulator that is not modelled.
    """
    if type(specification) is not dict or not specification:
        raise DocumentError(40234, f"The field '{field}' must be an accumulator object")
    if len(specification) > 1:
        raise DocumentError(40238, f"The field '{field}' must specify one accumulator")
    ((name, argument),) = specification.items()
    if type(argument) is list:
        raise DocumentError(40237, f"The {name} accumulator is a unary operator")
    if name in _UNMODELLED:
        raise UnsupportedOperator(name, "$group")
    if name not in _STARTS:
        raise DocumentError(15952, f"unknown group operator '{name}'")
    if name == "$count":
        if argument != {}:
            message = f"$count takes no arguments, i.e. $count:{{}}, but got {type_name(argument)}"
            raise DocumentError(TYPE_MISMATCH, message)
        return _STARTS[name], constant(1).run
    return _STARTS[name], parse(argument, scope).run
