"""Bulk writes: requests grouped into commands as PyMongo groups them, and the counts and errors of all together."""

# ruff: noqa: PLR0917 - PyMongo's requests call the add_ methods so

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pymongo.common import validate_is_document_type, validate_ok_for_replace, validate_ok_for_update
from pymongo.errors import BulkWriteError, ConfigurationError, InvalidOperation, OperationFailure
from pymongo.write_concern import WriteConcern

from harness.sim.driver.commands import Command
from harness.sim.driver.errors_mapping import RETRYABLE_CODES, concern_error_of
from harness.sim.driver.results import taken_in, value_taken_in
from harness.sim.driver.retry import write

if TYPE_CHECKING:
    from harness.sim.driver.collection import Collection
    from harness.sim.driver.connections import Connection
    from harness.sim.driver.session import Session

INSERT: Final = "insert"
UPDATE: Final = "update"
DELETE: Final = "delete"

LONGEST_BATCH: Final = 100_000
"""mongod's ``maxWriteBatchSize``."""

_PAYLOADS: Final[Mapping[str, str]] = {INSERT: "documents", UPDATE: "updates", DELETE: "deletes"}


class _Run:
    """Statements of one kind that go into one command, and where each stood among the requests."""

    __slots__ = ("kind", "offset", "originals", "places", "statements")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.places: list[int] = []
        self.statements: list[dict[str, Any]] = []
        self.originals: list[Any] = []
        self.offset = 0

    def add(self, place: int, statement: dict[str, Any], original: Any) -> None:
        self.places.append(place)
        self.statements.append(statement)
        self.originals.append(original)


