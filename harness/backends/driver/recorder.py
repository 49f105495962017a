"""The recorder of one client process: which database calls an operation made, and what went over the wire for each.

PyMongo's command monitoring runs on the thread that makes the call, so an event belongs to the call that is open on
its thread. Documents are turned into plain values (a deep copy, made by msgspec in C) as the events happen, because a
pattern may change a document that it sent or received while its operation is still under way.

An unacknowledged write (w:0) has no answer; PyMongo publishes one of its own making, which is not recorded: such an
attempt has neither reply nor failure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec
from bson import Int64, Timestamp
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from harness.backends.driver.cancellation import CancelFlag, task_flag
from harness.clock import RunClock
from harness.failures import failure_of_attempt
from harness.journal import to_plain
from harness.operation import Attempt, DatabaseCall, Failure

T = TypeVar("T")

_NO_ARGUMENTS: dict[str, Any] = {}


class ClientDied(BaseException):
    """The client process died (fault ``crash-client``): nothing of its operation reaches the database any more."""


class CommandGate(Protocol):
    """Lets commands through one by one: called on the thread that sends, just before and just after a command."""

    def before(self) -> None:
        """Return when the next command of the operation may be sent."""
        ...

    def after(self) -> None:
        """Take notice that it was answered, or failed."""
        ...


class _OpenCall:
    """A call under way. Between sending a command and its answer, ``command`` is the name of what was sent."""

    __slots__ = (
        "attempts",
        "command",
        "end_ns",
        "error",
        "name",
        "operation",
        "request",
        "sent_ns",
        "server",
        "start_ns",
    )

    def __init__(self, name: str, operation: _OpenOperation, start_ns: int) -> None:
        self.name = name
        self.operation = operation
        self.start_ns = start_ns
        self.end_ns: int | None = None
        self.error = ""
        self.attempts: list[Attempt] = []
        self.command = ""

    @property
    def has_sent(self) -> bool:
        return bool(self.attempts or self.command)

    def send(self, command: str, request: dict[str, Any], server: str, sent_ns: int) -> None:
        self.command = command
        self.request = request
        self.server = server
        self.sent_ns = sent_ns

    def attempt(self, end_ns: int | None, reply: dict[str, Any] | None, failure: Failure | None) -> Attempt:
        return Attempt(
            command=self.command,
            request=self.request,
            server=self.server,
            start_ns=self.sent_ns,
            end_ns=end_ns,
            reply=reply,
            failure=failure,
        )

    def receive(self, end_ns: int | None, reply: dict[str, Any] | None, failure: Failure | None) -> None:
        self.attempts.append(self.attempt(end_ns, reply, failure))
        self.command = ""

    def close(self) -> DatabaseCall:
        attempts = tuple(self.attempts)
        if self.command:
            attempts = (*attempts, self.attempt(None, None, None))
        return DatabaseCall(
            name=self.name, start_ns=self.start_ns, end_ns=self.end_ns, attempts=attempts, error=self.error
        )


class _OpenOperation:
    __slots__ = ("calls", "dead")

    def __init__(self) -> None:
        self.calls: list[_OpenCall] = []
        """Calls that sent a command or raised, in the order in which they first did; cursors serve many from memory."""
        self.dead = False


class _ThreadState(threading.local):
    call: _OpenCall | None = None


class Recorder:
    """Records the database calls of one client process, operation by operation.

    Arguments: ``clock`` is the run's; ``cancel`` is looked at before every call; ``members`` maps ``host:port`` to
    member name; ``gate`` holds every command of an operation back until its turn. :meth:`begin` and :meth:`end` are
    called by the client's own thread, :meth:`arm_crash` by any; child tasks record into the operation under way.
    """

    def __init__(
        self, clock: RunClock, cancel: CancelFlag, members: Mapping[str, str], gate: CommandGate | None = None
    ) -> None:
        self._origin_ns = clock.origin_ns
        self._cancel = cancel
        self._servers = {_address(text): name for text, name in members.items()}
        self._operation: _OpenOperation | None = None
        self._thread = _ThreadState()
        self._armed = False
        self.listener: CommandListener = _CommandRecorder(self._thread, self._servers, clock.origin_ns, gate)
        """What the client's MongoClient is given as event listener."""

    def begin(self) -> None:
        """Start to record an operation."""
        self._operation = _OpenOperation()

    def end(self) -> tuple[DatabaseCall, ...]:
        """Return the calls of the operation, in the order in which they first reached the wire; forget its death.

        Of a call that a child task has still open, what was sent by now is in the record, without an end.
        """
        operation, self._operation = self._operation, None
        return () if operation is None else tuple(call.close() for call in operation.calls)

    def arm_crash(self) -> None:
        """Let the client die when the next database call of an operation completes, in place of its result."""
        self._armed = True

    def disarm_crash(self) -> None:
        """Take back :meth:`arm_crash` where it has not struck yet."""
        self._armed = False

    def check(self) -> None:
        """Raise :class:`ClientDied` or :class:`~harness.backends.driver.cancellation.Cancelled` where due."""
        operation = self._operation
        if operation is not None and operation.dead:
            raise ClientDied
        (task_flag.get() or self._cancel).check()

    def call(
        self,
        name: str,
        function: Callable[..., T],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = _NO_ARGUMENTS,
        *,
        cleanup: bool = False,
    ) -> T:
        """Do ``function(*args, **kwargs)`` as the database call ``name`` and return its result.

        Raises ClientDied where the client is dead, Cancelled where it was told to end (not for a ``cleanup`` call,
        which gives back what the server holds), and whatever ``function`` raises.
        """
        operation = self._operation
        if operation is not None and operation.dead:
            raise ClientDied
        if not cleanup:
            (task_flag.get() or self._cancel).check()
        if operation is None:
            return function(*args, **kwargs)
        thread = self._thread
        call = _OpenCall(name, operation, time.monotonic_ns() - self._origin_ns)
        thread.call = call
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.error = type(error).__name__
            if not call.has_sent:
                operation.calls.append(call)
            self._die_if_due(operation, call)
            raise
        finally:
            call.end_ns = time.monotonic_ns() - self._origin_ns
            thread.call = None
        if self._armed or operation.dead:
            self._die_if_due(operation, call)
        return result

    def _die_if_due(self, operation: _OpenOperation, call: _OpenCall) -> None:
        if self._armed and call.has_sent:
            self._armed = False
            operation.dead = True
        if operation.dead:
            raise ClientDied from None


