"""Operators on embedded documents, and the literal: ``$mergeObjects``, ``$getField``, ``$setField``, ``$literal``.

Source: the manual's page "Object Expression Operators"; each error code is the one mongod 6.0 answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Run, Scope, constant, is_nullish
from harness.sim.documents.expression_parsing import parse, variadic
from harness.sim.documents.rendering import type_name, value_text
from harness.sim.documents.values import MISSING, Document


def merged(values: Iterable[Any]) -> Document:
    """Return the documents of ``values`` merged, later fields over earlier ones; null and missing values count nothing.

    Raises DocumentError (40400) for another value.
    """
    result: Document = {}
    for value in values:
        if type(value) is dict:
            result.update(value)
        elif not is_nullish(value):
            message = f"input {value_text(value)} is of type {type_name(value)}"
            raise DocumentError(40400, f"$mergeObjects requires object inputs, but {message}")
    return result


def _merge_objects(runs: Sequence[Run], frame: Frame) -> Document:
    if len(runs) == 1:
        value = runs[0](frame)
        return merged(value if type(value) is list else (value,))
    return merged(run(frame) for run in runs)


def _literal(_name: str, argument: Any, _scope: Scope) -> Node:
    return constant(argument)


def _field_name(name: str, argument: Any, scope: Scope, *, path: int, not_constant: int, not_string: int) -> str:
    """Return the name of a field that an operator must get as a constant; raises DocumentError for anything else."""
    node = parse(argument, scope)
    if type(argument) is str and argument[:1] == "$":
        message = f"'{argument}' is a field path reference which is not allowed in this context."
        raise DocumentError(path, f"{message} Did you mean {{$literal: '{argument}'}}?")
    literal = type(argument) is dict and next(iter(argument), "") in ("$literal", "$const")
    if type(argument) in (dict, list) and not literal:
        message = f"{name} requires 'field' to evaluate to a constant, but got a non-constant argument"
        raise DocumentError(not_constant, message)
    if type(node.value) is not str:
        message = f"{name} requires 'field' to evaluate to type String, but got {type_name(node.value)}"
        raise DocumentError(not_string, message)
    return node.value


def _get_field(name: str, argument: Any, scope: Scope) -> Node:
    named = type(argument) is dict and next(iter(argument), "")[:1] != "$"
    arguments = argument if named else {"field": argument, "input": "$$CURRENT"}
    for key in arguments:
        if key not in ("field", "input"):
            raise DocumentError(3041701, f"{name} found an unknown argument: {key}")
    for key, code in (("field", 3041702), ("input", 3041703)):
        if key not in arguments:
            raise DocumentError(code, f"{name} requires '{key}' to be specified")
    codes = {"path": 5654600, "not_constant": 5654601, "not_string": 5654602}
    field = _field_name(name, arguments["field"], scope, **codes)
    source = parse(arguments["input"], scope._replace(folding=False)).run

    def run(frame: Frame) -> Any:
        document = source(frame)
        if type(document) is dict:
            return document.get(field, MISSING)
        return None if document is None else MISSING

    return Node(run)


def _set_field(name: str, argument: Any, scope: Scope) -> Node:
    allowed = ("field", "input", "value") if name == "$setField" else ("field", "input")
    if type(argument) is not dict:
        raise DocumentError(4161100, f"{name} only supports an object as its argument")
    for key in argument:
        if key not in allowed:
            raise DocumentError(4161101, f"{name} found an unknown argument: {key}")
    codes = {"field": 4161102, "value": 4161103, "input": 4161109}
    for key, code in codes.items():
        if key in allowed and key not in argument:
            raise DocumentError(code, f"{name} requires '{key}' to be specified")
    field_codes = {"path": 4161108, "not_constant": 4161106, "not_string": 4161107}
    field = _field_name(name, argument["field"], scope, **field_codes)
    unfolded = scope._replace(folding=False)
    source = parse(argument["input"], unfolded).run
    value = parse(argument["value"], unfolded).run if "value" in argument else constant(MISSING).run
    return Node(_with_field(field, source, value))


def _with_field(field: str, source: Run, value: Run) -> Run:
    def run(frame: Frame) -> Any:
        document = source(frame)
        if is_nullish(document):
            return None
        if type(document) is not dict:
            raise DocumentError(4161105, "$setField requires 'input' to evaluate to type Object")
        new = value(frame)
        if new is not MISSING:
            return {**document, field: new}
        return {key: item for key, item in document.items() if key != field}

    return run


OPERATORS: Final[Mapping[str, Parser]] = {
    "$mergeObjects": variadic(_merge_objects),
    "$getField": _get_field,
    "$setField": _set_field,
    "$unsetField": _set_field,
    "$literal": _literal,
    "$const": _literal,
}
