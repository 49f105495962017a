"""Turns: commands of several clients on real servers, let through in the order of a simulated run.

A counterexample of the simulator is an order of commands and strikes. On real servers each command waits, just before
it is sent, until everything that came before it in that order has happened, and so the race that the simulator found
is run again and not hoped for. Where the real servers answer otherwise, an event that never comes is given up after a
while: from then on the run is free, and says so.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.history import History

PATIENCE_S = 8.0
"""How long an event may be waited for; an election takes 1 to 2.5 s, a restart up to 3 s."""

SET = "set"
"""The subject of an election."""


class Turn(NamedTuple):
    """One event of the order: a command is sent or answered, a strike begins or ends, a primary is elected."""

    what: Literal["send", "answer", "strike", "heal", "elect"]
    subject: str
    """Operation id (``1.3``) of a command, name of a fault."""
    number: int = 0
    """Which command of the operation, which strike of the fault, or which primary of the run."""


def order_of(history: History, ids: Mapping[int, str]) -> tuple[Turn, ...]:
    """Return the order in which a simulated run's commands, strikes and elections came.

    ``ids`` maps the index of an operation to what its commands are called. A strike that met a command on its way comes
    before it; the primary that a run begins with is none of its events.
    """
    timed: list[tuple[int, int, Turn]] = []
    for operation in history.operations:
        for number, attempt in enumerate(operation.attempts):
            name = ids[operation.index]
            timed.append((attempt.start_ns, 2, Turn("send", name, number)))
            if attempt.end_ns is not None:
                timed.append((attempt.end_ns, 0, Turn("answer", name, number)))
    for window in history.fault_windows:
        timed.append((window.start_ns, 1, Turn("strike", window.fault, window.strike)))
        if window.end_ns is not None:
            timed.append((window.end_ns, 1, Turn("heal", window.fault, window.strike)))
    primaries = [change for change in history.primary_changes if change.member is not None]
    timed += [(change.time_ns, 1, Turn("elect", SET, number)) for number, change in enumerate(primaries) if number]
    last_ns = max((time_ns for time_ns, _, turn in timed if turn.what in {"answer", "heal"}), default=0)
    timed = [event for event in timed if event[2].what != "elect" or event[0] <= last_ns]
    return tuple(turn for _, _, turn in sorted(timed, key=lambda event: event[:2]))


class OperationGate:
    """The turns of the commands of one client's operations; :meth:`begin` names the operation that comes."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._operation = ""
        self._number = 0

    def begin(self, operation: str) -> None:
        """Begin an operation: its commands are counted from 0."""
        self._operation = operation
        self._number = 0

    def before(self) -> None:
        """Wait until the next command of the operation may be sent, and note that it is."""
        turn = Turn("send", self._operation, self._number)
        self._turns.wait(turn)
        self._turns.happen(turn)

    def after(self) -> None:
        """Note that it was answered, or failed."""
        self._turns.happen(Turn("answer", self._operation, self._number))
        self._number += 1


class Turns:
    """The order, and how far it has come. All methods may be called from any thread."""

    def __init__(self, order: Sequence[Turn], *, patience_s: float = PATIENCE_S) -> None:
        self._order = tuple(order)
        self._position = {turn: number for number, turn in enumerate(self._order)}
        self._happened: set[Turn] = set()
        self._next = 0
        self._changed = threading.Condition()
        self._patience_s = patience_s
        self._missed: list[Turn] = []

    @property
    def missed(self) -> tuple[Turn, ...]:
        """The events that were waited for in vain; the first of them is where the run left the order."""
        return tuple(self._missed)

    @property
    def finished(self) -> bool:
        """Whether every event of the order has happened or was given up."""
        return self._next >= len(self._order)

    def gate(self) -> OperationGate:
        """Return the gate of one client."""
        return OperationGate(self)

    def wait(self, turn: Turn) -> bool:
        """Wait until everything before ``turn`` has happened; return whether it has, at once where it has no place."""
        position = self._position.get(turn)
        if position is None:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: self._next >= position or bool(self._missed), self._patience_s) or (
                self._give_up()
            )

    def happen(self, turn: Turn) -> None:
        """Note that ``turn`` has happened."""
        with self._changed:
            self._happened.add(turn)
            while self._next < len(self._order) and self._order[self._next] in self._happened:
                self._next += 1
            self._changed.notify_all()

    def _give_up(self) -> bool:
        # Everybody runs freely once the order is left: to hold others back for it would only take time.
        if not self._missed:
            self._missed.append(self._order[self._next])
            self._changed.notify_all()
        return False


@dataclass(frozen=True, kw_only=True)
class Order:
    """The turns of a run on real servers, and by client what its operations are called in them."""

    turns: Turns
    operation_ids: Mapping[int, Sequence[str]]
