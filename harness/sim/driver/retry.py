"""Running something on a selected member, once more where the rules of retryable writes and reads say so.

Sources: the retryable writes and retryable reads specifications, and PyMongo 4.20 for which of two errors is raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from harness.sim.driver.commands import Command
from harness.sim.driver.errors_mapping import (
    NO_WRITES_PERFORMED,
    RETRYABLE_CODES,
    RETRYABLE_WRITE,
    add_label,
    label_retryable_write,
)
from harness.sim.driver.transaction import TRANSIENT, State

if TYPE_CHECKING:
    from pymongo.read_preferences import _ServerMode

    from harness.sim.driver.client import Client
    from harness.sim.driver.connections import Connection
    from harness.sim.driver.session import Session

T = TypeVar("T")

Attempt = Callable[["Session", "Connection", bool], Awaitable[T]]
"""One attempt in a session, over a connection; the flag tells whether it is a retryable write."""


class Progress(Protocol):
    """What a bulk write keeps between its attempts: each of its commands may be repeated once."""

    retrying: bool
    started_retryable_write: bool


class _Single:
    """Progress of what consists of one command."""

    __slots__ = ("retrying", "started_retryable_write")

    def __init__(self) -> None:
        self.retrying = False
        self.started_retryable_write = False


def write_command(
    client: Client, command: Command, session: Session | None, *, retryable: bool
) -> Awaitable[dict[str, Any]]:
    """Send a write to the primary and return its reply; see :func:`write`."""

    def attempt(session: Session, connection: Connection, retryable: bool) -> Awaitable[dict[str, Any]]:
        return client.send(command, session, connection, retryable=retryable)

    return write(client, attempt, session, retryable=retryable)


def read_command(
    client: Client, command: Command, session: Session | None, *, retryable: bool = True
) -> Awaitable[dict[str, Any]]:
    """Send a read to a member that its read preference allows, and return the reply; see :func:`read`."""

    def attempt(session: Session, connection: Connection, _retryable: bool) -> Awaitable[dict[str, Any]]:
        return client.send(command, session, connection)

    return read(client, attempt, session, command.read_preference, retryable=retryable)


async def write(
    client: Client,
    attempt: Attempt[T],
    session: Session | None,
    *,
    retryable: bool,
    ends_transaction: bool = False,
    progress: Progress | None = None,
) -> T:
    """Run ``attempt`` on the primary and return its result.

    It is repeated once where it is ``retryable``, the client retries writes, no transaction is open and the error has
    the label for it; the end of a transaction is repeated in any case. Raises what the last attempt raised, or the one
    before where the last wrote nothing or no member was found for it.
    """
    used = client.lend_session() if session is None else client.checked_session(session)
    if not ends_transaction:
        retryable = retryable and client.retry_writes and not used.transaction.active
        if retryable:
            used.start_retryable_write()
            if progress is not None:
                progress.started_retryable_write = True
    last_error: PyMongoError | None = None
    try:
        while True:
            try:
                member = client.topology.primary_now()
                if not member or used.transaction.state is not State.NONE:
                    member = await _select(client.topology.writable, used)
                connection = client.connections.take(member)
                try:
                    result = await attempt(used, connection, retryable)
                except PyMongoError as error:
                    _note_error(client, used, connection, error)
                    raise
                client.connections.give_back(connection)
                return result
            except PyMongoError as error:
                if not retryable:
                    raise
                progress = progress or _Single()
                last_error = _judge_write_error(error, last_error, progress)
    finally:
        if session is None:
            client.take_back_session(used)


def _judge_write_error(error: PyMongoError, last_error: PyMongoError | None, progress: Progress) -> PyMongoError:
    """Return the error to raise where the repetition fails without a result, or raise where there is to be none."""
    label_retryable_write(error)
    if isinstance(error, ServerSelectionTimeoutError):
        if progress.retrying and last_error is not None:
            raise last_error from error
        raise error
    if progress.retrying or not error.has_error_label(RETRYABLE_WRITE):
        if error.has_error_label(NO_WRITES_PERFORMED) and last_error is not None:
            raise last_error from error
        raise error
    progress.retrying = True
    if last_error is None or not error.has_error_label(NO_WRITES_PERFORMED):
        return error
    return last_error


async def read(
    client: Client,
    attempt: Attempt[T],
    session: Session | None,
    read_preference: _ServerMode,
    *,
    retryable: bool = True,
    member: str | None = None,
) -> T:
    """Run ``attempt`` on a member that ``read_preference`` allows, or on ``member``, and return its result.

    It is repeated once where it is ``retryable``, the client retries reads, no transaction is open, and the connection
    broke or the error's code is one of the retryable. Raises what the last attempt raised; the first error where no
    member was found for the second.
    """
    used = client.lend_session() if session is None else client.checked_session(session)
    retryable = retryable and client.retry_reads and not used.transaction.active
    last_error: PyMongoError | None = None
    try:
        while True:
            try:
                target = ""
                if member is None and not read_preference.mode and used.transaction.state is State.NONE:
                    target = client.topology.primary_now()
                target = target or await _target(client, used, read_preference, member)
                connection = client.connections.take(target)
                try:
                    result = await attempt(used, connection, False)
                except PyMongoError as error:
                    _note_error(client, used, connection, error)
                    raise
                client.connections.give_back(connection)
                return result
            except ServerSelectionTimeoutError as error:
                if last_error is not None:
                    raise last_error from error
                raise
            except (ConnectionFailure, OperationFailure) as error:
                if not retryable or last_error is not None:
                    raise
                if isinstance(error, OperationFailure) and error.code not in RETRYABLE_CODES:
                    raise
                last_error = error
    finally:
        if session is None:
            client.take_back_session(used)


async def _target(client: Client, session: Session, preference: _ServerMode, member: str | None) -> str:
    topology = client.topology
    if member is not None:
        await _select(topology.known, session, member)
        return member
    return await _select(topology.readable, session, preference)


async def _select(select: Callable[..., Awaitable[T]], session: Session, *args: Any) -> T:
    transaction = session.transaction
    if not transaction.active and transaction.state is not State.NONE:
        transaction.reset()
    try:
        return await select(*args)
    except PyMongoError as error:
        if transaction.active:
            add_label(error, TRANSIENT)
        if session.implicit:
            session.mark_dirty()
        raise


def _note_error(client: Client, session: Session, connection: Connection, error: PyMongoError) -> None:
    """Draw the conclusions from an error of a command that was to go over ``connection``."""
    member = connection.member
    if isinstance(error, ConnectionFailure):
        if session.transaction.active:
            add_label(error, TRANSIENT)
        session.mark_dirty()
    if client.topology.note_error(member, error, connected=connection.used):
        client.connections.clear(member)
    elif not connection.broken:
        client.connections.give_back(connection)
