"""Compiled expressions: nodes, the scopes they are compiled in, and the folding of constants.

An expression is compiled once per statement to a closure over a *frame*, a list whose slot 0 is the root document and
whose further slots hold the variables that ``$let``, ``$map`` and the like bind. mongod folds constant parts before it
sees a document, and moves the constants of commutative operators to the end; both can be seen from outside (an error
with no document to meet it; 3 instead of 3.0), so :func:`fold` and :func:`gather` do the same.

Source: ``ExpressionNary::optimize`` of mongod 6.0.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from bson.timestamp import Timestamp

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.values import MISSING

Frame = list[Any]
Run = Callable[[Frame], Any]
Build = Callable[[Sequence[Run]], Run]

EXPRESSION: Final = "an expression"
"""Where an operator stands, for :class:`errors.UnsupportedOperator`."""


class Node(NamedTuple):
    """One compiled expression: ``run`` computes it; a ``constant`` one has its ``value`` already.

    ``operator`` and ``operands`` are kept for associative operators alone, which take nested uses of themselves apart.
    """

    run: Run
    constant: bool = False
    value: Any = None
    operator: str = ""
    operands: tuple[Node, ...] = ()


Parser = Callable[[str, Any, "Scope"], Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What an expression may ask besides the document.

    ``now`` is the value of ``$$NOW`` (naive, UTC, whole milliseconds; None: the caller has no clock and reading it is
    an error of the caller), ``let`` the values of a command's variables (see :func:`expressions.let_values`),
    ``cluster_time`` that of ``$$CLUSTER_TIME`` (None: a server without one).
    """

    now: datetime.datetime | None = None
    let: Mapping[str, Any] = field(default_factory=dict)
    cluster_time: Timestamp | None = None


class Variable:
    """A variable whose ``value`` changes between runs: what ``$lookup`` hands to its inner pipeline."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = MISSING


class Compilation:
    """What all the scopes of one statement share while it is compiled.

    ``frame_size`` counts the slots that its variables need, ``failures`` collects the errors that folding met.
    """

    __slots__ = ("environment", "failures", "frame_size", "operators")

    def __init__(self, environment: Environment, operators: Mapping[str, Parser]) -> None:
        self.environment = environment
        self.operators = operators
        self.frame_size = 1
        self.failures: list[DocumentError] = []

    def raise_failure(self) -> None:
        """Raise the first error that folding met: mongod folds once the whole statement is parsed."""
        if self.failures:
            raise self.failures[0]

    def frame(self, document: Any) -> Frame:
        """Return the frame that the compiled expressions read for one document."""
        return [document, *[None] * (self.frame_size - 1)]


class Scope(NamedTuple):
    """The variables that an expression sees, by name; the system's are known everywhere.

    Without ``folding`` constants are left as they stand: mongod does not optimize the pipeline of an update, nor the
    operands of ``$getField`` and ``$setField``.
    """

    compilation: Compilation
    variables: Mapping[str, Node] = {}
    folding: bool = True

    def bind(self, name: str) -> tuple[Scope, int]:
        """Return a scope with one more variable, and the slot of the frame where its value must stand."""
        slot = self.compilation.frame_size
        self.compilation.frame_size = slot + 1
        return self.define(name, Node(lambda frame: frame[slot])), slot

    def define(self, name: str, node: Node) -> Scope:
        """Return a scope in which a variable has the value of ``node``."""
        return Scope(self.compilation, {**self.variables, name: node}, self.folding)

    def fail(self, error: DocumentError) -> None:
        """Note an error that mongod meets while it folds constants."""
        if self.folding:
            self.compilation.failures.append(error)


def _root(frame: Frame) -> Any:
    return frame[0]


ROOT: Final = Node(_root)


def is_nullish(value: Any) -> bool:
    """Return whether ``value`` is null or missing."""
    return value is None or value is MISSING


def constant(value: Any) -> Node:
    """Return the node of a known value."""
    return Node(lambda _: value, constant=True, value=value)


def fold(operands: Sequence[Node], run: Run, scope: Scope) -> Node:
    """Return the node that ``run`` computes from ``operands``: computed at once if all of them are constant."""
    if not scope.folding:
        return Node(run)
    for operand in operands:
        if not operand.constant:
            return Node(run)
    try:
        return constant(run([]))
    except DocumentError as error:
        scope.fail(error)
        return Node(run)


def gather(operator: str, operands: Sequence[Node], build: Build, scope: Scope, *, commutative: bool) -> Node:
    """Return the node of an associative operator, its constants gathered as mongod gathers them.

    Nested uses of the operator are taken apart, runs of constants become one; a ``commutative`` operator has all its
    constants in one run at the end.
    """
    if not scope.folding:
        return Node(build([operand.run for operand in operands]))
    flat: list[Node] = []
    for operand in operands:
        flat.extend(operand.operands if operand.operator == operator else (operand,))
    if all(operand.constant for operand in flat):
        return fold(flat, build([operand.run for operand in flat]), scope)
    if commutative:
        flat.sort(key=lambda operand: operand.constant)
    gathered: list[Node] = []
    pending: list[Node] = []
    for operand in flat:
        if operand.constant:
            pending.append(operand)
            continue
        gathered.extend(_merged(pending, build, scope))
        gathered.append(operand)
        pending = []
    gathered.extend(_merged(pending, build, scope))
    return Node(build([operand.run for operand in gathered]), operator=operator, operands=tuple(gathered))


def _merged(constants: Sequence[Node], build: Build, scope: Scope) -> Sequence[Node]:
    if len(constants) < 2:  # noqa: PLR2004 - one constant is as merged as it can be
        return constants
    return (fold(constants, build([operand.run for operand in constants]), scope),)
