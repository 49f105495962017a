"""What the oplog says of operations whose outcome nobody was told: whether their writes survived.

Session and transaction number of what an operation sent are matched with those of the healed set's oplog, values
never. A write that is in the oplog took effect. One that is not there did not survive; it may have been read
before it was rolled back, so that it may be left out of what is there at the end, never out of what was seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.history import History
from harness.operation import Attempt, Operation
from harness.oplog import Oplog, SurvivingWrite
from harness.status import is_write, statement_count

Fate = Literal["survived", "gone", "partly", "open"]
"""All its writes are in the oplog; none of them is, and it covers the run; some are; or it cannot be said."""

_Number = tuple[str, int]
"""Session and transaction number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What became of the writes of an operation, and how that is known."""

    operation: int
    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A numbered write as an operation sent it, retries taken together."""

    number: _Number
    statements: int
    """How many statements it had; 0 for a transaction."""


def resolve(history: History) -> tuple[Resolved, ...]:
    """Return what the oplog says of every operation of the history with status ``info``, in their order.

    ``open`` is what cannot be said: the oplog was not read, a write had no number, or it does not cover the run.
    """
    unknown = [operation for operation in history.operations if operation.status == "info"]
    oplog = history.oplog
    if oplog is None:
        return tuple(_open(operation, "the oplog was not read") for operation in unknown)
    survivors = {(write.session, write.number): write for write in oplog.writes}
    return tuple(_resolve(operation, oplog, survivors) for operation in unknown)


def took_effect(history: History) -> Mapping[int, str]:
    """Return the operations with status ``info`` that took effect as a whole, each with how that is known.

    Only where one write is all that a completed operation of the function ever made: else an operation that came to an
    early end might have had more to write.
    """
    survived = [resolved for resolved in resolve(history) if resolved.fate == "survived"]
    single = _functions_of_one_write(history.operations) if survived else ()
    return {
        resolved.operation: resolved.reason
        for resolved in survived
        if history.operation(resolved.operation).function in single
    }


def _functions_of_one_write(operations: Iterable[Operation]) -> set[str]:
    most: defaultdict[str, int] = defaultdict(int)
    for operation in operations:
        if operation.status == "ok":
            sent = _sent(operation)
            count = 2 if sent is None else len(sent)
            most[operation.function] = max(most[operation.function], count)
    return {function for function, count in most.items() if count == 1}


def _resolve(operation: Operation, oplog: Oplog, survivors: Mapping[_Number, SurvivingWrite]) -> Resolved:
    sent = _sent(operation)
    if sent is None:
        return _open(operation, "it sent a write without a number")
    if not sent:
        return _open(operation, "it sent no write")
    found = [write for write in sent if _survived(write, survivors.get(write.number))]
    touched = [write for write in sent if write.number in survivors]
    where = f"session {sent[0].number[0][:8]}, number {sent[0].number[1]}"
    if len(found) == len(sent):
        return Resolved(operation=operation.index, fate="survived", reason=f"in the oplog: {where}")
    if touched:
        return Resolved(operation=operation.index, fate="partly", reason=f"in the oplog in part: {where}")
    if not oplog.covers_run:
        return _open(operation, f"not in the oplog ({where}), which does not go back to the beginning of the run")
    return Resolved(operation=operation.index, fate="gone", reason=f"not in the oplog: {where}")


def _open(operation: Operation, why: str) -> Resolved:
    return Resolved(operation=operation.index, fate="open", reason=why)


def _survived(sent: _Sent, write: SurvivingWrite | None) -> bool:
    if write is None:
        return False
    return write.transaction if sent.statements == 0 else len(write.statements) >= sent.statements


def _sent(operation: Operation) -> list[_Sent] | None:
    """Return the numbered writes that an operation may have made; None where it sent one without a number."""
    sent: dict[_Number, _Sent] = {}
    for attempt in operation.attempts:
        commits = attempt.command == "commitTransaction"
        # What was written in a transaction is done by its commit, or not at all.
        if not is_write(attempt) or (attempt.in_transaction and not commits):
            continue
        number = _number(attempt)
        if number is None:
            return None
        before = sent[number].statements if number in sent else 0
        sent[number] = _Sent(number=number, statements=0 if commits else max(statement_count(attempt), before))
    return list(sent.values())


def _number(attempt: Attempt) -> _Number | None:
    request = attempt.request
    return (str(request["lsid"]), int(request["txnNumber"])) if {"lsid", "txnNumber"} <= request.keys() else None
