"""Sessions: causal consistency, snapshots and transactions on the client's side, and the pool of server sessions."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from uuid import UUID

from bson import Int64, Timestamp
from bson.binary import UUID_SUBTYPE, Binary
from pymongo.client_session_shared import SessionOptions, TransactionOptions
from pymongo.errors import (
    ConnectionFailure,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from harness.sim.driver.commands import Command
from harness.sim.driver.recording import recorded
from harness.sim.driver.retry import write
from harness.sim.driver.transaction import (
    State,
    Transaction,
    TransactionContext,
    TransactionLoop,
    relabel_commit_error,
)
from harness.sim.kernel.loop import US_PER_SECOND, Kernel

if TYPE_CHECKING:
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode

    from harness.interfaces import pattern_api as api
    from harness.sim.driver.client import Client
    from harness.sim.driver.connections import Connection
    from harness.sim.driver.recorder import Recorder

T = TypeVar("T")
OptionT = TypeVar("OptionT")

IDLE_LIMIT_US: Final = 29 * 60 * US_PER_SECOND
"""A server session that idled for longer is not used again: the server forgets it after 30 minutes."""
SECOND_COMMIT_WTIMEOUT_MS: Final = 10_000

_UUID_BITS: Final = 128
_WRITES_WITH_CLUSTER_TIME: Final = frozenset(
    {"insert", "update", "findAndModify", "delete", "create", "createIndexes", "drop", "dropDatabase", "dropIndexes"}
)
"""Writes that wait for the session's operation time too."""


class ServerSession:
    """A session as the server knows it: its id and the number of its last retryable write or transaction."""

    __slots__ = ("dirty", "identifier", "implicit", "last_use_us", "number")

    def __init__(self, identifier: Binary, now_us: int) -> None:
        self.identifier: dict[str, Any] = {"id": identifier}
        self.number = 0
        self.dirty = False
        """A command of it met a broken connection: it is not used again."""
        self.last_use_us = now_us
        self.implicit: Session | None = None
        """The driver's own session over it, which is made once."""


class SessionPool:
    """The server sessions of a client that nobody uses; the one used last is lent first. Ids come from ``random``."""

    __slots__ = ("_free", "_kernel", "_random")

    def __init__(self, kernel: Kernel, random: Random) -> None:
        self._kernel = kernel
        self._random = random
        self._free: deque[ServerSession] = deque()

    def take(self) -> ServerSession:
        """Return a server session for use."""
        free = self._free
        oldest_us = self._kernel.now_us - IDLE_LIMIT_US
        while free and free[0].last_use_us < oldest_us:
            free.popleft()
        if free:
            return free.pop()
        bits = self._random.getrandbits(_UUID_BITS)
        return ServerSession(Binary(UUID(int=bits, version=4).bytes, UUID_SUBTYPE), self._kernel.now_us)

    def give_back(self, session: ServerSession) -> None:
        """Take a server session back."""
        if not session.dirty:
            self._free.append(session)

    def empty(self) -> list[dict[str, Any]]:
        """Return the ids of the sessions in it, the one used last first, and forget them."""
        identifiers = [session.identifier for session in reversed(self._free)]
        for session in self._free:
            session.implicit = None
        self._free.clear()
        return identifiers


