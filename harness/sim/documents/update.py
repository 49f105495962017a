"""Updates: what an update, a replacement or a pipeline makes of a document, and of none (an upsert).

Source: the manual's pages "Update Operators" and "db.collection.updateOne()"; fields are visited in the order of
mongod 5.0 and later. Nothing here changes the document it is given.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from harness.sim.documents.array_filters import ArrayFilters, compile_array_filters
from harness.sim.documents.errors import FAILED_TO_PARSE, DocumentError
from harness.sim.documents.expressions import Environment
from harness.sim.documents.match import NO_ENVIRONMENT, check_upsert_filter, positional_index
from harness.sim.documents.order import equal
from harness.sim.documents.paths import split
from harness.sim.documents.pipeline_update import compile_pipeline_update
from harness.sim.documents.replace import altered_id, check_id, check_id_is_no_array, id_first, replace, seed
from harness.sim.documents.update_apply import run_tree
from harness.sim.documents.update_plain import Steps, plain_steps, run_steps
from harness.sim.documents.update_state import TimestampSupplier, UpdateState
from harness.sim.documents.update_tree import parse_update
from harness.sim.documents.values import MISSING, Document, identical

OPERATORS: Final = "operators"
REPLACEMENT: Final = "replacement"
PIPELINE: Final = "pipeline"


# A normalised document of operators, a replacement, or a pipeline.
Update = Document | list[Document]


class UpdateOutcome(NamedTuple):
    """What an update made: the ``document`` (the same object if not ``changed``)."""

    document: Document
    changed: bool


class CompiledUpdate(NamedTuple):
    """An update ready to run on many documents. A named tuple, not a dataclass: one is made for every statement.

    Arguments: ``kind`` is one of ``operators``, ``replacement``, ``pipeline``; ``positional`` says that it needs the
    array index that the filter matched through, ``builds_id`` that an operator on arrays stands at ``_id``.
    """

    kind: str
    run: Callable[[UpdateState], UpdateOutcome]
    positional: bool = False
    builds_id: bool = False


def compile_update(
    update: Update,
    array_filters: Sequence[Mapping[str, Any]] = (),
    environment: Environment = NO_ENVIRONMENT,
) -> CompiledUpdate:
    """Return an update, a replacement or a pipeline in runnable form.

    Arguments: ``environment`` is what the expressions of a pipeline may read beside the document. Raises DocumentError
    as mongod does for a malformed update, UnsupportedOperator for what is not modelled.
    """
    if isinstance(update, dict):
        if next(iter(update), "").startswith("$"):
            return _compile_operators(update, compile_array_filters(array_filters) if array_filters else {})
        return _compile_replacement(update)
    if array_filters:
        raise DocumentError(FAILED_TO_PARSE, "arrayFilters may not be specified for pipeline-style updates")
    return _compile_pipeline(update, environment)


def apply(
    document: Document,
    update: Update | CompiledUpdate,
    query: Mapping[str, Any],
    array_filters: Sequence[Mapping[str, Any]] = (),
    *,
    now: datetime.datetime,
    timestamp: TimestampSupplier,
    upsert_insert: bool = False,
) -> UpdateOutcome:
    """Return what ``update`` makes of ``document``, which ``query`` matched.

    Arguments: ``now`` (a naive UTC date in whole milliseconds) and ``timestamp`` are what ``$currentDate`` writes;
    ``upsert_insert`` lets ``$setOnInsert`` act. Raises DocumentError with mongod's code.
    """
    compiled = update if isinstance(update, CompiledUpdate) else compile_update(update, array_filters)
    position = positional_index(document, query) if compiled.positional and not upsert_insert else None
    return compiled.run(UpdateState(document, upsert_insert, position, now, timestamp))


def upsert_document(
    query: Mapping[str, Any],
    update: Update | CompiledUpdate,
    new_id: Callable[[], Any],
    array_filters: Sequence[Mapping[str, Any]] = (),
    *,
    now: datetime.datetime,
    timestamp: TimestampSupplier,
) -> Document:
    """Return the document that an upsert without a match inserts.

    It starts from the equalities of ``query``, then the update runs; ``new_id`` supplies an ``_id`` where neither
    gives one. Raises DocumentError with mongod's code.
    """
    compiled = update if isinstance(update, CompiledUpdate) else compile_update(update, array_filters)
    check_upsert_filter(query)
    start = seed(query, only_id=compiled.kind == REPLACEMENT)
    outcome = compiled.run(UpdateState(start, True, None, now, timestamp))
    document = outcome.document
    if "_id" not in document:
        return {"_id": new_id(), **document}
    check_id(document["_id"], built=compiled.builds_id)
    return id_first(document)


def _compile_replacement(replacement: Document) -> CompiledUpdate:
    def run(state: UpdateState) -> UpdateOutcome:
        document = replace(state.root, replacement, state.timestamp, upsert_insert=state.inserting)
        return UpdateOutcome(document, changed=document is not state.root)

    return CompiledUpdate(REPLACEMENT, run)


def _compile_pipeline(pipeline: list[Document], environment: Environment) -> CompiledUpdate:
    transform = compile_pipeline_update(pipeline, environment)

    def run(state: UpdateState) -> UpdateOutcome:
        document = transform(state.root)
        if identical(document, state.root):
            return UpdateOutcome(state.root, changed=False)
        identity = state.root.get("_id", MISSING)
        changed_id = document.get("_id", identity)
        if state.inserting:
            check_id_is_no_array(changed_id)
        else:
            check_id(changed_id)
        if identity is not MISSING and not equal(changed_id, identity):
            raise altered_id(changed_id)
        if identity is not MISSING and "_id" not in document:
            document = {"_id": identity, **document}
        return UpdateOutcome(id_first(document), changed=True)

    return CompiledUpdate(PIPELINE, run)


def _compile_operators(update: Document, filters: ArrayFilters) -> CompiledUpdate:
    steps = None if filters else plain_steps(update)
    if steps is not None:
        return CompiledUpdate(OPERATORS, _plain_run(steps), builds_id=_builds_id(update))
    root = parse_update(update, filters)

    def run(state: UpdateState) -> UpdateOutcome:
        document = run_tree(root, state, filters)
        return UpdateOutcome(document, state.changed)

    return CompiledUpdate(OPERATORS, run, _has_positional(update), _builds_id(update))


def _plain_run(steps: Steps) -> Callable[[UpdateState], UpdateOutcome]:
    def run(state: UpdateState) -> UpdateOutcome:
        document = run_steps(steps, state)
        return UpdateOutcome(document, document is not state.root)

    return run


def _builds_id(update: Document) -> bool:
    return "_id" in update.get("$push", ()) or "_id" in update.get("$addToSet", ())


def _has_positional(update: Document) -> bool:
    return any("$" in split(path) for fields in update.values() for path in fields)
