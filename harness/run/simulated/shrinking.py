"""Shrinking a stored finding: to its smallest workload and schedule, kept as a run of its own beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import store
from harness.explore.program import Execution, Workload
from harness.explore.replay import ReplayStrategy
from harness.explore.shrink import DEFAULT_BUDGET, ShrinkResult, shrink
from harness.facts import Choice, RunFacts
from harness.run.simulated.execute import Simulator
from harness.run.simulated.keep import deviations_of
from harness.run.simulated.program import SeedProgram
from harness.run.simulated.seeds import keep
from harness.run.simulated.stored import cell_of, read_simulated, workload_of_run


@dataclass(frozen=True, kw_only=True)
class ShrunkRun:
    """A shrunk finding: the facts under which it is kept, where, and what is known of it."""

    facts: RunFacts
    directory: Path
    program: SeedProgram
    result: ShrinkResult


def shrink_stored(
    root: Path,
    directory: Path,
    *,
    anomaly: str = "",
    budget: int = DEFAULT_BUDGET,
    on_progress: Callable[[ShrinkResult], None] | None = None,
) -> ShrunkRun:
    """Shrink the stored run and keep what comes out.

    Raises UsageError where the run is not violated, or does not show its anomaly when it is replayed.
    """
    facts, simulation = read_simulated(directory)
    cell = cell_of(facts, simulation)
    program = SeedProgram(simulator=Simulator(cell=cell), seed=facts.seed)
    workload = workload_of_run(cell, facts, simulation)
    execution = execute_again(program, workload, simulation.choices)
    result = shrink(program, workload, execution, anomaly=anomaly, budget=budget, on_progress=on_progress)
    run_id = store.shrunk_id(facts.run)
    kept = keep(root, facts.campaign, cell, result.execution.facts, run_id, workload=result.workload)
    return ShrunkRun(facts=kept, directory=directory.with_name(run_id), program=program, result=result)


def execute_again(program: SeedProgram, workload: Workload, choices: tuple[Choice, ...]) -> Execution:
    """Execute a stored run by its trace."""
    return program.execute(workload, ReplayStrategy(deviations_of(choices)))
