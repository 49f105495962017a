"""Comparison, truth and choice: ``$eq`` to ``$cmp``, ``$and``, ``$or``, ``$not``, ``$cond``, ``$switch``, ``$ifNull``.

Source: the manual's pages "Comparison Expression Operators", "Boolean ..." and "Conditional Expression Operators".
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Run, Scope, constant, gather, is_nullish
from harness.sim.documents.expression_parsing import (
    BINARY,
    TERNARY,
    UNARY,
    exactly,
    fixed,
    operands_of,
    parse,
    required,
)
from harness.sim.documents.order import compare, equal
from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import MISSING, Document

_NUMBERS: Final = frozenset({int, Int64, float})

# Python orders two values of one of these types as BSON does; floats are not here because of NaN.
_PLAINLY_ORDERED: Final = frozenset({int, Int64, str, bool, datetime.datetime, ObjectId})


def truthy(value: Any) -> bool:
    """Return whether a condition takes ``value`` for true: all but false, null, a missing value and zero."""
    if value is True:
        return True
    if value is False or value is None or value is MISSING:
        return False
    kind = type(value)
    if kind in _NUMBERS:
        return bool(value != 0)
    return bool(value.to_decimal() != 0) if kind is Decimal128 else True


def _less(left: Any, right: Any) -> bool:
    kind = type(left)
    if kind is type(right) and kind in _PLAINLY_ORDERED:
        return bool(left < right)
    return compare(left, right) < 0


def _comparisons() -> Mapping[str, Parser]:
    computations: Mapping[str, Callable[[Any, Any], Any]] = {
        "$eq": equal,
        "$ne": lambda left, right: not equal(left, right),
        "$lt": _less,
        "$lte": lambda left, right: not _less(right, left),
        "$gt": lambda left, right: _less(right, left),
        "$gte": lambda left, right: not _less(left, right),
        "$cmp": compare,
    }
    return {name: fixed(BINARY, compute) for name, compute in computations.items()}


def _all_of(runs: Sequence[Run]) -> Run:
    def run(frame: Frame) -> bool:
        for item in runs:  # noqa: SIM110 - a generator would cost more than the loop
            if not truthy(item(frame)):
                return False
        return True

    return run


def _any_of(runs: Sequence[Run]) -> Run:
    def run(frame: Frame) -> bool:
        for item in runs:  # noqa: SIM110 - a generator would cost more than the loop
            if truthy(item(frame)):
                return True
        return False

    return run


def _logical(name: str, argument: Any, scope: Scope) -> Node:
    """Parse ``$and`` or ``$or``: one constant that decides makes the whole constant, another one is dropped."""
    build = _all_of if name == "$and" else _any_of
    node = gather(name, operands_of(argument, scope), build, scope, commutative=True)
    if node.constant or not node.operands or not node.operands[-1].constant:
        return node
    decides = truthy(node.operands[-1].value) is (name == "$or")
    if decides:
        return constant(name == "$or")
    rest = node.operands[:-1]
    return Node(build([operand.run for operand in rest]), operator=name, operands=rest)


def _not(value: Any) -> bool:
    return not truthy(value)


def _cond(name: str, argument: Any, scope: Scope) -> Node:
    named = type(argument) is dict
    operands = _named_cond(name, argument, scope) if named else exactly(TERNARY, name, argument, scope)
    decider = operands[0]
    if scope.folding and decider.constant:
        return operands[1] if truthy(decider.value) else operands[2]
    condition, then, otherwise = (operand.run for operand in operands)
    return Node(lambda frame: then(frame) if truthy(condition(frame)) else otherwise(frame))


def _named_cond(name: str, argument: Document, scope: Scope) -> list[Node]:
    parts = ("if", "then", "else")
    parsed = {}
    for key, value in argument.items():
        if key not in parts:
            raise DocumentError(17083, f"Unrecognized parameter to {name}: {key}")
        parsed[key] = parse(value, scope)
    required(name, argument, {"if": 17080, "then": 17081, "else": 17082})
    return [parsed[part] for part in parts]


def _if_null(_name: str, argument: Any, scope: Scope) -> Node:
    operands = operands_of(argument, scope)
    if len(operands) < BINARY:
        raise DocumentError(1257300, f"$ifNull needs at least two arguments, had: {len(operands)}")
    if scope.folding:
        operands = _reachable(operands)
    if len(operands) == 1:
        return operands[0]
    *tried, last = (operand.run for operand in operands)

    def run(frame: Frame) -> Any:
        for item in tried:
            value = item(frame)
            if value is not None and value is not MISSING:
                return value
        return last(frame)

    return Node(run)


def _reachable(operands: list[Node]) -> list[Node]:
    """Return the operands that can decide an ``$ifNull``: no constant null, and none after another constant."""
    kept = []
    for operand in operands[:-1]:
        if not operand.constant:
            kept.append(operand)
        elif not is_nullish(operand.value):
            return [*kept, operand]
    return [*kept, operands[-1]]


def _switch(name: str, argument: Any, scope: Scope) -> Node:
    if type(argument) is not dict:
        raise DocumentError(40060, f"{name} requires an object as an argument, found: {type_name(argument)}")
    branches: list[tuple[Run, Run]] = []
    default: Node | None = None
    decided: Node | None = None
    failures = scope.compilation.failures
    start = len(failures)
    for key, value in argument.items():
        if key == "branches":
            branches, decided = _branches(name, value, scope)
        elif key == "default":
            before = len(failures)
            default = parse(value, scope)
            # mongod folds the default before the branches, wherever it is written.
            failures[start:] = failures[before:] + failures[start:before]
        else:
            raise DocumentError(40067, f"{name} found an unknown argument: {key}")
    if not argument.get("branches"):
        raise DocumentError(40068, f"{name} requires at least one branch")
    return _switch_node(name, branches, decided or default, scope)


def _switch_node(name: str, branches: list[tuple[Run, Run]], default: Node | None, scope: Scope) -> Node:
    if not branches:
        if default is not None:
            return default
        message = f"Cannot execute a {name[1:]} statement where all the cases evaluate to false without a default"
        scope.fail(DocumentError(40069, message))
    otherwise = _no_branch if default is None else default.run

    def run(frame: Frame) -> Any:
        for case, then in branches:
            if truthy(case(frame)):
                return then(frame)
        return otherwise(frame)

    return Node(run)


def _no_branch(_frame: Frame) -> Any:
    message = "$switch could not find a matching branch for an input, and no default was specified."
    raise DocumentError(40066, message)


def _branches(name: str, value: Any, scope: Scope) -> tuple[list[tuple[Run, Run]], Node | None]:
    """Return the branches that a document can reach, and what a constantly true case decides for all the others."""
    if type(value) is not list:
        raise DocumentError(40061, f"{name} expected an array for 'branches', found: {type_name(value)}")
    folding, failures = scope.folding, scope.compilation.failures
    reachable: list[tuple[Run, Run]] = []
    decided: Node | None = None
    for branch in value:
        before = len(failures)
        case, then = _branch(name, branch, scope)
        if decided is not None or (folding and case.constant and not truthy(case.value)):
            del failures[before:]
        elif folding and case.constant:
            decided = then
        else:
            reachable.append((case.run, then.run))
    return reachable, decided


def _branch(name: str, branch: Any, scope: Scope) -> tuple[Node, Node]:
    if type(branch) is not dict:
        raise DocumentError(40062, f"{name} expected each branch to be an object, found: {type_name(branch)}")
    parsed = {}
    for key, value in branch.items():
        if key not in ("case", "then"):
            raise DocumentError(40063, f"{name} found an unknown argument to a branch: {key}")
        parsed[key] = parse(value, scope)
    if "case" not in parsed:
        raise DocumentError(40064, f"{name} requires each branch have a 'case' expression")
    if "then" not in parsed:
        raise DocumentError(40065, f"{name} requires each branch have a 'then' expression.")
    return parsed["case"], parsed["then"]


OPERATORS: Final[Mapping[str, Parser]] = {
    **_comparisons(),
    "$and": _logical,
    "$or": _logical,
    "$not": fixed(UNARY, _not),
    "$cond": _cond,
    "$ifNull": _if_null,
    "$switch": _switch,
}
