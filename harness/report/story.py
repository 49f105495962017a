"""Evidence in words: an operation, its place relative to the faults, its calls on the wire, the strikes around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.facts import FaultWindow
from harness.operation import Attempt, DatabaseCall, Operation
from harness.report import words
from harness.report.model import CallText, EvidenceOperation, Strike
from harness.report.timeline import micro

TOLD_OPERATIONS = 12
"""Evidence operations that a finding tells in words."""


def tell_operations(operations: Sequence[Operation], windows: Sequence[FaultWindow]) -> tuple[EvidenceOperation, ...]:
    """Return the first :data:`TOLD_OPERATIONS` of them in order of time, named T1, T2, ..."""
    ordered = sorted(operations, key=lambda operation: (operation.start_ns, operation.index))[:TOLD_OPERATIONS]
    return tuple(
        EvidenceOperation(
            name=f"T{number}",
            index=operation.index,
            client=operation.client,
            process=operation.process,
            status=operation.status,
            what=words.call(operation),
            mention=_mention(operation),
            ending=words.ending(operation),
            start_us=micro(operation.start_ns),
            end_us=None if operation.returned_ns is None else micro(operation.returned_ns),
            node=words.sentence(operation.node, 60),
            where=place(operation, windows),
            calls=tell_calls(operation.calls),
        )
        for number, operation in enumerate(ordered, start=1)
    )


def _mention(operation: Operation) -> str:
    """Return the beginning of ``operation.describe()``, up to its ending."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in operation.arguments.items())
    return words.sentence(f"client {operation.client} {operation.function}({arguments})")


def place(operation: Operation, windows: Sequence[FaultWindow]) -> str:
    """Return where an operation lies relative to the faults: inside one, or before or after the nearest."""
    if not windows:
        return ""
    inside = [w for w in windows if _overlaps(operation, w)]
    if inside:
        return words.listed([_inside(operation, window) for window in inside])
    nearest = min(windows, key=lambda window: _distance(operation, window))
    distance = words.duration(_distance(operation, nearest) / 1_000)
    side = "before" if operation.start_ns < nearest.start_ns else "after the healing of"
    return f"{distance} {side} {_strike_name(nearest)}"


def _inside(operation: Operation, window: FaultWindow) -> str:
    offset = operation.start_ns - window.start_ns
    if offset < 0:
        return f"under way when {_strike_name(window)} began"
    return f"{words.duration(offset / 1_000)} into {_strike_name(window)}"


def _strike_name(window: FaultWindow) -> str:
    effect = "" if window.effective else " (no effect seen)"
    return f"{words.sentence(window.fault, 60)} #{window.strike + 1}{effect}"


def _overlaps(operation: Operation, window: FaultWindow) -> bool:
    returned = operation.start_ns if operation.returned_ns is None else operation.returned_ns
    return returned >= window.start_ns and (window.end_ns is None or operation.start_ns <= window.end_ns)


def _distance(operation: Operation, window: FaultWindow) -> int:
    returned = operation.start_ns if operation.returned_ns is None else operation.returned_ns
    end = window.start_ns if window.end_ns is None else window.end_ns
    return max(window.start_ns - returned, operation.start_ns - end, 0)


def tell_strike(window: FaultWindow) -> Strike:
    """Return a strike with what its observers saw."""
    return Strike(
        fault=words.sentence(window.fault, 80),
        number=window.strike + 1,
        start_us=micro(window.start_ns),
        end_us=None if window.end_ns is None else micro(window.end_ns),
        targets=words.sentence(", ".join(window.targets), 120),
        effects=tuple(
            (words.sentence(e.observer, 60), micro(e.time_ns), words.sentence(e.description)) for e in window.effects
        ),
        error=words.sentence(window.error),
    )


def strikes_around(operations: Sequence[Operation], windows: Sequence[FaultWindow]) -> tuple[Strike, ...]:
    """Return the strikes that overlap one of the operations; where none does, the nearest one to them."""
    touched = [w for w in windows if any(_overlaps(operation, w) for operation in operations)]
    if not touched and windows and operations:
        touched = [min(windows, key=lambda window: min(_distance(o, window) for o in operations))]
    return tuple(tell_strike(window) for window in touched)


def tell_calls(calls: Iterable[DatabaseCall]) -> tuple[CallText, ...]:
    """Return the attempts on the wire of the calls, commands and answers as text."""
    return tuple(_tell_attempt(call, number, attempt) for call in calls for number, attempt in enumerate(call.attempts))


def _tell_attempt(call: DatabaseCall, number: int, attempt: Attempt) -> CallText:
    started = words.seconds(micro(attempt.start_ns))
    ended = "never answered" if attempt.end_ns is None else words.seconds(micro(attempt.end_ns))
    retry = f", retry {number} by the driver" if number else ""
    answered = attempt.failure is None or attempt.failure.answered
    sent = f"{words.sentence(attempt.command, 60)} to {words.sentence(attempt.server, 60)}"
    return CallText(
        title=f"{sent}, {started} to {ended}{retry}",
        call=words.sentence(call.name, 80),
        request=words.document(attempt.request),
        answer=_answer(attempt),
        answered=answered and attempt.end_ns is not None,
    )


def _answer(attempt: Attempt) -> str:
    if attempt.failure is not None:
        failure = attempt.failure
        code = f" (code {failure.code})" if failure.code is not None else ""
        labels = f"\nlabels: {', '.join(failure.labels)}" if failure.labels else ""
        kind = "error" if failure.answered else "no answer"
        name = failure.types[0] if failure.types else "error"
        first = words.sentence(f"{kind}: {name}{code}: {failure.message}{labels}", keep="\n")
        reply = failure.reply if failure.reply is not None else attempt.reply
        return first if reply is None else f"{first}\n{words.document(reply)}"
    return "no answer was recorded" if attempt.reply is None else words.document(attempt.reply)
