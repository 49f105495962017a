"""``$unwind`` and ``$lookup``: one document for each element of an array, and documents of another collection.

Source: the manual's pages of the two stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson.int64 import Int64

from harness.sim.documents.errors import FAILED_TO_PARSE, TYPE_MISMATCH, DocumentError, UnsupportedOperator
from harness.sim.documents.expression_nodes import Environment, Run, Scope, Variable
from harness.sim.documents.expression_parsing import parse
from harness.sim.documents.expression_paths import check_writable_name, field_path
from harness.sim.documents.match_tests import equality_test
from harness.sim.documents.paths import Parts, array_index, lookup, matched_values, split
from harness.sim.documents.rendering import type_name
from harness.sim.documents.stage_group import Stage
from harness.sim.documents.values import MISSING, Document

Collection = Callable[[str], Iterable[Document]]
CompilePipeline = Callable[[Sequence[Mapping[str, Any]], Environment], Stage]

_LOOKUP_STRINGS: Final = ("from", "localField", "foreignField", "as")


def with_value(document: Document, path: Parts, value: Any) -> Document:
    """Return ``document`` with ``value`` at ``path``, without that field for MISSING; what is no document gives way."""
    name = path[0]
    if len(path) > 1:
        below = document.get(name)
        return {**document, name: with_value(below if type(below) is dict else {}, path[1:], value)}
    if value is MISSING:
        return {key: item for key, item in document.items() if key != name}
    return {**document, name: value}


def compile_unwind(specification: Any) -> Stage:
    """Return ``$unwind`` as a function of the documents; raises DocumentError with mongod's code."""
    path, preserve, index_path = _unwind_arguments(specification)

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            value = lookup(document, path)
            if type(value) is list and value:
                for index, item in enumerate(value):
                    yield _unwound(with_value(document, path, item), index_path, Int64(index))
            elif preserve or (value is not MISSING and value is not None and type(value) is not list):
                kept = with_value(document, path, MISSING) if type(value) is list else document
                yield _unwound(kept, index_path, None)

    return stage


def _unwound(document: Document, index_path: Parts | None, index: Int64 | None) -> Document:
    return document if index_path is None else with_value(document, index_path, index)


def _unwind_arguments(specification: Any) -> tuple[Parts, bool, Parts | None]:
    if type(specification) is str:
        return _dollar_path(specification), False, None
    if type(specification) is not dict:
        message = (
            f"expected either a string or an object as specification for $unwind stage, got {type_name(specification)}"
        )
        raise DocumentError(15981, message)
    path: str | None = None
    preserve = False
    index_path: Parts | None = None
    for key, value in specification.items():
        if key == "path":
            if type(value) is not str:
                raise DocumentError(28808, f"expected a string as the path for $unwind stage, got {type_name(value)}")
            path = value
        elif key == "preserveNullAndEmptyArrays":
            if type(value) is not bool:
                message = f"expected a boolean for the {key} option to $unwind stage, got {type_name(value)}"
                raise DocumentError(28809, message)
            preserve = value
        elif key == "includeArrayIndex":
            index_path = _index_path(value)
        else:
            raise DocumentError(28811, f"unrecognized option to $unwind stage: {key}")
    if path is None:
        raise DocumentError(28812, "no path specified to $unwind stage")
    return _dollar_path(path), preserve, index_path


def _index_path(value: Any) -> Parts:
    if type(value) is not str or not value:
        message = "expected a non-empty string for the includeArrayIndex  option to $unwind stage"
        raise DocumentError(28810, f"{message}, got {type_name(value)}")
    if value[0] == "$":
        message = f"includeArrayIndex option to $unwind stage should not be prefixed with a '$': {value}"
        raise DocumentError(28822, message)
    return field_path(value)


