"""``$project``, ``$addFields`` and ``$unset``: one document in, one out, named fields kept, left out or computed.

A field is named by a dotted path or by nested documents, and every array on its way is entered. Inclusion keeps the
document's order and appends what is computed; ``$addFields`` replaces in place and appends what is new.
Source: the manual's pages of the stages; ``ProjectionNode`` of mongod 6.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expression_compare import truthy
from harness.sim.documents.expression_names import KNOWN_EXPRESSIONS
from harness.sim.documents.expression_nodes import Frame, Run, Scope
from harness.sim.documents.expression_numbers import NUMBERS
from harness.sim.documents.expression_parsing import parse
from harness.sim.documents.expression_paths import field_path
from harness.sim.documents.paths import Parts
from harness.sim.documents.values import MISSING, Document

Transform = Callable[[Document], Document]

# Makes of a document whose removed fields are still there, as MISSING, and of the same document without them, the
# document of the next stage, again with what was removed as MISSING.
KeepPlaces = Callable[[Document, Document], Document]

# Field names lead to True (named), to what computes the field, or to the tree of the fields below.
Tree = dict[str, Any]

_FIND_ONLY: Final = frozenset({"$elemMatch", "$meta"})


def project_tree(specification: Any, scope: Scope) -> tuple[Tree, bool]:
    """Return the tree of a ``$project``, and whether it says what to keep; raises DocumentError with mongod's code."""
    if type(specification) is not dict:
        raise DocumentError(15969, "$project specification must be an object")
    if not specification:
        raise DocumentError(51272, "projection specification must have at least one field")
    reader = _ProjectReader(scope)
    reader.read(specification, ())
    return reader.finish()


def excluding_in_place(tree: Tree) -> KeepPlaces:
    """Return an exclusion that leaves MISSING where a field was."""
    return lambda document, _: _blank(document, tree)


def _blank(value: Any, tree: Tree) -> Any:
    if type(value) is list:
        return [_blank(item, tree) for item in value]
    if type(value) is not dict:
        return value
    result = dict(value)
    for name, node in tree.items():
        if name in result:
            result[name] = MISSING if node is True else _blank(result[name], node)
    return result


def without_blanks(value: Any) -> Any:
    """Return a value without the MISSING fields that mark places in it."""
    if type(value) is dict:
        return {name: without_blanks(item) for name, item in value.items() if item is not MISSING}
    return [without_blanks(item) for item in value] if type(value) is list else value


def add_fields_tree(name: str, specification: Any, scope: Scope) -> Tree:
    """Return the tree of an ``$addFields`` (or ``$set``: ``name``); raises DocumentError with mongod's code."""
    if type(specification) is not dict:
        raise DocumentError(40272, f"{name} specification stage must be an object")
    tree: Tree = {}
    for path, value in specification.items():
        _add_field(tree, field_path(path), value, scope)
    return tree


def adding(tree: Tree, scope: Scope) -> Transform:
    """Return an ``$addFields`` as a function of a document."""
    if all(type(node) is not dict for node in tree.values()):
        return _set_all(tuple(tree.items()), scope)
    compilation = scope.compilation
    return lambda document: _compute(dict(document), tree, compilation.frame(document))


def adding_in_place(tree: Tree, scope: Scope) -> KeepPlaces:
    """Return an ``$addFields`` that leaves MISSING where it takes a field away."""
    compilation = scope.compilation
    return lambda document, seen: _compute(dict(document), tree, compilation.frame(seen), keep=True)


def _set_all(fields: tuple[tuple[str, Run], ...], scope: Scope) -> Transform:
    compilation = scope.compilation

    def transform(document: Document) -> Document:
        frame = compilation.frame(document)
        result = dict(document)
        for name, run in fields:
            value = run(frame)
            if value is MISSING:
                result.pop(name, None)
            else:
                result[name] = value
        return result

    return transform