class Session:
    """A client session; one that is made over a ``server`` session is the driver's own, implicit one."""

    __slots__ = (
        "_client",
        "_cluster_time",
        "_ended",
        "_operation_time",
        "_options",
        "_recorder",
        "_server",
        "_snapshot_time",
        "_started_writes",
        "attached",
        "implicit",
        "kernel",
        "lent",
        "transaction",
    )

    _label = "session"

    def __init__(self, client: Client, options: SessionOptions, *, server: ServerSession | None = None) -> None:
        self.implicit = server is not None
        self.lent = False
        """Whether an implicit session is in use."""
        self.attached = False
        """Whether a cursor goes on in an implicit session."""
        self.kernel = client.kernel
        self.transaction = Transaction()
        self._client = client
        self._recorder: Recorder | None = client.recorder
        self._options = options
        self._server = server
        self._ended = False
        self._started_writes = 0
        self._cluster_time: Mapping[str, Any] | None = None
        self._operation_time: Timestamp | None = None
        self._snapshot_time: Timestamp | None = None

    @property
    def client(self) -> Client:
        """The client that started it."""
        return self._client

    @property
    def options(self) -> SessionOptions:
        """The options that it was started with."""
        return self._options

    @property
    def session_id(self) -> Mapping[str, Any]:
        """The server's id for it."""
        self.check_open()
        return self.server_session().identifier

    @property
    def cluster_time(self) -> Any:
        """The highest cluster time that it has seen, or None."""
        return self._cluster_time

    @property
    def operation_time(self) -> Timestamp | None:
        """The time of its last operation, or None."""
        return self._operation_time

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._ended

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open in it."""
        return self.transaction.active

    # -- what a pattern does with it

    def advance_cluster_time(self, cluster_time: Mapping[str, Any]) -> None:
        """Take over the cluster time of another session."""
        if not isinstance(cluster_time, Mapping):
            raise TypeError(f"cluster_time must be a subclass of collections.Mapping, not {type(cluster_time)}")
        if not isinstance(cluster_time.get("clusterTime"), Timestamp):
            raise TypeError("Invalid cluster_time")
        self._advance_cluster_time(cluster_time)

    def advance_operation_time(self, operation_time: Timestamp) -> None:
        """Take over the operation time of another session: reads wait until they see as much."""
        if not isinstance(operation_time, Timestamp):
            raise TypeError(
                f"operation_time must be an instance of bson.timestamp.Timestamp, not {type(operation_time)}"
            )
        self._advance_operation_time(operation_time)

    async def with_transaction(
        self,
        callback: Callable[[api.Session], Awaitable[T]],
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: _ServerMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> T:
        """Run ``callback`` in a transaction, again after transient errors, and commit it; return its result."""
        loop = TransactionLoop(self, self._client.jitter)
        return await loop.run(callback, read_concern, write_concern, read_preference, max_commit_time_ms)

    async def start_transaction(
        self,
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: _ServerMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction; the context that it returns commits it, or aborts it on an exception."""
        self.check_open()
        if self._options.snapshot:
            raise InvalidOperation("Transactions are not supported in snapshot sessions")
        if self.in_transaction:
            raise InvalidOperation("Transaction already in progress")
        defaults = self._options.default_transaction_options
        client = self._client
        if max_commit_time_ms is None and defaults is not None:
            max_commit_time_ms = defaults.max_commit_time_ms
        self.transaction.options = TransactionOptions(
            read_concern or (defaults and defaults.read_concern) or client.read_concern,
            write_concern or (defaults and defaults.write_concern) or client.write_concern,
            read_preference or (defaults and defaults.read_preference) or client.read_preference,
            max_commit_time_ms,
        )
        self.transaction.reset()
        self.transaction.move(State.STARTING)
        self.start_retryable_write()
        return TransactionContext(self)

    @recorded
    async def commit_transaction(self) -> None:
        """Commit; may be repeated while the result is unknown."""
        self.check_open()
        transaction = self.transaction
        state = transaction.state
        if state is State.NONE:
            raise InvalidOperation("No transaction started")
        if state is State.ABORTED:
            raise InvalidOperation("Cannot call commitTransaction after calling abortTransaction")
        if state in {State.STARTING, State.COMMITTED_EMPTY}:
            transaction.move(State.COMMITTED_EMPTY)
            return
        if state is State.COMMITTED:
            transaction.move(State.IN_PROGRESS)
        try:
            await self._finish("commitTransaction")
        except PyMongoError as error:
            relabel_commit_error(error)
            raise
        finally:
            transaction.move(State.COMMITTED)

    @recorded(cleanup=True)
    async def abort_transaction(self) -> None:
        """Abort."""
        self.check_open()
        await self._abort()

    async def _abort(self) -> None:
        transaction = self.transaction
        state = transaction.state
        if state is State.NONE:
            raise InvalidOperation("No transaction started")
        if state is State.ABORTED:
            raise InvalidOperation("Cannot call abortTransaction twice")
        if state in {State.COMMITTED, State.COMMITTED_EMPTY}:
            raise InvalidOperation("Cannot call abortTransaction after calling commitTransaction")
        try:
            if state is State.IN_PROGRESS:
                await self._finish("abortTransaction")
        except (OperationFailure, ConnectionFailure):
            # The transactions specification: the server aborts what nobody goes on with.
            return
        finally:
            transaction.move(State.ABORTED)

    @recorded(cleanup=True)
    async def end_session(self) -> None:
        """End it; an open transaction is aborted."""
        await self.end()

    async def end(self) -> None:
        """Do what :meth:`end_session` does, as part of another call."""
        if self._ended:
            return
        try:
            if self.in_transaction:
                await self._abort()
        finally:
            self.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if exc_type is not GeneratorExit:
            await self.end_session()

    # -- what the driver does with it

    def check_open(self) -> None:
        """Raise InvalidOperation where it has ended."""
        if self._ended:
            raise InvalidOperation("Cannot use ended session")

    def server_session(self) -> ServerSession:
        """Return its server session, which it takes from the pool where it first needs one."""
        server = self._server
        if server is None:
            server = self._server = self._client.sessions.take()
            server.number += self._started_writes
        return server

    def release(self) -> None:
        """Give its server session back; it has ended."""
        self._ended = True
        if self._server is not None:
            self._client.sessions.give_back(self._server)
            self._server = None

    def mark_dirty(self) -> None:
        """Note that a command of it met a broken connection."""
        if self._server is not None:
            self._server.dirty = True

    def start_retryable_write(self) -> None:
        """Take the next transaction number."""
        self.check_open()
        if self._server is None:
            self._started_writes = 1
        else:
            self._server.number += 1

    def apply(self, command: dict[str, Any], name: str, read_preference: _ServerMode, *, retryable: bool) -> None:
        """Add the fields of the session to a command, in PyMongo's order."""
        self.check_open()
        options = self._options
        active = self.transaction.active
        if options.snapshot or (options.causal_consistency and not active and name in _WRITES_WITH_CLUSTER_TIME):
            self.add_times(command)
        server = self.server_session()
        server.last_use_us = self.kernel.now_us
        command["lsid"] = server.identifier
        if retryable:
            command["txnNumber"] = Int64(server.number)
        elif active:
            self._apply_transaction(command, read_preference, server)

    def _apply_transaction(self, command: dict[str, Any], read_preference: _ServerMode, server: ServerSession) -> None:
        transaction = self.transaction
        if read_preference != ReadPreference.PRIMARY:
            raise InvalidOperation(f"read preference in a transaction must be primary, not: {read_preference!r}")
        if transaction.state is State.STARTING:
            transaction.move(State.IN_PROGRESS)
            command["startTransaction"] = True
            read_concern = transaction.options.read_concern
            if read_concern is not None and read_concern.level:
                command["readConcern"] = read_concern.document
            self.add_times(command)
        command["txnNumber"] = Int64(server.number)
        command["autocommit"] = False

    def add_times(self, command: dict[str, Any]) -> None:
        """Add to a command's read concern what a causal or a snapshot session waits for or reads at."""
        if self._options.causal_consistency and self._operation_time is not None:
            command["readConcern"] = {**command.get("readConcern", {}), "afterClusterTime": self._operation_time}
        if self._options.snapshot:
            concern = {**command.get("readConcern", {}), "level": "snapshot"}
            if self._snapshot_time is not None:
                concern["atClusterTime"] = self._snapshot_time
            command["readConcern"] = concern

    def learn(self, reply: Mapping[str, Any]) -> None:
        """Take over the times of a reply to a command of it."""
        self._advance_cluster_time(reply.get("$clusterTime"))
        self._advance_operation_time(reply.get("operationTime"))
        if self._options.snapshot and self._snapshot_time is None:
            source = reply.get("cursor", reply)
            self._snapshot_time = source.get("atClusterTime")

    async def sleep(self, duration_us: int) -> None:
        """Wait for a while of virtual time."""
        await self.kernel.sleep(duration_us)

    def _advance_cluster_time(self, cluster_time: Mapping[str, Any] | None) -> None:
        known = self._cluster_time
        if known is None or (cluster_time is not None and cluster_time["clusterTime"] > known["clusterTime"]):
            self._cluster_time = cluster_time

    def _advance_operation_time(self, operation_time: Timestamp | None) -> None:
        known = self._operation_time
        if known is None or (operation_time is not None and operation_time > known):
            self._operation_time = operation_time

    async def _finish(self, name: str) -> None:
        client = self._client

        def attempt(_session: Session, connection: Connection, _retryable: bool) -> Awaitable[dict[str, Any]]:
            return client.send(self._ending(name), self, connection)

        await write(client, attempt, self, retryable=True, ends_transaction=True)

    def _ending(self, name: str) -> Command:
        """Return the command of the next attempt to commit or abort: a repeated commit asks for a majority."""
        transaction = self.transaction
        transaction.attempts += 1
        concern = transaction.options.write_concern
        head: dict[str, Any] = {name: 1}
        if name == "commitTransaction":
            if transaction.options.max_commit_time_ms:
                head["maxTimeMS"] = transaction.options.max_commit_time_ms
            if transaction.attempts > 1 and concern is not None:
                document = concern.document
                document["w"] = "majority"
                document.setdefault("wtimeout", SECOND_COMMIT_WTIMEOUT_MS)
                concern = WriteConcern(**document)
        return Command(head, "admin", write_concern=concern, concern_error=True)