def _dollar_path(path: str) -> Parts:
    if not path:
        raise DocumentError(28812, "no path specified to $unwind stage")
    if path[0] != "$":
        raise DocumentError(28818, f"path option to $unwind stage should be prefixed with a '$': {path}")
    return field_path(path[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lookup:
    """A parsed ``$lookup``: ``local`` and ``foreign`` are equal, ``variables`` feed ``pipeline``."""

    collection: str
    result: Parts
    local: Parts | None
    foreign: Parts | None
    variables: Sequence[tuple[Variable, Run]]
    pipeline: Stage | None


def is_simple_lookup(specification: Any) -> bool:
    """Return whether a ``$lookup`` has no pipeline and no array index in its paths."""
    if type(specification) is not dict or "pipeline" in specification:
        return False
    paths = (specification.get("localField"), specification.get("foreignField"))
    return not any(type(path) is str and any(array_index(part) is not None for part in split(path)) for path in paths)


def compile_lookup(
    specification: Any, scope: Scope, collection: Collection, compile_pipeline: CompilePipeline, *, leading: bool
) -> Stage:
    """Return ``$lookup`` as a function of the documents.

    Arguments: ``collection`` gives the documents of a collection by name, ``compile_pipeline`` compiles the inner
    pipeline. ``leading``: no stage before it transforms documents; a simple lookup then appends its result where
    another one sets it in place. Raises DocumentError with mongod's code.
    """
    parsed = _parse_lookup(specification, scope, compile_pipeline)
    place = _appended if leading and is_simple_lookup(specification) else with_value
    compilation = scope.compilation

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            frame = compilation.frame(document)
            for variable, run in parsed.variables:
                variable.value = run(frame)
            found = _equal_documents(document, parsed, collection(parsed.collection))
            joined = list(found if parsed.pipeline is None else parsed.pipeline(found))
            yield place(document, parsed.result, joined)

    return stage


def _appended(document: Document, path: Parts, value: Any) -> Document:
    """Return ``document`` with ``value`` at ``path``, every field on the way moved to the end."""
    name = path[0]
    below = document.get(name)
    rest = {key: item for key, item in document.items() if key != name}
    rest[name] = _appended(below if type(below) is dict else {}, path[1:], value) if len(path) > 1 else value
    return rest


def _equal_documents(document: Document, parsed: _Lookup, candidates: Iterable[Document]) -> Iterator[Document]:
    """Return the documents whose foreign field equals the local one, element by element where either is an array."""
    if parsed.local is None or parsed.foreign is None:
        return iter(candidates)
    foreign = parsed.foreign
    tests = [equality_test(value) for value in _local_values(document, parsed.local) or [None]]
    return (
        candidate
        for candidate in candidates
        if any(test(value) for value in matched_values(candidate, foreign) for test in tests)
    )


def _local_values(value: Any, path: Parts) -> list[Any]:
    """Return what the local field holds: the values at all ends of the path, each element of an array there."""
    if not path:
        if type(value) is list:
            return value
        return [] if value is MISSING else [value]
    if type(value) is dict:
        return _local_values(value.get(path[0], MISSING), path[1:])
    if type(value) is not list:
        return []
    index = array_index(path[0])
    if index is not None:
        return _local_values(value[index], path[1:]) if index < len(value) else []
    return [found for item in value if type(item) is dict for found in _local_values(item, path)]


def _parse_lookup(specification: Any, scope: Scope, compile_pipeline: CompilePipeline) -> _Lookup:
    if type(specification) is not dict:
        message = f"the $lookup stage specification must be an object, but found {type_name(specification)}"
        raise DocumentError(FAILED_TO_PARSE, message)
    _check_lookup_types(specification)
    local, foreign = specification.get("localField", ""), specification.get("foreignField", "")
    if "from" not in specification:
        if "pipeline" in specification:
            raise UnsupportedOperator("$lookup", "a pipeline without 'from'")
        raise DocumentError(FAILED_TO_PARSE, "must specify 'pipeline' when 'from' is empty")
    if not specification.get("as"):
        raise DocumentError(FAILED_TO_PARSE, "must specify 'as' field for a $lookup")
    if bool(local) != bool(foreign) or not (local or "pipeline" in specification):
        message = "$lookup requires either 'pipeline' or both 'localField' and 'foreignField' to be specified"
        raise DocumentError(FAILED_TO_PARSE, message)
    if "let" in specification and "pipeline" not in specification:
        raise DocumentError(FAILED_TO_PARSE, "$lookup with a 'let' argument must also specify 'pipeline'")
    result = field_path(specification["as"])
    variables, environment = _bound(specification.get("let", {}), scope)
    inner = compile_pipeline(specification["pipeline"], environment) if "pipeline" in specification else None
    return _Lookup(
        collection=specification["from"],
        result=result,
        local=field_path(local) if local else None,
        foreign=field_path(foreign) if foreign else None,
        variables=variables,
        pipeline=inner,
    )


def _check_lookup_types(specification: Document) -> None:
    for key, value in specification.items():
        if key == "pipeline":
            if type(value) is not list:
                raise DocumentError(TYPE_MISMATCH, "'pipeline' option must be specified as an array")
        elif key == "let":
            if type(value) is not dict:
                message = f"$lookup argument 'let' must be an object, is type {type_name(value)}"
                raise DocumentError(FAILED_TO_PARSE, message)
        elif key == "from" and type(value) is dict:
            raise UnsupportedOperator("$lookup", "a 'from' that names a database")
        elif type(value) is not str:
            raise DocumentError(FAILED_TO_PARSE, f"$lookup argument '{key}' must be a string, found {type_name(value)}")
        elif key not in _LOOKUP_STRINGS:
            raise DocumentError(FAILED_TO_PARSE, f"unknown argument to $lookup: {key}")


def _bound(let: Document, scope: Scope) -> tuple[list[tuple[Variable, Run]], Environment]:
    """Return what computes each variable, and the environment in which the inner pipeline sees them."""
    outer = scope.compilation.environment
    variables: list[tuple[Variable, Run]] = []
    named = dict(outer.let)
    for name, expression in let.items():
        check_writable_name(name)
        variable = Variable()
        variables.append((variable, parse(expression, scope).run))
        named[name] = variable
    return variables, Environment(now=outer.now, let=named, cluster_time=outer.cluster_time)
