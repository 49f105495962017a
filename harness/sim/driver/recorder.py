"""The recorder of one simulated client process: which database calls an operation made, and what each sent.

It makes the records that the recorder of real servers makes from PyMongo's command monitoring, field for field. What is
sent and received is never changed afterwards (a pattern holds copies), so it is turned into plain values only when the
operation ends. An unacknowledged write (w:0) has neither reply nor failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from bson import Int64, ObjectId, Timestamp

from harness.failures import failure_of_attempt
from harness.journal import to_plain
from harness.operation import Attempt, DatabaseCall
from harness.sim.driver.cancellation import Cancellation
from harness.sim.kernel.loop import Kernel

_NS_PER_US: Final = 1000
_Noted = tuple[str, dict[str, Any], str, int, int | None, dict[str, Any] | None, Mapping[str, Any] | None]
"""Command, request, member, when sent, when answered, reply, failure document."""

_JSON: Final = frozenset({str, int, bool, float, type(None)})


class ClientDied(BaseException):
    """The client process died (fault ``crash-client``): nothing of its operation reaches the database any more."""


class OpenCall:
    """A database call under way. Between sending a command and its answer, ``command`` is the name of what was sent."""

    __slots__ = (
        "attempts",
        "command",
        "end_us",
        "error",
        "listed",
        "name",
        "operation",
        "request",
        "sent_us",
        "server",
        "start_us",
    )

    def __init__(self, name: str, operation: _OpenOperation, start_us: int) -> None:
        self.name = name
        self.operation = operation
        self.start_us = start_us
        self.end_us: int | None = None
        self.error = ""
        self.attempts: list[_Noted] = []
        self.command = ""
        self.listed = False

    def send(self, command: str, request: dict[str, Any], server: str, sent_us: int) -> None:
        """Note a command that is about to be sent to the member ``server``."""
        if not self.listed:
            self.listed = True
            self.operation.calls.append(self)
        self.command = command
        self.request = request
        self.server = server
        self.sent_us = sent_us

    def take_back(self) -> None:
        """Forget the command that :meth:`send` noted: no connection could be made, nothing was sent."""
        self.command = ""

    def receive(self, end_us: int, reply: dict[str, Any] | None, failure: Mapping[str, Any] | None) -> None:
        """Note the answer, or the failure document of PyMongo's monitoring; neither for an unacknowledged write."""
        self.attempts.append((self.command, self.request, self.server, self.sent_us, end_us, reply, failure))
        self.command = ""

    @property
    def has_sent(self) -> bool:
        """Whether anything was sent in it."""
        return bool(self.attempts or self.command)


class _OpenOperation:
    __slots__ = ("calls", "dead")

    def __init__(self) -> None:
        self.calls: list[OpenCall] = []
        """Calls that sent a command or raised, in the order in which they first did; cursors serve many from memory."""
        self.dead = False


