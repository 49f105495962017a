"""Operators that bind variables: ``$let``, ``$map``, ``$filter``, ``$reduce``.

They are never folded, even where all their parts are constant. Source: the manual's pages of these operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_compare import truthy
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Run, Scope, is_nullish
from harness.sim.documents.expression_numbers import NUMBERS, int32
from harness.sim.documents.expression_parsing import named_arguments, parse, required
from harness.sim.documents.expression_paths import check_writable_name
from harness.sim.documents.rendering import type_name, value_text
from harness.sim.documents.values import MISSING, Document


def _let(name: str, argument: Any, scope: Scope) -> Node:
    arguments = named_arguments(name, argument, ("vars", "in"), not_object=16874, unknown=16875)
    required(name, arguments, {"vars": 16876, "in": 16877})
    if type(arguments["vars"]) is not dict:
        raise DocumentError(10065, "invalid parameter: expected an object (vars)")
    inner = scope
    assignments = []
    for variable, value in arguments["vars"].items():
        check_writable_name(variable)
        node = parse(value, scope)
        inner, slot = inner.bind(variable)
        assignments.append((slot, node.run))
    body = parse(arguments["in"], inner)
    if not assignments:
        return body
    result = body.run

    def run(frame: Frame) -> Any:
        for slot, value in assignments:
            frame[slot] = value(frame)
        return result(frame)

    return Node(run)


def _element_name(arguments: Document) -> str:
    name = arguments.get("as", "this")
    checked = name if type(name) is str else ""
    check_writable_name(checked)
    return checked


def _array_input(name: str, value: Any, code: int) -> list[Any]:
    if type(value) is not list:
        raise DocumentError(code, f"input to {name} must be an array not {type_name(value)}")
    return value


def _map(name: str, argument: Any, scope: Scope) -> Node:
    arguments = named_arguments(name, argument, ("input", "as", "in"), not_object=16878, unknown=16879)
    required(name, arguments, {"input": 16880, "in": 16882})
    source = parse(arguments["input"], scope).run
    inner, slot = scope.bind(_element_name(arguments))
    result = parse(arguments["in"], inner).run

    def run(frame: Frame) -> Any:
        array = source(frame)
        if is_nullish(array):
            return None
        mapped = []
        for item in _array_input(name, array, 16883):
            frame[slot] = item
            value = result(frame)
            mapped.append(None if value is MISSING else value)
        return mapped

    return Node(run)


def _filter(name: str, argument: Any, scope: Scope) -> Node:
    arguments = named_arguments(name, argument, ("input", "as", "cond", "limit"), not_object=28646, unknown=28647)
    required(name, arguments, {"input": 28648, "cond": 28650})
    source = parse(arguments["input"], scope).run
    inner, slot = scope.bind(_element_name(arguments))
    condition = parse(arguments["cond"], inner).run
    limit = parse(arguments["limit"], scope).run if "limit" in arguments else None

    def run(frame: Frame) -> Any:
        array = source(frame)
        if is_nullish(array):
            return None
        if not _array_input(name, array, 28651):
            return array
        most = len(array) if limit is None else _limit(limit(frame), len(array))
        kept: list[Any] = []
        for item in array:
            frame[slot] = item
            if truthy(condition(frame)):
                kept.append(item)
                if len(kept) == most:
                    break
        return kept

    return Node(run)


def _limit(value: Any, without: int) -> int:
    if is_nullish(value):
        return without
    exact = int32(value) if type(value) in NUMBERS else None
    if exact is None:
        message = f"$filter: limit must be represented as a 32-bit integral value: {value_text(value)}"
        raise DocumentError(327391, message)
    if exact <= 0:
        raise DocumentError(327392, f"$filter: limit must be greater than 0: {exact}")
    return exact


def _reduce(name: str, argument: Any, scope: Scope) -> Node:
    if type(argument) is not dict:
        raise DocumentError(40075, f"{name} requires an object as an argument, found: {type_name(argument)}")
    inner, this = scope.bind("this")
    inner, value = inner.bind("value")
    scopes = {"input": scope, "initialValue": scope, "in": inner}
    parsed: dict[str, Run] = {}
    for key, part in argument.items():
        if key not in scopes:
            raise DocumentError(40076, f"{name} found an unknown argument: {key}")
        parsed[key] = parse(part, scopes[key]).run
    for key, code in (("input", 40077), ("initialValue", 40078), ("in", 40079)):
        if key not in parsed:
            raise DocumentError(code, f"{name} requires '{key}' to be specified")
    source, initial, step = parsed["input"], parsed["initialValue"], parsed["in"]

    def run(frame: Frame) -> Any:
        array = source(frame)
        if is_nullish(array):
            return None
        if type(array) is not list:
            raise DocumentError(40080, f"{name} requires that 'input' be an array, found: {value_text(array)}")
        result = initial(frame)
        for item in array:
            frame[this] = item
            frame[value] = result
            result = step(frame)
        return result

    return Node(run)


OPERATORS: Final[Mapping[str, Parser]] = {"$let": _let, "$map": _map, "$filter": _filter, "$reduce": _reduce}
