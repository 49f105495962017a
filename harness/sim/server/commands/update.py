"""The command ``update``: updates and replacements of one document or of many, and upserts."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from harness.sim.documents.errors import DUPLICATE_KEY, FAILED_TO_PARSE, INVALID_OPTIONS, DocumentError
from harness.sim.documents.expressions import Environment
from harness.sim.documents.match import NO_ENVIRONMENT, equality_fields
from harness.sim.documents.order import hashable_key
from harness.sim.documents.update import REPLACEMENT, CompiledUpdate, apply, compile_update, upsert_document
from harness.sim.server.commands import arguments, storage
from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.batches import BatchReply, check_batch_size
from harness.sim.server.commands.codes import failure, of_document_error
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.hints import check_hint
from harness.sim.server.commands.insert import insertion
from harness.sim.server.commands.selecting import Found, Selection, has_operator
from harness.sim.server.commands.writing import (
    Effect,
    Statement,
    ensure_collection,
    perform,
    remembered,
    statement_numbers,
)
from harness.sim.server.records import Change, CollectionData, Document, IdKey

FIELDS: Final = fields(
    "update",
    {"updates": "array", "ordered": "bool", "let": "object", "bypassDocumentValidation": arguments.SAFE_BOOL},
    required=("updates",),
    others=("stmtId", "stmtIds", "isTimeseriesNamespace"),
)
_STATEMENT_FIELDS: Final = fields(
    "update.updates",
    {"q": "object", "multi": "bool", "upsert": "bool", "arrayFilters": "array", "c": "object", "collation": "object"},
    required=("q", "u"),
    others=("u", "hint", "upsertSupplied", "sampleId"),
    command=False,
)

_UNCHANGED: Final[Document] = {"n": 1, "nModified": 0}
_CHANGED: Final[Document] = {"n": 1, "nModified": 1}
_NOTHING: Final[Document] = {"n": 0, "nModified": 0}


class UpdateStatement:
    """A statement in runnable form.

    Arguments: ``statement`` has the fields ``q`` and ``u``, and maybe ``upsert``, ``multi``, ``arrayFilters``, ``c``.
    Raises DocumentError for what cannot be parsed.
    """

    __slots__ = ("multi", "query", "request", "selection", "update", "upsert", "written")

    def __init__(self, request: Request, statement: Document) -> None:
        self.request = request
        self.query: Document = statement["q"]
        self.written: Any = statement["u"]
        environment = expression_environment(request, self.query, self.written, statement.get("c"))
        self.selection = Selection(self.query, environment)
        self.update: CompiledUpdate = compile_update(self.written, statement.get("arrayFilters") or (), environment)
        self.upsert = bool(statement.get("upsert"))
        self.multi = bool(statement.get("multi"))
        if self.multi and self.update.kind == REPLACEMENT:
            raise DocumentError(FAILED_TO_PARSE, "multi update is not supported for replacement-style update")

    def changing(self, found: Found | None = None) -> Statement:
        """Return the statement that updates the first match, or the document ``found`` before if it still matches."""

        def statement(collection: CollectionData | None) -> Effect:
            selection = self.selection
            present = selection.first(collection) if found is None else selection.again(collection, found[0])
            if present is None or collection is None:
                return Effect(collection, (), (), _NOTHING)
            document = present[1]
            after = self.apply(document)
            if after is document:
                return Effect(collection, (), (), _UNCHANGED)
            return self.effect(collection, present, after, _CHANGED)

        return statement

    def apply(self, document: Document) -> Document:
        """Return the document after the update, the same object where nothing changes."""
        request = self.request
        return apply(document, self.update, self.query, now=request.now(), timestamp=request.timestamp).document

    def effect(self, collection: CollectionData, found: Found, after: Document, answer: Document) -> Effect:
        """Return the effect of storing ``after`` in the place of what was ``found``. Raises DocumentError 11000."""
        request = self.request
        namespace = request.namespace
        key, before = found
        unique = not request.service.defects.unique_check_dropped
        stored = storage.replace(namespace, collection, key, after, unique=unique)
        replaced = self.update.kind == REPLACEMENT
        change = Change(
            kind="replace" if replaced else "update",
            namespace=namespace,
            key={"_id": after["_id"]},
            document=after,
            before=before,
            update=None if replaced else self.written,
            uuid=collection.uuid,
        )
        return Effect(stored, (change,), storage.changed_locks(namespace, collection, key, before, after), answer)

    def document_to_insert(self) -> Document:
        """Return what an upsert inserts."""
        request = self.request
        return upsert_document(
            self.query,
            self.update,
            lambda: request.service.new_object_id(request.member),
            now=request.now(),
            timestamp=request.timestamp,
        )

    def may_retry(self, error: DocumentError) -> bool:
        """Return whether mongod turns an upsert that lost a race into an update.

        It does where the filter is one equality, or an AND of equalities, on exactly the fields of the unique index
        that refused the insert, with the values that it inserted (SERVER-37124).
        """
        if error.code != DUPLICATE_KEY or self.request.transaction is not None or self.multi:
            return False
        if not _only_equalities(self.query):
            return False
        equalities = equality_fields(self.query)
        pattern, value = error.details["keyPattern"], error.details["keyValue"]
        return equalities.keys() == pattern.keys() and all(
            hashable_key(equalities[path]) == hashable_key(value[path]) for path in pattern
        )


def expression_environment(request: Request, query: Document, update: Any, constants: Document | None) -> Environment:
    """Return what the expressions of a statement may read; the empty one where it has none."""
    if type(update) is not list and not has_operator(query):
        return NO_ENVIRONMENT
    environment = request.environment()
    return dataclasses.replace(environment, let={**environment.let, **constants}) if constants else environment


async def update(request: Request) -> dict[str, Any]:
    """Run the statements one by one; an ordered batch ends at the first error."""
    command = request.command
    statements: list[Document] = command["updates"]
    check_batch_size(statements)
    arguments.check_items("update.updates", statements)
    for statement in statements:
        arguments.check(statement, _STATEMENT_FIELDS)
        if type(statement["u"]) is not dict:
            _check_pipeline(request, statement)
    request.wrote = True
    batch = _UpdateReply(request)
    for index, number in enumerate(statement_numbers(command, len(statements))):
        stored = remembered(request, number)
        if stored is not None:
            batch.add(index, stored)
            batch.add_retried(number)
            continue
        try:
            await _run(request, statements[index], index, number, batch)
        except DocumentError as error:
            if batch.add_error(index, error):
                break
    return batch.document()


class _UpdateReply(BatchReply):
    __slots__ = ("_modified", "_upserted")

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._modified = 0
        self._upserted: list[Document] | None = None

    def add(self, index: int, answer: Document) -> None:
        self.count += answer["n"]
        self._modified += answer["nModified"]
        if "upserted" in answer:
            told = {"index": index, "_id": answer["upserted"]}
            self._upserted = [told] if self._upserted is None else [*self._upserted, told]

    def document(self) -> dict[str, Any]:
        reply = super().document()
        if self._upserted is not None:
            reply["upserted"] = self._upserted
        reply["nModified"] = self._modified
        return reply


def _check_pipeline(request: Request, statement: Document) -> None:
    """Raise CommandError for an update that is no document, and no pipeline that can be run: before any is run."""
    pipeline = statement["u"]
    if type(pipeline) is not list:
        raise failure(FAILED_TO_PARSE, "Update argument must be either an object or an array")
    try:
        compile_update(pipeline, (), expression_environment(request, {}, pipeline, statement.get("c")))
    except DocumentError as error:
        raise of_document_error(error) from error


async def _run(request: Request, statement: Document, index: int, number: int, batch: _UpdateReply) -> None:
    prepared = UpdateStatement(request, statement)
    if prepared.multi and request.number >= 0 and request.transaction is None:
        raise DocumentError(INVALID_OPTIONS, "Cannot use (or request) retryable writes with multi=true")
    if "hint" in statement:
        check_hint(request, statement["hint"])
    if prepared.multi:
        if not await _update_many(request, prepared, index, number, batch) and prepared.upsert:
            batch.add(index, await upsert_one(request, prepared, number))
    elif prepared.upsert:
        batch.add(index, await upsert_one(request, prepared, number))
    else:
        batch.add(index, (await perform(request, request.namespace, prepared.changing(), number)).answer)


async def _update_many(
    request: Request, prepared: UpdateStatement, index: int, number: int, batch: _UpdateReply
) -> bool:
    """Update every match, document by document, letting others run between two; return whether there was any.

    An error leaves what was updated before, but the reply does not count it.
    """
    matched = modified = 0
    scan = Scan(request, prepared.selection)
    while (found := await scan.next()) is not None:
        if request.service.defects.update_many_stops_early and scan.is_last():
            matched, modified = matched + 1, modified + 1
            break
        answer = (await perform(request, request.namespace, prepared.changing(found), number)).answer
        matched += answer["n"]
        modified += answer["nModified"]
    batch.add(index, {"n": matched, "nModified": modified})
    return matched > 0


class Scan:
    """The documents that a statement on many comes by, one by one; others may run between two of them.

    What is inserted meanwhile comes at the end, what is removed or does not match any more is left out.
    """

    __slots__ = ("_examined", "_queue", "_request", "_selection", "_yielded")

    def __init__(self, request: Request, selection: Selection) -> None:
        self._request = request
        self._selection = selection
        self._examined: dict[IdKey, None] = {}
        self._queue: list[IdKey] = []
        self._yielded = False

    async def next(self) -> Found | None:
        """Return the next match, None after the last. Others may have run since it was found: look at it again."""
        request = self._request
        found = self._find()
        if found is not None and self._yielded:
            await request.let_others_run(((f"{request.namespace}:*", True),))
        self._yielded = True
        return found

    def is_last(self) -> bool:
        """Return whether no other document matches now."""
        collection = self._collection()
        return all(key in self._examined for key, _ in self._selection.each(collection))

    def _find(self) -> Found | None:
        while True:
            if not self._queue:
                order = self._selection.order(self._collection())
                self._queue = [key for key in reversed(order) if key not in self._examined]
                if not self._queue:
                    return None
            key = self._queue.pop()
            self._examined[key] = None
            found = self._match(key)
            if found is not None:
                return found

    def _match(self, key: IdKey) -> Found | None:
        return self._selection.again(self._collection(), key)

    def _collection(self) -> CollectionData | None:
        return self._request.data.collections.get(self._request.namespace)


async def upsert_one(request: Request, prepared: UpdateStatement, number: int) -> Document:
    """Update the first match, or insert where there is none; others may run between the two.

    Raises DocumentError 11000 where another inserted the key meanwhile and the filter is not an equality on it.
    """
    namespace = request.namespace
    while True:
        effect = await perform(request, namespace, prepared.changing(), number)
        if effect.answer["n"]:
            return effect.answer
        document = prepared.document_to_insert()
        await ensure_collection(request, namespace)
        await request.let_others_run(((f"{namespace}:*", True),))
        answer: Document = {"n": 1, "nModified": 0, "upserted": document["_id"]}
        inserting = insertion(request, document, answer, unique=not request.service.defects.upsert_duplicates)
        try:
            await perform(request, namespace, inserting, number, interruptible=False)
        except DocumentError as error:
            if not prepared.may_retry(error):
                raise
        else:
            return answer
        request.check_deadline()


def _only_equalities(query: Document) -> bool:
    """Return whether a filter is made of equalities alone, on different fields."""
    for name, value in query.items():
        if name == "$and":
            if not all(_only_equalities(part) for part in value):
                return False
        elif name.startswith("$") or not _is_equality(value):
            return False
    return True


def _is_equality(value: Any) -> bool:
    return type(value) is not dict or not next(iter(value), "").startswith("$") or tuple(value) == ("$eq",)
