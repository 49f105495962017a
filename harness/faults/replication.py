"""Replication: a planned step-down, and a member that is kept from replicating."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import FaultError
from harness.facts import Effect
from harness.faults.effects import Sample, handed_over, held_back
from harness.faults.failpoints import turn_off, turn_on
from harness.faults.targets import secondaries, wait_for_primary
from harness.interfaces.backend import Capability
from harness.interfaces.fault import FaultContext, Injection

STEP_DOWN_S = 2
"""For how long the primary does not stand for election again; more than it may wait for a secondary."""
CATCH_UP_S = 1
ENGAGE_TIMEOUT_MS = 2500
"""stopReplProducer takes hold when the fetcher's current wait for the oplog ends, measured 0.5 s."""
LEAST_LAG_NS = 400_000_000
"""A healthy member trails by milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDown:
    """The primary is told to step down; a caught-up secondary takes over."""

    name: str = "stepdown"
    hold_s: float = 1.5
    needs: frozenset[Capability] = frozenset({"stepdown"})

    async def aim(self, context: FaultContext) -> Injection:
        """Choose the primary."""
        states, primary = await wait_for_primary(context, self.name)
        return Injection(targets=(primary,), before=tuple(states), memory={})

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Step it down, by force where no secondary catches up in time."""
        command = {"replSetStepDown": STEP_DOWN_S, "secondaryCatchUpPeriodSecs": CATCH_UP_S, "force": True}
        await context.backend.admin(injection.targets[0], command)

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Judge by roles and terms."""
        after = await context.backend.observe()
        return handed_over(injection.before, after, injection.targets[0], context.now_ns())

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Look once more; the member may stand for election again by itself after ``STEP_DOWN_S``."""
        return await self.observe(context, injection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """One secondary is kept from fetching the oplog; it stays a secondary, votes, and serves stale reads."""

    name: str = "lag"
    hold_s: float = 3.0
    needs: frozenset[Capability] = frozenset({"failpoint"})

    async def aim(self, context: FaultContext) -> Injection:
        """Draw a secondary. Raises FaultError where there is none."""
        states, _ = await wait_for_primary(context, self.name)
        candidates = secondaries(states)
        if not candidates:
            raise FaultError(f"{self.name} found no secondary to hold back")
        victim = context.random.choice(candidates)
        return Injection(targets=(victim,), before=tuple(states), memory={"samples": []})

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Stop its producer and wait until that has taken hold: an entry may slip through until then."""
        member = injection.targets[0]
        hits = await turn_on(context.backend, member, "stopReplProducer", {})
        await context.backend.admin(
            member,
            {"waitForFailPoint": "stopReplProducer", "timesEntered": hits + 1, "maxTimeMS": ENGAGE_TIMEOUT_MS},
        )

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Judge by what the members have applied, over several looks."""
        samples = injection.memory["samples"]
        states = await context.backend.observe()
        samples.append(Sample(time_ns=context.now_ns(), states=states))
        return held_back(samples, injection.targets[0], LEAST_LAG_NS)

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Let it fetch again."""
        await turn_off(context.backend, injection.targets, "stopReplProducer")
        return None
