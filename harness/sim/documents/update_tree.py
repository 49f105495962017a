"""The tree of an update: which operator stands at which path, in the order in which mongod applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Union

from harness.sim.documents import update_arrays, update_fields
from harness.sim.documents.array_filters import ArrayFilters
from harness.sim.documents.errors import BAD_VALUE, CONFLICTING_UPDATE_OPERATORS, FAILED_TO_PARSE, DocumentError
from harness.sim.documents.paths import Parts
from harness.sim.documents.rendering import document_text, element_text, type_name
from harness.sim.documents.update_paths import POSITIONAL, identifier, in_update_order, is_array_part, update_path
from harness.sim.documents.update_state import Modifier


@dataclass(slots=True)
class ObjectNode:
    """Updates below a document or an array element: ``children`` by field name, one below the positional ``$``."""

    children: dict[str, UpdateNode] = field(default_factory=dict)
    positional: UpdateNode | None = None


@dataclass(slots=True)
class ArrayNode:
    """Updates of the elements of an array that pass a filter, by its identifier (empty: all elements)."""

    children: dict[str, UpdateNode] = field(default_factory=dict)


@dataclass(slots=True)
class RenamedNode:
    """Stands where a ``$rename`` takes its field from, so that no other operator acts there."""


UpdateNode = Union[ObjectNode, ArrayNode, RenamedNode, Modifier]  # noqa: UP007 - evaluated before the classes exist

OPERATORS: Final[Mapping[str, Callable[[str, Any], Modifier]]] = {
    "$set": update_fields.set_field,
    "$setOnInsert": update_fields.set_on_insert,
    "$unset": update_fields.unset_field,
    "$inc": update_fields.increment,
    "$mul": update_fields.multiply,
    "$min": update_fields.minimum,
    "$max": update_fields.maximum,
    "$currentDate": update_fields.current_date,
    "$bit": update_fields.bitwise,
    "$rename": update_fields.rename,
    "$push": update_arrays.push,
    "$addToSet": update_arrays.add_to_set,
    "$pop": update_arrays.pop,
    "$pull": update_arrays.pull,
    "$pullAll": update_arrays.pull_all,
}


def parse_update(update: Mapping[str, Any], filters: ArrayFilters) -> ObjectNode:
    """Return the tree of an update document; raises DocumentError (2, 9, 40, 56) as mongod does for a malformed one."""
    parser = _Parser(filters)
    for name, fields in update.items():
        operator = checked_operator(name, fields)
        for path, argument in fields.items():
            parser.add(name, operator, path, argument)
    unused = next((name for name in filters if name not in parser.used), None)
    if unused is not None:
        message = f"The array filter for identifier '{unused}' was not used in the update {document_text(update)}"
        raise DocumentError(FAILED_TO_PARSE, message)
    _put_in_order(parser.root)
    return parser.root


def checked_operator(name: str, fields: Any) -> Callable[[str, Any], Modifier]:
    """Return the operator of one name; raises DocumentError (9) if there is none or it has no fields."""
    operator = OPERATORS.get(name)
    if operator is None:
        hint = "Expected a valid update modifier or pipeline-style update specified as an array"
        raise DocumentError(FAILED_TO_PARSE, f"Unknown modifier: {name}. {hint}")
    if type(fields) is not dict:
        message = (
            f"Modifiers operate on fields but we found type {type_name(fields)} instead. For example: "
            f"{{$mod: {{<field>: ...}}}} not {{{element_text(name, fields)}}}"
        )
        raise DocumentError(FAILED_TO_PARSE, message)
    return operator


class _Parser:
    __slots__ = ("filters", "root", "used")

    def __init__(self, filters: ArrayFilters) -> None:
        self.filters = filters
        self.root = ObjectNode()
        self.used: set[str] = set()

    def add(self, name: str, operator: Callable[[str, Any], Modifier], path: str, argument: Any) -> None:
        if name != "$rename":
            parts = update_path(path)
            self._put(parts, operator(path, argument))
            return
        if type(argument) is not str:
            message = f"The 'to' field for $rename must be a string: {element_text(path, argument)}"
            raise DocumentError(BAD_VALUE, message)
        self._put(update_path(path), RenamedNode())
        target = update_path(argument)
        self._put(target, operator(path, argument))

    def _put(self, parts: Parts, leaf: UpdateNode) -> None:
        current: ObjectNode | ArrayNode = self.root
        for depth, part in enumerate(parts[:-1], start=1):
            key = self._key(current, part, parts)
            child = _child(current, key)
            wanted = ArrayNode if is_array_part(parts[depth]) else ObjectNode
            if child is None:
                child = wanted()
                _set_child(current, key, child)
            if not isinstance(child, wanted):
                raise _conflict(parts, depth)
            current = child
        key = self._key(current, parts[-1], parts)
        if _child(current, key) is not None:
            raise _conflict(parts, len(parts))
        _set_child(current, key, leaf)

    def _key(self, node: ObjectNode | ArrayNode, part: str, parts: Parts) -> str:
        if isinstance(node, ObjectNode):
            return part
        name = identifier(part)
        if name and name not in self.filters:
            path = ".".join(parts)
            raise DocumentError(BAD_VALUE, f"No array filter found for identifier '{name}' in path '{path}'")
        self.used.add(name)
        return name


def _child(node: ObjectNode | ArrayNode, key: str) -> UpdateNode | None:
    return node.positional if isinstance(node, ObjectNode) and key == POSITIONAL else node.children.get(key)


def _set_child(node: ObjectNode | ArrayNode, key: str, child: UpdateNode) -> None:
    if isinstance(node, ObjectNode) and key == POSITIONAL:
        node.positional = child
    else:
        node.children[key] = child


def _conflict(parts: Parts, depth: int) -> DocumentError:
    path, place = ".".join(parts), ".".join(parts[:depth])
    return DocumentError(
        CONFLICTING_UPDATE_OPERATORS, f"Updating the path '{path}' would create a conflict at '{place}'"
    )


def _put_in_order(node: UpdateNode) -> None:
    if isinstance(node, ObjectNode | ArrayNode):
        ordered = in_update_order(node.children)
        node.children = {name: node.children[name] for name in ordered}
        for child in node.children.values():
            _put_in_order(child)
        if isinstance(node, ObjectNode) and node.positional is not None:
            _put_in_order(node.positional)


def merge(left: UpdateNode, right: UpdateNode, path: Parts) -> UpdateNode:
    """Return the updates of both nodes, which met at one element; raises DocumentError (40) where they conflict."""
    if isinstance(left, ObjectNode) and isinstance(right, ObjectNode):
        positional = _merged_child(left.positional, right.positional, (*path, POSITIONAL))
        return ObjectNode(_merged_children(left.children, right.children, path), positional)
    if isinstance(left, ArrayNode) and isinstance(right, ArrayNode):
        return ArrayNode(_merged_children(left.children, right.children, path))
    raise DocumentError(CONFLICTING_UPDATE_OPERATORS, f"Update created a conflict at '{'.'.join(path)}'")


def _merged_children(
    left: Mapping[str, UpdateNode], right: Mapping[str, UpdateNode], path: Parts
) -> dict[str, UpdateNode]:
    names = in_update_order({**left, **right})
    merged = {name: _merged_child(left.get(name), right.get(name), (*path, name)) for name in names}
    return {name: child for name, child in merged.items() if child is not None}


def _merged_child(left: UpdateNode | None, right: UpdateNode | None, path: Parts) -> UpdateNode | None:
    if left is None or right is None:
        return right if left is None else left
    return merge(left, right, path)
