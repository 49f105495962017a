"""The search for a linearization: Wing and Gong (1993) with Lowe's memory of configurations (2017).

A configuration is the set of entries placed so far and the state that they lead to. Placed entries are kept exactly:
all completed ones before a low-water mark, a bit mask of those beyond it, and a bit mask of the writes with unknown
outcome that were used. Three rules keep it small, both without losing an answer:

- a completed entry that never changes the state and fits now is placed at once: in any order that fits it can be
  moved here, since it is enabled and removing it later changes nothing for the others;
- of several entries with unknown outcome and the same step, the one that began first is used first: it is enabled
  whenever the others are, and does the same;
- an entry with unknown outcome is placed only if the entry after it then leads elsewhere than without it: else it
  can be left out. (Take an order that fits with the fewest such entries; the other two rules never add one.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.checkers.model import ILLEGAL, UNKNOWN, Entry, Model, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """``order`` where one was found; else ``exhausted`` tells whether all were tried, with the longest prefix."""

    order: tuple[Entry, ...] | None
    exhausted: bool
    steps: int
    longest: tuple[Entry, ...] = ()


@dataclass(slots=True)
class _Frame:
    low: int
    placed: int
    used: int
    state: Any
    without: Any
    """The state before an entry with unknown outcome that must still show itself needed; else ILLEGAL."""
    depth: int
    candidates: list[tuple[bool, int]]
    """(is completed, number), the next one to try last."""


class _Search:
    def __init__(self, entries: Sequence[Entry], model: Model, budget: int) -> None:
        self.model = model
        self.budget = budget
        self.completed = sorted((e for e in entries if e.required), key=lambda e: (e.start_ns, e.end_ns, e.index))
        self.pending = sorted(
            (e for e in entries if not e.required and not model.observes(e.step)), key=lambda e: (e.start_ns, e.index)
        )
        self.earlier_twin = _earlier_twins(self.pending)
        self.seen: set[tuple[int, int, int, Any, Any]] = set()
        self.path: list[Entry] = []
        self.longest: tuple[Entry, ...] = ()
        self.steps = 0

    def run(self, initial: Any) -> SearchResult:
        stack: list[_Frame] = []
        self._enter(stack, 0, 0, 0, (initial, ILLEGAL))
        while stack:
            frame = stack[-1]
            if frame.low == len(self.completed):
                return SearchResult(order=tuple(self.path), exhausted=False, steps=self.steps)
            if self.steps >= self.budget:
                self._note_longest()
                return SearchResult(order=None, exhausted=False, steps=self.steps, longest=self.longest)
            if not frame.candidates:
                self._note_longest()
                stack.pop()
                continue
            self._try(stack, frame, *frame.candidates.pop())
        return SearchResult(order=None, exhausted=True, steps=self.steps, longest=self.longest)

    def _try(self, stack: list[_Frame], frame: _Frame, is_completed: bool, number: int) -> None:
        self.steps += 1
        entry = self.completed[number] if is_completed else self.pending[number]
        state = self.model.apply(frame.state, entry.step)
        if state is ILLEGAL or (not is_completed and state == frame.state):
            return
        if frame.without is not ILLEGAL and self.model.apply(frame.without, entry.step) == state:
            return
        if len(self.path) > frame.depth:
            self._note_longest()
            del self.path[frame.depth :]
        self.path.append(entry)
        placed, used = frame.placed, frame.used
        if is_completed:
            placed |= 1 << (number - frame.low)
        else:
            used |= 1 << number
        self._enter(stack, frame.low, placed, used, (state, ILLEGAL if is_completed else frame.state))

    def _enter(self, stack: list[_Frame], low: int, placed: int, used: int, states: tuple[Any, Any]) -> None:
        """Place what can be placed at once, then open the configuration unless it was seen before."""
        state, without = states
        while True:
            while placed & 1:
                placed >>= 1
                low += 1
            enabled, limit = self._enabled(low, placed)
            fitting = [
                number
                for number in enabled
                if self.model.observes(self.completed[number].step)
                and self.model.apply(state, self.completed[number].step) is not ILLEGAL
            ]
            if not fitting:
                break
            without = ILLEGAL
            for number in fitting:
                self.path.append(self.completed[number])
                placed |= 1 << (number - low)
        configuration = (low, placed, used, state, without)
        if configuration in self.seen:
            return
        self.seen.add(configuration)
        candidates = [(False, number) for number in reversed(self._usable(used, limit))]
        by_end = sorted(enabled, key=lambda number: self.completed[number].end_ns, reverse=True)
        candidates += [(True, number) for number in by_end if not self.model.observes(self.completed[number].step)]
        stack.append(_Frame(low, placed, used, state, without, len(self.path), candidates))

    def _enabled(self, low: int, placed: int) -> tuple[list[int], int]:
        """Return the completed entries that may come next, and the earliest end among those not placed."""
        enabled: list[int] = []
        limit: int | None = None
        for number in range(low, len(self.completed)):
            entry = self.completed[number]
            if limit is not None and entry.start_ns > limit:
                break
            if not (placed >> (number - low)) & 1:
                enabled.append(number)
                limit = entry.end_ns if limit is None else min(limit, entry.end_ns)
        return enabled, -1 if limit is None else limit

    def _usable(self, used: int, limit: int) -> list[int]:
        usable = []
        for number, entry in enumerate(self.pending):
            if entry.start_ns > limit:
                break
            twin = self.earlier_twin[number]
            if not (used >> number) & 1 and (twin is None or (used >> twin) & 1):
                usable.append(number)
        return usable

    def _note_longest(self) -> None:
        if len(self.path) > len(self.longest):
            self.longest = tuple(self.path)


def _earlier_twins(pending: Sequence[Entry]) -> list[int | None]:
    last: dict[Step, int] = {}
    twins: list[int | None] = []
    for number, entry in enumerate(pending):
        twins.append(last.get(entry.step))
        last[entry.step] = number
    return twins


def search(entries: Sequence[Entry], model: Model, initial: Any, budget: int) -> SearchResult:
    """Look for an order of ``entries`` that fits the model from ``initial`` on, in at most ``budget`` steps."""
    return _Search(entries, model, budget).run(initial)


def verify_linearization(entries: Sequence[Entry], order: Sequence[int], model: Model, initial: Any = UNKNOWN) -> str:
    """Return why ``order`` (operation indexes) is no linearization of ``entries``, or empty where it is one.

    One linear pass that shares nothing with the algorithms that find orders: each index is known and stands once, no
    required entry is left out, none ends before the latest start ahead of it, and the model takes every step.
    """
    by_index = {entry.index: entry for entry in entries}
    state = model.initial if initial is UNKNOWN else initial
    placed: set[int] = set()
    latest_start = -1
    for index in order:
        entry = by_index.get(index)
        if entry is None or index in placed:
            return f"operation {index} is unknown or stands twice in the order"
        placed.add(index)
        if entry.end_ns < latest_start:
            return f"operation {index} had ended before one that stands ahead of it began"
        latest_start = max(latest_start, entry.start_ns)
        state = model.apply(state, entry.step)
        if state is ILLEGAL:
            return f"operation {index} cannot have its result where it stands"
    left_out = [entry.index for entry in entries if entry.required and entry.index not in placed]
    return f"operation {left_out[0]} is left out of the order" if left_out else ""
