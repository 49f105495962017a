"""The command ``delete``."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.server.commands import arguments, storage
from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.batches import BatchReply, check_batch_size
from harness.sim.server.commands.codes import failure
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.hints import check_hint
from harness.sim.server.commands.selecting import Found, Selection
from harness.sim.server.commands.update import Scan, expression_environment
from harness.sim.server.commands.writing import Effect, Statement, perform, remembered, statement_numbers
from harness.sim.server.records import Change, CollectionData, Document, IdKey

FIELDS: Final = fields(
    "delete",
    {"deletes": "array", "ordered": "bool", "let": "object"},
    required=("deletes",),
    others=("stmtId", "stmtIds", "isTimeseriesNamespace"),
)
_STATEMENT_FIELDS: Final = fields(
    "delete.deletes",
    {"q": "object", "collation": "object"},
    required=("q", "limit"),
    others=("limit", "hint", "sampleId"),
    command=False,
)

_REMOVED: Final[Document] = {"n": 1}
_NOTHING: Final[Document] = {"n": 0}


async def delete(request: Request) -> dict[str, Any]:
    """Run the statements one by one; an ordered batch ends at the first error."""
    command = request.command
    statements: list[Document] = command["deletes"]
    check_batch_size(statements)
    arguments.check_items("delete.deletes", statements)
    for statement in statements:
        _check(statement)
    request.wrote = True
    batch = BatchReply(request)
    for index, number in enumerate(statement_numbers(command, len(statements))):
        if remembered(request, number) is not None:
            batch.add_retried(number)
            batch.count += 1
            continue
        try:
            batch.count += await _run(request, statements[index], number)
        except DocumentError as error:
            if batch.add_error(index, error):
                break
    return batch.document()


def _check(statement: Document) -> None:
    arguments.check(statement, _STATEMENT_FIELDS)
    if statement["limit"] not in (0, 1):
        raise failure(9, f"The limit field in delete objects must be 0 or 1. Got {statement['limit']}")


async def _run(request: Request, statement: Document, number: int) -> int:
    many = statement["limit"] == 0
    if many and request.number >= 0 and request.transaction is None:
        raise DocumentError(72, "Cannot use (or request) retryable writes with limit=0")
    selection = Selection(statement["q"], expression_environment(request, statement["q"], None, None))
    if "hint" in statement:
        check_hint(request, statement["hint"])
    if not many:
        return int((await perform(request, request.namespace, removal(request, selection), number)).answer["n"])
    removed = 0
    scan = Scan(request, selection)
    while (found := await scan.next()) is not None:
        effect = await perform(request, request.namespace, removal(request, selection, found), number)
        removed += effect.answer["n"]
    return removed


def removal(
    request: Request, selection: Selection, found: Found | None = None, answer: Document = _REMOVED
) -> Statement:
    """Return the statement that removes the first match, or the document ``found`` before if it still matches."""
    namespace = request.namespace

    def statement(collection: CollectionData | None) -> Effect:
        present = selection.first(collection) if found is None else selection.again(collection, found[0])
        if present is None or collection is None:
            return Effect(collection, (), (), _NOTHING)
        return removing(namespace, collection, *present, answer)

    return statement


def removing(
    namespace: str, collection: CollectionData, key: IdKey, document: Document, answer: Document = _REMOVED
) -> Effect:
    """Return the effect of removing a document."""
    change = Change(
        kind="delete", namespace=namespace, key={"_id": document["_id"]}, before=document, uuid=collection.uuid
    )
    locks = storage.changed_locks(namespace, collection, key, document, None)
    return Effect(storage.remove(collection, key), (change,), locks, answer)
