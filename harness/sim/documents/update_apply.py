"""The run of an update's tree on a document: copies what it changes, shares what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from harness.sim.documents.array_filters import ArrayFilters
from harness.sim.documents.errors import (
    BAD_VALUE,
    CANNOT_BACKFILL_ARRAY,
    IMMUTABLE_FIELD,
    PATH_NOT_VIABLE,
    DocumentError,
)
from harness.sim.documents.paths import Parts
from harness.sim.documents.rendering import element_text
from harness.sim.documents.update_paths import dollar_prefixed, in_update_order, list_index, not_traversable
from harness.sim.documents.update_state import Modifier, UpdateState
from harness.sim.documents.update_tree import ArrayNode, ObjectNode, RenamedNode, UpdateNode, merge
from harness.sim.documents.values import MISSING, Document

_PADDING_MAX: Final = 1_500_000


def run_tree(root: ObjectNode, state: UpdateState, filters: ArrayFilters) -> Document:
    """Return the updated document, the same object where nothing changed; notes in ``state`` whether it did.

    Raises DocumentError as mongod does (2, 14, 28, 40, 52, 66); the document given is never touched.
    """
    document: Document = _Run(state, filters).update(root, state.root, ())
    for path in state.renamed:
        state.changed = True
        document = _without(document, path)
    return document


class _Run:
    __slots__ = ("filters", "state")

    def __init__(self, state: UpdateState, filters: ArrayFilters) -> None:
        self.state = state
        self.filters = filters

    def update(self, node: UpdateNode, value: Any, path: Parts) -> Any:
        if isinstance(node, Modifier):
            return self._modify(node, value, path)
        if isinstance(node, ObjectNode):
            return self._update_children(node, value, path)
        if isinstance(node, ArrayNode):
            return self._update_elements(node, value, path)
        return value

    def _modify(self, modifier: Modifier, value: Any, path: Parts) -> Any:
        if modifier.skip is not None and modifier.skip(self.state, modifier.argument):
            return value
        if value is MISSING and not modifier.creates:
            return value
        result = modifier.apply(value, modifier.argument, path, self.state)
        if result is not value:
            self.state.changed = True
            check_change(path, value, result, self.state)
        return result

    def _update_children(self, node: ObjectNode, value: Any, path: Parts) -> Any:
        if value is MISSING or type(value) is dict:
            return self._update_fields(node, value, path)
        if type(value) is list:
            return self._update_items(node, value, path)
        for part, child in self._children(node, path):
            self._refuse_unviable(child, value, path, part, (part,))
        return value

    def _update_fields(self, node: ObjectNode, value: Any, path: Parts) -> Any:
        result = value
        for name, child in self._children(node, path):
            current = MISSING if result is MISSING else result.get(name, MISSING)
            updated = self.update(child, current, (*path, name))
            if updated is current:
                continue
            result = {} if result is MISSING else dict(result) if result is value else result
            if updated is MISSING:
                del result[name]
            else:
                result[name] = updated
        return result

    def _update_items(self, node: ObjectNode, value: list[Any], path: Parts) -> Any:
        result = value
        for part, child in self._children(node, path):
            index = list_index(part)
            if index is None:
                self._refuse_unviable(child, result, path, part, (part,))
                continue
            current = result[index] if index < len(result) else MISSING
            updated = self.update(child, current, (*path, part))
            if updated is not current:
                result = _with_item(result, index, None if updated is MISSING else updated)
        return result

    def _children(self, node: ObjectNode, path: Parts) -> Iterator[tuple[str, UpdateNode]]:
        if node.positional is None:
            return iter(node.children.items())
        if self.state.position is None:
            raise DocumentError(BAD_VALUE, "The positional operator did not find the match needed from the query.")
        name = str(self.state.position)
        present = node.children.get(name)
        child = node.positional if present is None else merge(node.positional, present, (*path, name))
        children = {**node.children, name: child}
        return iter([(key, children[key]) for key in in_update_order(children)])

    def _update_elements(self, node: ArrayNode, value: Any, path: Parts) -> Any:
        if value is MISSING:
            message = f"The path '{'.'.join(path)}' must exist in the document in order to apply array updates."
            raise DocumentError(BAD_VALUE, message)
        if type(value) is not list:
            message = f"Cannot apply array updates to non-array element {element_text(path[-1], value)}"
            raise DocumentError(BAD_VALUE, message)
        result = value
        for index, item in enumerate(value):
            element_path = (*path, str(index))
            child = self._merged_for(node, item, element_path)
            updated = item if child is None else self.update(child, item, element_path)
            if updated is not item:
                result = _with_item(result, index, None if updated is MISSING else updated)
        return result

    def _merged_for(self, node: ArrayNode, item: Any, path: Parts) -> UpdateNode | None:
        merged: UpdateNode | None = None
        for name, child in node.children.items():
            if not name or self.filters[name](item):
                merged = child if merged is None else merge(merged, child, path)
        return merged

    def _refuse_unviable(self, node: UpdateNode, value: Any, path: Parts, part: str, rest: Parts) -> None:
        """Raise what each operator below ``node`` says of a path that leads through a scalar or a non-index."""
        if isinstance(node, ArrayNode):
            whole = ".".join((*path, *rest))
            message = f"The path '{whole}' must exist in the document in order to apply array updates."
            raise DocumentError(BAD_VALUE, message)
        if isinstance(node, ObjectNode):
            for name, child in self._children(node, path):
                self._refuse_unviable(child, value, path, part, (*rest, name))
        elif not isinstance(node, RenamedNode):
            if node.ignores_unviable or (node.skip is not None and node.skip(self.state, node.argument)):
                return
            if not node.creates:
                raise not_traversable((*path, *rest), len(path), value)
            message = f"Cannot create field '{part}' in element {{{element_text(path[-1], value)}}}"
            raise DocumentError(PATH_NOT_VIABLE, message)


def check_change(path: Parts, before: Any, after: Any, state: UpdateState) -> None:
    """Raise DocumentError (52, 66) for a change of ``_id`` or of a top-level field with a dollar sign."""
    first = path[0]
    if first == "_id":
        if before is not MISSING or state.id_begun or "_id" in state.root:
            shown = ".".join(path)
            message = f"Performing an update on the path '{shown}' would modify the immutable field '_id'"
            raise DocumentError(IMMUTABLE_FIELD, message)
        state.id_begun = True
    if first.startswith("$") and after is not MISSING and not state.inserting:
        raise dollar_prefixed(first)


def _with_item(array: list[Any], index: int, item: Any) -> list[Any]:
    padding = index - len(array)
    if padding > _PADDING_MAX:
        raise DocumentError(CANNOT_BACKFILL_ARRAY, f"can't backfill more than {_PADDING_MAX} elements")
    if padding >= 0:
        return [*array, *([None] * padding), item]
    result = list(array)
    result[index] = item
    return result


def _without(document: Document, path: Parts) -> Document:
    name, rest = path[0], path[1:]
    if name not in document:
        return document
    result = dict(document)
    if rest:
        result[name] = _without(document[name], rest)
    else:
        if name == "_id":
            message = "Performing an update on the path '_id' would modify the immutable field '_id'"
            raise DocumentError(IMMUTABLE_FIELD, message)
        del result[name]
    return result
