"""A simulated run with its verdict."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass

from harness.explore.program import Workload
from harness.facts import RunFacts
from harness.result import RunVerdict, SeedResult
from harness.run.judge import judge_run, kinds_of, reasons_of, vacuous_of
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import SimulatedRun, Simulator
from harness.run.simulated.keep import digest_of
from harness.run.simulated.states import Keys
from harness.sim.kernel import Strategy

_YOUNG_OBJECTS = 50_000
"""So many more objects than there were may there be before the collector looks: those of some ten runs."""


@dataclass(frozen=True, kw_only=True)
class JudgedRun:
    """A simulated run with its verdict."""

    seed: int
    strategy: str
    run: SimulatedRun
    verdict: RunVerdict
    digest: str

    def result(self, *, kept: str = "") -> SeedResult:
        """Return its line in ``seeds.jsonl``."""
        verdict = self.verdict
        return SeedResult(
            seed=self.seed,
            digest=self.digest,
            status=verdict.status,
            strategy=self.strategy,
            kinds=kinds_of(verdict),
            reasons=reasons_of(verdict),
            vacuous=vacuous_of(verdict),
            not_applicable=verdict.not_applicable,
            evidence=verdict.evidence,
            decisions=self.run.decisions,
            deviations=len(self.run.deviations),
            run=kept,
        )


@contextlib.contextmanager
def campaign_memory() -> Iterator[None]:
    """Let the garbage collector leave alone what is there already, and look at new objects seldom.

    A run frees nearly all of its memory by itself, but makes enough objects to be looked at after each.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def judge_execution(
    simulator: Simulator,
    seed: int,
    workload: Workload,
    strategy: Strategy,
    name: str,
    *,
    keep_events: bool = False,
    keys: Keys | None = None,
) -> JudgedRun:
    """Simulate a run, with ``keys`` so that its states can be told apart, and judge it."""
    # Finalisers must not run at moments that depend on how much was allocated before.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        facts = facts_of(simulator.cell, seed)
        run = simulator.run(seed, workload, strategy, facts=facts, keep_events=keep_events, keys=keys)
        verdict = judge_run(run.history, simulator.cell.scenario)
    finally:
        if was_enabled:
            gc.enable()
    return JudgedRun(seed=seed, strategy=name, run=run, verdict=verdict, digest=digest_of(run.history, run.digest))


def facts_of(cell: SimulatedCell, seed: int, *, run: str = "", campaign: str = "") -> RunFacts:
    """Return the facts of a simulated run, as far as they are known before it."""
    return RunFacts(
        run=run,
        campaign=campaign,
        cell=cell.name,
        seed=seed,
        clients=cell.clients,
        client_groups=cell.client_groups,
        members=cell.members,
        network="simulated",
        duration_s=0,
        scenario_source=cell.loaded.source,
        status="complete",
    )
