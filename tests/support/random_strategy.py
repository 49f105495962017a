"""A strategy for tests: deviates from the default at random, with a probability for each kind of choice."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.sim.kernel.choices import Label
from harness.sim.kernel.loop import Kernel


class RandomStrategy:
    """Takes another option than the default with probability ``by_kind[kind]``, or ``probability``."""

    def __init__(self, seed: int, probability: float = 0.2, by_kind: Mapping[str, float] | None = None) -> None:
        self._random = random.Random(seed)
        self._probability = probability
        self._by_kind = by_kind or {}

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        """Return an option."""
        if self._random.random() >= self._by_kind.get(kind, self._probability):
            return default
        return self._random.randrange(len(options))
