"""Making a counterexample small: delta debugging over the entries of a history that fits no order.

A subset counts only if it still explains what it reads (``Model.unexplained``): else taking a write away would blame
the read of it. Without that hook only entries that never change the state are taken away, which is always fair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.checkers.model import Entry, Model
from harness.checkers.search import search


class _Shrinker:
    def __init__(self, model: Model, initial: Any, budget: int) -> None:
        self.model = model
        self.initial = initial
        self.left = budget

    def fails(self, entries: Sequence[Entry]) -> bool:
        if self.left <= 0 or (self.model.unexplained and self.model.unexplained(entries, self.initial)):
            return False
        result = search(entries, self.model, self.initial, self.left)
        self.left -= result.steps + len(entries)
        return result.exhausted

    def removable(self, entry: Entry) -> bool:
        return self.model.unexplained is not None or self.model.observes(entry.step)


def shrink(entries: Sequence[Entry], model: Model, initial: Any, budget: int) -> tuple[Entry, ...]:
    """Return a subset that fits no order either and from which no single entry can be taken, within ``budget`` steps.

    Out of budget, what was reached by then is returned: smaller, but perhaps not minimal.
    """
    shrinker = _Shrinker(model, initial, budget)
    kept = list(entries)
    size = len(kept)
    while size >= 1:
        start, removed = 0, False
        while start < len(kept):
            chunk = kept[start : start + size]
            rest = kept[:start] + kept[start + size :]
            if all(shrinker.removable(entry) for entry in chunk) and shrinker.fails(rest):
                kept, removed = rest, True
            else:
                start += size
        if size > 1 or not removed:
            size //= 2
    return tuple(kept)
