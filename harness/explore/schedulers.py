"""Schedulers: which of the tasks that could go on does. Each is drawn from a random stream, each finds other bugs.

Measured on a lease without fencing and on a starvation: evenly random schedules find most races soonest and never a
client that is overtaken twenty times; sticky ones and those by priority do. Hence the portfolio.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness.explore.profile import Profile
from harness.sim.kernel import Kernel
from harness.sim.kernel.choices import RUN, Label

_PRIORITY_BITS = 30
_INITIAL = 1 << _PRIORITY_BITS


class Scheduler(Protocol):
    """Picks one of the first ``count`` options, which are names of tasks; ``default`` would go on or is the first."""

    def begin(self, kernel: Kernel) -> None:
        """Take notice of the kernel."""
        ...

    def pick(self, options: Sequence[Label], count: int, default: int, footprints: Sequence[Any] | None) -> int:
        """Return the index of a task."""
        ...


class RandomWalk:
    """Every task that could go on is as likely as any other."""

    def __init__(self, draw: random.Random) -> None:
        self._random = draw.random

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def pick(self, options: Sequence[Label], count: int, default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Scheduler
        """Return any index."""
        return int(self._random() * count)


class Sticky:
    """The current task goes on with probability ``stay``; otherwise any does."""

    def __init__(self, draw: random.Random, stay: float) -> None:
        self._random = draw.random
        self._stay = stay
        self._kernel: Kernel | None = None

    def begin(self, kernel: Kernel) -> None:
        """Keep the kernel, which knows the current task."""
        self._kernel = kernel

    def pick(self, options: Sequence[Label], count: int, default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Scheduler
        """Return the current task or any."""
        if self._random() < self._stay and self._kernel is not None and self._kernel.current.ready:
            return default
        return int(self._random() * count)


class Priorities:
    """PCT: the task of highest priority goes on; at ``depth - 1`` places of the run it falls below all others.

    Finds a bug that needs ``depth`` ordered steps with probability of at least 1 / (tasks * steps ** (depth - 1)).
    """

    def __init__(self, draw: random.Random, depth: int, steps: int) -> None:
        self._draw = draw
        self._priorities: dict[Label, int] = {}
        self._falls = sorted((draw.randrange(steps) for _ in range(depth - 1)), reverse=True)
        self._step = 0

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def pick(self, options: Sequence[Label], count: int, default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Scheduler
        """Return the task of highest priority."""
        best = self._best(options, count)
        while self._falls and self._falls[-1] <= self._step:
            self._falls.pop()
            self._priorities[options[best]] = len(self._falls)
            best = self._best(options, count)
        self._step += 1
        return best

    def _best(self, options: Sequence[Label], count: int) -> int:
        priorities = self._priorities
        best, highest = 0, -1
        for position in range(count):
            priority = priorities.get(options[position])
            if priority is None:
                priority = priorities[options[position]] = _INITIAL + self._draw.getrandbits(_PRIORITY_BITS)
            if priority > highest:
                best, highest = position, priority
        return best


class PartialOrder:
    """POS: every step has a random priority, drawn anew when a step that it conflicts with was taken before it."""

    def __init__(self, draw: random.Random) -> None:
        self._bits = draw.getrandbits
        self._priorities: dict[Label, int] = {}

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def pick(self, options: Sequence[Label], count: int, default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Scheduler
        """Return the task whose next step has the highest priority."""
        priorities = self._priorities
        best, highest = 0, -1
        for position in range(count):
            priority = priorities.get(options[position])
            if priority is None:
                priority = priorities[options[position]] = self._bits(_PRIORITY_BITS)
            if priority > highest:
                best, highest = position, priority
        taken = None if footprints is None else footprints[best]
        if footprints is None or taken is None:
            priorities.clear()
            return best
        for position in range(count):
            if position == best or conflict(taken, footprints[position]):
                del priorities[options[position]]
        return best


class UniformWalk:
    """URW: a task is as likely as the share of steps that it has left, so that every interleaving is as likely."""

    def __init__(self, draw: random.Random, profile: Profile) -> None:
        self._random = draw.random
        self._expected = profile.turns
        self._left: dict[Label, int] = {}

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def pick(self, options: Sequence[Label], count: int, default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Scheduler
        """Return a task by its weight."""
        weights = [self._weight(options[position]) for position in range(count)]
        point = int(self._random() * sum(weights))
        chosen = 0
        while point >= weights[chosen]:
            point -= weights[chosen]
            chosen += 1
        self._left[options[chosen]] = weights[chosen] - 1
        return chosen

    def _weight(self, task: Label) -> int:
        return max(1, self._left.get(task, self._expected.get(str(task), 1)))


def conflict(one: Any, other: Any) -> bool:
    """Whether two footprints touch one resource and one of them writes it; a footprint that is not known may."""
    if one is None or other is None:
        return True
    return any(
        resource == other_resource and (writes or other_writes)
        for resource, writes in one
        for other_resource, other_writes in other
    )


def _sticky(draw: random.Random, _profile: Profile) -> Scheduler:
    return Sticky(draw, draw.choice((0.8, 0.9, 0.95, 0.98)))


def _priorities(depths: Sequence[int]) -> Callable[[random.Random, Profile], Scheduler]:
    return lambda draw, profile: Priorities(draw, draw.choice(depths), profile.of(RUN))


SCHEDULERS: dict[str, Callable[[random.Random, Profile], Scheduler]] = {
    "random": lambda draw, _profile: RandomWalk(draw),
    "sticky": _sticky,
    "pct": _priorities((2, 3, 4)),
    "pct-2": _priorities((2,)),
    "pct-3": _priorities((3,)),
    "pct-4": _priorities((4,)),
    "pos": lambda draw, _profile: PartialOrder(draw),
    "urw": UniformWalk,
}
"""Name to how one is drawn for a seed."""


def portfolio(draw: random.Random, profile: Profile) -> Scheduler:
    """Return one of them: 40 % random or by partial order, 30 % sticky, 30 % by priorities of depth 2 to 4."""
    names = ("random", "pos", "random", "pos", "sticky", "sticky", "sticky", "pct", "pct", "pct")
    return SCHEDULERS[draw.choice(names)](draw, profile)
