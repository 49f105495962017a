"""Sessions: which number is the active one, retryable writes, and the way into a transaction.

A member remembers the last ``txnNumber`` that it saw of a session. What was executed under it is in the replicated
session record, so a write and the memory of it are rolled back together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bson.binary import Binary

from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.codes import (
    COMMAND_FAILED,
    CONFLICTING_OPERATION,
    INCOMPLETE_TRANSACTION_HISTORY,
    INVALID_OPTIONS,
    NO_SUCH_TRANSACTION,
    NOT_A_RETRYABLE_WRITE,
    NOT_SUPPORTED_IN_TRANSACTION,
    TRANSACTION_TOO_OLD,
    failure,
)
from harness.sim.server.commands.context import ActiveSession, MemberState, Request
from harness.sim.server.commands.read_concerns import DEFAULT, LOCAL, MAJORITY, SNAPSHOT
from harness.sim.server.commands.session_ids import session_text
from harness.sim.server.commands.transactions import ABORTED, Transaction, committed

if TYPE_CHECKING:
    from harness.sim.server.commands.registry import Command
    from harness.sim.server.errors import CommandError
    from harness.sim.server.records import Document, OplogEntry

END_FIELDS: Final = fields("endSessions", {"endSessions": "array"})
KILL_FIELDS: Final = fields("killSessions", {"killSessions": "array"})
KILL_ALL_FIELDS: Final = fields("killAllSessions", {"killAllSessions": "array"})
REFRESH_FIELDS: Final = fields("refreshSessions", {"refreshSessions": "array"})
START_FIELDS: Final = fields("startSession", {})

_TIMEOUT_MINUTES: Final = 30


def read_session(request: Request, command: Command) -> None:
    """Take the session's fields out of a command. Raises CommandError (72, 263, 50768) where they do not fit."""
    document = request.command
    lsid = document.get("lsid")
    if lsid is not None:
        request.session = lsid["id"].hex()
    if "txnNumber" in document:
        if lsid is None:
            raise failure(INVALID_OPTIONS, "Transaction number requires a session ID to also be specified")
        request.number = int(document["txnNumber"])
    if "autocommit" in document or "startTransaction" in document:
        _check_transaction_fields(document)
        _check_allowed(request, command)
    elif command.ends_transaction:
        raise failure(COMMAND_FAILED, f"{request.name} must be run within a transaction")
    elif request.number >= 0 and not command.retryable:
        message = (
            "txnNumber may only be provided for multi-document transactions and retryable write commands. "
            f"autocommit:false was not provided, and {request.name} is not a retryable write command."
        )
        raise failure(NOT_A_RETRYABLE_WRITE, message)


def _check_transaction_fields(document: Document) -> None:
    if "autocommit" not in document:
        message = "'startTransaction' field requires 'autocommit' field to also be specified"
        raise failure(INVALID_OPTIONS, message)
    if "txnNumber" not in document:
        raise failure(INVALID_OPTIONS, "'autocommit' field requires a transaction number to also be specified")
    if document["autocommit"] is not False:
        raise failure(INVALID_OPTIONS, "Specifying autocommit=true is not allowed.")
    if "startTransaction" in document and document["startTransaction"] is not True:
        raise failure(INVALID_OPTIONS, "Specifying startTransaction=false is not allowed.")


def _check_allowed(request: Request, command: Command) -> None:
    document, name = request.command, request.name
    starts = "startTransaction" in document
    if command.ends_transaction:
        if starts:
            message = f"Cannot start a transaction with {'a commit' if name == 'commitTransaction' else 'an abort'}"
            raise failure(NOT_SUPPORTED_IN_TRANSACTION, message)
        return
    if not command.in_transaction:
        raise failure(NOT_SUPPORTED_IN_TRANSACTION, _refusal(name))
    if starts and name == "killCursors":
        message = "Cannot run killCursors as the first operation in a multi-document transaction."
        raise failure(NOT_SUPPORTED_IN_TRANSACTION, message)
    if "writeConcern" in document:
        raise failure(INVALID_OPTIONS, "writeConcern is not allowed within a multi-statement transaction")
    if not starts and "readConcern" in document:
        raise failure(INVALID_OPTIONS, "Only the first command in a transaction may specify a readConcern")
    if request.read_concern.level not in (LOCAL, MAJORITY, SNAPSHOT):
        message = (
            "The readConcern level must be either 'local' (default), 'majority' or 'snapshot' in order to run in a "
            "transaction"
        )
        raise failure(INVALID_OPTIONS, message)


def _refusal(name: str) -> str:
    if name == "count":
        link = "http://dochub.mongodb.org/core/transaction-count"
        return f"Cannot run 'count' in a multi-document transaction. Please see {link} for a recommended alternative."
    if name in ("ping", "hello", "isMaster", "ismaster", "buildInfo"):
        return "This command is not supported in transactions"
    return f"Cannot run '{name}' in a multi-document transaction."


