"""The nemesis: strikes as the schedule says, watches for effects, heals, and puts all of it on record.

It is a trio task beside the load. Whatever happens to it, every strike that began is healed before it returns: by its
end, by an error, or by cancellation (ctrl-C, the load's end, a violation found).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import trio

from harness.clock import RunClock
from harness.errors import FaultError, HarnessError
from harness.facts import Effect
from harness.faults.schedule import Strike
from harness.faults.sharing import LinkClaims, SharedLinks
from harness.interfaces.fault import Fault, FaultContext, Injection
from harness.journal import FaultHealed, FaultStarted, JournalEvent

OBSERVE_INTERVAL_S = 0.1
INJECT_TIMEOUT_S = 8.0
HEAL_TIMEOUT_S = 30.0
"""How long healing one strike may take before the set is given up; a restart takes one to three seconds."""
HEAL_RETRY_INTERVAL_S = 0.3

_EXPECTED = (HarnessError, OSError)
"""What a strike may meet with without being the harness's own mistake."""

ContextFor = Callable[[Fault], FaultContext]


class Pacing(Protocol):
    """When strikes begin and end. The nemesis asks before, and tells after."""

    async def wait_for_start(self, strike: Strike) -> None:
        """Return when the strike is to be injected."""
        ...

    def struck(self, strike: Strike) -> None:
        """Take notice that it was."""
        ...

    async def wait_for_end(self, strike: Strike) -> None:
        """Return when it is to be healed."""
        ...

    def healed(self, strike: Strike) -> None:
        """Take notice that it was."""
        ...


class ScheduledPacing:
    """Strikes at the times of the schedule, counted from now."""

    def __init__(self) -> None:
        self._began = trio.current_time()

    async def wait_for_start(self, strike: Strike) -> None:
        """Wait for its time."""
        await trio.sleep_until(self._began + strike.at_s)

    def struck(self, strike: Strike) -> None:
        """Need nothing of it."""

    async def wait_for_end(self, strike: Strike) -> None:
        """Hold it for as long as was drawn."""
        await trio.sleep(strike.hold_s)

    def healed(self, strike: Strike) -> None:
        """Need nothing of it."""


async def run_nemesis(
    strikes: Sequence[Strike],
    context_for: ContextFor,
    journal_append: Callable[[JournalEvent], None],
    clock: RunClock,
    on_status: Callable[[str], None],
    *,
    pacing: Pacing | None = None,
) -> None:
    """Carry out ``strikes``, their times counted from this call unless ``pacing`` says; return when all are healed.

    ``context_for`` is called once for each fault. Each strike appends FaultStarted just before it is injected and
    FaultHealed with the effects that were seen. A strike that could not be injected is on record with its error and
    without effect, and ends nothing. ``on_status`` gets ``NAME on TARGETS`` and ``NAME healed``.

    Raises FaultError if a strike could not be healed: the set is not fit for use then.
    """
    nemesis = _Nemesis(
        journal_append=journal_append, clock=clock, on_status=on_status, pacing=pacing or ScheduledPacing()
    )
    by_fault: defaultdict[str, list[Strike]] = defaultdict(list)
    for strike in strikes:
        by_fault[strike.fault.name].append(strike)
    claims = LinkClaims()
    async with trio.open_nursery() as nursery:
        for name, of_one in by_fault.items():
            context = context_for(of_one[0].fault)
            own = replace(context, own_links=SharedLinks(context.backend, claims, name))
            nursery.start_soon(nemesis.strike_in_turn, of_one, own)
    if nemesis.unhealed:
        raise FaultError(
            f"could not heal {'; '.join(nemesis.unhealed)}",
            next_step="the set is stopped; run again, and see the members' logs if it happens again",
        )


@dataclass(kw_only=True)
class _Nemesis:
    journal_append: Callable[[JournalEvent], None]
    clock: RunClock
    on_status: Callable[[str], None]
    pacing: Pacing
    turn: trio.Lock = field(default_factory=trio.Lock)
    """Held while a strike changes the set: a backend is changed by one task at a time."""
    unhealed: list[str] = field(default_factory=list)

    async def strike_in_turn(self, strikes: Sequence[Strike], context: FaultContext) -> None:
        for strike in strikes:
            await self.pacing.wait_for_start(strike)
            await self._strike(strike, context)
            self.pacing.healed(strike)

    async def _strike(self, strike: Strike, context: FaultContext) -> None:
        fault = strike.fault
        try:
            injection = await fault.aim(context)
        except _EXPECTED as error:
            self._journal_start(strike, ())
            self._journal_end(strike, [], [_text(error)])
            return
        effects: list[Effect] = []
        problems: list[str] = []
        self._journal_start(strike, injection.targets)
        try:
            await self._hold(strike, context, injection, effects, problems)
        finally:
            with trio.CancelScope(shield=True):
                await self._heal(fault, context, injection, effects, problems)
                self._journal_end(strike, effects, problems)

    async def _hold(
        self, strike: Strike, context: FaultContext, injection: Injection, effects: list[Effect], problems: list[str]
    ) -> None:
        try:
            async with self.turn:
                # Shielded: an order to a proxy or server that is given up half way leaves its channel in disorder.
                with trio.move_on_after(INJECT_TIMEOUT_S, shield=True) as scope:
                    await strike.fault.inject(context, injection)
        except _EXPECTED as error:
            problems.append(_text(error))
            return
        if scope.cancelled_caught:
            problems.append(f"not injected within {INJECT_TIMEOUT_S:.0f} s")
            return
        self.pacing.struck(strike)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, strike.fault, context, injection, effects)
            await self.pacing.wait_for_end(strike)
            nursery.cancel_scope.cancel()

    async def _heal(
        self, fault: Fault, context: FaultContext, injection: Injection, effects: list[Effect], problems: list[str]
    ) -> None:
        last = f"{fault.name}: not healed within {HEAL_TIMEOUT_S:.0f} s"
        with trio.move_on_after(HEAL_TIMEOUT_S):
            while True:
                try:
                    async with self.turn:
                        late = await fault.heal(context, injection)
                except _EXPECTED as error:
                    last = _text(error)
                    await trio.sleep(HEAL_RETRY_INTERVAL_S)
                else:
                    if late is not None and not effects:
                        effects.append(late)
                    return
        problems.append(last)
        self.unhealed.append(last)

    def _journal_start(self, strike: Strike, targets: tuple[str, ...]) -> None:
        name = strike.fault.name
        start_ns = self.clock.now_ns()
        self.journal_append(FaultStarted(fault=name, strike=strike.index, start_ns=start_ns, targets=targets))
        self.on_status(f"{name} on {', '.join(targets) or 'nothing'}")

    def _journal_end(self, strike: Strike, effects: Sequence[Effect], problems: Sequence[str]) -> None:
        name = strike.fault.name
        healed = FaultHealed(
            fault=name,
            strike=strike.index,
            end_ns=self.clock.now_ns(),
            effects=tuple(effects),
            error="; ".join(problems),
        )
        self.journal_append(healed)
        self.on_status(f"{name} healed{'' if effects else ', without effect'}")


async def _watch(fault: Fault, context: FaultContext, injection: Injection, effects: list[Effect]) -> None:
    while not effects:
        try:
            effect = await fault.observe(context, injection)
        except _EXPECTED:
            effect = None
        if effect is not None:
            effects.append(effect)
        else:
            await trio.sleep(OBSERVE_INTERVAL_S)


def _text(error: BaseException) -> str:
    return error.message if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