class Bulk:
    """A bulk write under way. PyMongo's requests (``InsertOne``, ...) put themselves into it through ``add_...``."""

    def __init__(
        self,
        collection: Collection,
        *,
        ordered: bool,
        bypass_document_validation: bool | None = None,
        comment: Any = None,
        let: Mapping[str, Any] | None = None,
    ) -> None:
        if let is not None:
            validate_is_document_type("let", let)
        self._collection = collection
        self._client = collection.database.client
        self._ordered = ordered
        self._bypass_document_validation = bypass_document_validation
        self._comment = comment
        self._let = let
        self._operations: list[tuple[str, dict[str, Any], Any]] = []
        self._refused_unacknowledged = ""
        self._is_retryable = True
        self.retrying = False
        self.started_retryable_write = False
        self._runs: list[_Run] = []
        self._result: dict[str, Any] = {
            "writeErrors": [],
            "writeConcernErrors": [],
            "nInserted": 0,
            "nUpserted": 0,
            "nMatched": 0,
            "nModified": 0,
            "nRemoved": 0,
            "upserted": [],
        }

    # -- what requests call

    def add_insert(self, document: Any) -> None:
        """Add an insert; the document gets an ``_id`` where it has none."""
        validate_is_document_type("document", document)
        if "_id" not in document:
            document["_id"] = self._client.object_ids.next()
        self._add(INSERT, document, document)

    def add_update(
        self,
        selector: Mapping[str, Any],
        update: Any,
        multi: bool,
        upsert: bool | None,
        collation: Mapping[str, Any] | None = None,
        array_filters: list[Mapping[str, Any]] | None = None,
        hint: Any = None,
        sort: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an update of one document, or with ``multi`` of many."""
        validate_ok_for_update(update)
        statement: dict[str, Any] = {"q": selector, "u": update, "multi": multi}
        self._complete(statement, upsert=upsert, collation=collation, array_filters=array_filters, hint=hint, sort=sort)
        self._is_retryable = self._is_retryable and not multi
        self._add(UPDATE, statement, statement)

    def add_replace(
        self,
        selector: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool | None,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        sort: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a replacement."""
        validate_ok_for_replace(replacement)
        statement: dict[str, Any] = {"q": selector, "u": replacement}
        self._complete(statement, upsert=upsert, collation=collation, hint=hint, sort=sort)
        self._add(UPDATE, statement, statement)

    def add_delete(
        self,
        selector: Mapping[str, Any],
        limit: int,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
    ) -> None:
        """Add a deletion of one document (``limit`` 1) or of all that match (0)."""
        statement: dict[str, Any] = {"q": selector, "limit": limit}
        self._complete(statement, collation=collation, hint=hint)
        self._is_retryable = self._is_retryable and limit == 1
        self._add(DELETE, statement, statement)

    def _complete(
        self,
        statement: dict[str, Any],
        *,
        upsert: bool | None = None,
        collation: Any = None,
        array_filters: Any = None,
        hint: Any = None,
        sort: Any = None,
    ) -> None:
        if upsert is not None:
            statement["upsert"] = upsert
        if collation is not None:
            self._refused_unacknowledged = "Collation is unsupported for unacknowledged writes."
            statement["collation"] = collation
        if array_filters is not None:
            self._refused_unacknowledged = (
                self._refused_unacknowledged or "arrayFilters is unsupported for unacknowledged writes."
            )
            statement["arrayFilters"] = array_filters
        if hint is not None:
            statement["hint"] = hint
        if sort is not None:
            self._refused_unacknowledged = self._refused_unacknowledged or (
                "Must be connected to MongoDB 8.0+ to use sort on unacknowledged update commands."
            )
            statement["sort"] = sort

    def _add(self, kind: str, statement: Mapping[str, Any], original: Any) -> None:
        self._operations.append((kind, taken_in(statement, self._collection.codec_options), original))

    # -- execution

    async def execute(self, concern: WriteConcern, session: Session | None) -> dict[str, Any] | None:
        """Send it and return the counts, None where it is unacknowledged. Raises BulkWriteError for any error in it."""
        if not self._operations:
            raise InvalidOperation("No operations to execute")
        self._runs = list(self._ordered_runs() if self._ordered else self._unordered_runs())
        if not concern.acknowledged:
            await self._execute_unacknowledged(concern, session)
            return None

        async def attempt(session: Session, connection: Connection, retryable: bool) -> None:
            await self._send_runs(session, connection, concern, retryable=retryable)

        await write(self._client, attempt, session, retryable=self._is_retryable, progress=self)
        if self._result["writeErrors"] or self._result["writeConcernErrors"]:
            _raise_bulk_error(self._result)
        return self._result

    def _ordered_runs(self) -> Iterator[_Run]:
        run: _Run | None = None
        for place, (kind, statement, original) in enumerate(self._operations):
            if run is None or run.kind != kind:
                if run is not None:
                    yield run
                run = _Run(kind)
            run.add(place, statement, original)
        if run is not None:
            yield run

    def _unordered_runs(self) -> Iterator[_Run]:
        runs = {kind: _Run(kind) for kind in (INSERT, UPDATE, DELETE)}
        for place, (kind, statement, original) in enumerate(self._operations):
            runs[kind].add(place, statement, original)
        for run in runs.values():
            if run.statements:
                yield run

    async def _send_runs(
        self, session: Session | None, connection: Connection, concern: WriteConcern, *, retryable: bool
    ) -> None:
        """Send what is not yet done: a repetition goes on where the attempt before it failed."""
        while self._runs:
            run = self._runs[0]
            while run.offset < len(run.statements):
                batch = run.statements[run.offset : run.offset + LONGEST_BATCH]
                reply = await self._send(run, batch, session, connection, concern, retryable=retryable)
                concern_error = reply.get("writeConcernError", {})
                if concern_error.get("code", 0) in RETRYABLE_CODES:
                    # It may be repeated: the counts of this attempt are shown in the error alone.
                    partial = copy.deepcopy(self._result)
                    _merge(run, partial, reply)
                    _raise_bulk_error(partial)
                _merge(run, self._result, reply)
                self.retrying = False
                self.started_retryable_write = False
                if self._ordered and "writeErrors" in reply:
                    break
                run.offset += len(batch)
            if self._ordered and self._result["writeErrors"]:
                return
            self._runs.pop(0)

    async def _send(
        self,
        run: _Run,
        batch: list[dict[str, Any]],
        session: Session | None,
        connection: Connection,
        concern: WriteConcern,
        *,
        retryable: bool,
    ) -> dict[str, Any]:
        if session is not None and retryable and not self.started_retryable_write:
            session.start_retryable_write()
            self.started_retryable_write = True
        command = self._command(run, batch, concern)
        return await self._client.send(command, session, connection, retryable=retryable)

    def _command(self, run: _Run, batch: list[dict[str, Any]], concern: WriteConcern) -> Command:
        codec_options = self._collection.codec_options
        head: dict[str, Any] = {run.kind: self._collection.name, "ordered": self._ordered}
        if self._comment:
            head["comment"] = value_taken_in(self._comment, codec_options)
        if not concern.is_server_default:
            head["writeConcern"] = concern.document
        if self._bypass_document_validation is not None:
            head["bypassDocumentValidation"] = self._bypass_document_validation
        if self._let is not None and run.kind != INSERT:
            head["let"] = taken_in(self._let, codec_options)
        payload = (_PAYLOADS[run.kind], batch)
        return Command(head, self._collection.database.name, payload=payload)

    async def _execute_unacknowledged(self, concern: WriteConcern, session: Session | None) -> None:
        if session is not None:
            raise ConfigurationError(
                f"Explicit sessions are incompatible with unacknowledged write concern: {concern!r}"
            )
        if self._refused_unacknowledged:
            raise ConfigurationError(self._refused_unacknowledged)
        if self._bypass_document_validation:
            raise OperationFailure("Cannot set bypass_document_validation with unacknowledged write concern")
        client = self._client
        member = await client.topology.writable()
        connection = client.connections.take(member)
        try:
            if self._ordered:
                await self._send_ordered_unacknowledged(connection, concern)
            else:
                await self._send_unordered_unacknowledged(connection)
        finally:
            if not connection.broken:
                client.connections.give_back(connection)

    async def _send_ordered_unacknowledged(self, connection: Connection, concern: WriteConcern) -> None:
        """Send all but a last command of one statement acknowledged, so that it stops at the first error."""
        final = self._runs.pop() if len(self._runs[-1].statements) == 1 else None
        try:
            await self._send_runs(None, connection, WriteConcern(), retryable=False)
        except OperationFailure:
            return
        if final is not None and not self._result["writeErrors"]:
            await self._client.send_unacknowledged(self._command(final, final.statements, concern), connection)

    async def _send_unordered_unacknowledged(self, connection: Connection) -> None:
        for run in self._runs:
            head = {run.kind: self._collection.name, "ordered": False, "writeConcern": {"w": 0}}
            payload = (_PAYLOADS[run.kind], run.statements)
            command = Command(head, self._collection.database.name, payload=payload)
            await self._client.send_unacknowledged(command, connection)


def _merge(run: _Run, result: dict[str, Any], reply: Mapping[str, Any]) -> None:
    affected = reply.get("n", 0)
    if run.kind == INSERT:
        result["nInserted"] += affected
    elif run.kind == DELETE:
        result["nRemoved"] += affected
    else:
        upserted = reply.get("upserted", ())
        result["upserted"].extend([{**each, "index": run.places[each["index"] + run.offset]} for each in upserted])
        result["nUpserted"] += len(upserted)
        result["nMatched"] += affected - len(upserted)
        result["nModified"] += reply["nModified"]
    for error in reply.get("writeErrors", ()):
        index = error["index"] + run.offset
        result["writeErrors"].append({**error, "index": run.places[index], "op": run.originals[index]})
    concern_error = concern_error_of(reply)
    if concern_error is not None:
        result["writeConcernErrors"].append(concern_error)


def _raise_bulk_error(result: dict[str, Any]) -> NoReturn:
    result["writeErrors"].sort(key=lambda error: error["index"])
    raise BulkWriteError(result)