class Recorder:
    """Records the database calls of one client process, operation by operation.

    Arguments: ``kernel`` of the run; ``origin_us`` is the virtual time at which the run began, from which the records
    count; ``cancellation`` is looked at before every call. Child tasks record into the operation under way.
    """

    def __init__(self, kernel: Kernel, *, origin_us: int = 0, cancellation: Cancellation | None = None) -> None:
        self.cancellation = cancellation or Cancellation(kernel)
        self._kernel = kernel
        self._origin_us = origin_us
        self._operation: _OpenOperation | None = None
        self._open: dict[int, OpenCall] = {}
        """Number of the task to the call that it has open."""
        self._armed = False
        self.on_seen: Callable[[object], None] | None = None
        """Called with what the client gets to see beside replies: readings of its clock, ids made of them."""

    def describe(self) -> tuple[bool, bool]:
        """Return whether the client is about to die, and whether it is dead."""
        return self._armed, self._operation is not None and self._operation.dead

    def begin(self) -> None:
        """Start to record an operation."""
        self._operation = _OpenOperation()

    def end(self) -> tuple[DatabaseCall, ...]:
        """Return the calls of the operation, in the order in which they first sent something; forget its death.

        Of a call that a child task has still open, what was sent by now is in the record, without an end.
        """
        operation, self._operation = self._operation, None
        if operation is None:
            return ()
        calls, operation.calls = operation.calls, []
        return tuple([_closed(call, self._origin_us) for call in calls])

    def arm_crash(self) -> None:
        """Let the client die when the next database call of an operation completes, in place of its result."""
        self._armed = True

    def disarm_crash(self) -> None:
        """Take back :meth:`arm_crash` where it has not struck yet."""
        self._armed = False

    def check(self) -> None:
        """Raise ClientDied or :class:`~harness.sim.kernel.loop.TaskCancelled` where due."""
        operation = self._operation
        if operation is not None and operation.dead:
            raise ClientDied
        if self.cancellation.pending:
            self.cancellation.check()

    def open(self, name: str, *, cleanup: bool = False) -> OpenCall | None:
        """Begin the database call ``name``; None outside of operations.

        Raises ClientDied where the client is dead, TaskCancelled where it was told to end (not for a ``cleanup`` call,
        which gives back what the server holds).
        """
        operation = self._operation
        if operation is not None and operation.dead:
            raise ClientDied
        if self.cancellation.pending and not cleanup:
            self.cancellation.check()
        if operation is None:
            return None
        kernel = self._kernel
        call = OpenCall(name, operation, kernel.now_us)
        self._open[kernel.current.number] = call
        return call

    def close(self, call: OpenCall) -> None:
        """End a call that returns. Raises ClientDied where the client dies in it."""
        kernel = self._kernel
        call.end_us = kernel.now_us
        del self._open[kernel.current.number]
        if self._armed or call.operation.dead:
            self._die_if_due(call)

    def fail(self, call: OpenCall, error: BaseException) -> None:
        """End a call that raises. Raises ClientDied where the client dies in it."""
        kernel = self._kernel
        call.end_us = kernel.now_us
        call.error = type(error).__name__
        self._open.pop(kernel.current.number, None)
        if not call.listed:
            call.listed = True
            call.operation.calls.append(call)
        if self._armed or call.operation.dead:
            self._die_if_due(call)

    def current(self) -> OpenCall | None:
        """Return the call that the current task has open, or None."""
        return self._open.get(self._kernel.current.number)

    def _die_if_due(self, call: OpenCall) -> None:
        if self._armed and call.has_sent:
            self._armed = False
            call.operation.dead = True
        if call.operation.dead:
            raise ClientDied from None


def _closed(call: OpenCall, origin_us: int) -> DatabaseCall:
    attempts = [_attempt(each, origin_us) for each in call.attempts]
    if call.command:
        attempts.append(_attempt((call.command, call.request, call.server, call.sent_us, None, None, None), origin_us))
    end_us = call.end_us
    return DatabaseCall(
        name=call.name,
        start_ns=(call.start_us - origin_us) * _NS_PER_US,
        end_ns=None if end_us is None else (end_us - origin_us) * _NS_PER_US,
        attempts=tuple(attempts),
        error=call.error,
    )


def _attempt(noted: _Noted, origin_us: int) -> Attempt:
    command, request, server, sent_us, end_us, reply, failure = noted
    return Attempt(
        command=command,
        request=_plain_request(request),
        server=server,
        start_ns=(sent_us - origin_us) * _NS_PER_US,
        end_ns=None if end_us is None else (end_us - origin_us) * _NS_PER_US,
        reply=None if reply is None else _plain_reply(reply),
        failure=None if failure is None else failure_of_attempt(failure),
    )


def _plain_request(command: dict[str, Any]) -> dict[str, Any]:
    request = command.copy()
    request.pop("$clusterTime", None)
    session = request.get("lsid")
    if session is not None:
        request["lsid"] = session["id"].hex()
        if "txnNumber" in request:
            request["txnNumber"] = int(request["txnNumber"])
    plain: dict[str, Any] = msgspec.to_builtins(request, enc_hook=_plain_value)
    return plain


def _plain_reply(reply: dict[str, Any]) -> dict[str, Any]:
    """Do what ``to_builtins`` does, by the quickest way for the few fields that most replies consist of."""
    plain = {}
    for name, value in reply.items():
        kind = type(value)
        if kind in _JSON:
            plain[name] = value
        elif kind is Timestamp:
            plain[name] = {"$timestamp": {"t": value.time, "i": value.inc}}
        elif kind is ObjectId:
            plain[name] = {"$oid": str(value)}
        elif name == "$clusterTime":
            continue
        elif name == "opTime":
            plain[name] = _plain_reply(value)
        else:
            plain[name] = msgspec.to_builtins(value, enc_hook=_plain_value)
    return plain


def _plain_value(value: Any) -> Any:
    """Do what the journal's ``to_plain`` does, by the quickest way for the types that every command has."""
    kind = type(value)
    if kind is Int64:
        return int(value)
    if kind is Timestamp:
        return {"$timestamp": {"t": value.time, "i": value.inc}}
    return to_plain(value)
