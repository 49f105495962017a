"""The command ``findAndModify``: one document updated, replaced, upserted or removed, and returned."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.project import compile_projection
from harness.sim.documents.sort import sort_documents
from harness.sim.server.commands import arguments
from harness.sim.server.commands.arguments import fields, parse_error
from harness.sim.server.commands.codes import WRITE_CONFLICT, failure, of_document_error
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.delete import removing
from harness.sim.server.commands.hints import check_hint
from harness.sim.server.commands.insert import insertion
from harness.sim.server.commands.selecting import Found, Selection
from harness.sim.server.commands.update import UpdateStatement, expression_environment
from harness.sim.server.commands.writing import Effect, Statement, ensure_collection, perform, remembered
from harness.sim.server.errors import CommandError
from harness.sim.server.records import CollectionData, Document

FIELDS: Final = fields(
    "findAndModify",
    {
        "query": "object",
        "sort": "object",
        "fields": "object",
        "collation": "object",
        "arrayFilters": "array",
        "let": "object",
        "remove": arguments.SAFE_BOOL,
        "new": arguments.SAFE_BOOL,
        "upsert": arguments.SAFE_BOOL,
        "bypassDocumentValidation": arguments.SAFE_BOOL,
    },
    others=("update", "hint", "stmtId", "sampleId", "findandmodify", "runtimeConstants"),
)
_EXECUTION: Final = "Plan executor error during findAndModify :: caused by :: "
_NO_ANSWER: Final[Document] = {}


async def find_and_modify(request: Request) -> dict[str, Any]:
    """Modify the first match in the order of ``sort``, and return it as it was, or as it is with ``new``."""
    command = request.command
    _check(command)
    number = command.get("stmtId", 0)
    stored = remembered(request, number)
    if stored is not None:
        return {**stored, "retriedStmtId": number}
    try:
        modification = _Modification(request)
        project = compile_projection(command.get("fields") or {}, command.get("query") or {})
    except DocumentError as error:
        raise of_document_error(error) from error
    if "hint" in command:
        _checked_hint(request, command["hint"])
    try:
        answer = await modification.run(number)
        value = answer["value"]
        return answer if value is None else {**answer, "value": project(value)}
    except DocumentError as error:
        raise of_document_error(error, _EXECUTION) from error
    except CommandError as error:
        if error.code != WRITE_CONFLICT:
            raise
        raise failure(WRITE_CONFLICT, _EXECUTION + error.message) from error


def _check(command: Document) -> None:
    update, remove = command.get("update"), command.get("remove")
    if remove:
        if update is not None:
            raise parse_error("Cannot specify both an update and remove=true")
        if command.get("upsert"):
            raise parse_error("Cannot specify both upsert=true and remove=true ")
        if command.get("new"):
            message = "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document"
            raise parse_error(message)
    elif update is None:
        raise parse_error("Either an update or remove=true must be specified")
    elif type(update) not in (dict, list):
        raise parse_error("Update argument must be either an object or an array")


def _checked_hint(request: Request, hint: Any) -> None:
    try:
        check_hint(request, hint)
    except DocumentError as error:
        raise of_document_error(error) from error


class _Modification:
    __slots__ = ("new", "prepared", "request", "selection", "sort")

    def __init__(self, request: Request) -> None:
        command = request.command
        query = command.get("query") or {}
        self.request = request
        self.sort: Document = command.get("sort") or {}
        self.new = bool(command.get("new"))
        self.prepared: UpdateStatement | None = None
        if command.get("remove"):
            self.selection = Selection(query, expression_environment(request, query, None, None))
        else:
            self.prepared = UpdateStatement(request, {**command, "q": query, "u": command["update"]})
            self.selection = self.prepared.selection
        if self.sort:
            sort_documents((), self.sort)

    async def run(self, number: int) -> Document:
        """Return the reply. Raises DocumentError for what the document engine refuses."""
        request = self.request
        while True:
            found = await self._sorted_first()
            effect = await perform(request, request.namespace, self._statement(found), number)
            if effect.answer is not _NO_ANSWER:
                return effect.answer
            if self.prepared is None or not self.prepared.upsert:
                return self._nothing()
            answer = await self._upsert(self.prepared, number)
            if answer is not None:
                return answer

    async def _sorted_first(self) -> Found | None:
        """Return the first match by the sort, None where the first in natural order will do.

        Others may run between this and the write, which then checks the document again, and finds nothing where it
        does not match any more: mongod sorts with a limit of one, and has no second.
        """
        request = self.request
        skips_check = request.service.defects.find_and_modify_skips_recheck
        if not self.sort and not skips_check:
            return None
        collection = request.data.collections.get(request.namespace)
        matches = list(self.selection.each(collection))
        if not matches:
            return None
        first = sort_documents((document for _, document in matches), self.sort)[0]
        if len(matches) > 1 or skips_check:
            await request.let_others_run(((f"{request.namespace}:*", True),))
        return next(item for item in matches if item[1] is first)

    def _statement(self, found: Found | None) -> Statement:
        def statement(collection: CollectionData | None) -> Effect:
            present = self.selection.first(collection) if found is None else self._again(found, collection)
            if present is None or collection is None:
                return Effect(collection, (), (), _NO_ANSWER)
            key, document = present
            if self.prepared is None:
                answer: Document = {"lastErrorObject": {"n": 1}, "value": document}
                return removing(self.request.namespace, collection, key, document, answer)
            return self._updating(self.prepared, collection, present)

        return statement

    def _again(self, found: Found, collection: CollectionData | None) -> Found | None:
        if not self.request.service.defects.find_and_modify_skips_recheck:
            return self.selection.again(collection, found[0])
        document = collection.documents.get(found[0]) if collection is not None else None
        return None if document is None else (found[0], document)

    def _updating(self, prepared: UpdateStatement, collection: CollectionData, present: Found) -> Effect:
        document = present[1]
        after = prepared.apply(document)
        answer: Document = {
            "lastErrorObject": {"n": 1, "updatedExisting": True},
            "value": after if self.new else document,
        }
        if after is document:
            return Effect(collection, (), (), answer)
        return prepared.effect(collection, present, after, answer)

    def _nothing(self) -> Document:
        if self.prepared is None:
            return {"lastErrorObject": {"n": 0}, "value": None}
        return {"lastErrorObject": {"n": 0, "updatedExisting": False}, "value": None}

    async def _upsert(self, prepared: UpdateStatement, number: int) -> Document | None:
        """Insert what the upsert makes; None where another was faster and the search begins again."""
        request = self.request
        document = prepared.document_to_insert()
        await ensure_collection(request, request.namespace)
        await request.let_others_run(((f"{request.namespace}:*", True),))
        answer: Document = {
            "lastErrorObject": {"n": 1, "updatedExisting": False, "upserted": document["_id"]},
            "value": document if self.new else None,
        }
        statement = insertion(request, document, answer, unique=not request.service.defects.upsert_duplicates)
        try:
            await perform(request, request.namespace, statement, number, interruptible=False)
        except DocumentError as error:
            if not prepared.may_retry(error):
                raise
            request.check_deadline()
            return None
        return answer
