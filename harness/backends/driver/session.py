"""Sessions over PyMongo's synchronous ones, and transactions with a callback that is a coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from bson import Timestamp
from pymongo.client_session import ClientSession

from harness.backends.driver.handle import Handle, Mirrored, forwarded, plain_forwarded
from harness.backends.driver.recorder import Recorder
from harness.backends.driver.stepping import run_coroutine
from harness.interfaces import pattern_api as api

if TYPE_CHECKING:
    from pymongo.client_session_shared import SessionOptions
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode as ReadPreference
    from pymongo.write_concern import WriteConcern

T = TypeVar("T")


class Session(Handle):
    """A client session."""

    __slots__ = ("_client",)

    _target: ClientSession

    options: Mirrored[SessionOptions] = Mirrored()
    session_id: Mirrored[Mapping[str, Any]] = Mirrored()
    cluster_time: Mirrored[Any] = Mirrored()
    operation_time: Mirrored[Timestamp | None] = Mirrored()
    has_ended: Mirrored[bool] = Mirrored()
    in_transaction: Mirrored[bool] = Mirrored()

    def __init__(self, target: ClientSession, recorder: Recorder | None, client: api.Client) -> None:
        super().__init__(target, recorder, "session")
        self._client = client

    @property
    def client(self) -> api.Client:
        """The client that started it."""
        return self._client

    advance_cluster_time = plain_forwarded(api.Session.advance_cluster_time)
    advance_operation_time = plain_forwarded(api.Session.advance_operation_time)
    commit_transaction = forwarded(api.Session.commit_transaction)
    abort_transaction = forwarded(api.Session.abort_transaction, cleanup=True)
    end_session = forwarded(api.Session.end_session, cleanup=True)

    async def start_transaction(
        self,
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ReadPreference | None = None,
        max_commit_time_ms: int | None = None,
    ) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction; the context that it returns commits it, or aborts it on an exception."""
        self._target.start_transaction(read_concern, write_concern, read_preference, max_commit_time_ms)
        return _TransactionContext(self)

    async def with_transaction(
        self,
        callback: Callable[[api.Session], Awaitable[T]],
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ReadPreference | None = None,
        max_commit_time_ms: int | None = None,
    ) -> T:
        """Run ``callback`` in a transaction, by PyMongo's own loop of commits and retries; return its result."""

        async def body() -> T:
            return await callback(self)

        return ClientSession.with_transaction(
            cast("ClientSession", _RecordedSession(self)),
            lambda _: run_coroutine(body()),
            read_concern,
            write_concern,
            read_preference,
            max_commit_time_ms,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.end_session()


class _RecordedSession:
    """What PyMongo's own transaction loop runs on: the PyMongo session, its commits and aborts recorded.

    So the loop (which error repeats the callback, which the commit, for how long) stays PyMongo's, while a commit is
    a database call like any other: recorded, refused to a dead client, and where a cancelled one stops.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def commit_transaction(self) -> None:
        run_coroutine(self._session.commit_transaction())

    def abort_transaction(self) -> None:
        run_coroutine(self._session.abort_transaction())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session._target, name)


class _TransactionContext:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if not self._session.in_transaction:
            return
        if exc_val is None:
            await self._session.commit_transaction()
        else:
            await self._session.abort_transaction()