def _add_field(tree: Tree, path: Parts, value: Any, scope: Scope) -> None:
    if type(value) is not dict:
        _put(tree, path, parse(value, scope).run)
        return
    if not value:
        message = f"an empty object is not a valid value. Found empty object at path {'.'.join(path)}"
        raise DocumentError(40180, message)
    if next(iter(value))[:1] == "$" and len(value) == 1:
        _put(tree, path, parse(value, scope).run)
        return
    for name, item in value.items():
        if name[:1] == "$":
            message = "an expression specification must contain exactly one field, the name of the expression."
            raise DocumentError(40181, f"{message} Found {len(value)} fields")
        if "." in name:
            raise DocumentError(40183, f"cannot use dotted field name '{name}' in a sub object")
        _add_field(tree, (*path, *field_path(name)), item, scope)


def _put(tree: Tree, path: Parts, run: Run) -> None:
    """Put what computes the field at ``path`` into the tree; raises DocumentError (40176) where another one is."""
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
        if type(tree) is not dict:
            raise DocumentError(40176, f"specification contains two conflicting paths: '{'.'.join(path)}'")
    if path[-1] in tree:
        raise DocumentError(40176, f"specification contains two conflicting paths: '{'.'.join(path)}'")
    tree[path[-1]] = run


class _ProjectReader:
    """Reads a ``$project``: decides between inclusion and exclusion, and builds the tree of named fields."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.tree: Tree = {}
        self.inclusion: bool | None = None
        self.keeps_id: bool | None = None

    def read(self, specification: Document, prefix: Parts) -> None:
        for name, value in specification.items():
            if name.endswith(".$"):
                raise DocumentError(31324, "Cannot use positional projection in aggregation projection")
            path = (*prefix, *field_path(name))
            if type(value) is bool or type(value) in NUMBERS:
                self._read_flag(path, included=truthy(value))
            elif type(value) is not dict or next(iter(value), "")[:1] == "$":
                self._read_computed(path, value)
            elif not value:
                message = "An empty sub-projection is not a valid value. Found empty object at path"
                raise DocumentError(51270, message)
            else:
                self.read(value, path)

    def _read_flag(self, path: Parts, *, included: bool) -> None:
        if path == ("_id",):
            if self.keeps_id is not None or "_id" in self.tree:
                raise DocumentError(31250, "Path collision at _id")
            self.keeps_id = included
            return
        self._decide(path, included=included)
        self._put(path, value=True)

    def _decide(self, path: Parts, *, included: bool) -> None:
        if self.inclusion is None:
            self.inclusion = included
        if self.inclusion == included:
            return
        shown = ".".join(path)
        if included:
            raise DocumentError(31253, f"Cannot do inclusion on field {shown} in exclusion projection")
        raise DocumentError(31254, f"Cannot do exclusion on field {shown} in inclusion projection")

    def _read_computed(self, path: Parts, value: Any) -> None:
        if type(value) is dict:
            _check_operator(value)
        if self.inclusion is False:
            raise DocumentError(31252, "Cannot use an expression in an exclusion projection")
        self.inclusion = True
        self._put(path, value=parse(value, self.scope).run)

    def _put(self, path: Parts, *, value: Any) -> None:
        tree = self.tree
        for position, part in enumerate(path[:-1]):
            tree = tree.setdefault(part, {})
            if type(tree) is not dict:
                rest = ".".join(path[position + 1 :])
                raise DocumentError(31249, f"Path collision at {'.'.join(path)} remaining portion {rest}")
        if path[-1] in tree:
            raise DocumentError(31250, f"Path collision at {'.'.join(path)}")
        tree[path[-1]] = value

    def finish(self) -> tuple[Tree, bool]:
        """Return the tree, and whether it says what to keep."""
        inclusion = self.inclusion
        if inclusion is None:
            inclusion = self.keeps_id is True
        names_id = (self.keeps_id is not False) if inclusion else (self.keeps_id is False)
        if names_id and "_id" not in self.tree:
            self.tree = {"_id": True, **self.tree}
        return self.tree, inclusion


def _check_operator(value: Document) -> None:
    name = next(iter(value))
    if len(value) > 1:
        message = "FieldPath field names may not start with '$'. Consider using $getField or $setField."
        raise DocumentError(16410, message)
    if name == "$elemMatch":
        raise DocumentError(168, "Cannot use $elemMatch in this context")
    if name == "$meta":
        raise UnsupportedOperator(name, "$project")
    if name not in KNOWN_EXPRESSIONS:
        raise DocumentError(31325, f"Unknown expression {name}")


def unset_tree(specification: Any) -> Tree:
    """Return the tree of an ``$unset``; raises DocumentError with mongod's code."""
    if type(specification) is not str and type(specification) is not list:
        raise DocumentError(31002, "$unset specification must be a string or an array")
    names = [specification] if type(specification) is str else specification
    if not names:
        raise DocumentError(31119, "$unset specification must be a string or an array with at least one field")
    tree: Tree = {}
    for name in names:
        if type(name) is not str:
            raise DocumentError(
                31120, "$unset specification must be a string or an array containing only string values"
            )
        path = field_path(name)
        below = tree
        for position, part in enumerate(path[:-1]):
            below = below.setdefault(part, {})
            if type(below) is not dict:
                rest = ".".join(path[position + 1 :])
                raise DocumentError(31249, f"Path collision at {name} remaining portion {rest}")
        if path[-1] in below:
            raise DocumentError(31250, f"Path collision at {name}")
        below[path[-1]] = True
    return tree


