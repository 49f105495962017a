"""Strategies that sample schedules: a scheduler for the tasks, and rates for everything else that a run leaves open.

What a strategy does is a function of its name, its seed, the profile of the program and the number of strikes. Replay
is in ``replay.py``, the search that leaves nothing out in ``exhaustive.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from harness.errors import unknown_name
from harness.explore.profile import CountingStrategy, Profile, mean_profile
from harness.explore.program import Program, Workload
from harness.explore.schedulers import SCHEDULERS, RandomWalk, Scheduler, portfolio
from harness.seed import stream
from harness.sim.kernel import DefaultStrategy, Kernel, Strategy
from harness.sim.kernel.choices import RUN, TIME, Label

FAULT = "fault"
"""The kind of choice at which a fault may strike; rationed by the number of strikes of a run, not by a rate."""

_JUMPS = 3
"""How often a run lets time pass while tasks could go on, where that does not vary by seed."""
_MOST_LIKELY = 0.5
_SWARM_COUNTS: tuple[float, ...] = (0, 0.5, 1, 2, 4, 8)
"""How often a kind deviates in a run, of which a swarm draws one for each seed and kind."""
_LEARNING_RUNS = 4

Counts = Callable[[str], float]
"""Kind of choice to how often it is to deviate in a run."""


class SamplingStrategy:
    """A scheduler picks tasks; other kinds deviate as often in a run as ``counts`` says, to any of their options.

    ``strikes`` faults strike, at places drawn evenly over all those where one may.
    """

    def __init__(
        self, draw: random.Random, scheduler: Scheduler, counts: Counts, profile: Profile, *, strikes: int
    ) -> None:
        self._random = draw.random
        self._scheduler = scheduler
        self._counts = counts
        self._profile = profile
        self._rates: dict[str, float] = {}
        self._jump_rate = min(_MOST_LIKELY, counts(TIME) / profile.of(RUN))
        self._strikes = _places(draw, strikes, profile)
        self._fault_choices = 0

    def begin(self, kernel: Kernel) -> None:
        """Begin with the scheduler."""
        self._scheduler.begin(kernel)

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        """Return the index of one of ``options``."""
        if kind == RUN:
            count = len(options)
            if options[-1] == TIME:
                count -= 1
                if self._random() < self._jump_rate:
                    return count
                if count == 1:
                    return 0
            return self._scheduler.pick(options, count, default, footprints)
        if kind == FAULT:
            return self._other(options, default) if self._strikes_now() else default
        rate = self._rates.get(kind)
        if rate is None:
            rate = self._rates[kind] = min(_MOST_LIKELY, self._counts(kind) / self._profile.of(kind))
        return self._other(options, default) if self._random() < rate else default

    def _strikes_now(self) -> bool:
        place, self._fault_choices = self._fault_choices, self._fault_choices + 1
        if self._strikes and self._strikes[-1] <= place:
            self._strikes.pop()
            return True
        return False

    def _other(self, options: Sequence[Label], default: int) -> int:
        chosen = int(self._random() * (len(options) - 1))
        return chosen + 1 if chosen >= default else chosen


def _places(draw: random.Random, strikes: int, profile: Profile) -> list[int]:
    """Return at which of the choices of a fault it strikes, the last first."""
    # Strikes take choices away; drawn from those that are left, the last of them still comes up.
    left = profile.of(FAULT) - profile.strike_cost * (strikes - 1)
    return sorted(draw.sample(range(max(strikes, left)), strikes), reverse=True)


def _even(kind: str) -> float:
    return _JUMPS if kind == TIME else 1


def _swarm(seed: int) -> Counts:
    """Return counts that differ by seed: what is rare in one is frequent in another, and what is off is off."""
    return lambda kind: stream(seed, "swarm", kind).choice(_SWARM_COUNTS)


def _swarm_strikes(seed: int, strikes: int) -> int:
    draw = stream(seed, "swarm", "strikes")
    return strikes if strikes == 0 or draw.random() < 0.75 else draw.randint(1, strikes)  # noqa: PLR2004 - mostly all of them


def _one(name: str, seed: int, profile: Profile, strikes: int) -> SamplingStrategy:
    draw = stream(seed, "schedule")
    return SamplingStrategy(stream(seed, "choices"), SCHEDULERS[name](draw, profile), _even, profile, strikes=strikes)


def _swarmed(scheduler: Scheduler, seed: int, profile: Profile, strikes: int) -> SamplingStrategy:
    return SamplingStrategy(
        stream(seed, "choices"), scheduler, _swarm(seed), profile, strikes=_swarm_strikes(seed, strikes)
    )


Maker = Callable[[int, Profile, int], SamplingStrategy]

STRATEGIES: Mapping[str, Maker] = MappingProxyType(
    {
        "portfolio": lambda seed, profile, strikes: _swarmed(
            portfolio(stream(seed, "schedule"), profile), seed, profile, strikes
        ),
        "swarm": lambda seed, profile, strikes: _swarmed(RandomWalk(stream(seed, "schedule")), seed, profile, strikes),
        **{
            name: (lambda seed, profile, strikes, name=name: _one(name, seed, profile, strikes))  # type: ignore[misc]
            for name in SCHEDULERS
        },
    }
)
"""Name to maker, called with seed, profile and strikes. The first is the default."""


def make_strategy(name: str, seed: int, profile: Profile, *, strikes: int = 0) -> SamplingStrategy:
    """Return the strategy of that name for one seed; ``strikes`` is how often faults may strike in a run.

    Raises UsageError for a name that is not in :data:`STRATEGIES`.
    """
    if name not in STRATEGIES:
        raise unknown_name("strategy", name, STRATEGIES)
    return STRATEGIES[name](seed, profile, strikes)


def learn_profile(program: Program, workload: Workload | None = None, *, strikes: int = 0) -> Profile:
    """Return the profile of a program, learnt from a few runs of ``workload``, by default its own."""
    asked = program.workload() if workload is None else workload
    profile = mean_profile([_count(program, asked, DefaultStrategy())])
    calm = [_count(program, asked, make_strategy("random", number, profile)) for number in range(_LEARNING_RUNS)]
    profile = mean_profile(calm)
    if not strikes:
        return profile
    struck = [
        _count(program, asked, make_strategy("random", number, profile, strikes=strikes))
        for number in range(_LEARNING_RUNS)
    ]
    made = sum(run.deviations.get(FAULT, 0) for run in struck)
    lost = sum(profile.of(FAULT) - run.choices.get(FAULT, 0) for run in struck)
    learnt = mean_profile(struck)
    return Profile(
        choices={**learnt.choices, FAULT: profile.of(FAULT)},
        turns=learnt.turns,
        strike_cost=max(0, lost // made) if made else 0,
    )


def _count(program: Program, workload: Workload, strategy: Strategy) -> CountingStrategy:
    counting = CountingStrategy(strategy)
    program.execute(workload, counting)
    return counting
