"""The stages that make one document of one document: those that an update's pipeline may hold.

A field that one stage takes away and a later one sets again stands where it stood: mongod keeps its place while the
document is in memory, and so does :func:`compile_transforms` where a pipeline can show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_nodes import Scope
from harness.sim.documents.expression_parsing import parse
from harness.sim.documents.rendering import type_name, value_text
from harness.sim.documents.stage_project import (
    KeepPlaces,
    Transform,
    add_fields_tree,
    adding,
    adding_in_place,
    excluding,
    excluding_in_place,
    including,
    project_tree,
    unset_tree,
    without_blanks,
)
from harness.sim.documents.values import MISSING, Document


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformStage:
    """One compiled stage; ``taken`` and ``added`` are the top-level fields in which it may take away, or set.

    ``keep_places`` does the same and marks what it takes away; None for a stage whose result has an order of its own.
    """

    run: Transform
    keep_places: KeepPlaces | None = None
    taken: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()


def _add_fields(name: str, argument: Any, scope: Scope) -> TransformStage:
    tree = add_fields_tree(name, argument, scope)
    names = frozenset(tree)
    return TransformStage(run=adding(tree, scope), keep_places=adding_in_place(tree, scope), taken=names, added=names)


def _unset(_name: str, argument: Any, _scope: Scope) -> TransformStage:
    tree = unset_tree(argument)
    return TransformStage(run=excluding(tree), keep_places=excluding_in_place(tree), taken=frozenset(tree))


def _project(_name: str, argument: Any, scope: Scope) -> TransformStage:
    tree, inclusion = project_tree(argument, scope)
    if inclusion:
        return TransformStage(run=including(tree, scope))
    return TransformStage(run=excluding(tree), keep_places=excluding_in_place(tree), taken=frozenset(tree))


def _replace_root(name: str, argument: Any, scope: Scope) -> TransformStage:
    if type(argument) is not dict:
        message = f"expected an object as specification for {name} stage, got {type_name(argument)}"
        raise DocumentError(40229, message)
    for key in argument:
        if key != "newRoot":
            raise DocumentError(40415, f"BSON field '{name}.{key}' is an unknown field.")
    if not argument:
        raise DocumentError(40414, f"BSON field '{name}.newRoot' is missing but a required field")
    return TransformStage(run=_replacing("'newRoot' expression ", argument["newRoot"], scope))


def _replace_with(_name: str, argument: Any, scope: Scope) -> TransformStage:
    return TransformStage(run=_replacing("'replacement document' ", argument, scope))


def _replacing(what: str, expression: Any, scope: Scope) -> Transform:
    run = parse(expression, scope).run
    compilation = scope.compilation

    def transform(document: Document) -> Document:
        result = run(compilation.frame(document))
        if type(result) is not dict:
            shown = "MISSING" if result is MISSING else value_text(result)
            message = f"{what} must evaluate to an object, but resulting value was: {shown}."
            raise DocumentError(40228, f"{message} Type of resulting value: '{type_name(result)}'.")
        return result

    return transform


TRANSFORMS: Final[Mapping[str, Callable[[str, Any, Scope], TransformStage]]] = {
    "$addFields": _add_fields,
    "$set": _add_fields,
    "$unset": _unset,
    "$project": _project,
    "$replaceRoot": _replace_root,
    "$replaceWith": _replace_with,
}


def compile_transforms(stages: Sequence[TransformStage]) -> Transform:
    """Return consecutive stages as one function of a document."""
    parts: list[Transform] = []
    group: list[tuple[TransformStage, KeepPlaces]] = []
    for stage in stages:
        if stage.keep_places is not None:
            group.append((stage, stage.keep_places))
            continue
        parts.extend(_in_place(group))
        group = []
        parts.append(stage.run)
    parts.extend(_in_place(group))
    return parts[0] if len(parts) == 1 else _chained(parts)


def _chained(parts: Sequence[Transform]) -> Transform:
    def transform(document: Document) -> Document:
        for part in parts:
            document = part(document)
        return document

    return transform


def _in_place(group: Sequence[tuple[TransformStage, KeepPlaces]]) -> list[Transform]:
    """Return what runs the stages: places are kept where one of them sets what an earlier one may take away."""
    taken: frozenset[str] = frozenset()
    for stage, _ in group:
        if stage.added & taken:
            return [_keeping([keep for _, keep in group])]
        taken |= stage.taken
    return [stage.run for stage, _ in group]


def _keeping(stages: Sequence[KeepPlaces]) -> Transform:
    def transform(document: Document) -> Document:
        seen = document
        for stage in stages:
            document = stage(document, seen)
            seen = without_blanks(document)
        return seen

    return transform
