"""Evidence in words: who did what, when, on which member, inside which fault, at which write concern."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.clock import NANOSECONDS_PER_MILLISECOND
from harness.facts import FaultWindow
from harness.history import History
from harness.operation import Attempt, Operation

_WRITE_COMMANDS = frozenset({"insert", "update", "delete", "findAndModify", "bulkWrite", "commitTransaction"})
_TEXT_LIMIT = 120


def short(value: Any) -> str:
    """Return ``value`` as text that fits into a sentence."""
    text = repr(value)
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 3] + "..."


def milliseconds(duration_ns: int) -> str:
    """Return a duration as a reader writes it: ``1,234.5 ms``."""
    return f"{duration_ns / NANOSECONDS_PER_MILLISECOND:,.1f} ms"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 update``, ``2 updates``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def call(operation: Operation) -> str:
    """Return who called what: ``client 2 claim(order=7)``."""
    arguments = ", ".join(f"{name}={short(value)}" for name, value in operation.arguments.items())
    return f"client {operation.client} {operation.function}({arguments})"


def ending(operation: Operation) -> str:
    """Return how the caller saw it end: ``returned {...}``, ``raised AutoReconnect (no reply)``, ``never returned``."""
    if operation.outcome == "returned":
        reads = operation.result is not None or not _write_attempts(operation)
        return f"returned {short(operation.result)}" if reads else "returned"
    if operation.error is not None:
        code = f" {operation.error.code}" if operation.error.code is not None else ""
        unanswered = "" if operation.error.answered else " (no reply)"
        return f"{operation.outcome} {operation.error.types[0]}{code}{unanswered}"
    return {"rejected": "was rejected", "crashed": "died with its client"}.get(operation.outcome, "never returned")


def fault_context(history: History, time_ns: int) -> str:
    """Return where a moment lies among the fault windows: ``12.0 ms into partition-primary of m1``."""
    inside = [w for w in history.fault_windows if w.start_ns <= time_ns and (w.end_ns is None or time_ns <= w.end_ns)]
    if inside:
        return " and ".join(f"{milliseconds(time_ns - w.start_ns)} into {_strike(w)}" for w in inside)
    ended = [w for w in history.fault_windows if w.end_ns is not None and w.end_ns < time_ns]
    if ended:
        last = max(ended, key=lambda window: window.end_ns or 0)
        return f"{milliseconds(time_ns - (last.end_ns or 0))} after {_strike(last)} was healed"
    return "before any fault" if history.fault_windows else "in a run without faults"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _strike(window: FaultWindow) -> str:
    return f"{window.fault} of {', '.join(window.targets)}" if window.targets else window.fault


def moment(history: History, time_ns: int) -> str:
    """Return a moment as a reader finds it on the timeline: ``at 1,234.5 ms into the run (12.0 ms into ... of m1)``."""
    context = f" ({fault_context(history, time_ns)})" if history.fault_windows else ""
    return f"at {milliseconds(time_ns)} into the run{context}"


def _write_attempts(operation: Operation) -> tuple[Attempt, ...]:
    return tuple(attempt for attempt in operation.attempts if attempt.command in _WRITE_COMMANDS)


def effective_write_concern(operation: Operation) -> str:
    """Return the write concern of its last write or commit as it stood in the command: ``w: "majority", j: true``.

    Empty where the operation has no recorded write.
    """
    deciding = [
        attempt
        for attempt in _write_attempts(operation)
        if attempt.command == "commitTransaction" or not attempt.in_transaction
    ]
    if not deciding:
        return ""
    concern = deciding[-1].request.get("writeConcern")
    if not isinstance(concern, Mapping) or not concern:
        return "the server's default write concern"
    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in concern.items())


def acknowledging_member(operation: Operation) -> str:
    """Return the member that answered its last write or commit, or empty where none did."""
    answered = [attempt.server for attempt in _write_attempts(operation) if attempt.reply is not None]
    return answered[-1] if answered else operation.node


def acknowledged(history: History, operation: Operation) -> str:
    """Return the sentence on how an operation was acknowledged: caller, member, time, fault, write concern."""
    when = operation.start_ns if operation.returned_ns is None else operation.returned_ns
    member = acknowledging_member(operation)
    concern = effective_write_concern(operation)
    by = f" by {member}" if member else ""
    at = f", at {concern}" if concern else ""
    return f"{_capital(call(operation))} was acknowledged{by} {moment(history, when)}{at}."


def ended(history: History, operation: Operation) -> str:
    """Return the sentence on how and when an operation ended for its caller."""
    if operation.returned_ns is None:
        return f"{_capital(call(operation))} began {moment(history, operation.start_ns)} and {ending(operation)}."
    return f"{_capital(call(operation))} {ending(operation)} {moment(history, operation.returned_ns)}."


def interval(operation: Operation) -> str:
    """Return what it did and from when to when: ``client 2 read() returned 5, from 1.0 ms to 2.0 ms``."""
    until = "open" if operation.returned_ns is None else milliseconds(operation.returned_ns)
    unknown = ", outcome unknown" if operation.status == "info" else ""
    return f"{call(operation)} {ending(operation)}, from {milliseconds(operation.start_ns)} to {until}{unknown}"
