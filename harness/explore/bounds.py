"""Bounds of an exhaustive search: how many deviations of each class a run may have, and which class one is of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from harness.explore.strategies import FAULT
from harness.sim.kernel.choices import RUN, TIME, Label

CLASSES: Final = ("preemptions", "faults", "jumps", "others", "turns")
"""What deviations are counted as, in this order; a turn is a task that goes on where the current one cannot."""

PREEMPTION: Final = 0
STRIKE: Final = 1
JUMP: Final = 2
OTHER: Final = 3
TURN: Final = 4

_WORDS: Final = (
    ("preemption", "preemptions"),
    ("fault", "faults"),
    ("jump in time", "jumps in time"),
    ("other deviation", "other deviations"),
)


class Used(NamedTuple):
    """How many deviations of each class a run has."""

    preemptions: int = 0
    faults: int = 0
    jumps: int = 0
    others: int = 0
    turns: int = 0

    def plus(self, number: int) -> Used:
        """Return this with one more of the class with that number."""
        counts = [*self]
        counts[number] += 1
        return Used(*counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The most deviations of each class, and of all together with turns; None stands for any number."""

    preemptions: int | None = 2
    faults: int | None = 1
    jumps: int | None = 1
    others: int | None = 0
    total: int | None = None

    def admits(self, used: Used) -> bool:
        """Whether a run with so many deviations is within the bounds."""
        return (
            (self.preemptions is None or used[0] <= self.preemptions)
            and (self.faults is None or used[1] <= self.faults)
            and (self.jumps is None or used[2] <= self.jumps)
            and (self.others is None or used[3] <= self.others)
            and (self.total is None or sum(used) <= self.total)
        )

    def spent(self, used: Used) -> Used:
        """Return what of ``used`` matters to what the rest of a run may do: classes without a bound do not."""
        if self.total is not None:
            return used
        return Used(
            0 if self.preemptions is None else used[0],
            0 if self.faults is None else used[1],
            0 if self.jumps is None else used[2],
            0 if self.others is None else used[3],
        )

    @property
    def most(self) -> float:
        """The most deviations that a run may have, turns left out; infinite where one class has no bound."""
        values = (self.preemptions, self.faults, self.jumps, self.others)
        bounded = sum(value for value in values if value is not None)
        most = math.inf if None in values else bounded
        return most if self.total is None else min(most, self.total)

    @property
    def told_apart_by_task(self) -> bool:
        """Whether it matters which task is current: where leaving it is counted."""
        return self.preemptions is not None or self.total is not None

    def describe(self) -> str:
        """Return the bounds in words: ``at most 2 preemptions, 1 fault, 1 jump in time and 0 other deviations``."""
        values = (self.preemptions, self.faults, self.jumps, self.others)
        if not any(value is not None for value in values):
            return "any deviations" if self.total is None else f"at most {self.total} deviations"
        parts = [
            f"any number of {plural}" if value is None else f"{value} {singular if value == 1 else plural}"
            for value, (singular, plural) in zip(values, _WORDS, strict=True)
        ]
        text = f"at most {', '.join(parts[:-1])} and {parts[-1]}"
        return text if self.total is None else f"{text}, {self.total} in all"


UNBOUNDED: Final = Bounds(preemptions=None, faults=None, jumps=None, others=None)


def class_of(kind: str, label: Label, *, current_can_go_on: bool) -> int:
    """Return the class of a deviation, as an index into :data:`CLASSES`."""
    if kind == RUN:
        if label == TIME:
            return JUMP
        return PREEMPTION if current_can_go_on else TURN
    return STRIKE if kind == FAULT else OTHER
