"""The command ``insert``."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.order import hashable_key
from harness.sim.documents.replace import prepare_insert
from harness.sim.server.commands import arguments, storage
from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.batches import BatchReply, check_batch_size
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.writing import (
    Effect,
    Statement,
    ensure_collection,
    perform,
    remembered,
    statement_numbers,
)
from harness.sim.server.records import Change, CollectionData, Document

FIELDS: Final = fields(
    "insert",
    {"documents": "array", "ordered": "bool", "bypassDocumentValidation": arguments.SAFE_BOOL},
    required=("documents",),
    others=("stmtId", "stmtIds", "isTimeseriesNamespace"),
)

_ONE: Final[Document] = {"n": 1}
_TOGETHER_MAX: Final = 64
"""So many documents are inserted at a stretch; between stretches mongod may yield."""


async def insert(request: Request) -> dict[str, Any]:
    """Insert the documents one by one; an ordered batch ends at the first error."""
    command = request.command
    documents: list[Document] = command["documents"]
    arguments.check_writable(request.namespace)
    check_batch_size(documents)
    arguments.check_items("insert.documents", documents)
    request.wrote = True
    batch = BatchReply(request)
    for index, number in enumerate(statement_numbers(command, len(documents))):
        if index and index % _TOGETHER_MAX == 0:
            await request.let_others_run(((f"{request.namespace}:*", True),))
        if remembered(request, number) is not None:
            batch.add_retried(number)
            batch.count += 1
            continue
        try:
            await insert_one(request, documents[index], number)
            batch.count += 1
        except DocumentError as error:
            if batch.add_error(index, error):
                break
    return batch.document()


async def insert_one(request: Request, document: Document, number: int) -> None:
    """Insert one document. Raises DocumentError for a document that cannot be stored, or a key that is taken."""
    if "_id" not in document:
        document = {"_id": request.service.new_object_id(request.member), **document}
    document = prepare_insert(document, request.timestamp)
    await ensure_collection(request, request.namespace)
    await perform(request, request.namespace, insertion(request, document), number)


def insertion(
    request: Request, document: Document, answer: Document = _ONE, *, namespace: str = "", unique: bool = True
) -> Statement:
    """Return the statement that inserts a document; its effect raises DocumentError 11000 where a key is taken.

    Arguments: ``answer`` is what its repetition gets, ``namespace`` the collection, by default the request's; without
    ``unique`` no key is checked, which is a defect.
    """
    namespace = namespace or request.namespace
    unique = unique and not request.service.defects.unique_check_dropped

    def statement(collection: CollectionData | None) -> Effect:
        present = collection or CollectionData(uuid=request.service.next_number())
        key = hashable_key(document["_id"])
        after = storage.insert(namespace, present, key, document, unique=unique)
        change = Change(
            kind="insert", namespace=namespace, key={"_id": document["_id"]}, document=document, uuid=present.uuid
        )
        return Effect(after, (change,), storage.changed_locks(namespace, present, key, None, document), answer)

    return statement
