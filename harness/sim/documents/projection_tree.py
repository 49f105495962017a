"""The parser of projections: which fields are named, computed, cut; inclusion or exclusion, never both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.sim.documents.errors import INVALID_PIPELINE_OPERATOR, DocumentError, UnsupportedOperator
from harness.sim.documents.expression_paths import field_path
from harness.sim.documents.expressions import Environment, compile_expression
from harness.sim.documents.match_parse import is_true, parse_filter
from harness.sim.documents.match_tests import whole_part
from harness.sim.documents.paths import Parts
from harness.sim.documents.rendering import document_text, element_text, type_name
from harness.sim.documents.values import MISSING, Document, is_number

_COLLISION_BELOW: Final = 31249
_COLLISION: Final = 31250
_INCLUSION_IN_EXCLUSION: Final = 31253
_EXCLUSION_IN_INCLUSION: Final = 31254
_EXPRESSION_IN_EXCLUSION: Final = 31252
_LITERAL_IN_EXCLUSION: Final = 31310
_ELEM_MATCH_ARGUMENT: Final = 31274
_ELEM_MATCH_NESTED: Final = 31275
_SECOND_POSITIONAL: Final = 31276
_POSITIONAL_EXCLUSION: Final = 31395
_POSITIONAL_EXPRESSION: Final = 31271
_POSITIONAL_LITERAL: Final = 31308
_UNKNOWN_EXPRESSION: Final = 31325
_POSITIONAL_IN_MIDDLE: Final = 31394
_EMPTY_SUB_PROJECTION: Final = 51270
_SLICE_SYNTAX: Final = 28667


@dataclass(frozen=True, slots=True)
class Computed:
    """A field whose value is computed from the whole document; MISSING leaves it out."""

    evaluate: Callable[[Document], Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """``$slice``: ``count`` elements of the array at ``path`` from ``skip`` on, or the last ones (``skip`` is None)."""

    path: Parts
    skip: int | None
    count: int

    def cut(self, array: list[Any]) -> list[Any]:
        """Return the part of ``array``."""
        if self.skip is None:
            return array[: self.count] if self.count >= 0 else array[self.count :]
        start = self.skip if self.skip >= 0 else max(len(array) + self.skip, 0)
        return array[start : start + self.count]


# Field names lead to True (named), a computed value, or a branch of their own.
Branch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Projection:
    """A parsed projection: ``tree`` is what to keep, or, without ``inclusion``, what to leave out."""

    inclusion: bool
    tree: Branch
    slices: tuple[Slice, ...]
    positional: Parts | None


def parse_projection(projection: Mapping[str, Any], environment: Environment) -> Projection:
    """Return the parsed form of a projection that is not empty; raises DocumentError as mongod does."""
    builder = _Builder(environment)
    builder.read(projection, ())
    return builder.finish()


@dataclass(slots=True)
class _Builder:
    environment: Environment
    inclusion: bool | None = None
    id_flag: bool | None = None
    has_elem_match: bool = False
    named: list[tuple[Parts, Any]] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    positional: Parts | None = None
    seen: list[Parts] = field(default_factory=list)

    def read(self, projection: Mapping[str, Any], prefix: Parts) -> None:
        for name, value in projection.items():
            if name.endswith(".$"):
                self._read_positional((*prefix, *_checked_parts(name[:-2])), value)
                continue
            path = (*prefix, *_checked_parts(name))
            if type(value) is bool or is_number(value):
                self._read_flag(path, included=is_true(value))
            elif type(value) is not dict:
                self._add_computed(path, value)
            elif not value:
                message = "An empty sub-projection is not a valid value. Found empty object at path"
                raise DocumentError(_EMPTY_SUB_PROJECTION, message)
            elif len(value) == 1 and next(iter(value)).startswith("$"):
                self._read_operator(path, value)
            else:
                self.read(value, path)

    def _read_flag(self, path: Parts, *, included: bool) -> None:
        if path == ("_id",):
            self._register(path)
            self.id_flag = included
            return
        self._register(path)
        self._decide(path, included=included)
        self.named.append((path, True))

    def _decide(self, path: Parts, *, included: bool) -> None:
        if self.inclusion is None:
            self.inclusion = included
        if self.inclusion != included:
            shown = ".".join(path)
            if included:
                message = f"Cannot do inclusion on field {shown} in exclusion projection"
                raise DocumentError(_INCLUSION_IN_EXCLUSION, message)
            raise DocumentError(
                _EXCLUSION_IN_INCLUSION, f"Cannot do exclusion on field {shown} in inclusion projection"
            )

    def _read_positional(self, path: Parts, value: Any) -> None:
        if type(value) is dict:
            message = "positional projection cannot be used with an expression or sub object"
            raise DocumentError(_POSITIONAL_EXPRESSION, message)
        if not (type(value) is bool or is_number(value)):
            raise DocumentError(_POSITIONAL_LITERAL, "positional projection cannot be used with a literal")
        if not is_true(value):
            raise DocumentError(_POSITIONAL_EXCLUSION, "positional projection cannot be used with exclusion")
        if self.positional is not None:
            message = "Cannot specify more than one positional projection per query."
            raise DocumentError(_SECOND_POSITIONAL, message)
        self._register(path)
        self._decide((*path, "$"), included=True)
        self.positional = path
        self.named.append((path, True))

    def _read_operator(self, path: Parts, value: Mapping[str, Any]) -> None:
        (operator, argument), *_ = value.items()
        if operator == "$slice":
            window = _find_slice(path, argument)
            if window is not None:
                self._add_slice(window)
                return
        elif operator == "$elemMatch":
            computed = _elem_match(path, argument)
            self._register(path)
            self.has_elem_match = True
            self.named.append((path, computed))
            return
        elif operator == "$meta":
            raise UnsupportedOperator(operator, "a projection")
        self._add_computed(path, value)

    def _add_slice(self, window: Slice) -> None:
        try:
            self._register(window.path)
        except DocumentError as error:
            # mongod then takes it for the expression of the same name, which may be wrong in another way.
            if self.inclusion is False:
                raise DocumentError(_EXPRESSION_IN_EXCLUSION, f"Invalid $slice syntax: {error.message}") from error
            if window.skip is None:
                raise DocumentError(_SLICE_SYNTAX, f"Invalid $slice syntax: {error.message}") from error
            raise
        self.slices.append(window)

    def _add_computed(self, path: Parts, value: Any) -> None:
        if type(value) is not dict:
            self._register(path)
        if self.inclusion is False:
            if type(value) is dict:
                message = "Cannot use expression other than $meta in exclusion projection"
                raise DocumentError(_EXPRESSION_IN_EXCLUSION, message)
            shown = element_text(".".join(path), value)
            raise DocumentError(_LITERAL_IN_EXCLUSION, f"Cannot use an expression {shown} in an exclusion projection")
        self.inclusion = True
        if type(value) is dict:
            self._register(path)
        self.named.append((path, Computed(self._compiled(value))))

    def _compiled(self, value: Any) -> Callable[[Document], Any]:
        try:
            return compile_expression(value, self.environment)
        except DocumentError as error:
            operator = next(iter(value), "") if type(value) is dict else ""
            if error.code == INVALID_PIPELINE_OPERATOR and f"'{operator}'" in error.message:
                raise DocumentError(_UNKNOWN_EXPRESSION, f"Unknown expression {operator}") from error
            raise

    def _register(self, path: Parts) -> None:
        for other in self.seen:
            shared = min(len(path), len(other))
            if path[:shared] != other[:shared]:
                continue
            shown = ".".join(path)
            if len(path) > len(other):
                rest = ".".join(path[len(other) :])
                raise DocumentError(_COLLISION_BELOW, f"Path collision at {shown} remaining portion {rest}")
            raise DocumentError(_COLLISION, f"Path collision at {shown}")
        self.seen.append(path)

    def finish(self) -> Projection:
        inclusion = self._is_inclusion()
        named = self.named
        has_id = any(path[0] == "_id" for path, _ in named)
        names_id = self.id_flag is not False and not has_id if inclusion else self.id_flag is False
        if names_id:
            named = [(("_id",), True), *named]
        tree: Branch = {}
        for path, node in named:
            _put(tree, path, node)
        if inclusion:
            for window in self.slices:
                _put(tree, window.path, True)
        return Projection(inclusion, tree, tuple(self.slices), self.positional)

    def _is_inclusion(self) -> bool:
        if self.inclusion is not None:
            return self.inclusion
        return self.id_flag is True or (self.has_elem_match and not self.slices)


def _put(tree: Branch, path: Parts, node: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = node


def _checked_parts(name: str) -> Parts:
    if ".$." in name:
        message = (
            "As of 4.4, it's illegal to specify positional operator in the middle of a path.Positional projection "
            "may only be used at the end, for example: a.b.$. If the query previously used a form like a.b.$.d, "
            "remove the parts following the '$' and the results will be equivalent."
        )
        raise DocumentError(_POSITIONAL_IN_MIDDLE, message)
    return field_path(name)


def _elem_match(path: Parts, argument: Any) -> Computed:
    if type(argument) is not dict:
        message = f"elemMatch: Invalid argument, object required, but got {type_name(argument)}"
        raise DocumentError(_ELEM_MATCH_ARGUMENT, message)
    if len(path) > 1:
        raise DocumentError(_ELEM_MATCH_NESTED, "Cannot use $elemMatch projection on a nested field.")
    name = path[0]
    node = parse_filter({name: {"$elemMatch": argument}})

    def evaluate(document: Document) -> Any:
        index = node.locate(document) if node.matches(document) else None
        return MISSING if index is None else [document[name][index]]

    return Computed(evaluate)


def _find_slice(path: Parts, argument: Any) -> Slice | None:
    """Return the slice of ``find``, None where the argument can only be the expression of the same name."""
    if is_number(argument):
        return Slice(path, None, whole_part(argument) or 0)
    pair = 2
    if type(argument) is list and len(argument) >= pair:
        skip, count = (whole_part(item) if is_number(item) else None for item in argument[:pair])
        if len(argument) == pair and skip is not None and count is not None and count > 0:
            return Slice(path, skip, count)
        return None
    message = (
        f"Invalid $slice syntax. The given syntax {document_text({'$slice': argument})} did not match the find() syntax"
    )
    raise DocumentError(_SLICE_SYNTAX, message)
