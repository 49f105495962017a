"""What all cursors share: a buffer of documents, the cursor on the member behind it, and the session that it is in."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from bson.codec_options import CodecOptions
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from harness.sim.driver.commands import Command
from harness.sim.driver.recording import recorded
from harness.sim.driver.results import handed_out
from harness.sim.driver.retry import read

if TYPE_CHECKING:
    from harness.sim.driver.client import Client
    from harness.sim.driver.connections import Connection
    from harness.sim.driver.recorder import Recorder
    from harness.sim.driver.session import Session

CLOSED_CODES: Final = frozenset({43, 96, 136, 175, 237, 17406, 28617})
"""After these the member has closed the cursor by itself."""

_END: Final = object()


class CursorBase:
    """A cursor. ``identifier`` is the member's number for it: None before the first command, 0 when exhausted."""

    __slots__ = (
        "_batch",
        "_batch_size",
        "_client",
        "_codec_options",
        "_comment",
        "_identifier",
        "_killed",
        "_label",
        "_max_await_time_ms",
        "_member",
        "_namespace",
        "_recorder",
        "_session",
    )

    _waits = False
    """Whether an empty batch is not the end of it."""

    def __init__(
        self,
        client: Client,
        *,
        label: str,
        namespace: str,
        codec_options: CodecOptions[Any],
        session: Session | None,
        comment: Any,
    ) -> None:
        self._client = client
        self._recorder: Recorder | None = client.recorder
        self._label = label
        self._namespace = namespace
        self._codec_options = codec_options
        self._session = session
        self._comment = comment
        self._identifier: int | None = None
        self._member = ""
        self._batch: deque[Any] = deque()
        self._batch_size = 0
        self._max_await_time_ms: int | None = None
        self._killed = False

    @property
    def alive(self) -> bool:
        """Whether it may still return documents."""
        return bool(self._batch) or not self._killed

    @property
    def cursor_id(self) -> int | None:
        """The member's number for it; 0 when exhausted, None before the first command."""
        return self._identifier

    async def next(self) -> Any:
        """Return the next document. Raises StopAsyncIteration at the end."""
        if self._batch:
            if self._recorder is not None:
                self._recorder.check()
            return self._pop()
        document = await self._next_or_end()
        if document is _END:
            raise StopAsyncIteration
        return document

    @recorded(fetch=True)
    async def to_list(self, length: int | None = None) -> list[Any]:
        """Return what is left, or at most ``length`` documents of it."""
        if isinstance(length, int) and length < 1:
            raise ValueError("to_list() length must be greater than 0")
        return await self.read_all(length)

    async def read_all(self, length: int | None = None) -> list[Any]:
        """Do what :meth:`to_list` does, as part of another call."""
        documents: list[Any] = []
        while self.alive and (length is None or len(documents) < length):
            if not self._batch:
                await self._refresh()
                if not self._batch:
                    break
            count = len(self._batch) if length is None else min(len(self._batch), length - len(documents))
            documents.extend([self._pop() for _ in range(count)])
        return documents

    @recorded(fetch=True, cleanup=True)
    async def close(self) -> None:
        """Give the cursor up on the member."""
        await self.give_up()

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

    # -- for the driver itself

    async def give_up(self) -> None:
        """Do what :meth:`close` does, as part of another call."""
        identifier = 0 if self._killed else self._identifier
        self._killed = True
        try:
            if identifier:
                await self._kill(identifier)
        finally:
            self.let_session_go()

    def let_session_go(self) -> None:
        """Give back the session that it holds, where that is the driver's own."""
        session = self._session
        if session is not None and session.implicit:
            self._session = None
            self._client.take_back_session(session)

    @recorded(fetch=True)
    async def _next_or_end(self) -> Any:
        # The end is no error of the call: it is told apart from one before the call is recorded.
        while self.alive:
            if not self._batch:
                await self._refresh()
            if self._batch:
                return self._pop()
            if not self._waits:
                break
        return _END

    @property
    def _explicit_session(self) -> Session | None:
        session = self._session
        return None if session is None or session.implicit else session

    def _pop(self) -> Any:
        return handed_out(self._batch.popleft(), self._codec_options)

    async def _refresh(self) -> None:
        raise NotImplementedError

    async def _get_more(self, limit: int) -> dict[str, Any]:
        """Ask the member for the next batch and return the reply's ``cursor``; ``limit`` 0 sets none."""
        database, collection = self._namespace.split(".", 1)
        head: dict[str, Any] = {"getMore": self._identifier, "collection": collection}
        if limit:
            head["batchSize"] = limit
        if self._max_await_time_ms is not None:
            head["maxTimeMS"] = self._max_await_time_ms
        if self._comment is not None:
            head["comment"] = self._comment
        reply = await self._fetch(Command(head, database, from_cursor=True), retryable=False, member=self._member)
        cursor: dict[str, Any] = reply["cursor"]
        return cursor

    async def _fetch(self, command: Command, *, retryable: bool, member: str | None = None) -> dict[str, Any]:
        """Send a command of the cursor's and return the reply; the cursor is closed by what goes wrong."""
        client = self._client

        async def attempt(session: Session, connection: Connection, _retryable: bool) -> dict[str, Any]:
            reply = await client.send(command, session, connection)
            self._member = connection.member
            return reply

        try:
            return await read(
                client, attempt, self._session, command.read_preference, retryable=retryable, member=member
            )
        except OperationFailure as error:
            self._killed = self._killed or error.code in CLOSED_CODES
            if error.timeout:
                self._killed = True
                self.let_session_go()
            else:
                await self.give_up()
            raise
        except ConnectionFailure:
            self._killed = True
            self.let_session_go()
            raise
        except PyMongoError:
            await self.give_up()
            raise

    async def _kill(self, identifier: int) -> None:
        database, collection = self._namespace.split(".", 1)
        command = Command({"killCursors": collection, "cursors": [identifier]}, database)
        client = self._client

        async def attempt(session: Session, connection: Connection, _retryable: bool) -> Any:
            return await client.send(command, session, connection)

        try:
            await read(client, attempt, self._session, command.read_preference, retryable=False, member=self._member)
        except PyMongoError:
            # As in PyMongo: a cursor that could not be closed is left to the server's own time-out.
            return
