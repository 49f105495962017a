"""The client: its view of the set, its sessions and connections, and the one place where a command is sent."""

# ruff: noqa: PLR0917 - order of the parameters is PyMongo's

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from bson import CodecOptions
from pymongo.client_session_shared import SessionOptions
from pymongo.errors import ConfigurationError, InvalidOperation, PyMongoError
from pymongo.read_preferences import ReadPreference

from harness.sim.driver.change_stream import ChangeStream
from harness.sim.driver.commands import Command
from harness.sim.driver.connections import Connection, Connections
from harness.sim.driver.database import Database
from harness.sim.driver.errors_mapping import (
    SOCKET_TIMEOUT_MS,
    check_reply,
    check_write_reply,
    failure_document,
    network_error,
)
from harness.sim.driver.object_ids import ObjectIds
from harness.sim.driver.options import DEFAULT_CODEC_OPTIONS, Options, check_part
from harness.sim.driver.recording import recorded
from harness.sim.driver.results import value_taken_in
from harness.sim.driver.retry import read, read_command
from harness.sim.driver.selection import Network, Topology
from harness.sim.driver.session import Session, SessionPool
from harness.sim.kernel.loop import US_PER_MS, Kernel, Task
from harness.sim.server.errors import NetworkFailure

if TYPE_CHECKING:
    from bson import Timestamp
    from pymongo import WriteConcern
    from pymongo.client_session_shared import TransactionOptions
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode

    from harness.sim.driver.recorder import OpenCall, Recorder

SOCKET_TIMEOUT_US: Final = SOCKET_TIMEOUT_MS * US_PER_MS
_MOST_SESSIONS_ENDED: Final = 10_000
_STREAM_BITS: Final = 64
_IMPLICIT: Final = SessionOptions(causal_consistency=False)
_CLOSED: Final = "Cannot use MongoClient after close"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """What a client is opened with, beside its network."""

    read_preference: _ServerMode
    write_concern: WriteConcern
    read_concern: ReadConcern
    retry_writes: bool
    retry_reads: bool
    codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS


class Client(Options):
    """A client of the simulated set, made by :func:`~harness.sim.driver.connect.open_client`."""

    __slots__ = (
        "_closed",
        "_cluster_position",
        "_cluster_time",
        "_group",
        "_jitter",
        "_jitter_seed",
        "_network",
        "connections",
        "kernel",
        "object_ids",
        "recorder",
        "retry_reads",
        "retry_writes",
        "sessions",
        "topology",
    )

    _label = "client"

    def __init__(
        self,
        network: Network,
        kernel: Kernel,
        options: ClientOptions,
        *,
        group: str,
        random: Random,
        recorder: Recorder | None = None,
        object_ids: ObjectIds | None = None,
        connection_numbers: Iterator[int] | None = None,
    ) -> None:
        super().__init__(options.codec_options, options.read_preference, options.write_concern, options.read_concern)
        self.kernel = kernel
        self.recorder = recorder
        self.retry_writes = options.retry_writes
        self.retry_reads = options.retry_reads
        self.topology = Topology(network, kernel, group)
        self.sessions = SessionPool(kernel, _stream(random))
        self._jitter_seed = random.getrandbits(_STREAM_BITS)
        self._jitter: Random | None = None
        self.object_ids = object_ids or ObjectIds(kernel, _stream(random))
        self.connections = Connections(connection_numbers or count(1))
        self._network = network
        self._group = group
        self._cluster_time: Mapping[str, Any] | None = None
        self._cluster_position = (0, 0)
        self._closed = False

    @property
    def _recorder(self) -> Recorder | None:
        return self.recorder

    def __getitem__(self, name: str) -> Database:
        return Database(self, name)

    def __getattr__(self, name: str) -> Database:
        check_part("Client", name)
        return self[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(group={self._group!r})"

    def get_database(
        self,
        name: str | None = None,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: _ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Database:
        """Return a database, with other options where given."""
        if name is None:
            raise ConfigurationError("No default database defined")
        return Database(self, name, codec_options, read_preference, write_concern, read_concern)

    def start_session(
        self,
        causal_consistency: bool | None = None,
        default_transaction_options: TransactionOptions | None = None,
        snapshot: bool | None = False,
    ) -> Session:
        """Start a session."""
        options = SessionOptions(causal_consistency, default_transaction_options, snapshot)
        return Session(self, options)

    @recorded
    async def list_database_names(self, session: Session | None = None, comment: Any | None = None) -> list[str]:
        """Return the names of the databases."""
        preference: _ServerMode = ReadPreference.PRIMARY
        if session is not None and session.in_transaction:
            preference = session.transaction.options.read_preference or preference
        head: dict[str, Any] = {"listDatabases": 1, "nameOnly": True}
        if comment is not None:
            head["comment"] = value_taken_in(comment, self.codec_options)
        reply = await read_command(self, Command(head, "admin", read_preference=preference), session)
        return [document["name"] for document in reply["databases"]]

    @recorded
    async def drop_database(
        self, name_or_database: str | Database, session: Session | None = None, comment: Any | None = None
    ) -> None:
        """Drop a database."""
        name = name_or_database.name if isinstance(name_or_database, Database) else name_or_database
        if not isinstance(name, str):
            raise TypeError(f"name_or_database must be an instance of str or a Database, not {type(name)}")
        head = {"dropDatabase": 1, "comment": value_taken_in(comment, self.codec_options)}
        concern = self.write_concern_for(session)
        command = Command(head, self[name].name, write_concern=concern, concern_error=True)
        await read_command(self, command, session, retryable=False)

    @recorded
    async def watch(
        self,
        pipeline: Sequence[Mapping[str, Any]] | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: Any | None = None,
        start_at_operation_time: Timestamp | None = None,
        session: Session | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> ChangeStream:
        """Open a change stream on all databases."""
        stream = ChangeStream(
            self,
            self,
            "admin",
            1,
            "client.watch",
            pipeline=pipeline,
            full_document=full_document,
            resume_after=resume_after,
            max_await_time_ms=max_await_time_ms,
            batch_size=batch_size,
            collation=collation,
            start_at_operation_time=start_at_operation_time,
            session=session,
            start_after=start_after,
            comment=comment,
            full_document_before_change=full_document_before_change,
            show_expanded_events=show_expanded_events,
            whole_cluster=True,
        )
        return await stream.open()

    async def close(self) -> None:
        """End its sessions on the server; it cannot be used again."""
        identifiers = self.sessions.empty()
        if identifiers and not self._closed:
            try:
                await self._end_sessions(identifiers)
            except PyMongoError:
                # What cannot be told to the server ends there by its own time-out.
                identifiers.clear()
        self.close_now()

    def close_now(self) -> None:
        """Let it send nothing any more, from plain code; may be repeated. The server keeps its sessions for a while."""
        self._closed = True
        self.sessions.empty()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if exc_type is not GeneratorExit:
            await self.close()

    # -- for the driver itself

    def jitter(self) -> float:
        """Return a random number below 1."""
        if self._jitter is None:
            self._jitter = Random(self._jitter_seed)  # noqa: S311 - reproducible, not secret
        return self._jitter.random()

    def lend_session(self) -> Session:
        """Return an implicit session for one call or one cursor."""
        server = self.sessions.take()
        session = server.implicit
        if session is None:
            session = server.implicit = Session(self, _IMPLICIT, server=server)
        session.lent = True
        return session

    def checked_session(self, session: Any) -> Session:
        """Return a ``session`` argument. Raises ValueError where it is none, InvalidOperation for another client's."""
        if not isinstance(session, Session):
            message = f"'session' argument must be a Session or None, not {type(session)}"
            raise ValueError(message)  # noqa: TRY004 - PyMongo's choice
        if session.client is not self:
            raise InvalidOperation("Can only use session with the AsyncMongoClient that started it")
        return session

    def take_back_session(self, session: Session) -> None:
        """Take an implicit session back; may be repeated."""
        if session.lent:
            session.lent = session.attached = False
            self.sessions.give_back(session.server_session())

    def take_back_unless_attached(self, session: Session) -> None:
        """Take an implicit session back that no cursor goes on with; do nothing to an explicit one."""
        if not session.attached:
            self.take_back_session(session)

    async def send(
        self, command: Command, session: Session | None, connection: Connection, *, retryable: bool = False
    ) -> dict[str, Any]:
        """Send a command and return its reply.

        Raises what PyMongo raises for it; a reply with writeErrors does not raise here. An unacknowledged write is
        answered at once, whatever becomes of it.
        """
        concern = command.write_concern
        if concern is not None and not concern.acknowledged:
            _refuse_explicit(session, concern)
            return await self.send_unacknowledged(command, connection)
        if self._closed:
            raise InvalidOperation(_CLOSED)
        kernel = self.kernel
        document = command.document(session, self._cluster_time, retryable=retryable)
        if connection.pending is not None:
            await connection.settle(kernel)
        opened = None if self.recorder is None else self.recorder.current()
        if opened is not None:
            opened.send(command.name, document, connection.member, kernel.now_us)
        if connection.broken:
            # The member closed it after an unanswered write, and nobody has noticed since.
            failure = NetworkFailure("reset", member=connection.member, sent=True)
            raise _broken(failure, connection, opened, kernel.now_us)
        try:
            reply = await self._network.request(
                self._group,
                connection.member,
                document,
                connection=connection.number,
                deadline_us=kernel.now_us + SOCKET_TIMEOUT_US,
            )
        except NetworkFailure as failure:
            connection.broken = True
            raise _broken(failure, connection, opened, kernel.now_us) from None
        connection.used = True
        self._learn(reply, session)
        if command.check and (not reply["ok"] or "writeConcernError" in reply):
            _check(command, reply, opened, kernel.now_us)
        if opened is not None:
            opened.receive(kernel.now_us, reply, None)
        if command.is_statement and ("writeErrors" in reply or "writeConcernError" in reply):
            check_write_reply(reply)
        return reply

    async def send_unacknowledged(self, command: Command, connection: Connection) -> dict[str, Any]:
        """Send a command that the member is told not to answer; return PyMongo's stand-in for a reply."""
        if self._closed:
            raise InvalidOperation(_CLOSED)
        document = command.document(None, self._cluster_time, retryable=False)
        kernel = self.kernel
        opened = None if self.recorder is None else self.recorder.current()
        if opened is not None:
            opened.send(command.name, document, connection.member, kernel.now_us)
            opened.receive(kernel.now_us, None, None)
        delivery = self._deliver(document, connection, connection.pending)
        connection.pending = kernel.spawn(f"{kernel.current.name} unacknowledged", delivery, vital=False)
        return {"ok": 1}

    async def _deliver(self, document: dict[str, Any], connection: Connection, previous: Task | None) -> None:
        if previous is not None:
            await self.kernel.join(previous)
        if connection.broken:
            return
        try:
            await self._network.request(
                self._group, connection.member, document, connection=connection.number, deadline_us=None
            )
        except NetworkFailure:
            connection.broken = True

    async def _end_sessions(self, identifiers: list[dict[str, Any]]) -> None:
        async def attempt(_session: Session, connection: Connection, _retryable: bool) -> None:
            for start in range(0, len(identifiers), _MOST_SESSIONS_ENDED):
                head = {"endSessions": identifiers[start : start + _MOST_SESSIONS_ENDED]}
                await self.send(Command(head, "admin", read_preference=preference), None, connection)

        preference = ReadPreference.PRIMARY_PREFERRED
        await read(self, attempt, None, preference, retryable=False)

    def _learn(self, reply: Mapping[str, Any], session: Session | None) -> None:
        if session is not None and not session.implicit:
            session.learn(reply)
        cluster_time = reply.get("$clusterTime")
        if cluster_time is None or cluster_time is self._cluster_time:
            return
        timestamp = cluster_time["clusterTime"]
        position = (timestamp.time, timestamp.inc)
        if position > self._cluster_position:
            self._cluster_position = position
            self._cluster_time = cluster_time


def _stream(random: Random) -> Random:
    """Return a stream of its own, so that what draws from one does not shift the others."""
    return Random(random.getrandbits(_STREAM_BITS))  # noqa: S311 - reproducible, not secret


def _refuse_explicit(session: Session | None, concern: WriteConcern) -> None:
    if session is not None and not session.implicit:
        raise ConfigurationError(f"Explicit sessions are incompatible with unacknowledged write concern: {concern!r}")


def _broken(failure: NetworkFailure, connection: Connection, opened: OpenCall | None, now_us: int) -> PyMongoError:
    """Record that no reply came, and return what PyMongo raises for that."""
    error = network_error(failure.kind, connection.member)
    if opened is None:
        return error
    if failure.kind == "refused":
        opened.take_back()
    else:
        opened.receive(now_us, None, failure_document(error))
    return error


def _check(command: Command, reply: dict[str, Any], opened: OpenCall | None, now_us: int) -> None:
    """Raise what PyMongo raises for a reply that tells of an error, and record that the command failed so."""
    try:
        check_reply(
            reply,
            allowable=command.allowable,
            concern_error=command.concern_error,
            from_cursor=command.from_cursor,
        )
    except PyMongoError as error:
        if opened is not None:
            opened.receive(now_us, None, failure_document(error))
        raise
