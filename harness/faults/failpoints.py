"""Failpoints: commands of the clients fail inside the server, as ``failpoint:COMMAND:ERROR`` asks.

``failCommand`` strikes the connections of one application name only, so that neither members nor the harness's own
observers are hit. Its share of commands is drawn by the server: a strike leaves most commands alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import trio

from harness.errors import BackendError, FaultError, UsageError, unknown_name
from harness.facts import Effect
from harness.faults.effects import failpoint_hits
from harness.interfaces.backend import Backend, Capability
from harness.interfaces.fault import FaultContext, Injection

GRAMMAR = "failpoint:COMMAND:ERROR, where ERROR is a code, its name, close, lost-reply, or write-concern:CODE"
SHARE = 0.25
"""The share of matching commands that a strike hits: enough for a retry to meet it again, and not always."""

CODES: Mapping[str, int] = MappingProxyType(
    {
        "HostUnreachable": 6,
        "HostNotFound": 7,
        "LockTimeout": 24,
        "PathNotViable": 28,
        "ConflictingUpdateOperators": 40,
        "CursorNotFound": 43,
        "MaxTimeMSExpired": 50,
        "WriteConcernFailed": 64,
        "ImmutableField": 66,
        "InvalidOptions": 72,
        "UnknownReplWriteConcern": 79,
        "NetworkTimeout": 89,
        "ShutdownInProgress": 91,
        "UnsatisfiableWriteConcern": 100,
        "WriteConflict": 112,
        "FailedToSatisfyReadPreference": 133,
        "PrimarySteppedDown": 189,
        "TransactionTooOld": 225,
        "SnapshotTooOld": 239,
        "SnapshotUnavailable": 246,
        "StaleChunkHistory": 250,
        "NoSuchTransaction": 251,
        "TransactionCommitted": 256,
        "ChangeStreamFatalError": 280,
        "ChangeStreamHistoryLost": 286,
        "ExceededTimeLimit": 262,
        "OperationNotSupportedInTransaction": 263,
        "SocketException": 9001,
        "NotWritablePrimary": 10107,
        "DuplicateKey": 11000,
        "InterruptedAtShutdown": 11600,
        "InterruptedDueToReplStateChange": 11602,
        "NotPrimaryNoSecondaryOk": 13435,
        "NotPrimaryOrSecondary": 13436,
    }
)
"""Names of error codes that a failpoint can be asked for; any other code is asked for by its number."""

RETRYABLE_WRITES = ("insert", "update", "delete", "findAndModify", "commitTransaction")
COMMANDS = (*RETRYABLE_WRITES, "find", "getMore", "aggregate", "count", "distinct", "abortTransaction", "bulkWrite")
"""Commands that are offered when one was misspelt; any well-formed name is accepted."""

_COMMAND = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CLOSE = ("close", "close-connection")
_LOST_REPLY = "lost-reply"
_WRITE_CONCERN = "write-concern"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailPoint:
    """A failpoint of every member is on; ``data`` says what it does to which command."""

    name: str
    failpoint: str
    data: Mapping[str, Any]
    summary: str
    hold_s: float = 3.0
    needs: frozenset[Capability] = frozenset({"failpoint"})

    async def aim(self, context: FaultContext) -> Injection:
        """Note what the counters say. Raises FaultError where the clients cannot be told from the harness."""
        if not context.application_name:
            raise FaultError(f"{self.name} would strike every connection: the clients have no application name")
        states = await context.backend.observe()
        targets = tuple(state.member for state in states if state.reachable)
        if not targets:
            raise FaultError(f"{self.name} found no member that answers")
        return Injection(targets=targets, before=states, memory={"hits": {}})

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Turn it on, on every member, for this run's clients."""
        data = {**self.data, "appName": context.application_name} if self.failpoint == "failCommand" else self.data
        for member in injection.targets:
            mode = {"activationProbability": SHARE}
            injection.memory["hits"][member] = await turn_on(context.backend, member, self.failpoint, data, mode)

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:  # noqa: ARG002 - a Fault
        """See nothing yet: the server tells its counter when the failpoint is turned off."""
        return None

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Turn it off everywhere; the counters say how often it struck."""
        hits = await turn_off(context.backend, injection.targets, self.failpoint)
        before: dict[str, int] = injection.memory["hits"]
        effects = [
            failpoint_hits(before[member], now, member, self.summary, context.now_ns())
            for member, now in hits.items()
            if member in before
        ]
        return max(filter(None, effects), key=lambda effect: int(effect.details["hits"]), default=None)


ALWAYS = "alwaysOn"
TURN_OFF_TIMEOUT_S = 2.0
"""A halted member answers when the fault that halted it is healed, so nobody waits long for it here."""


async def turn_on(
    backend: Backend, member: str, failpoint: str, data: Mapping[str, Any], mode: str | Mapping[str, Any] = ALWAYS
) -> int:
    """Turn a failpoint of one member on; return how often it had been hit before."""
    reply = await backend.admin(member, {"configureFailPoint": failpoint, "mode": mode, "data": dict(data)})
    return int(reply.get("count", 0))


async def turn_off(backend: Backend, members: Sequence[str], failpoint: str) -> Mapping[str, int]:
    """Turn a failpoint off on all ``members``, every one tried; return how often it has been hit on each.

    A member that was started anew has none on, and one that is down loses its own; but a member that does not
    answer may only be halted, hence the FaultError in the end, which asks for another try.
    """
    hits: dict[str, int] = {}
    problems: list[str] = []
    for member in members:
        try:
            with trio.fail_after(TURN_OFF_TIMEOUT_S):
                reply = await backend.admin(member, {"configureFailPoint": failpoint, "mode": "off"})
        except (BackendError, OSError, trio.TooSlowError) as error:
            problems.append(f"{member}: {error or 'no answer'}")
        else:
            hits[member] = int(reply.get("count", 0))
    if problems:
        raise FaultError(f"failpoint {failpoint} may still be on: {'; '.join(problems)}")
    return hits


def parse_failpoint(text: str) -> FailPoint:
    """Return the fault that ``failpoint:COMMAND:ERROR`` names. Raises UsageError with the grammar."""
    parts = text.split(":", 2)
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - the three parts of the grammar
        raise UsageError(f"fault {text!r} is malformed", next_step=f"write {GRAMMAR}")
    _, command, error = parts
    if not _COMMAND.fullmatch(command):
        raise UsageError(f"fault {text!r}: {command!r} is no command name", next_step=f"write {GRAMMAR}")
    if error == _LOST_REPLY:
        return _lost_reply(text, command)
    data, what = _behaviour(text, error)
    return FailPoint(
        name=text,
        failpoint="failCommand",
        data={"failCommands": [command], **data},
        summary=f"{command} {what}",
    )


def _behaviour(text: str, error: str) -> tuple[dict[str, Any], str]:
    if error in _CLOSE:
        return {"closeConnection": True}, "met a closed connection before it ran"
    kind, separator, code = error.partition(":")
    if separator and kind == _WRITE_CONCERN:
        number = _code(text, code)
        reply = {"code": number, "codeName": _name_of(number), "errmsg": f"asked for by {text}"}
        return {"writeConcernError": reply}, f"was applied and answered with write concern error {number}"
    number = _code(text, error)
    return {"errorCode": number}, f"was refused with error {number}"


def _code(text: str, code: str) -> int:
    if code.isdecimal() and int(code) > 0:
        return int(code)
    if code in CODES:
        return CODES[code]
    if not code.isalnum():
        raise UsageError(f"fault {text!r} is malformed: {code!r} is no error code", next_step=f"write {GRAMMAR}")
    raise unknown_name("error of a failpoint", code, [*CODES, *_CLOSE, _LOST_REPLY, f"{_WRITE_CONCERN}:CODE"])


def _name_of(code: int) -> str:
    return next((name for name, number in CODES.items() if number == code), f"Location{code}")


def _lost_reply(text: str, command: str) -> FailPoint:
    # The server's failpoint looks at retryable writes and commits alone, and does not ask which command they came with.
    if command not in RETRYABLE_WRITES:
        raise UsageError(
            f"fault {text!r}: the server can lose the reply of retryable writes only, not of {command}",
            next_step=f"name one of {', '.join(RETRYABLE_WRITES)}, or use the fault lost-reply",
        )
    return FailPoint(
        name=text,
        failpoint="onPrimaryTransactionalWrite",
        data={"closeConnection": True},
        summary="a retryable write or a commit, whichever its command, was applied and its connection closed",
    )
