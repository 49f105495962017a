"""Parsing of expressions: operands, objects, arrays, and the shapes of operators' arguments.

The families of operators (``expression_*.py``) declare their operators with :func:`fixed`, :func:`ranged`,
:func:`variadic` and :func:`named_arguments`; ``expressions.py`` puts them together.
Source: ``Expression::parseOperand`` and the ``parse`` functions of mongod 6.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expression_names import KNOWN_EXPRESSIONS
from harness.sim.documents.expression_nodes import (
    EXPRESSION,
    Build,
    Frame,
    Node,
    Parser,
    Run,
    Scope,
    constant,
    fold,
    gather,
)
from harness.sim.documents.expression_paths import check_field_name, parse_path
from harness.sim.documents.values import MISSING, Document

# Computes an operator from its operands, which it runs itself: as far as it needs them, in mongod's order.
Compute = Callable[[Sequence[Run], Frame], Any]

UNARY: Final = 1
BINARY: Final = 2
TERNARY: Final = 3


def parse(expression: Any, scope: Scope) -> Node:
    """Return the node of any expression: a path, an operator, an object or array of expressions, or a constant.

    Raises DocumentError as mongod's parser does, UnsupportedOperator for what the model leaves out.
    """
    kind = type(expression)
    if kind is str:
        return parse_path(expression, scope) if expression[:1] == "$" else constant(expression)
    if kind is dict:
        return _parse_object(expression, scope)
    if kind is list:
        operands = [parse(item, scope) for item in expression]
        return fold(operands, _array([operand.run for operand in operands]), scope)
    return constant(expression)


def parse_operator(name: str, argument: Any, scope: Scope) -> Node:
    """Return the node of the operator ``name`` (with its dollar sign) applied to ``argument``."""
    parser = scope.compilation.operators.get(name)
    if parser is not None:
        return parser(name, argument, scope)
    if name in KNOWN_EXPRESSIONS:
        raise UnsupportedOperator(name, EXPRESSION)
    raise DocumentError(168, f"Unrecognized expression '{name}'")


def _parse_object(expression: Document, scope: Scope) -> Node:
    name = next(iter(expression), "")
    if name[:1] == "$":
        if len(expression) > 1:
            raise DocumentError(15983, "An object representing an expression must have exactly one field")
        return parse_operator(name, expression[name], scope)
    operands = []
    for key, value in expression.items():
        check_field_name(key)
        if "." in key:
            message = "FieldPath field names may not contain '.'. Consider using $getField or $setField."
            raise DocumentError(16412, message)
        operands.append(parse(value, scope))
    return fold(operands, _object(tuple(expression), [operand.run for operand in operands]), scope)


def _object(names: tuple[str, ...], runs: Sequence[Run]) -> Run:
    pairs = tuple(zip(names, runs, strict=True))

    def run(frame: Frame) -> Document:
        result = {}
        for name, item in pairs:
            value = item(frame)
            if value is not MISSING:
                result[name] = value
        return result

    return run


def _array(runs: Sequence[Run]) -> Run:
    def run(frame: Frame) -> list[Any]:
        values = [item(frame) for item in runs]
        return [None if value is MISSING else value for value in values]

    return run


def operands_of(argument: Any, scope: Scope) -> list[Node]:
    """Return the operands of an operator: the elements of an array, or the one argument itself."""
    if type(argument) is list:
        return [parse(item, scope) for item in argument]
    return [parse(argument, scope)]


def fixed(count: int, compute: Callable[..., Any]) -> Parser:
    """Return the parser of an operator of ``count`` operands, all of which ``compute`` gets as values."""

    def parser(name: str, argument: Any, scope: Scope) -> Node:
        operands = exactly(count, name, argument, scope)
        return fold(operands, applied(compute, [operand.run for operand in operands]), scope)

    return parser


def right_first(compute: Callable[[Any, Any], Any]) -> Parser:
    """Return the parser of a binary operator that computes its right operand before the left one."""

    def parser(name: str, argument: Any, scope: Scope) -> Node:
        operands = exactly(BINARY, name, argument, scope)
        left, right = (operand.run for operand in operands)

        def run(frame: Frame) -> Any:
            value = right(frame)
            return compute(left(frame), value)

        return fold(operands, run, scope)

    return parser


def exactly(count: int, name: str, argument: Any, scope: Scope) -> list[Node]:
    """Return the operands of an operator that takes ``count`` of them; raises DocumentError for another number."""
    operands = operands_of(argument, scope)
    if len(operands) != count:
        message = f"Expression {name} takes exactly {count} arguments. {len(operands)} were passed in."
        raise DocumentError(16020, message)
    return operands


def ranged(least: int, most: int, compute: Compute) -> Parser:
    """Return the parser of an operator of ``least`` to ``most`` operands."""

    def parser(name: str, argument: Any, scope: Scope) -> Node:
        operands = operands_of(argument, scope)
        if not least <= len(operands) <= most:
            message = f"Expression {name} takes at least {least} arguments, and at most {most}, but {len(operands)}"
            raise DocumentError(28667, f"{message} were passed in.")
        return fold(operands, built(compute)([operand.run for operand in operands]), scope)

    return parser


def variadic(compute: Compute, *, associative: bool = False, commutative: bool = False) -> Parser:
    """Return the parser of an operator of any number of operands; see :func:`expression_nodes.gather`."""
    build = built(compute)

    def parser(name: str, argument: Any, scope: Scope) -> Node:
        operands = operands_of(argument, scope)
        if associative:
            return gather(name, operands, build, scope, commutative=commutative)
        return fold(operands, build([operand.run for operand in operands]), scope)

    return parser


def built(compute: Compute) -> Build:
    """Return how operands become the closure that hands them to ``compute``."""
    return lambda runs: lambda frame: compute(runs, frame)


def applied(compute: Callable[..., Any], runs: Sequence[Run]) -> Run:
    """Return the closure that calls ``compute`` with the values of ``runs``."""
    if len(runs) == UNARY:
        (only,) = runs
        return lambda frame: compute(only(frame))
    if len(runs) == BINARY:
        left, right = runs
        return lambda frame: compute(left(frame), right(frame))
    return lambda frame: compute(*[run(frame) for run in runs])


def named_arguments(name: str, argument: Any, allowed: tuple[str, ...], *, not_object: int, unknown: int) -> Document:
    """Return the argument of an operator that takes an object of named arguments.

    Raises DocumentError ``not_object`` for another type, ``unknown`` for a name that is not ``allowed``.
    """
    if type(argument) is not dict:
        raise DocumentError(not_object, f"{name} only supports an object as its argument")
    for key in argument:
        if key not in allowed:
            raise DocumentError(unknown, f"Unrecognized parameter to {name}: {key}")
    return argument


def required(name: str, arguments: Document, codes: dict[str, int]) -> None:
    """Raise DocumentError for the first named argument that lacks; ``codes`` has its code by name."""
    for key, code in codes.items():
        if key not in arguments:
            raise DocumentError(code, f"Missing '{key}' parameter to {name}")