def active_session(state: MemberState, session: str, tip: OplogEntry) -> ActiveSession:
    """Return what the member knows of a session, begun from its replicated record."""
    active = state.sessions.get(session)
    if active is None:
        record = tip.data.sessions.get(session)
        if record is None:
            active = ActiveSession(-1, was_transaction=False)
        else:
            active = ActiveSession(record.number, was_transaction=record.state == "committed")
        state.sessions[session] = active
    return active


async def check_out(request: Request) -> ActiveSession:
    """Have the session for this command alone, and see that its number is not behind.

    Raises CommandError (117, 217, 225, 251, 256) where the number does not fit what the session did before.
    """
    tip = request.member.last
    active = active_session(request.state, request.session, tip)
    while active.busy:
        active.awaited = True
        await request.wait()
    if request.number < active.number:
        raise _too_old(request, active)
    if request.command.get("autocommit") is False:
        await _enter_transaction(request, active)
    elif request.number > active.number:
        _begin_number(active, request.number)
    elif active.was_transaction:
        message = "Cannot retry a retryable write that has been converted into a transaction"
        raise failure(INCOMPLETE_TRANSACTION_HISTORY, message)
    active.busy = True
    return active


def check_in(request: Request, active: ActiveSession) -> None:
    """Let the next command of the session run."""
    active.busy = False
    if active.awaited:
        active.awaited = False
        request.kernel.signal(request.service.replica_set.changed)


def _begin_number(active: ActiveSession, number: int) -> None:
    if active.transaction is not None:
        active.transaction.end(ABORTED)
    active.number = number
    active.transaction = None
    active.was_transaction = False


async def _enter_transaction(request: Request, active: ActiveSession) -> None:
    if "startTransaction" in request.command:
        if request.number == active.number:
            message = "Only servers in a sharded cluster can start a new transaction at the active transaction number"
            raise failure(CONFLICTING_OPERATION, message)
        _begin_number(active, request.number)
        active.was_transaction = True
        active.transaction = Transaction(request, request.member.last)
        try:
            active.transaction.read_at(await _snapshot(request))
        except Exception:
            active.transaction.end(ABORTED)
            raise
    elif request.number > active.number or not active.was_transaction:
        message = (
            f"Given transaction number {request.number} does not match any in-progress transactions. "
            f"The active transaction number is {active.number}"
        )
        raise failure(NO_SUCH_TRANSACTION, message)
    elif active.transaction is None and request.name not in ("commitTransaction", "abortTransaction"):
        raise committed(request.number)
    request.transaction = active.transaction


async def _snapshot(request: Request) -> OplogEntry:
    """Return the entry that a transaction reads at: the last, once it is as new as the client asks for."""
    concern = request.read_concern
    if concern is DEFAULT or (concern.after_cluster_time is None and concern.at_cluster_time is None):
        return request.member.last
    return await request.service.replica_set.read_entry(
        request.member,
        level=SNAPSHOT if concern.at_cluster_time is not None else LOCAL,
        after_cluster_time=concern.after_cluster_time,
        at_cluster_time=concern.at_cluster_time,
        deadline_us=request.deadline_us,
    )


def _too_old(request: Request, active: ActiveSession) -> CommandError:
    session = session_text(request.session)
    if request.command.get("autocommit") is not False and not active.was_transaction:
        message = (
            f"Retryable write with txnNumber {request.number} is prohibited on session {session} because a newer "
            f"retryable write with txnNumber {active.number} has already started on this session."
        )
        return failure(TRANSACTION_TOO_OLD, message)
    newer = f"retryable write with txnNumberAndRetryCounter {{ txnNumber: {active.number} }}"
    if active.was_transaction:
        newer = f"transaction with txnNumberAndRetryCounter {{ txnNumber: {active.number}, txnRetryCounter: 0 }}"
    message = (
        f"Cannot start transaction with {{ txnNumber: {request.number} }} on session {session} because a newer {newer} "
        "has already started on this session."
    )
    return failure(TRANSACTION_TOO_OLD, message)


async def end_sessions(_request: Request) -> dict[str, Any]:
    """``endSessions``: let sessions expire soon; what they have open ends as it would."""
    return {}


async def refresh_sessions(_request: Request) -> dict[str, Any]:
    """``refreshSessions``: sessions do not expire here within a run."""
    return {}


async def kill_sessions(request: Request) -> dict[str, Any]:
    """``killSessions`` and ``killAllSessions``: abort what the sessions have open, and close their cursors."""
    given = request.command[request.name]
    wanted = [item["id"].hex() for item in given if "id" in item]
    every = request.name == "killAllSessions" or not given
    for session, active in request.state.sessions.items():
        if (every or session in wanted) and active.transaction is not None:
            active.transaction.end(ABORTED)
    for number, cursor in tuple(request.state.cursors.items()):
        if cursor.session and (every or cursor.session in wanted):
            del request.state.cursors[number]
    return {}


async def start_session(request: Request) -> dict[str, Any]:
    """``startSession``: a new session's id."""
    number = request.service.next_number()
    return {"id": {"id": Binary(number.to_bytes(16, "big"), 4)}, "timeoutMinutes": _TIMEOUT_MINUTES}
