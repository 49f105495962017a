"""Cells for tests of exhaustive search, and everything that searching one comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.explore.bounds import Bounds
from harness.explore.exhaustive import SearchResult, search
from harness.explore.program import Execution, Workload
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import Simulator
from harness.run.simulated.program import SeedProgram
from harness.run.simulated.states import Keys
from harness.scenario.load import load_scenario
from harness.sim.kernel import Strategy

READ_MODIFY_WRITE = str(Path(__file__).parents[2] / "benchmarks" / "read_modify_write.py")


def cell_of(
    scenario: str, setting: str = "default", fault: str = "", operations: int = 2, **more: Any
) -> SimulatedCell:
    loaded = load_scenario(scenario)
    sizes = {"variant": loaded.scenario.default_variant, "clients": 2, "strikes": 1, **more}
    faults = tuple(fault.split("+")) if fault else ()
    return SimulatedCell(loaded=loaded, setting=setting, faults=faults, operations=operations, **sizes)


def bounds_of(preemptions: int | None, faults: int, jumps: int, others: int) -> Bounds:
    return Bounds(preemptions=preemptions, faults=faults, jumps=jumps, others=others)


class Outcomes:
    """A program that keeps what its executions came to: verdict, final reads, and what every operation gave."""

    def __init__(self, program: SeedProgram) -> None:
        self.program = program
        self.requirements = program.requirements
        self.found: set[Any] = set()

    def workload(self) -> Workload:
        return self.program.workload()

    def execute(self, workload: Workload, strategy: Strategy, *, keep_events: bool = False) -> Execution:
        execution = self.program.execute(workload, strategy, keep_events=keep_events)
        history = execution.history
        operations = [(o.index, o.process, o.status, o.outcome, repr(o.result)) for o in history.operations]
        final = repr(sorted(history.final.items()))
        self.found.add((execution.status, execution.anomalies, final, tuple(sorted(operations))))
        return execution


def outcomes_of(cell: SimulatedCell, bounds: Bounds, *, hashing: bool) -> tuple[SearchResult, set[Any]]:
    keys = Keys()
    outcomes = Outcomes(SeedProgram(simulator=Simulator(cell=cell), seed=0, keys=keys if hashing else None))
    result = search(outcomes, outcomes.workload(), bounds, hashing=hashing)
    assert not keys.was_wrong
    return result, outcomes.found
