"""The nemesis of a simulated run: whether a fault strikes is a choice at every message of a client.

So a strike has a place among the operations, which stands in the trace, is kept by replay and moved by shrinking. The
default is that nothing strikes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.facts import Effect, FaultWindow
from harness.run.simulated.strikes import Aim, Moment, Stage, Twin
from harness.sim.kernel.loop import Timer

FAULT = "fault"
NONE = "none"


@dataclass(kw_only=True)
class ActiveStrike:
    """A strike that is on."""

    twin: Twin
    number: int
    aimed: Aim
    start_ns: int
    timer: Timer | None
    effects: list[Effect] = field(default_factory=list)

    def describe(self) -> tuple[Any, ...]:
        """Return what its end depends on, as plain values; its links follow from whom it struck."""
        counts = {name: value for name, value in self.aimed.memory.items() if isinstance(value, int)}
        return (self.twin.name, self.start_ns, self.aimed.targets, tuple(counts.items()), bool(self.effects))


class SimulatedNemesis:
    """Strikes up to ``budget`` times; hooked into the network of the run by :meth:`begin`."""

    def __init__(self, twins: Sequence[Twin], stage: Stage, budget: int) -> None:
        self.windows: list[FaultWindow] = []
        self._twins = tuple(twins)
        self._stage = stage
        self._left = budget
        self._active: ActiveStrike | None = None
        self._counts: dict[str, int] = {}
        self._labels: dict[Moment, tuple[str, ...]] = {
            "request": (NONE, *(twin.name for twin in twins if "request" in twin.moments)),
            "reply": (NONE, *(twin.name for twin in twins if "reply" in twin.moments)),
        }

    def begin(self) -> None:
        """Consider to strike from here on."""
        if self._twins:
            network = self._stage.network
            network.before_request.append(lambda _group, member, command: self._consider("request", member, command))
            network.before_reply.append(lambda _group, member, command: self._consider("reply", member, command))

    @property
    def left(self) -> int:
        """How many strikes are left."""
        return self._left

    @property
    def may_strike(self) -> bool:
        """Whether a strike may still come."""
        return bool(self._twins) and self._left > 0

    @property
    def active(self) -> str:
        """The name of the fault that is on, or an empty text."""
        return self._active.twin.name if self._active else ""

    def describe(self) -> tuple[Any, ...]:
        """Return what it may still do, and what is on, as plain values."""
        active = self._active
        done = [(window.fault, bool(window.effects)) for window in self.windows]
        return (self._left, tuple(self._counts.items()), tuple(done), () if active is None else active.describe())

    def _consider(self, moment: Moment, member: str, command: Mapping[str, Any]) -> None:
        if self._active is not None:
            self._look(self._active)
            each = self._active.twin.each
            if each is not None and moment == "request":
                each(self._stage, member, command)
            return
        if not self._left:
            return
        labels = self._labels[moment]
        if len(labels) == 1:
            return
        chosen = self._stage.kernel.choose(FAULT, labels)
        if chosen:
            self._strike(next(twin for twin in self._twins if twin.name == labels[chosen]), member)

    def _strike(self, twin: Twin, member: str) -> None:
        stage = self._stage
        aimed = twin.aim(stage, member)
        self._left -= 1
        if aimed is None:
            return
        number = self._counts.get(twin.name, 0)
        self._counts[twin.name] = number + 1
        kernel = stage.kernel
        strike = ActiveStrike(twin=twin, number=number, aimed=aimed, start_ns=stage.now_ns(), timer=None)
        self._active = strike
        twin.inject(stage, aimed)
        strike.timer = kernel.call_at(kernel.now_us + twin.hold_us, f"heal {twin.name}", lambda: self._heal(strike))

    def _look(self, strike: ActiveStrike) -> None:
        if not strike.effects:
            effect = strike.twin.observe(self._stage, strike.aimed)
            if effect is not None:
                strike.effects.append(effect)

    def _heal(self, strike: ActiveStrike) -> None:
        if self._active is not strike:
            return
        self._look(strike)
        strike.twin.heal(self._stage, strike.aimed)
        self._active = None
        self.windows.append(
            FaultWindow(
                fault=strike.twin.name,
                strike=strike.number,
                start_ns=strike.start_ns,
                end_ns=self._stage.now_ns(),
                targets=strike.aimed.targets,
                effects=tuple(strike.effects),
            )
        )

    async def finish(self) -> None:
        """Let a strike that is on go on to its end, then strike no more."""
        self._left = 0
        strike = self._active
        if strike is not None and strike.timer is not None and strike.timer.pending:
            await self._stage.kernel.sleep_until(strike.timer.at_us)
            self._heal(strike)
