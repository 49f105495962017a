"""A stored simulated run, to be done again: its cell, workload and trace."""

from __future__ import annotations

from pathlib import Path

from harness import store
from harness.errors import UsageError
from harness.explore.program import Workload
from harness.explore.replay import ReplayStrategy
from harness.facts import RunFacts, SimulationFacts
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import draw_workload
from harness.run.simulated.judged import JudgedRun, judge_execution
from harness.run.simulated.keep import deviations_of, workload_of
from harness.run.simulated.seeds import SeedRunner
from harness.scenario.load import load_scenario

NO_FAULT = "none"


def read_simulated(directory: Path) -> tuple[RunFacts, SimulationFacts]:
    """Return the facts of a stored simulated run. Raises UsageError where it ran on real servers."""
    facts = store.read_facts(directory)
    if facts.simulation is None:
        raise UsageError(
            f"{facts.run} ran on real servers ({facts.cell.backend}): only simulated runs can be replayed",
            next_step=f"do it again with `{facts.replay}`, or simulate the cell with --backend sim",
        )
    return facts, facts.simulation


def cell_of(facts: RunFacts, simulation: SimulationFacts) -> SimulatedCell:
    """Return the cell that a stored run is of, its scenario loaded as it is now."""
    fault = facts.cell.fault
    return SimulatedCell(
        loaded=load_scenario(facts.scenario_source),
        variant=facts.cell.variant,
        setting=facts.cell.setting,
        faults=() if fault == NO_FAULT else tuple(fault.split("+")),
        clients=facts.clients,
        client_groups=facts.client_groups,
        operations=simulation.operations,
        members=facts.members,
        strikes=simulation.strikes,
    )


def workload_of_run(cell: SimulatedCell, facts: RunFacts, simulation: SimulationFacts) -> Workload:
    """Return the calls of a stored run: its own where it was shrunk, else those that the seed draws."""
    return draw_workload(cell, facts.seed) if simulation.workload is None else workload_of(simulation.workload)


def replay(directory: Path) -> tuple[RunFacts, JudgedRun, ReplayStrategy]:
    """Do a stored run again by its trace; return its facts, what came out, and what of the trace did not apply."""
    facts, simulation = read_simulated(directory)
    cell = cell_of(facts, simulation)
    strategy = ReplayStrategy(deviations_of(simulation.choices))
    runner = SeedRunner(cell=cell)
    workload = workload_of_run(cell, facts, simulation)
    judged = judge_execution(runner.simulator, facts.seed, workload, strategy, "replay", keep_events=True)
    return facts, judged, strategy
