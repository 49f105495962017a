"""Making a counterexample small: delta debugging over the entries of a history that fits no order.

An entry is not taken away but set free, as if its outcome were unknown: it may have happened at any time after its
start, with any result, or never. What is left then fits no order whatever the others did, so it is to blame by
itself. (Taking a write away would blame the read of it.) An entry that cannot change the state is free when it is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.checkers.model import UNKNOWN, Entry, Model, Step
from harness.checkers.search import search
from harness.clock import FOREVER_NS

_STEPS_PER_TRY = 4
_LEAST_STEPS_PER_TRY = 5_000


class _Shrinker:
    def __init__(self, entries: Sequence[Entry], model: Model, initial: Any, budget: int) -> None:
        self.entries = entries
        self.model = model
        self.initial = initial
        self.left = budget

    def fails(self, kept: Sequence[Entry]) -> bool:
        """Whether ``kept`` fit no order with all other entries set free; False where that takes too long to tell."""
        if self.left <= 0:
            return False
        blamed = {entry.index for entry in kept}
        free = [_set_free(entry) for entry in self.entries if entry.index not in blamed]
        free = [entry for entry in free if not self.model.observes(entry.step)]
        allowed = min(self.left, max(_LEAST_STEPS_PER_TRY, _STEPS_PER_TRY * len(self.entries)))
        result = search([*kept, *free], self.model, self.initial, allowed)
        self.left -= result.steps + len(self.entries)
        return result.exhausted


def _set_free(entry: Entry) -> Entry:
    return Entry(
        index=entry.index,
        start_ns=entry.start_ns,
        end_ns=FOREVER_NS,
        step=Step(entry.step.kind, entry.step.value, UNKNOWN),
        required=False,
    )


def shrink(entries: Sequence[Entry], model: Model, initial: Any, budget: int) -> tuple[Entry, ...]:
    """Return required entries that fit no order whatever the others did, none of which can be spared.

    Out of ``budget`` steps, what was reached by then is returned: smaller, but perhaps not minimal.
    """
    shrinker = _Shrinker(entries, model, initial, budget)
    kept = [entry for entry in entries if entry.required]
    size = len(kept)
    while size >= 1:
        start, removed = 0, False
        while start < len(kept):
            rest = kept[:start] + kept[start + size :]
            if shrinker.fails(rest):
                kept, removed = rest, True
            else:
                start += size
        if size > 1 or not removed:
            size //= 2
    return tuple(kept)
