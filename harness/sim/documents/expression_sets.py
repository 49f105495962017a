"""Set operators: arrays taken as sets, the first of equal elements standing for all of them.

``$setUnion`` and ``$setIntersection`` answer in BSON order, ``$setDifference`` in the order of its first operand.
Source: the manual's page "Set Expression Operators"; each error code is the one mongod 6.0 answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_compare import truthy
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Run, Scope, fold, is_nullish
from harness.sim.documents.expression_parsing import (
    BINARY,
    UNARY,
    applied,
    built,
    exactly,
    fixed,
    parse,
    variadic,
)
from harness.sim.documents.order import hashable_key, sort_key
from harness.sim.documents.rendering import type_name


def _distinct(array: list[Any]) -> dict[Any, Any]:
    """Return the elements by key, the first of equals."""
    found: dict[Any, Any] = {}
    for item in array:
        found.setdefault(hashable_key(item), item)
    return found


def _set_union(runs: Sequence[Run], frame: Frame) -> Any:
    found: dict[Any, Any] = {}
    for run in runs:
        value = run(frame)
        if is_nullish(value):
            return None
        if type(value) is not list:
            raise DocumentError(17043, _all_must_be_arrays("$setUnion", value))
        found = {**_distinct(value), **found} if found else _distinct(value)
    return sorted(found.values(), key=sort_key)


def _set_intersection(runs: Sequence[Run], frame: Frame) -> Any:
    found: dict[Any, Any] | None = None
    for run in runs:
        value = run(frame)
        if is_nullish(value):
            return None
        if type(value) is not list:
            raise DocumentError(17047, _all_must_be_arrays("$setIntersection", value))
        present = _distinct(value)
        if found is None:
            found = present
            continue
        # Of equal elements mongod keeps those of the shorter operand.
        kept, other = (present, found) if len(found) > len(value) else (found, present)
        found = {key: item for key, item in kept.items() if key in other}
    return sorted((found or {}).values(), key=sort_key)


def _all_must_be_arrays(name: str, value: Any) -> str:
    return f"All operands of {name} must be arrays. One argument is of type: {type_name(value)}"


def _set_difference(left: Any, right: Any) -> Any:
    if is_nullish(left) or is_nullish(right):
        return None
    _both_arrays("$setDifference", left, right, first=17048, second=17049)
    excluded = _distinct(right)
    return [item for key, item in _distinct(left).items() if key not in excluded]


def _both_arrays(name: str, left: Any, right: Any, *, first: int, second: int) -> None:
    if type(left) is not list:
        message = f"both operands of {name} must be arrays. First argument is of type: {type_name(left)}"
        raise DocumentError(first, message)
    if type(right) is not list:
        message = f"both operands of {name} must be arrays. Second argument is of type: {type_name(right)}"
        raise DocumentError(second, message)


def _is_subset(left: Any, right: Any) -> bool:
    _both_arrays("$setIsSubset", left, right, first=17046, second=17042)
    present = _distinct(right)
    return all(key in present for key in _distinct(left))


def _set_is_subset(name: str, argument: Any, scope: Scope) -> Node:
    operands = exactly(BINARY, name, argument, scope)
    left, right = operands
    if left.constant or not right.constant or not scope.folding:
        return fold(operands, applied(_is_subset, [operand.run for operand in operands]), scope)
    if type(right.value) is not list:
        message = f"both operands of {name} must be arrays. Second argument is of type: {type_name(right.value)}"
        scope.fail(DocumentError(17311, message))
    return Node(_subset_of_constant(left.run, right.value))


def _subset_of_constant(left: Run, right: Any) -> Run:
    def run(frame: Frame) -> bool:
        value = left(frame)
        _both_arrays("$setIsSubset", value, right, first=17310, second=17311)
        return _is_subset(value, right)

    return run


def _set_equals(runs: Sequence[Run], frame: Frame) -> bool:
    first: frozenset[Any] | None = None
    for position, run in enumerate(runs):
        value = run(frame)
        if type(value) is not list:
            raise DocumentError(17044, _nth_must_be_array(position, value))
        present = frozenset(_distinct(value))
        if first is None:
            first = present
        elif present != first:
            return False
    return True


def _nth_must_be_array(position: int, value: Any) -> str:
    return f"All operands of $setEquals must be arrays. {position + 1}-th argument is of type: {type_name(value)}"


def _parse_set_equals(name: str, argument: Any, scope: Scope) -> Node:
    written = argument if type(argument) is list else [argument]
    operands: list[Node] = []
    for position, item in enumerate(written):
        operand = parse(item, scope)
        if operand.constant and type(operand.value) is not list:
            scope.fail(DocumentError(5887502, _nth_must_be_array(position, operand.value)))
        operands.append(operand)
    if len(operands) < BINARY:
        raise DocumentError(17045, f"{name} needs at least two arguments had: {len(operands)}")
    return fold(operands, built(_set_equals)([operand.run for operand in operands]), scope)


def _elements_true(name: str, code: int, value: Any) -> list[bool]:
    if type(value) is not list:
        raise DocumentError(code, f"{name}'s argument must be an array, but is {type_name(value)}")
    return [truthy(item) for item in value]


OPERATORS: Final[Mapping[str, Parser]] = {
    "$setUnion": variadic(_set_union, associative=True, commutative=True),
    "$setIntersection": variadic(_set_intersection, associative=True, commutative=True),
    "$setDifference": fixed(BINARY, _set_difference),
    "$setIsSubset": _set_is_subset,
    "$setEquals": _parse_set_equals,
    "$allElementsTrue": fixed(UNARY, lambda value: all(_elements_true("$allElementsTrue", 17040, value))),
    "$anyElementTrue": fixed(UNARY, lambda value: any(_elements_true("$anyElementTrue", 17041, value))),
}