def including(tree: Tree, scope: Scope) -> Transform:
    """Return a ``$project`` that includes and computes, as a function of a document."""
    if all(node is True for node in tree.values()):
        return lambda document: {name: value for name, value in document.items() if name in tree}
    computed = _computed_part(tree)
    compilation = scope.compilation
    return lambda document: _compute(_include(document, tree), computed, compilation.frame(document))


def _computed_part(tree: Tree) -> Tree:
    """Return the tree without the fields that are merely named."""
    result: Tree = {}
    for name, node in tree.items():
        if type(node) is dict:
            below = _computed_part(node)
            if below:
                result[name] = below
        elif node is not True:
            result[name] = node
    return result


def _include(document: Document, tree: Tree) -> Document:
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


def _include_below(value: Any, tree: Tree) -> Any:
    if type(value) is dict:
        return _include(value, tree)
    if type(value) is not list:
        return MISSING
    kept = [_include_below(item, tree) for item in value]
    if _computed_part(tree):
        # What is no document becomes one that holds the computed fields.
        return [{} if item is MISSING else item for item in kept]
    return [item for item in kept if item is not MISSING]


def _compute(result: Document, tree: Tree, frame: Frame, *, keep: bool = False) -> Document:
    """Set the computed fields of ``tree`` in a document that nobody else holds yet, and return it.

    A field without a value is taken away, or marked as MISSING if ``keep``.
    """
    for name, node in tree.items():
        if type(node) is dict:
            result[name] = _compute_below(result.get(name, MISSING), node, frame, keep=keep)
            continue
        value = node(frame)
        if value is not MISSING or keep:
            result[name] = value
        else:
            result.pop(name, None)
    return result


def _compute_below(value: Any, tree: Tree, frame: Frame, *, keep: bool) -> Any:
    if type(value) is list:
        return [_compute_below(item, tree, frame, keep=keep) for item in value]
    return _compute(dict(value) if type(value) is dict else {}, tree, frame, keep=keep)


def excluding(tree: Tree) -> Transform:
    """Return a ``$project`` that excludes, or an ``$unset``, as a function of a document."""
    if all(node is True for node in tree.values()):
        return lambda document: {name: value for name, value in document.items() if name not in tree}
    return lambda document: _exclude(document, tree)


def _exclude(document: Document, tree: Mapping[str, Any]) -> Document:
    result: Document = {}
    for name, value in document.items():
        node = tree.get(name)
        if node is not True:
            result[name] = _exclude_below(value, node) if type(node) is dict else value
    return result


def _exclude_below(value: Any, tree: Tree) -> Any:
    if type(value) is dict:
        return _exclude(value, tree)
    return [_exclude_below(item, tree) for item in value] if type(value) is list else value
