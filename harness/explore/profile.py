"""The profile of a program: how many choices of each kind a run of it makes. Strategies are sized by it.

It is learnt from a few runs with fixed streams, so that what a seed does depends on cell and seed alone, not on which
seeds ran before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.sim.kernel import Kernel, Strategy
from harness.sim.kernel.choices import RUN, Label

UNSEEN = 1
"""Choices of a kind that no run so far has made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Means over the runs that it was learnt from, rounded up. Of faults, over runs in which none struck."""

    choices: Mapping[str, int] = field(default_factory=dict)
    """Kind to number of choices in a run."""
    turns: Mapping[str, int] = field(default_factory=dict)
    """Task to how often it was chosen to go on."""
    strike_cost: int = 0
    """How many choices of faults are not made any more for each strike: while one is on, none is offered."""

    def of(self, kind: str) -> int:
        """Return how many choices of a kind a run makes, at least one."""
        return max(UNSEEN, self.choices.get(kind, UNSEEN))


class CountingStrategy:
    """Lets another strategy choose, and counts what was chosen."""

    def __init__(self, strategy: Strategy) -> None:
        self.choices: dict[str, int] = {}
        self.turns: dict[str, int] = {}
        self.deviations: dict[str, int] = {}
        self._strategy = strategy

    def begin(self, kernel: Kernel) -> None:
        """Begin with the other."""
        self._strategy.begin(kernel)

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        """Return what the other chooses."""
        chosen = self._strategy.choose(kind, options, default, footprints)
        self.choices[kind] = self.choices.get(kind, 0) + 1
        if chosen != default:
            self.deviations[kind] = self.deviations.get(kind, 0) + 1
        if kind == RUN:
            name = str(options[chosen])
            self.turns[name] = self.turns.get(name, 0) + 1
        return chosen


def mean_profile(runs: Sequence[CountingStrategy]) -> Profile:
    """Return the means of what these strategies counted, over the runs that saw a kind or task at all."""
    return Profile(choices=_means([run.choices for run in runs]), turns=_means([run.turns for run in runs]))


def _means(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for count in counts for name in count})
    means = {}
    for name in names:
        seen = [count[name] for count in counts if name in count]
        means[name] = -(-sum(seen) // len(seen))
    return means
