"""Where a session's transaction stands, and the loop that repeats one (PyMongo's ``with_transaction``)."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar

from pymongo.client_session_shared import TransactionOptions
from pymongo.errors import (
    ConnectionFailure,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from harness.sim.driver.errors_mapping import RETRYABLE_CODES, add_label, copy_labels, remove_label
from harness.sim.kernel.loop import US_PER_SECOND

if TYPE_CHECKING:
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode
    from pymongo.write_concern import WriteConcern

    from harness.sim.driver.session import Session

T = TypeVar("T")

TRANSIENT: Final = "TransientTransactionError"
UNKNOWN_COMMIT: Final = "UnknownTransactionCommitResult"

TIME_LIMIT_US: Final = 120 * US_PER_SECOND
"""How long the loop goes on; fixed by the specification of the convenient API for transactions."""
FIRST_BACKOFF_S: Final = 0.005
LONGEST_BACKOFF_S: Final = 0.5
_BACKOFF_GROWTH: Final = 1.5

_MAX_TIME_EXPIRED: Final = 50
_WRITE_CONCERN_TIMEOUT: Final = 64
_UNKNOWN_COMMIT_CODES: Final = RETRYABLE_CODES | {_WRITE_CONCERN_TIMEOUT, _MAX_TIME_EXPIRED}

_NO_OPTIONS: Final = TransactionOptions()


class State(enum.Enum):
    """States of a transaction, as the driver sees it (transactions specification)."""

    NONE = enum.auto()
    STARTING = enum.auto()
    IN_PROGRESS = enum.auto()
    COMMITTED = enum.auto()
    COMMITTED_EMPTY = enum.auto()
    ABORTED = enum.auto()


class Transaction:
    """The transaction of a session; ``commits`` counts the attempts to commit or abort it."""

    __slots__ = ("active", "attempts", "options", "state")

    def __init__(self) -> None:
        self.options = _NO_OPTIONS
        self.state = State.NONE
        self.active = False
        """Whether it is starting or in progress; always up to date with ``state``."""
        self.attempts = 0

    def move(self, state: State) -> None:
        """Go to another state."""
        self.state = state
        self.active = state is State.STARTING or state is State.IN_PROGRESS

    def reset(self) -> None:
        """Forget a transaction that has ended, when the session is used outside of it."""
        self.move(State.NONE)
        self.attempts = 0


class TransactionContext:
    """What ``start_transaction`` returns: commits at its end, or aborts on an exception."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if not self._session.in_transaction or exc_type is GeneratorExit:
            return
        if exc_val is None:
            await self._session.commit_transaction()
        else:
            await self._session.abort_transaction()


def relabel_commit_error(error: PyMongoError) -> None:
    """Add the label of a commit whose result is unknown, where the error means that."""
    if isinstance(error, ConnectionFailure):
        remove_label(error, TRANSIENT)
        add_label(error, UNKNOWN_COMMIT)
    elif isinstance(error, WTimeoutError) or (
        isinstance(error, OperationFailure) and error.code in _UNKNOWN_COMMIT_CODES
    ):
        add_label(error, UNKNOWN_COMMIT)


class TransactionLoop:
    """Runs a callback in a transaction until it is committed, by PyMongo's rules of what is repeated and for how long.

    ``jitter`` returns the random numbers below 1 by which the waits between rounds are shortened.
    """

    def __init__(self, session: Session, jitter: Callable[[], float]) -> None:
        self._session = session
        self._kernel = session.kernel
        self._jitter = jitter
        self._start_us = session.kernel.now_us

    async def run(
        self,
        callback: Callable[[Any], Awaitable[T]],
        read_concern: ReadConcern | None,
        write_concern: WriteConcern | None,
        read_preference: _ServerMode | None,
        max_commit_time_ms: int | None,
    ) -> T:
        """Return the callback's result. Raises what it or the commit raised, NetworkTimeout after the time limit."""
        session = self._session
        rounds = 0
        error: BaseException | None = None
        while True:
            if error is not None:
                await self._back_off(rounds, error)
            rounds += 1
            await session.start_transaction(read_concern, write_concern, read_preference, max_commit_time_ms)
            try:
                result = await callback(session)
            except GeneratorExit:
                raise
            except BaseException as raised:
                if session.in_transaction:
                    await session.abort_transaction()
                if not (isinstance(raised, PyMongoError) and raised.has_error_label(TRANSIENT)):
                    raise
                self._check_time(raised)
                error = raised
                continue
            if not session.in_transaction:
                return result
            error = await self._commit()
            if error is None:
                return result

    async def _commit(self) -> PyMongoError | None:
        """Commit, again while the result is unknown; return the error after which the whole is to be repeated."""
        while True:
            try:
                await self._session.commit_transaction()
            except PyMongoError as error:
                if error.has_error_label(UNKNOWN_COMMIT) and not _expired(error):
                    self._check_time(error)
                    continue
                if error.has_error_label(TRANSIENT):
                    self._check_time(error)
                    return error
                raise
            return None

    async def _back_off(self, rounds: int, error: BaseException) -> None:
        seconds = self._jitter() * min(FIRST_BACKOFF_S * _BACKOFF_GROWTH**rounds, LONGEST_BACKOFF_S)
        wait_us = round(seconds * US_PER_SECOND)
        self._check_time(error, wait_us)
        await self._session.sleep(wait_us)

    def _check_time(self, error: BaseException, wait_us: int = 0) -> None:
        if self._kernel.now_us + wait_us - self._start_us >= TIME_LIMIT_US:
            _raise_time_out(error)


def _expired(error: PyMongoError) -> bool:
    return isinstance(error, OperationFailure) and error.code == _MAX_TIME_EXPIRED


def _raise_time_out(error: BaseException) -> NoReturn:
    time_out = NetworkTimeout(str(error))
    if isinstance(error, PyMongoError):
        copy_labels(error, time_out)
    raise time_out from error
