"""The command ``aggregate``: pipelines over a collection, ``$out`` and ``$merge``, and the door to change streams."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.aggregate import run_pipeline
from harness.sim.documents.errors import DocumentError
from harness.sim.server.commands import arguments, change_streams
from harness.sim.server.commands.arguments import fields, parse_error
from harness.sim.server.commands.codes import (
    INVALID_NAMESPACE,
    NOT_SUPPORTED_IN_TRANSACTION,
    TYPE_MISMATCH,
    failure,
    of_document_error,
)
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.cursors import ListResults, first_batch
from harness.sim.server.commands.find import finish_read
from harness.sim.server.commands.output import write_output
from harness.sim.server.commands.reading import ReadScan, Source, open_collection
from harness.sim.server.commands.selecting import Selection
from harness.sim.server.records import Document

FIELDS: Final = fields(
    "aggregate",
    {"let": "object", "collation": "object"},
    required=("pipeline",),
    others=("pipeline", "cursor", "explain", "allowDiskUse", "hint", "bypassDocumentValidation", "stmtId"),
)
_WRITES: Final = ("$out", "$merge")
_WITHOUT_COLLECTION: Final = frozenset({"$changeStream", "$documents", "$currentOp", "$listLocalSessions"})


async def aggregate(request: Request) -> dict[str, Any]:
    """Return the first batch of what the pipeline makes, and a cursor for the rest."""
    command = request.command
    arguments.check(command, FIELDS)
    pipeline = _checked_pipeline(command)
    first = next(iter(pipeline[0])) if pipeline else ""
    if first == "$changeStream":
        return await change_streams.open_stream(request, pipeline)
    if any("$changeStream" in stage for stage in pipeline):
        raise failure(40602, "$_internalChangeStreamOplogMatch is only valid as the first stage in a pipeline")
    batch_size = _batch_size(command)
    whole_database = type(command["aggregate"]) is not str
    if whole_database and first not in _WITHOUT_COLLECTION:
        message = f"{{aggregate: 1}} is not valid for '{first or '$match'}'; a collection is required."
        raise failure(INVALID_NAMESPACE, message)
    if not whole_database:
        request.namespace = arguments.collection_namespace(request.database, command["aggregate"])
    try:
        documents = await _run(request, pipeline, whole_database=whole_database)
    except DocumentError as error:
        raise of_document_error(error) from error
    namespace = f"{request.database}.$cmd.aggregate" if whole_database else request.namespace
    reply = await first_batch(request, namespace, ListResults(documents), batch_size=batch_size)
    await finish_read(request, reply["cursor"])
    return reply


def _checked_pipeline(command: Document) -> list[Document]:
    pipeline = command["pipeline"]
    if type(pipeline) is not list:
        raise failure(TYPE_MISMATCH, "'pipeline' option must be specified as an array")
    for stage in pipeline:
        if type(stage) is not dict:
            raise failure(TYPE_MISMATCH, "Each element of the 'pipeline' array must be an object")
        if len(stage) != 1:
            raise failure(40323, "A pipeline stage specification object must contain exactly one field.")
    if "cursor" not in command and not command.get("explain"):
        raise parse_error("The 'cursor' option is required, except for aggregate with the explain argument")
    return pipeline


def _batch_size(command: Document) -> int | None:
    cursor = command.get("cursor") or {}
    return arguments.natural(cursor, "batchSize") if "batchSize" in cursor else None


async def _run(request: Request, pipeline: list[Document], *, whole_database: bool) -> list[Document]:
    writing = next(iter(pipeline[-1])) in _WRITES if pipeline else False
    if writing and request.transaction is not None:
        stage = next(iter(pipeline[-1]))
        raise failure(NOT_SUPPORTED_IN_TRANSACTION, f"{stage} cannot be used in a transaction")
    reading = pipeline[:-1] if writing else pipeline
    documents = [] if whole_database else await _matching(request, reading)
    others = await _other_collections(request, reading)
    environment = request.environment()

    def lookup(name: str) -> list[Document]:
        source = others[name]
        collection = source()
        return list(collection.documents.values()) if collection is not None else []

    result = run_pipeline(reading, documents, environment, lookup)
    if not writing:
        return result
    await write_output(request, pipeline[-1], result)
    return []


async def _matching(request: Request, pipeline: list[Document]) -> list[Document]:
    """Return what a leading ``$match`` finds, walking the collection as a find does; the pipeline matches once more."""
    source = await open_collection(request, request.namespace)
    query = pipeline[0]["$match"] if pipeline and "$match" in pipeline[0] else {}
    selection = Selection(query if type(query) is dict else {}, request.environment())
    return await ReadScan(source, selection).take(request, None)


async def _other_collections(request: Request, pipeline: list[Document]) -> dict[str, Source]:
    """Return the sources of the collections that ``$lookup``, ``$unionWith`` and their like name, at any depth."""
    names: dict[str, None] = {}
    _collect_names(pipeline, names)
    return {name: await open_collection(request, f"{request.database}.{name}") for name in names}


def _collect_names(value: Any, names: dict[str, None]) -> None:
    if type(value) is list:
        for item in value:
            _collect_names(item, names)
    elif type(value) is dict:
        for name, item in value.items():
            if name in ("$lookup", "$graphLookup") and type(item) is dict and type(item.get("from")) is str:
                names[item["from"]] = None
            elif name == "$unionWith":
                coll = item.get("coll") if type(item) is dict else item
                if type(coll) is str:
                    names[coll] = None
            _collect_names(item, names)
