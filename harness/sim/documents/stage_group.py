"""``$group`` and ``$sortByCount``: groups come out in the order of their first documents (mongod leaves it open).

Errors of expressions carry the codes of mongod's classic engine; the engine that mongod 6.0 prefers for groups has
codes of its own for some of them. Source: the manual's page "$group (aggregation)".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from harness.sim.documents.accumulators import Accumulator, Start, parse_accumulator
from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_nodes import Frame, Run, Scope
from harness.sim.documents.expression_numbers import NUMBERS
from harness.sim.documents.expression_parsing import parse
from harness.sim.documents.expression_paths import field_path
from harness.sim.documents.order import hashable_key
from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import MISSING, Document

Stage = Callable[[Iterable[Document]], Iterator[Document]]

# The key of a group, and the value that its document shows as _id.
_Identify = Callable[[Frame], tuple[Any, Any]]


def compile_group(specification: Any, scope: Scope) -> Stage:
    """Return ``$group`` as a function of the documents; raises DocumentError with mongod's code."""
    if type(specification) is not dict:
        raise DocumentError(15947, "a group's fields must be specified in an object")
    identify: _Identify | None = None
    fields: list[tuple[str, Start, Run]] = []
    for name, value in specification.items():
        if name == "_id":
            identify = _parse_id(value, scope)
            continue
        if "." in name:
            raise DocumentError(40235, f"The field name '{name}' cannot contain '.'")
        if name[:1] == "$":
            raise DocumentError(40236, f"The field name '{name}' cannot be an operator name")
        fields.append((name, *parse_accumulator(name, value, scope)))
    if identify is None:
        raise DocumentError(15955, "a group specification must include an _id")
    return _grouping(identify, fields, scope)


def _grouping(identify: _Identify, fields: Sequence[tuple[str, Start, Run]], scope: Scope) -> Stage:
    compilation = scope.compilation

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        groups: dict[Any, tuple[Any, list[Accumulator]]] = {}
        for document in documents:
            frame = compilation.frame(document)
            key, shown = identify(frame)
            group = groups.get(key)
            if group is None:
                group = groups[key] = (shown, [start() for _, start, _ in fields])
            for accumulator, (_, _, run) in zip(group[1], fields, strict=True):
                accumulator.add(run(frame))
        for shown, accumulators in groups.values():
            result = {"_id": shown}
            for accumulator, (name, _, _) in zip(accumulators, fields, strict=True):
                value = accumulator.result()
                result[name] = None if value is MISSING else value
            yield result

    return stage


def _parse_id(expression: Any, scope: Scope) -> _Identify:
    if type(expression) is dict and expression and next(iter(expression))[:1] != "$":
        return _parse_compound_id(expression, scope)
    return _identify_single(parse(expression, scope).run)


def _identify_single(run: Run) -> _Identify:
    def identify(frame: Frame) -> tuple[Any, Any]:
        value = run(frame)
        if value is MISSING:
            value = None
        return hashable_key(value), value

    return identify


def _parse_compound_id(expression: Document, scope: Scope) -> _Identify:
    """Parse an ``_id`` of several fields: a field that lacks differs from null, unless it is the only one."""
    for value in expression.values():
        if type(value) is bool or type(value) in NUMBERS:
            raise DocumentError(17390, "$group does not support inclusion-style expressions")
    parse(expression, scope)
    fields = [(name, parse(value, scope).run) for name, value in expression.items()]
    if len(fields) == 1:
        name, run = fields[0]
        single = _identify_single(run)

        def identify_only(frame: Frame) -> tuple[Any, Any]:
            key, value = single(frame)
            return key, {name: value}

        return identify_only

    def identify(frame: Frame) -> tuple[Any, Any]:
        values = [(name, run(frame)) for name, run in fields]
        key = tuple([hashable_key(value) for _, value in values])
        return key, {name: value for name, value in values if value is not MISSING}

    return identify


def sort_by_count(specification: Any) -> list[Document]:
    """Return the two stages that ``$sortByCount`` stands for; raises DocumentError with mongod's code."""
    kind = type(specification)
    if kind is not str and kind is not dict:
        raise DocumentError(40149, "the sortByCount field must be specified as a string or as an object")
    message = "the sortByCount field must be defined as a $-prefixed path or an expression inside an object"
    if kind is dict and next(iter(specification), "")[:1] != "$":
        raise DocumentError(40147, message)
    if kind is str and specification[:1] != "$":
        raise DocumentError(40148, message)
    return [{"$group": {"_id": specification, "count": {"$sum": 1}}}, {"$sort": {"count": -1}}]


def count_documents(name: Any) -> Stage:
    """Return ``$count`` as a function of the documents; raises DocumentError with mongod's code."""
    if type(name) is not str:
        raise DocumentError(40156, f"the count field must be a non-empty string, not {type_name(name)}")
    if not name:
        raise DocumentError(40157, "the count field must be a non-empty string")
    if name[0] == "$":
        raise DocumentError(40158, "the count field cannot be a $-prefixed path")
    if "." in name:
        raise DocumentError(40160, "the count field cannot contain '.'")
    field_path(name)

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        count = sum(1 for _ in documents)
        if count:
            yield {name: count}

    return stage
