"""Aggregation expressions: compile one, and compute it for documents.

The operators live in families (``expression_compare.py``, ``expression_arithmetic.py``, ...); what is known to mongod
but in none of them is an UnsupportedOperator. Source: the manual's page "Aggregation Operators" (6.0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from harness.sim.documents import (
    expression_arithmetic,
    expression_arrays,
    expression_compare,
    expression_conversion,
    expression_dates,
    expression_loops,
    expression_objects,
    expression_sets,
    expression_strings,
)
from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_compare import truthy
from harness.sim.documents.expression_nodes import Compilation, Environment, Parser, Scope
from harness.sim.documents.expression_parsing import parse
from harness.sim.documents.expression_paths import check_writable_name, parse_path
from harness.sim.documents.values import Document

__all__ = ["Environment", "Evaluate", "compile_expression", "evaluate", "let_values", "root_scope", "truthy"]

Evaluate = Callable[[Document], Any]

_OPERATORS: Final[Mapping[str, Parser]] = {
    **expression_compare.OPERATORS,
    **expression_arithmetic.OPERATORS,
    **expression_arrays.OPERATORS,
    **expression_loops.OPERATORS,
    **expression_sets.OPERATORS,
    **expression_strings.OPERATORS,
    **expression_conversion.OPERATORS,
    **expression_objects.OPERATORS,
    **expression_dates.OPERATORS,
}

_NO_CLOCK: Final = Environment()


def compile_expression(expression: Any, environment: Environment = _NO_CLOCK) -> Evaluate:
    """Return the expression as a function of the root document, which answers MISSING where there is no value.

    Arguments: ``expression`` is a normalised value, ``environment`` the clock and the variables it may read.
    Raises DocumentError with mongod's code for what mongod refuses before it sees a document (errors of constant
    parts among them), UnsupportedOperator for what is not modelled. So does the function, for a document.
    """
    scope = root_scope(environment)
    run = parse(expression, scope).run
    compilation = scope.compilation
    compilation.raise_failure()
    if compilation.frame_size == 1:
        return lambda document: run([document])
    return lambda document: run(compilation.frame(document))


def evaluate(expression: Any, document: Document, environment: Environment = _NO_CLOCK) -> Any:
    """Return the value of ``expression`` for one ``document``; raises as :func:`compile_expression` does."""
    return compile_expression(expression, environment)(document)


def root_scope(environment: Environment, *, folding: bool = True) -> Scope:
    """Return the scope in which the parts of one statement, or of one stage, are compiled together."""
    scope = Scope(Compilation(environment, _OPERATORS), folding=folding)
    # A user may name a variable CURRENT, and then plain paths start from it.
    return scope.define("CURRENT", parse_path("$$CURRENT", scope)) if "CURRENT" in environment.let else scope


def let_values(specification: Mapping[str, Any], environment: Environment = _NO_CLOCK) -> dict[str, Any]:
    """Return the values of a command's ``let``, for :attr:`Environment.let`.

    Raises DocumentError (4890500) for an expression that reads a document, (4738901) for the name of a system variable.
    """
    values: dict[str, Any] = {}
    for name, expression in specification.items():
        if name in ("NOW", "CLUSTER_TIME", "JS_SCOPE"):
            raise DocumentError(4738901, f"Attempt to set internal constant: {name}")
        check_writable_name(name)
        scope = root_scope(replace(environment, let={**environment.let, **values}))
        node = parse(expression, scope)
        scope.compilation.raise_failure()
        if not node.constant:
            raise DocumentError(4890500, "Command let Expression tried to access a field, but this is not allowed")
        values[name] = node.value
    return values
