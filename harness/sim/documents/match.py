"""Filters: does a document match, through which array index, and what an equality in the filter pins down.

Source: the manual's page "Query and Projection Operators"; arrays match by an element or as a whole, null matches a
missing field, ranges compare values of one type only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson.regex import Regex

from harness.sim.documents.errors import (
    NOT_EXACT_VALUE_FIELD,
    NOT_SINGLE_VALUE_FIELD,
    QUERY_FEATURE_NOT_ALLOWED,
    DocumentError,
)
from harness.sim.documents.expressions import Environment
from harness.sim.documents.match_nodes import Matches, Node, all_of, field_test
from harness.sim.documents.match_parse import parse_filter
from harness.sim.documents.match_tests import comparison_test, equality_test
from harness.sim.documents.values import Document

NO_ENVIRONMENT: Final = Environment()

_NOT_PLAIN: Final = frozenset({dict, Regex})
_SIMPLE_COMPARISONS: Final = frozenset({"$gt", "$gte", "$lt", "$lte"})


def compile_filter(query: Mapping[str, Any], environment: Environment = NO_ENVIRONMENT) -> Matches:
    """Return the filter as a function of one document.

    Arguments: ``environment`` is what ``$expr`` may read beside the document (``let``, the clock). Raises
    DocumentError with mongod's code for a malformed filter, UnsupportedOperator for what is not modelled.
    """
    tests = _simple_tests(query)
    return parse_filter(query, environment).matches if tests is None else all_of(tests) if tests else _always


def match(document: Document, query: Mapping[str, Any]) -> bool:
    """Return whether ``document`` matches ``query``; raises as :func:`compile_filter` does."""
    return compile_filter(query)(document)


def positional_index(
    document: Document, query: Mapping[str, Any], environment: Environment = NO_ENVIRONMENT
) -> int | None:
    """Return the index of the array element through which ``document`` matches, which it must.

    It is what the positional ``$`` of updates and projections stands for; None if no condition went through an array.
    """
    return parse_filter(query, environment).locate(document)


def check_upsert_filter(query: Mapping[str, Any]) -> None:
    """Raise DocumentError (224) for a filter with ``$expr``, which no upsert may have, whether it inserts or not."""
    if not _is_plain(query):
        _refuse_expressions(parse_filter(query, NO_ENVIRONMENT))


def _refuse_expressions(node: Node) -> None:
    if node.kind == "$expr":
        raise DocumentError(QUERY_FEATURE_NOT_ALLOWED, "$expr is not allowed in the query predicate for an upsert")
    for child in node.children:
        _refuse_expressions(child)


def equality_fields(query: Mapping[str, Any], *, below: str = "") -> dict[str, Any]:
    """Return the values that equalities of a filter pin down, by path in sorted order: what an upsert starts from.

    Arguments: ``below`` leaves out all but the field of that name, of which no part may then have an equality.
    Raises DocumentError (54, 111) where two equalities are on one path, or on a path and its parent.
    """
    if _is_plain(query):
        return {name: query[name] for name in sorted(query) if not below or name == below}
    found: dict[str, Any] = {}
    for node in sorted(_equalities(parse_filter(query, NO_ENVIRONMENT)) or [], key=lambda node: node.path):
        if below and node.path.startswith(f"{below}."):
            message = f"field at '{below}' must be exactly specified, field at sub-path '{node.path}'found"
            raise DocumentError(NOT_EXACT_VALUE_FIELD, message)
        if not below or node.path == below:
            _refuse_second_equality(node.path, found)
            found[node.path] = node.argument
    return found


def _is_plain(query: Mapping[str, Any]) -> bool:
    """Return whether a filter is only equalities of top-level fields with values that are no documents."""
    return not any("." in name or name.startswith("$") or type(query[name]) in _NOT_PLAIN for name in query)


def _equalities(node: Node) -> list[Node] | None:
    """Return the equalities that hold for every document the condition matches, None if it can match none."""
    if node.kind == "$alwaysFalse":
        return None
    if node.kind == "$eq":
        return [node]
    parts = [_equalities(child) for child in node.children]
    possible = [part for part in parts if part is not None]
    if node.kind == "$and":
        return [found for part in possible for found in part] if len(possible) == len(parts) else None
    if node.kind == "$or":
        return possible[0] if len(possible) == 1 else [] if possible else None
    return []


def _refuse_second_equality(path: str, found: Mapping[str, Any]) -> None:
    if path in found:
        raise DocumentError(NOT_SINGLE_VALUE_FIELD, f"cannot infer query fields to set, path '{path}' is matched twice")
    parent = path
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if parent in found:
            message = f"cannot infer query fields to set, both paths '{path}' and '{parent}' are matched"
            raise DocumentError(NOT_SINGLE_VALUE_FIELD, message)


def _simple_tests(query: Mapping[str, Any]) -> tuple[Matches, ...] | None:
    """Return the tests of a filter that has only top-level equalities and ranges, None for any other filter."""
    tests: list[Matches] = []
    for name, argument in query.items():
        if "." in name or name.startswith("$") or type(argument) is Regex:
            return None
        if type(argument) is not dict:
            tests.append(field_test(name, equality_test(argument)))
            continue
        for operator, wanted in argument.items():
            if operator not in _SIMPLE_COMPARISONS or type(wanted) is Regex:
                return None
            tests.append(field_test(name, comparison_test(operator, wanted)))
        if not argument:
            return None
    return tuple(tests)


def _always(_document: Document) -> bool:
    return True
