"""Change streams: an ``aggregate`` that never ends, opened again where it left off after a resumable error.

Source: the change streams specification; one resume for one failed getMore, as in PyMongo.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_list, validate_non_negative_integer_or_none, validate_string_or_none
from pymongo.errors import (
    ConnectionFailure,
    CursorNotFound,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)

from harness.sim.driver.aggregation import Aggregation
from harness.sim.driver.command_cursor import CommandCursor
from harness.sim.driver.recording import recorded

if TYPE_CHECKING:
    from bson import Timestamp

    from harness.sim.driver.client import Client
    from harness.sim.driver.options import Options
    from harness.sim.driver.recorder import Recorder
    from harness.sim.driver.session import Session


class ChangeStream:
    """Majority-committed changes of a collection, a database, or (``whole_cluster``) of all databases.

    ``owner`` has the options, ``database`` and ``target`` say what is watched as in :class:`Aggregation`. Made by
    ``watch``, which calls :meth:`open`.
    """

    __slots__ = (
        "_batch_size",
        "_client",
        "_closed",
        "_collation",
        "_comment",
        "_cursor",
        "_database",
        "_full_document",
        "_full_document_before_change",
        "_label",
        "_max_await_time_ms",
        "_owner",
        "_pipeline",
        "_recorder",
        "_resume_token",
        "_session",
        "_show_expanded_events",
        "_start_at_operation_time",
        "_target",
        "_uses_resume_after",
        "_uses_start_after",
        "_whole_cluster",
    )

    def __init__(
        self,
        client: Client,
        owner: Options,
        database: str,
        target: str | int,
        label: str,
        *,
        pipeline: Any,
        full_document: str | None,
        resume_after: Mapping[str, Any] | None,
        max_await_time_ms: int | None,
        batch_size: int | None,
        collation: Any,
        start_at_operation_time: Timestamp | None,
        session: Session | None,
        start_after: Mapping[str, Any] | None,
        comment: Any,
        full_document_before_change: str | None,
        show_expanded_events: bool | None,
        whole_cluster: bool = False,
    ) -> None:
        pipeline = validate_list("pipeline", [] if pipeline is None else pipeline)
        validate_string_or_none("full_document", full_document)
        validate_collation_or_none(collation)
        validate_non_negative_integer_or_none("batchSize", batch_size)
        self._client = client
        self._recorder: Recorder | None = client.recorder
        self._owner = owner
        self._database = database
        self._target = target
        self._label = label
        self._whole_cluster = whole_cluster
        self._pipeline = copy.deepcopy(pipeline)
        self._full_document = full_document
        self._full_document_before_change = full_document_before_change
        self._uses_start_after = start_after is not None
        self._uses_resume_after = resume_after is not None
        self._resume_token: Mapping[str, Any] | None = copy.deepcopy(start_after or resume_after)
        self._max_await_time_ms = max_await_time_ms
        self._batch_size = batch_size
        self._collation = collation
        self._start_at_operation_time = start_at_operation_time
        self._session = session
        self._comment = comment
        self._show_expanded_events = show_expanded_events
        self._closed = False
        self._cursor: CommandCursor | None = None

    @property
    def alive(self) -> bool:
        """Whether it may still return changes."""
        return not self._closed

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        """Where a new stream must begin in order to miss nothing and repeat nothing."""
        return copy.deepcopy(self._resume_token)

    async def next(self) -> Any:
        """Wait for the next change. Raises StopAsyncIteration once the stream is closed."""
        while self.alive:
            change = await self.try_next()
            if change is not None:
                return change
        raise StopAsyncIteration

    @recorded(fetch=True)
    async def try_next(self) -> Any:
        """Return the next change after one command at most, or None."""
        if not self._closed and not self._open_cursor.alive:
            await self._resume()
        try:
            change = await self._advance()
        except GeneratorExit:
            raise
        except PyMongoError as error:
            if not _is_resumable(error) and not error.timeout:
                await self._close()
            raise
        except BaseException:
            await self._close()
            raise
        if not self._open_cursor.alive:
            self._closed = True
        await self._note(change)
        return change

    @recorded(fetch=True, cleanup=True)
    async def close(self) -> None:
        """End the stream."""
        await self._close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self.next()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if exc_type is not GeneratorExit:
            await self.close()

    async def open(self) -> Self:
        """Open the cursor behind it, as part of another call."""
        aggregation = Aggregation(
            self._client,
            self._owner,
            self._database,
            self._target,
            pipeline=[{"$changeStream": self._stage()}, *self._pipeline],
            options=self._command_options(),
            comment=self._comment,
        )
        self._cursor = await aggregation.run(self._session, self._label, on_reply=self._note_reply)
        return self

    @property
    def _open_cursor(self) -> CommandCursor:
        cursor = self._cursor
        if cursor is None:
            raise InvalidOperation("the change stream was not opened")
        return cursor

    async def _close(self) -> None:
        self._closed = True
        await self._open_cursor.give_up()

    async def _resume(self) -> None:
        await self._open_cursor.give_up()
        await self.open()

    async def _advance(self) -> Any:
        try:
            return await self._open_cursor.advance()
        except PyMongoError as error:
            if not _is_resumable(error):
                raise
            await self._resume()
            return await self._open_cursor.advance(may_ask=False)

    async def _note(self, change: Mapping[str, Any] | None) -> None:
        """Remember where the stream stands after ``change``, or after a batch without one."""
        cursor = self._open_cursor
        token = cursor.post_batch_resume_token
        if change is None:
            if token is not None:
                self._resume_token = token
                self._start_at_operation_time = None
            return
        if "_id" not in change:
            await self._close()
            raise InvalidOperation("Cannot provide resume functionality when the resume token is missing.")
        self._uses_start_after = False
        self._uses_resume_after = True
        # A pattern may change the change that it is handed: the token is kept as a copy.
        self._resume_token = token if token and not cursor.has_buffered else copy.deepcopy(change["_id"])
        self._start_at_operation_time = None

    def _note_reply(self, reply: Mapping[str, Any]) -> None:
        cursor = reply["cursor"]
        if cursor["firstBatch"]:
            return
        if "postBatchResumeToken" in cursor:
            self._resume_token = cursor["postBatchResumeToken"]
        elif self._start_at_operation_time is None and not self._uses_resume_after and not self._uses_start_after:
            self._start_at_operation_time = reply.get("operationTime")
            if self._start_at_operation_time is None:
                raise OperationFailure(f"Expected field 'operationTime' missing from command response : {reply!r}")

    def _stage(self) -> dict[str, Any]:
        stage: dict[str, Any] = {}
        if self._full_document is not None:
            stage["fullDocument"] = self._full_document
        if self._full_document_before_change is not None:
            stage["fullDocumentBeforeChange"] = self._full_document_before_change
        if self._resume_token is not None:
            stage["startAfter" if self._uses_start_after else "resumeAfter"] = self._resume_token
        elif self._start_at_operation_time is not None:
            stage["startAtOperationTime"] = self._start_at_operation_time
        if self._show_expanded_events:
            stage["showExpandedEvents"] = self._show_expanded_events
        if self._whole_cluster:
            stage["allChangesForCluster"] = True
        return stage

    def _command_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self._max_await_time_ms is not None:
            options["maxAwaitTimeMS"] = self._max_await_time_ms
        if self._batch_size is not None:
            options["batchSize"] = self._batch_size
        return options


def _is_resumable(error: PyMongoError) -> bool:
    if isinstance(error, ConnectionFailure | CursorNotFound):
        return True
    return isinstance(error, OperationFailure) and error.has_error_label("ResumableChangeStreamError")
