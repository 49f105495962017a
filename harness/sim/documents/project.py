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
    positional = parsed.positional
    if positional is not None:
        return _at_matched_element(parsed, positional, query or {}, environment)
    keep = _including(parsed.tree) if parsed.inclusion else _excluding(parsed.tree)
    return _with_slices(keep, parsed.slices) if parsed.slices else keep


def _with_slices(keep: Project, slices: tuple[Slice, ...]) -> Project:
    def project(document: Document) -> Document:
        result = keep(document)
        for window in slices:
            result = _sliced(result, window.path, window)
        return result

    return project


def _including(tree: Branch) -> Project:
    if all(node is True for node in tree.values()):
        names = frozenset(tree)
        return lambda document: {name: value for name, value in document.items() if name in names}
    return lambda document: _without_holes(_compute(_include(document, tree), tree, document), tree)


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
    """Return what is kept of a value below a branch; an array element that is not kept leaves MISSING in its place."""
    if type(value) is dict:
        return _include(value, tree)
    if type(value) is list:
        return [_include_below(item, tree) for item in value]
    return value if _has_computed(tree) else MISSING


def _without_holes(value: Any, tree: Branch) -> Any:
    """Return an included value without the MISSING in its arrays, which stand below branches only."""
    if type(value) is list:
        return [_without_holes(item, tree) for item in value if item is not MISSING]
    if type(value) is not dict:
        return value
    for name, node in tree.items():
        if type(node) is dict and name in value:
            value[name] = _without_holes(value[name], node)
    return value


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


def _excluding(tree: Branch) -> Project:
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


def _at_matched_element(parsed: Projection, path: Parts, query: Mapping[str, Any], environment: Environment) -> Project:
    """Return an inclusion that cuts the first array on ``path`` to the element through which ``query`` matches."""
    tree = parsed.tree

    def project(document: Document) -> Document:
        kept = _compute(_include(document, tree), tree, document)
        place = _first_array(kept, path)
        if place is not None:
            array_path, array = place
            index = positional_index(document, query, environment)
            kept = _with_value(kept, array_path, [_element(array, index)])
        result: Document = _without_holes(kept, tree)
        for window in parsed.slices:
            result = _sliced(result, window.path, window)
        return result

    return project


def _first_array(document: Document, path: Parts) -> tuple[Parts, list[Any]] | None:
    """Return the first array on a path and the path to it, as mongod looks for it: past what is no document."""
    current = document
    for depth, part in enumerate(path):
        value = current.get(part)
        if type(value) is list:
            return path[: depth + 1], value
        if type(value) is dict:
            current = value
    return None


def _element(array: list[Any], index: int | None) -> Any:
    if index is None:
        message = "positional operator '.$' couldn't find a matching element in the array"
        raise DocumentError(_NO_POSITIONAL_MATCH, _EXECUTOR + message)
    if index >= len(array) or array[index] is MISSING:
        raise DocumentError(_POSITION_BEYOND_ARRAY, f"{_EXECUTOR}positional operator '.$' element mismatch")
    return array[index]


def _with_value(value: Any, path: Parts, new: Any) -> Any:
    if not path:
        return new
    holder = value if type(value) is dict else {}
    return {**holder, path[0]: _with_value(holder.get(path[0]), path[1:], new)}
