"""Projections of ``find`` and ``findAndModify``: which part of a document a reader gets.

Source: the manual's page "Project Fields to Return from Query" and the projection rules of 4.4 and later: inclusion
keeps the document's order and appends computed fields, ``$slice`` and ``$`` work in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expressions import Environment
from harness.sim.documents.match import NO_ENVIRONMENT, positional_index
from harness.sim.documents.paths import Parts
from harness.sim.documents.projection_tree import Branch, Computed, Projection, Slice, parse_projection
from harness.sim.documents.values import MISSING, Document

_NO_POSITIONAL_MATCH: Final = 51246
_POSITION_BEYOND_ARRAY: Final = 51247
_EXECUTOR: Final = "Executor error during find command :: caused by :: "

Project = Callable[[Document], Document]


def compile_projection(
    projection: Mapping[str, Any],
    query: Mapping[str, Any] | None = None,
    environment: Environment = NO_ENVIRONMENT,
) -> Project:
    """Return the projection as a function of one document; the result shares what it keeps.

    Arguments: ``query`` is the filter that found the document, for the positional ``$``; ``environment`` is what
    expressions may read beside the document. Raises DocumentError with
    mongod's code for a malformed projection, UnsupportedOperator for what is not modelled.
    """
    if not projection:
        return lambda document: document
    parsed = parse_projection(projection, environment)
    keep = _including(parsed) if parsed.inclusion else _excluding(parsed)
    if parsed.positional is None and not parsed.slices:
        return keep

    def project(document: Document) -> Document:
        narrowed = document
        if parsed.positional is not None:
            narrowed = _matched_element(document, parsed.positional, query or {}, environment)
        result = keep(narrowed)
        for window in parsed.slices:
            result = _sliced(result, window.path, window)
        return result

    return project


def _including(parsed: Projection) -> Project:
    if all(node is True for node in parsed.tree.values()):
        names = frozenset(parsed.tree)
        return lambda document: {name: value for name, value in document.items() if name in names}
    return lambda document: _compute(_include(document, parsed.tree), parsed.tree, document)


def _include(document: Document, tree: Branch) -> Document:
    result: Document = {}
    for name, value in document.items():
        node = tree.get(name)
        if node is True:
            result[name] = value
        elif type(node) is dict:
            kept = _include_below(value, node)
            if kept is not MISSING:
                result[name] = kept
    return result


def _include_below(value: Any, tree: Branch) -> Any:
    if type(value) is dict:
        return _include(value, tree)
    if type(value) is list:
        kept = [_include_below(item, tree) for item in value]
        return [item for item in kept if item is not MISSING]
    return value if _has_computed(tree) else MISSING


def _has_computed(tree: Branch) -> bool:
    return any(type(node) is Computed or (type(node) is dict and _has_computed(node)) for node in tree.values())


def _compute(result: Document, tree: Branch, root: Document) -> Document:
    """Set the computed fields in a document under construction, which nobody else holds yet."""
    for name, node in tree.items():
        if type(node) is Computed:
            value = node.evaluate(root)
            if value is MISSING:
                result.pop(name, None)
            else:
                result[name] = value
        elif type(node) is dict and _has_computed(node):
            result[name] = _compute_below(result.get(name, MISSING), node, root)
    return result


def _compute_below(value: Any, tree: Branch, root: Document) -> Any:
    if type(value) is list:
        return [_compute_below(item, tree, root) for item in value]
    return _compute(value if type(value) is dict else {}, tree, root)


def _excluding(parsed: Projection) -> Project:
    tree = parsed.tree
    if all(node is True for node in tree.values()):
        return lambda document: {name: value for name, value in document.items() if name not in tree}

    def project(document: Document) -> Document:
        result: Document = _exclude(document, tree)
        for name, node in tree.items():
            if type(node) is not Computed:
                continue
            value = node.evaluate(document)
            if value is MISSING:
                result.pop(name, None)
            else:
                result[name] = value
        return result

    return project


def _exclude(value: Any, tree: Branch) -> Any:
    if type(value) is list:
        return [_exclude(item, tree) for item in value]
    if type(value) is not dict:
        return value
    result: Document = {}
    for name, item in value.items():
        node = tree.get(name)
        if node is not True:
            result[name] = _exclude(item, node) if type(node) is dict else item
    return result


def _sliced(value: Any, path: Parts, window: Slice) -> Any:
    if type(value) is list:
        if not path:
            return window.cut(value)
        return [_sliced(item, path, window) for item in value]
    if type(value) is not dict or not path or path[0] not in value:
        return value
    return {**value, path[0]: _sliced(value[path[0]], path[1:], window)}


def _matched_element(document: Document, path: Parts, query: Mapping[str, Any], environment: Environment) -> Document:
    def position() -> int:
        index = positional_index(document, query, environment)
        if index is None:
            message = "positional operator '.$' couldn't find a matching element in the array"
            raise DocumentError(_NO_POSITIONAL_MATCH, _EXECUTOR + message)
        return index

    narrowed: Document = _with_only(document, path, position)
    return narrowed


def _with_only(value: Any, path: Parts, position: Callable[[], int]) -> Any:
    """Return the value with the first array on the path cut to one element; only that array asks for the position."""
    if type(value) is list:
        index = position()
        if index >= len(value):
            raise DocumentError(_POSITION_BEYOND_ARRAY, f"{_EXECUTOR}positional operator '.$' element mismatch")
        return [value[index]]
    if type(value) is not dict or not path or path[0] not in value:
        return value
    return {**value, path[0]: _with_only(value[path[0]], path[1:], position)}
