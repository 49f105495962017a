"""What one client did: the logical operation, the database calls inside it, and the attempts on the wire.

These records are stored as they are (one JSON line an operation), so they are msgspec structs; values in them
are plain JSON values. BSON types without a JSON twin are kept as their extended-JSON form (``{"$oid": "..."}``),
dates as ISO 8601 text.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from harness.clock import FOREVER_NS

Status = Literal["ok", "fail", "info"]
"""``ok``: it returned; ``fail``: the record proves that it had no effect; ``info``: unknown or partial."""

Outcome = Literal["returned", "rejected", "raised", "crashed", "unfinished"]
"""How the caller saw it end: a value, :class:`~harness.errors.Rejected`, another exception, the death of the
client process, or not at all before the record ended."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an attempt or an operation failed, as the driver raised it."""

    types: tuple[str, ...]
    """Class names of the exception, most special first (``("DuplicateKeyError", "WriteError", ...)``)."""
    message: str
    code: int | None = None
    labels: tuple[str, ...] = ()
    answered: bool = True
    """False where no reply arrived (network error, time-out): the server may have done anything."""
    reply: dict[str, Any] | None = None
    """The server's error document, where there was one."""
    where: str = ""
    """File and line of the pattern code that raised, for an operation."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command on the wire. A driver's retry is an attempt of its own."""

    command: str
    """Command name: ``insert``, ``find``, ``commitTransaction``, ..."""
    request: dict[str, Any]
    server: str
    """The member that it was sent to (``m1``), or ``host:port`` for a server the harness did not start."""
    start_ns: int
    end_ns: int | None = None
    reply: dict[str, Any] | None = None
    failure: Failure | None = None

    @property
    def in_transaction(self) -> bool:
        """Whether it belongs to a multi-document transaction."""
        return self.request.get("autocommit") is False

    @property
    def transaction(self) -> tuple[str, int] | None:
        """Session id and transaction number of the transaction that it belongs to, or None."""
        if not self.in_transaction:
            return None
        return (str(self.request.get("lsid")), int(self.request.get("txnNumber", 0)))


class DatabaseCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of the pattern API (``orders.find_one_and_update``) with its attempts, in order."""

    name: str
    start_ns: int
    end_ns: int | None = None
    attempts: tuple[Attempt, ...] = ()
    error: str = ""
    """Class name of the exception that the call raised, or empty."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One logical operation of one process: a closed interval of time, its outcome and its evidence."""

    index: int
    """Position in the order of invocation, unique within a run."""
    process: int
    """Logical process; a client whose operation ended in ``info`` goes on under a new number."""
    client: int
    group: int = 0
    function: str
    arguments: dict[str, Any] = {}
    start_ns: int
    returned_ns: int | None = None
    """When the caller got its answer or exception; None if it never did."""
    status: Status
    outcome: Outcome
    result: Any = None
    error: Failure | None = None
    calls: tuple[DatabaseCall, ...] = ()

    @property
    def end_ns(self) -> int:
        """End of the closed interval; :data:`~harness.clock.FOREVER_NS` while its effect may still come."""
        if self.status == "info" or self.returned_ns is None:
            return FOREVER_NS
        return self.returned_ns

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts on the wire, of all calls, in order."""
        return tuple(attempt for call in self.calls for attempt in call.attempts)

    @property
    def node(self) -> str:
        """The member that answered last, or empty."""
        return next((a.server for a in reversed(self.attempts) if a.reply is not None), "")

    @property
    def session(self) -> str:
        """The server session of its last command, or empty."""
        return next((str(a.request["lsid"]) for a in reversed(self.attempts) if "lsid" in a.request), "")

    @property
    def operation_time(self) -> Any:
        """The server's operationTime of the last reply that had one, or None."""
        replies = [a.reply for a in reversed(self.attempts) if a.reply]
        return next((reply["operationTime"] for reply in replies if "operationTime" in reply), None)

    def describe(self) -> str:
        """Return one line that a reader understands: ``client 2 claim(order=7) -> raised AutoReconnect``."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        if self.outcome == "returned":
            ending = f"returned {self.result!r}"
        elif self.error is not None:
            ending = f"{self.outcome} {self.error.types[0]}"
        else:
            ending = self.outcome
        return f"client {self.client} {self.function}({arguments}) {ending} [{self.status}]"
