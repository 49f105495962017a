"""Processes: members are killed (kill -9) and started again, or paused (SIGSTOP) and resumed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from harness.errors import BackendError, FaultError
from harness.facts import Effect
from harness.faults.effects import States, majority_dead, members_dead, primary_dead, primary_halted
from harness.faults.targets import secondaries, wait_for_primary
from harness.interfaces.backend import Capability
from harness.interfaces.fault import FaultContext, Injection

Choose = Callable[[random.Random, States, str], tuple[str, ...]]
"""Draws the victims from a random stream, the members as they are and the primary."""
Rule = Callable[[States, States, tuple[str, ...], int], Effect | None]
"""Judges the states before and after, the victims and the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFault:
    """Some members' processes end, or stand still, for a while."""

    name: str
    action: Literal["kill", "pause"]
    choose: Choose
    rule: Rule
    hold_s: float

    @property
    def needs(self) -> frozenset[Capability]:
        """Power over processes."""
        return frozenset({self.action})

    async def aim(self, context: FaultContext) -> Injection:
        """Draw the victims. Raises FaultError where there is none."""
        states, primary = await wait_for_primary(context, self.name)
        victims = self.choose(context.random, states, primary)
        if not victims:
            raise FaultError(f"{self.name} found no member to strike")
        return Injection(targets=victims, before=tuple(states), memory={"struck": set()})

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Strike them one after the other."""
        strike = context.backend.kill if self.action == "kill" else context.backend.pause
        for victim in injection.targets:
            injection.memory["struck"].add(victim)
            await strike(victim)

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Judge by who answers and who is primary."""
        after = await context.backend.observe()
        return self.rule(injection.before, after, injection.targets, context.now_ns())

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Bring back whoever was struck; look once more, since a new process shows that the old one died."""
        revive = context.backend.restart if self.action == "kill" else context.backend.resume
        await _try_all(self.name, revive, injection.memory["struck"])
        return await self.observe(context, injection)


async def _try_all(name: str, revive: Callable[[str], Awaitable[None]], struck: set[str]) -> None:
    problems: list[str] = []
    for victim in sorted(struck):
        try:
            await revive(victim)
        except (BackendError, OSError) as error:
            problems.append(f"{victim}: {error}")
        else:
            struck.discard(victim)
    if problems:
        raise FaultError(f"{name} could not bring back {'; '.join(problems)}")


def _primary(_draw: random.Random, _states: States, primary: str) -> tuple[str, ...]:
    return (primary,)


def _one_secondary(draw: random.Random, states: States, _primary: str) -> tuple[str, ...]:
    candidates = secondaries(states)
    return (draw.choice(candidates),) if candidates else ()


def _majority(draw: random.Random, states: States, _primary: str) -> tuple[str, ...]:
    members = [state.member for state in states]
    return tuple(sorted(draw.sample(members, k=len(members) // 2 + 1)))


def _all(_draw: random.Random, states: States, _primary: str) -> tuple[str, ...]:
    return tuple(state.member for state in states)


def _primary_dead(before: States, after: States, victims: tuple[str, ...], time_ns: int) -> Effect | None:
    return primary_dead(before, after, victims[0], time_ns)


def _primary_halted(before: States, after: States, victims: tuple[str, ...], time_ns: int) -> Effect | None:
    return primary_halted(before, after, victims[0], time_ns)


KILL_PRIMARY = ProcessFault(name="kill-primary", action="kill", choose=_primary, rule=_primary_dead, hold_s=3.0)
KILL_SECONDARY = ProcessFault(
    name="kill-secondary", action="kill", choose=_one_secondary, rule=members_dead, hold_s=2.5
)
KILL_MAJORITY = ProcessFault(name="kill-majority", action="kill", choose=_majority, rule=majority_dead, hold_s=2.5)
KILL_ALL = ProcessFault(name="kill-all", action="kill", choose=_all, rule=members_dead, hold_s=1.5)
PAUSE_PRIMARY = ProcessFault(name="pause-primary", action="pause", choose=_primary, rule=_primary_halted, hold_s=3.5)
