"""The commands ``count`` and ``distinct``."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.order import hashable_key, sort_key
from harness.sim.documents.paths import matched_values, split
from harness.sim.documents.values import MISSING
from harness.sim.server.commands import arguments
from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.codes import of_document_error
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.find import finish_read
from harness.sim.server.commands.reading import ReadScan, open_collection
from harness.sim.server.commands.selecting import Selection

COUNT_FIELDS: Final = fields(
    "count", {"query": "object", "collation": "object"}, others=("limit", "skip", "hint", "fields", "queryOptions")
)
DISTINCT_FIELDS: Final = fields(
    "distinct",
    {"key": "string", "query": "object", "collation": "object"},
    required=("key",),
    others=("hint", "unwindFields"),
)


async def count(request: Request) -> dict[str, Any]:
    """Count the documents that match; without a filter what the collection's metadata say, in one step."""
    command = request.command
    skip = arguments.natural(command, "skip")
    limit = abs(int(command.get("limit") or 0))
    source = await open_collection(request, request.namespace)
    query = command.get("query") or {}
    if query:
        try:
            found = len(await ReadScan(source, Selection(query)).take(request, None))
        except DocumentError as error:
            raise of_document_error(error) from error
    else:
        collection = source()
        found = len(collection.documents) if collection is not None else 0
    found = max(0, found - skip)
    reply: dict[str, Any] = {"n": min(found, limit) if limit else found}
    await finish_read(request, reply)
    return reply


async def distinct(request: Request) -> dict[str, Any]:
    """Return the values of a field in order, each once; the elements of an array count each."""
    command = request.command
    arguments.check(command, DISTINCT_FIELDS)
    source = await open_collection(request, request.namespace)
    path = command["key"]
    try:
        documents = await ReadScan(source, Selection(command.get("query") or {})).take(request, None)
    except DocumentError as error:
        raise of_document_error(error) from error
    values: dict[Any, Any] = {}
    for document in documents:
        for value in matched_values(document, split(path), expand=False):
            for item in value if type(value) is list else (value,):
                if item is not MISSING:
                    values.setdefault(hashable_key(item), item)
    reply: dict[str, Any] = {"values": sorted(values.values(), key=sort_key)}
    await finish_read(request, reply)
    return reply
