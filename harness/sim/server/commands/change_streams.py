"""Change streams: what is majority-committed, as events in the order of the oplog.

A stream keeps a place, a resume token, and no entry: so it goes on wherever the place is still in the log. Source: the
manual's page "Change Streams", the specification of change streams, and measurements on mongod 6.0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from harness.sim.documents.aggregate import compile_pipeline
from harness.sim.documents.errors import DocumentError
from harness.sim.documents.rendering import value_text
from harness.sim.documents.stage_group import Stage
from harness.sim.server.commands import arguments, change_events, resume_tokens
from harness.sim.server.commands.codes import (
    BAD_VALUE,
    CHANGE_STREAM_FATAL,
    CHANGE_STREAM_HISTORY_LOST,
    ILLEGAL_OPERATION,
    INVALID_OPTIONS,
    INVALID_RESUME_TOKEN,
    NOT_SUPPORTED_IN_TRANSACTION,
    UNKNOWN_FIELD,
    failure,
    of_document_error,
)
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.cursors import first_batch
from harness.sim.server.commands.read_concerns import MAJORITY, ticks
from harness.sim.server.commands.reading import unsupported
from harness.sim.server.commands.resume_tokens import EVENT, HIGH_WATER_MARK, Token
from harness.sim.server.errors import CommandError
from harness.sim.server.records import Change, Data, Document, OplogEntry

_OPTIONS: Final = frozenset(
    {"resumeAfter", "startAfter", "startAtOperationTime", "fullDocument", "fullDocumentBeforeChange"}
    | {"allChangesForCluster", "showExpandedEvents", "showMigrationEvents", "allowToRunOnConfigDB"}
)
_FULL_DOCUMENT: Final = ("default", "updateLookup", "whenAvailable", "required")
_STAGES: Final = frozenset(
    {"$addFields", "$match", "$project", "$replaceRoot", "$replaceWith", "$redact", "$set", "$unset"}
)
_AWAIT_US: Final = 1_000_000
"""How long a getMore without ``maxTimeMS`` waits for an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a stream watches: a collection, a database (``collection`` empty), or all (both empty)."""

    database: str = ""
    collection: str = ""

    def covers(self, namespace: str) -> bool:
        """Whether a change of that namespace belongs to it."""
        database, _, collection = namespace.partition(".")
        if self.collection:
            return database == self.database and collection == self.collection
        return database == self.database if self.database else database not in ("admin", "config", "local")


async def open_stream(request: Request, pipeline: list[Document]) -> dict[str, Any]:
    """Open a stream as ``aggregate`` with ``$changeStream`` as its first stage does."""
    if request.transaction is not None:
        message = "Aggregation stage $changeStream cannot run within a multi-document transaction."
        raise failure(NOT_SUPPORTED_IN_TRANSACTION, f"Operation not permitted in transaction :: caused by :: {message}")
    options = pipeline[0]["$changeStream"]
    _check(request, options, pipeline)
    request.in_change_stream = True
    scope = _scope(request, options)
    stream = ChangeStream(request, options, scope, _compiled(request, pipeline[1:]))
    stream.check_history(request)
    if stream.expected is not None:
        stream.check_expected(request)
    namespace = request.namespace or f"{request.database}.$cmd.aggregate"
    cursor = request.command.get("cursor") or {}
    size = arguments.natural(cursor, "batchSize") if "batchSize" in cursor else None
    return await first_batch(request, namespace, stream, batch_size=size)


def _check(request: Request, options: Any, pipeline: list[Document]) -> None:
    for name in options:
        if name not in _OPTIONS:
            raise failure(UNKNOWN_FIELD, f"BSON field '$changeStream.{name}' is an unknown field.")
    if options.get("fullDocument", "default") not in _FULL_DOCUMENT:
        value = options["fullDocument"]
        message = f"Enumeration value '{value}' for field '$changeStream.fullDocument' is not a valid value."
        raise failure(BAD_VALUE, message)
    if options.get("fullDocument") == "required" or options.get("fullDocumentBeforeChange", "off") != "off":
        raise unsupported("pre- and post-images of change streams")
    if options.get("showExpandedEvents"):
        raise unsupported("`showExpandedEvents` of change streams")
    _check_resuming(options)
    for stage in pipeline[1:]:
        name = next(iter(stage))
        if name not in _STAGES:
            raise failure(ILLEGAL_OPERATION, f"{name} is not permitted in a $changeStream pipeline")
    _check_level(request)


def _check_resuming(options: Document) -> None:
    if "resumeAfter" in options and "startAfter" in options:
        raise failure(50865, "Do not specify both 'resumeAfter' and 'startAfter' in a $changeStream stage")
    if "startAtOperationTime" in options and ("resumeAfter" in options or "startAfter" in options):
        message = "Only one type of resume option is allowed, but multiple were found."
        raise failure(40674, message)


def _check_level(request: Request) -> None:
    given = request.command.get("readConcern")
    if given is not None and "level" in given and given["level"] != MAJORITY:
        level = given["level"]
        shown = f'{{ readConcern: {{ level: "{level}", provenance: "clientSupplied" }} }}'
        message = (
            f"Command aggregate does not support {shown} :: caused by :: Aggregation stage $changeStream cannot run "
            f"with a readConcern other than 'majority'. Current readConcern: {level}"
        )
        raise failure(INVALID_OPTIONS, message)


def _scope(request: Request, options: Document) -> Scope:
    target = request.command["aggregate"]
    if options.get("allChangesForCluster"):
        return Scope()
    if type(target) is str:
        request.namespace = arguments.collection_namespace(request.database, target)
        return Scope(database=request.database, collection=target)
    return Scope(database=request.database)


def _start(request: Request, options: Document) -> tuple[Token, Token | None]:
    """Return where the stream begins, and the event that must be there, if it resumes after one."""
    if "startAtOperationTime" in options:
        time = ticks(options["startAtOperationTime"])
        assert time is not None
        return Token(time), None
    given = options.get("resumeAfter", options.get("startAfter"))
    if given is None:
        return Token(request.service.replica_set.applied(request.member).timestamp + 1), None
    token = resume_tokens.decode(given)
    if token.from_invalidate and "resumeAfter" in options:
        message = (
            "Attempting to resume a change stream using 'resumeAfter' is not allowed from an invalidate notification"
        )
        raise failure(INVALID_RESUME_TOKEN, message)
    return token, token if token.kind == EVENT and not token.from_invalidate else None


def _compiled(request: Request, stages: list[Document]) -> Stage | None:
    if not stages:
        return None
    try:
        return compile_pipeline(stages, request.environment(), lambda _name: [])
    except DocumentError as error:
        raise of_document_error(error) from error


class ChangeStream:
    """The results of a change stream. ``expected`` is the event that it resumes after, until it was seen."""

    __slots__ = (
        "_full_document",
        "_last",
        "_passed_over",
        "_place",
        "_scope",
        "_stages",
        "awaits_data",
        "exhausted",
        "expected",
    )

    def __init__(self, request: Request, options: Document, scope: Scope, stages: Stage | None) -> None:
        self._scope = scope
        self._place, self.expected = _start(request, options)
        given = options.get("resumeAfter", options.get("startAfter"))
        self._last: Document = resume_tokens.encode(self._place) if given is None else given
        self._stages = stages
        self._full_document: str = options.get("fullDocument", "default")
        self._passed_over = False
        self.exhausted = False
        self.awaits_data = True

    def describe(self, cursor: dict[str, Any]) -> None:
        """Add where a reader may resume, and whether the stream has ended."""
        cursor["postBatchResumeToken"] = self._last
        if self.exhausted:
            cursor["invalidated"] = True

    def state(self) -> bytes:
        """Return the place, and the event that is expected there; what the stream shows is as it was opened."""
        return repr((self._place, self._last, self.expected, self._passed_over, self.exhausted)).encode()

    async def take(self, request: Request, count: int | None) -> list[Document]:
        """Return the next events; a getMore waits for the first of them.

        Raises CommandError: 280 where the stream cannot go on, 286 where its place has left the oplog.
        """
        request.in_change_stream = True
        if count == 0:
            return []
        events = self._take(request, count)
        if events or request.name != "getMore":
            return events
        until_us = request.deadline_us
        if until_us is None:
            until_us = request.kernel.now_us + _AWAIT_US
        while not events and not self.exhausted and request.kernel.now_us < until_us:
            await request.service.replica_set.wait(request.member, until_us)
            await request.come_back()
            events = self._take(request, count)
        return events

    def _take(self, request: Request, count: int | None) -> list[Document]:
        top = self._top(request)
        self.check_history(request)
        if self.expected is not None and not self.check_expected(request):
            return []
        events: list[Document] = []
        for token, event, uuid in self._events(top):
            self._place = token
            told = self._told(request, event)
            self._last = resume_tokens.encode(token, uuid)
            if told is not None:
                if self._passed_over:
                    raise _not_found(request, self._last)
                events.append(told)
            if event["operationType"] == "invalidate":
                self.exhausted = True
                break
            if len(events) == count:
                break
        else:
            self._reach(top)
        if request.service.defects.change_stream_skips_event and len(events) > 1:
            del events[0]
        return events

    def _reach(self, top: OplogEntry) -> None:
        """Take notice that everything up to ``top`` was looked at."""
        mark = Token(top.timestamp, HIGH_WATER_MARK)
        if mark > self._place:
            self._place = mark
            self._last = resume_tokens.encode(mark)

    def _top(self, request: Request) -> OplogEntry:
        replica_set = request.service.replica_set
        if request.service.defects.change_stream_shows_uncommitted:
            return replica_set.applied(request.member)
        return replica_set.committed(request.member)

    def check_history(self, request: Request) -> None:
        """Raise CommandError 286 where the oplog does not reach back to the stream's place any more."""
        limit = request.service.configuration.oplog_limit
        if limit is None:
            return
        # From the newest back: streams keep up as a rule, and the log may be long.
        entry, kept = request.member.last, 1
        while self._place.time < entry.timestamp and kept < limit and entry.previous is not None:
            entry, kept = entry.previous, kept + 1
        if self._place.time < entry.timestamp and entry.index:
            message = "Resume of change stream was not possible, as the resume point may no longer be in the oplog."
            prefix = "PlanExecutor error during aggregation :: caused by :: "
            if request.name == "getMore":
                prefix = "Executor error during getMore :: caused by :: "
            raise failure(CHANGE_STREAM_HISTORY_LOST, prefix + message)

    def check_expected(self, request: Request) -> bool:
        """Return whether the event that the stream resumes after is committed here; it is not expected any more then.

        Raises CommandError 280 where it is not in the log. Where this pipeline leaves it out, the stream fails later,
        at the first event that it would tell: mongod matches before it looks for the token.
        """
        wanted = self.expected
        top = self._top(request)
        if wanted is None or top.timestamp < wanted.time:
            return wanted is None
        for entry in _entries(top, wanted.time):
            if entry.timestamp != wanted.time:
                continue
            for token, event, _uuid in self._events_of(entry):
                if token == wanted:
                    self.expected = None
                    self._passed_over = self._told(request, event) is None
                    return True
        raise _not_found(request, resume_tokens.encode(wanted))

    def _events(self, top: OplogEntry) -> Iterator[tuple[Token, Document, int]]:
        for entry in _entries(top, self._place.time):
            for found in self._events_of(entry):
                if found[0] > self._place:
                    yield found

    def _events_of(self, entry: OplogEntry) -> Iterator[tuple[Token, Document, int]]:
        for index, change in enumerate(entry.changes):
            covered = self._scope.covers(change.namespace) or (
                bool(change.target) and self._scope.covers(change.target)
            )
            if not covered or change.kind not in change_events.TOLD:
                continue
            token = Token(entry.timestamp, EVENT, index)
            event = change_events.event(entry, change)
            yield token, {"_id": resume_tokens.encode(token, change.uuid), **event}, change.uuid
            if self._is_invalidated_by(change):
                token = token._replace(from_invalidate=True)
                event = change_events.invalidation(entry)
                yield token, {"_id": resume_tokens.encode(token, change.uuid), **event}, change.uuid

    def _is_invalidated_by(self, change: Change) -> bool:
        if self._scope.collection:
            return change.kind in ("drop", "rename", "dropDatabase")
        return bool(self._scope.database) and change.kind == "dropDatabase"

    def _told(self, request: Request, event: Document) -> Document | None:
        """Return the event as the stream's pipeline leaves it, None where the pipeline leaves it out."""
        if event["operationType"] == "update" and self._full_document != "default":
            event = {**event, "fullDocument": self._looked_up(request, event)}
        if self._stages is None or event["operationType"] == "invalidate":
            return event
        told = next(iter(self._stages([event])), None)
        if told is not None and told.get("_id") != event["_id"]:
            found = {"_id": told["_id"]} if "_id" in told else {}
            message = (
                "Encountered an event whose _id field, which contains the resume token, was modified by the pipeline. "
                "Modifying the _id field of an event makes it impossible to resume the stream from that point. Only "
                "transformations that retain the unmodified _id field are allowed. "
                f"Expected: {value_text({'_id': event['_id']})} but found: {value_text(found)}"
            )
            raise failure(CHANGE_STREAM_FATAL, f"Executor error during getMore :: caused by :: {message}")
        return told

    def _looked_up(self, request: Request, event: Document) -> Document | None:
        if self._full_document != "updateLookup":
            return None
        data: Data = self._top(request).data
        return change_events.current_document(data, event)


def _not_found(request: Request, token: Document) -> CommandError:
    prefix = "Executor error during getMore" if request.name == "getMore" else "PlanExecutor error during aggregation"
    message = f"cannot resume stream; the resume token was not found. {{_data: {value_text(token['_data'])}}}"
    return failure(CHANGE_STREAM_FATAL, f"{prefix} :: caused by :: {message}")


def _entries(top: OplogEntry, since: int) -> list[OplogEntry]:
    """Return the entries of the log from cluster time ``since`` on, oldest first."""
    found: list[OplogEntry] = []
    entry: OplogEntry | None = top
    while entry is not None and entry.timestamp >= since:
        found.append(entry)
        entry = entry.previous
    found.reverse()
    return found