class _CommandRecorder(CommandListener):
    def __init__(
        self, thread: _ThreadState, servers: Mapping[Any, str], origin_ns: int, gate: CommandGate | None
    ) -> None:
        self._gate = gate
        self._thread = thread
        self._servers = servers
        self._origin_ns = origin_ns

    def started(self, event: CommandStartedEvent) -> None:
        """Note a command that is about to be sent."""
        call = self._thread.call
        if call is None:
            return
        if not call.has_sent:
            call.operation.calls.append(call)
        if call.command:
            # Monitoring never told the end of the command before: it counts as sent and not answered.
            call.receive(None, None, None)
        address = event.connection_id
        server = self._servers.get(address) or f"{address[0]}:{address[1]}"
        request = _plain_request(event.command)
        if self._gate is not None:
            self._gate.before()
        call.send(event.command_name, request, server, time.monotonic_ns() - self._origin_ns)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Note the answer to a command."""
        end_ns = time.monotonic_ns() - self._origin_ns
        call = self._thread.call
        if call is None:
            return
        concern = call.request.get("writeConcern")
        unacknowledged = concern is not None and concern.get("w") == 0
        call.receive(end_ns, None if unacknowledged else _plain_reply(event.reply), None)
        if self._gate is not None:
            self._gate.after()

    def failed(self, event: CommandFailedEvent) -> None:
        """Note that a command failed, answered or not."""
        end_ns = time.monotonic_ns() - self._origin_ns
        call = self._thread.call
        if call is None:
            return
        call.receive(end_ns, None, failure_of_attempt(event.failure))
        if self._gate is not None:
            self._gate.after()


def _plain_request(command: Mapping[str, Any]) -> dict[str, Any]:
    request = dict(command)
    request.pop("$clusterTime", None)
    session = request.get("lsid")
    if session is not None:
        request["lsid"] = session["id"].hex()
    plain: dict[str, Any] = msgspec.to_builtins(request, enc_hook=_plain_value)
    return plain


def _plain_reply(reply: Mapping[str, Any]) -> dict[str, Any]:
    if "$clusterTime" in reply:
        reply = dict(reply)
        del reply["$clusterTime"]
    plain: dict[str, Any] = msgspec.to_builtins(reply, enc_hook=_plain_value)
    return plain


def _plain_value(value: Any) -> Any:
    """Do what the journal's ``to_plain`` does, by the quickest way for the types that every command has."""
    kind = type(value)
    if kind is Int64:
        return int(value)
    if kind is Timestamp:
        return {"$timestamp": {"t": value.time, "i": value.inc}}
    return to_plain(value)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
