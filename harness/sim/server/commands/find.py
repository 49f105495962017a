"""The command ``find``."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.match import NO_ENVIRONMENT
from harness.sim.documents.project import Project, compile_projection
from harness.sim.documents.sort import sort_documents
from harness.sim.server.commands import arguments
from harness.sim.server.commands.arguments import fields, parse_error
from harness.sim.server.commands.codes import BAD_VALUE, failure, of_document_error
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.cursors import NO_CURSOR, ListResults, Results, first_batch
from harness.sim.server.commands.hints import check_hint
from harness.sim.server.commands.read_concerns import DEFAULT, LINEARIZABLE, SNAPSHOT, timestamp
from harness.sim.server.commands.reading import ReadScan, Source, open_collection, unsupported
from harness.sim.server.commands.selecting import Selection, has_operator
from harness.sim.server.records import Document

FIELDS: Final = fields(
    "FindCommandRequest",
    {"singleBatch": arguments.SAFE_BOOL, "let": "object"},
    others=(
        *("find", "filter", "projection", "sort", "hint", "skip", "limit", "batchSize", "max", "min", "returnKey"),
        *("showRecordId", "tailable", "awaitData", "oplogReplay", "noCursorTimeout", "allowPartialResults"),
        *("allowDiskUse", "collation", "readOnce", "allowSpeculativeMajorityRead", "term"),
    ),
)
_NOT_MODELLED: Final = ("returnKey", "showRecordId", "min", "max", "collation")


async def find(request: Request) -> dict[str, Any]:
    """Return the first batch of the documents that match, and a cursor for the others."""
    command = request.command
    arguments.check(command, FIELDS)
    _check(command)
    batch_size = arguments.natural(command, "batchSize") if "batchSize" in command else None
    try:
        query = _Query(request)
        source = await open_collection(request, request.namespace)
        if "hint" in command:
            check_hint(request, command["hint"])
        if query.is_lookup and batch_size != 0:
            cursor = {"firstBatch": query.look_up(source), "id": NO_CURSOR, "ns": request.namespace}
            reply: dict[str, Any] = {"cursor": cursor}
        else:
            results = await query.results(request, source)
            single = bool(command.get("singleBatch"))
            reply = await first_batch(request, request.namespace, results, batch_size=batch_size, single=single)
    except DocumentError as error:
        raise of_document_error(error) from error
    if request.read_concern is not DEFAULT:
        await finish_read(request, reply["cursor"])
    return reply


def _check(command: Document) -> None:
    if command.get("awaitData") and not command.get("tailable"):
        raise parse_error("Cannot set 'awaitData' without also setting 'tailable'")
    if command.get("tailable"):
        raise failure(BAD_VALUE, "error processing query: tailable cursor requested on non capped collection")
    for name in _NOT_MODELLED:
        if name in command and command[name] and command[name] != {"locale": "simple"}:
            raise unsupported(f"`{name}` of find")


class _Query:
    """A find in runnable form. Raises DocumentError and CommandError for what cannot be parsed."""

    __slots__ = ("_limit", "_order", "_project", "_selection", "_skip")

    def __init__(self, request: Request) -> None:
        command = request.command
        self._limit = arguments.natural(command, "limit")
        self._skip = arguments.natural(command, "skip")
        query = arguments.optional_document(command, "filter")
        projection = arguments.optional_document(command, "projection")
        environment = NO_ENVIRONMENT
        if projection or has_operator(query):
            environment = request.environment()
        self._selection = Selection(query, environment)
        self._project = compile_projection(projection, query, environment) if projection else None
        self._order = arguments.optional_document(command, "sort")
        if self._order:
            sort_documents((), self._order)

    @property
    def is_lookup(self) -> bool:
        """Whether it can find one document at most, by its ``_id``."""
        return self._selection.pinned and not self._skip

    def look_up(self, source: Source) -> list[Document]:
        """Return the document that it finds, if there is one."""
        found = self._selection.first(source())
        if found is None:
            return []
        return [found[1] if self._project is None else self._project(found[1])]

    async def results(self, request: Request, source: Source) -> Results:
        """Return the results: found as they are asked for, or all at once where they must be sorted first."""
        selection, order = self._selection, self._order
        if not order:
            return _Scanned(ReadScan(source, selection), self._project, self._skip, self._limit)
        if selection.is_sorted_by_index(source(), order):
            return _Scanned(ReadScan(source, selection, order), self._project, self._skip, self._limit)
        matches = await ReadScan(source, selection).take(request, None)
        end = self._skip + self._limit if self._limit else None
        chosen = sort_documents(matches, order)[self._skip : end]
        return ListResults(chosen if self._project is None else [self._project(document) for document in chosen])


class _Scanned:
    """The results of a find without a sort, which are found while they are asked for."""

    __slots__ = ("_left", "_project", "_scan", "_skip", "awaits_data", "exhausted")

    def __init__(self, scan: ReadScan, project: Project | None, skip: int, limit: int) -> None:
        self._scan = scan
        self._project = project
        self._skip = skip
        self._left = limit or None
        self.exhausted = False
        self.awaits_data = False

    async def take(self, request: Request, count: int | None) -> list[Document]:
        """Return the next matches."""
        if self._skip and count != 0:
            await self._scan.take(request, self._skip)
            self._skip = 0
        wanted = count if self._left is None else self._left if count is None else min(count, self._left)
        documents = await self._scan.take(request, wanted) if wanted != 0 else []
        if self._left is not None:
            self._left -= len(documents)
        self.exhausted = self._scan.exhausted or self._left == 0
        return documents if self._project is None else [self._project(document) for document in documents]

    def describe(self, cursor: dict[str, Any]) -> None:
        """Add nothing."""

    def state(self) -> bytes:
        """Return where it stands; what it looks for is what its client asked for."""
        return repr((self._scan.state(), self._skip, self._left)).encode()


async def finish_read(request: Request, target: dict[str, Any]) -> None:
    """Do what the read concern asks for after the read: prove that this is still the primary, name the snapshot.

    Raises CommandError where a linearizable read cannot be confirmed.
    """
    concern = request.read_concern
    if request.transaction is not None:
        return
    if concern.level == LINEARIZABLE:
        if not request.service.defects.linearizable_read_without_quorum:
            await request.service.replica_set.confirm_linearizable(request.member, request.deadline_us)
    elif concern.level == SNAPSHOT and request.read_timestamp is not None:
        target["atClusterTime"] = timestamp(request.read_timestamp)
