"""Aggregation pipelines over documents at hand: ``run_pipeline`` and the stages it knows.

Documents flow through one by one, so that an error in a document that no later stage asks for does not come up.
Writing stages and those that ask the server (``$out``, ``$merge``, ``$changeStream``, ``$collStats``) are not here.
Source: the manual's page "Aggregation Stages" (6.0).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expression_nodes import Compilation, Environment, Scope
from harness.sim.documents.expression_numbers import NUMBERS, as_decimal, as_long
from harness.sim.documents.expression_paths import check_field_name
from harness.sim.documents.expressions import root_scope
from harness.sim.documents.match import compile_filter
from harness.sim.documents.rendering import type_name
from harness.sim.documents.sort import sort_documents
from harness.sim.documents.stage_group import Stage, compile_group, count_documents, sort_by_count
from harness.sim.documents.stage_joins import Collection, compile_lookup, compile_unwind, is_simple_lookup
from harness.sim.documents.stage_names import check_stage
from harness.sim.documents.stage_project import Transform
from harness.sim.documents.stage_transforms import TRANSFORMS, TransformStage, compile_transforms
from harness.sim.documents.values import INT64_MAX, Document

_UNTRANSFORMING: Final = frozenset({"$match", "$sort", "$limit", "$skip"})
_NOT_IN_LOOKUP: Final = frozenset({"$out", "$merge", "$changeStream"})
_NOT_IN_FACET: Final = frozenset(
    {"$out", "$merge", "$changeStream", "$facet", "$collStats", "$geoNear", "$indexStats", "$planCacheStats"}
)


def run_pipeline(
    pipeline: Sequence[Mapping[str, Any]],
    documents: Iterable[Document],
    environment: Environment,
    collection: Collection,
) -> list[Document]:
    """Return what a pipeline makes of the documents of a collection.

    Arguments: ``pipeline`` is normalised; ``environment`` holds the clock and the command's ``let`` values;
    ``collection`` gives the documents of another collection, by name, for ``$lookup`` (none for an unknown name).
    Raises DocumentError with mongod's code, UnsupportedOperator for a stage or an operator that is not modelled.
    """
    return list(compile_pipeline(pipeline, environment, collection)(documents))


def compile_pipeline(pipeline: Sequence[Mapping[str, Any]], environment: Environment, collection: Collection) -> Stage:
    """Return a pipeline as a function of the documents, lazy; arguments and errors as of :func:`run_pipeline`."""
    compiler = _Compiler(environment, collection)
    stages = compiler.compile(pipeline)
    compiler.raise_failure()
    return _chained(stages)


def _chained(stages: Sequence[Stage]) -> Stage:
    def run(documents: Iterable[Document]) -> Iterator[Document]:
        flow = iter(documents)
        for stage in stages:
            flow = stage(flow)
        return flow

    return run


class _Compiler:
    """Compiles the stages of one pipeline; errors of constant parts are raised when all of it is parsed."""

    def __init__(self, environment: Environment, collection: Collection) -> None:
        self.environment = environment
        self.collection = collection
        self.leading = True
        self._compilations: list[Compilation] = []

    def raise_failure(self) -> None:
        for compilation in self._compilations:
            compilation.raise_failure()

    def scope(self) -> Scope:
        scope = root_scope(self.environment)
        self._compilations.append(scope.compilation)
        return scope

    def compile(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Stage]:
        stages: list[Stage] = []
        transforms: list[TransformStage] = []
        self.leading = True
        for specification in pipeline:
            name, argument = check_stage(specification)
            transform = TRANSFORMS.get(name)
            if transform is not None:
                transforms.append(transform(name, argument, self.scope()))
                self.leading = False
                continue
            stages.extend(_mapped(transforms))
            transforms = []
            stages.extend(self._compile_stage(name, argument))
            self.leading = self.leading and (
                name in _UNTRANSFORMING or (name == "$lookup" and is_simple_lookup(argument))
            )
        stages.extend(_mapped(transforms))
        return stages

    def _compile_stage(self, name: str, argument: Any) -> list[Stage]:
        if name == "$sortByCount":
            return self.compile(sort_by_count(argument))
        compile_stage = _STAGES.get(name)
        if compile_stage is None:
            raise UnsupportedOperator(name, "an aggregation pipeline")
        return [compile_stage(argument, self)]


def _mapped(transforms: Sequence[TransformStage]) -> list[Stage]:
    if not transforms:
        return []
    transform: Transform = compile_transforms(transforms)
    return [lambda documents: map(transform, documents)]


def _match(argument: Any, compiler: _Compiler) -> Stage:
    if type(argument) is not dict:
        raise DocumentError(15959, "the match filter must be an expression in an object")
    matches = compile_filter(argument, compiler.environment)
    return lambda documents: filter(matches, documents)


def _sort(argument: Any, _compiler: _Compiler) -> Stage:
    if type(argument) is not dict:
        raise DocumentError(15973, "the $sort key specification must be an object")
    if not argument:
        raise DocumentError(15976, "$sort stage must have at least one sort key")
    for value in argument.values():
        if type(value) is dict:
            raise UnsupportedOperator(next(iter(value), "an object"), "$sort")
    order = {path: as_long(value) if type(value) in NUMBERS else value for path, value in argument.items()}
    sort_documents((), order)
    return lambda documents: iter(sort_documents(documents, order))


def _whole(name: str, value: Any, code: int) -> int:
    exact = as_decimal(value) if type(value) in NUMBERS else None
    if exact is None or not exact.is_finite() or exact != exact.to_integral_value() or not 0 <= exact <= INT64_MAX:
        message = f"invalid argument to {name} stage: Expected a non-negative integer, got {type_name(value)}"
        raise DocumentError(code, message)
    return int(exact)


def _limit(argument: Any, _compiler: _Compiler) -> Stage:
    limit = _whole("$limit", argument, 5107201)
    if limit == 0:
        raise DocumentError(15958, "the limit must be positive")
    return lambda documents: itertools.islice(documents, limit)


def _skip(argument: Any, _compiler: _Compiler) -> Stage:
    skip = _whole("$skip", argument, 5107200)
    return lambda documents: itertools.islice(documents, skip, None)


def _lookup(argument: Any, compiler: _Compiler) -> Stage:
    def compile_inner(pipeline: Sequence[Mapping[str, Any]], environment: Environment) -> Stage:
        for specification in pipeline:
            name, _ = check_stage(specification)
            if name in _NOT_IN_LOOKUP:
                raise DocumentError(51047, f"{name} is not allowed within a $lookup's sub-pipeline")
        return _compile_inner(pipeline, environment, compiler.collection)

    leading = compiler.leading
    return compile_lookup(argument, compiler.scope(), compiler.collection, compile_inner, leading=leading)


def _compile_inner(pipeline: Sequence[Mapping[str, Any]], environment: Environment, collection: Collection) -> Stage:
    """Return a pipeline whose errors of constants come up when it runs: mongod folds it no earlier."""
    compiler = _Compiler(environment, collection)
    chained = _chained(compiler.compile(pipeline))

    def run(documents: Iterable[Document]) -> Iterator[Document]:
        compiler.raise_failure()
        return chained(documents)

    return run


def _facet(argument: Any, compiler: _Compiler) -> Stage:
    if type(argument) is not dict or not argument:
        raise DocumentError(40169, "the $facet specification must be a non-empty object")
    facets: dict[str, list[Stage]] = {}
    for name, pipeline in argument.items():
        check_field_name(name)
        if "." in name:
            raise DocumentError(16412, "FieldPath field names may not contain '.'.")
        if type(pipeline) is not list:
            raise DocumentError(40170, f"arguments to $facet must be arrays, {name} is type {type_name(pipeline)}")
        for specification in pipeline:
            stage_name, _ = check_stage(specification)
            if stage_name in _NOT_IN_FACET:
                raise DocumentError(40600, f"{stage_name} is not allowed to be used within a $facet stage")
        facets[name] = compiler.compile(pipeline)

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        kept = list(documents)
        result: Document = {}
        for name, stages in facets.items():
            result[name] = list(_chained(stages)(kept))
        yield result

    return stage


_STAGES: Final[Mapping[str, Callable[[Any, _Compiler], Stage]]] = {
    "$match": _match,
    "$sort": _sort,
    "$limit": _limit,
    "$skip": _skip,
    "$group": lambda argument, compiler: compile_group(argument, compiler.scope()),
    "$count": lambda argument, _: count_documents(argument),
    "$unwind": lambda argument, _: compile_unwind(argument),
    "$lookup": _lookup,
    "$facet": _facet,
}
