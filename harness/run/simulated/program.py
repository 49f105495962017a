"""One seed of one cell as the explorer sees it: a program that executes a workload and judges what happened."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from harness.explore.program import REAL_TIME_ORDER, REAL_TIMES, Execution, Workload
from harness.result import RunVerdict
from harness.run.judge import kinds_of, reasons_of
from harness.run.simulated.cell import START_US, SimulatedCell
from harness.run.simulated.execute import Simulator, draw_workload
from harness.run.simulated.judged import judge_execution
from harness.run.simulated.states import Keys
from harness.scenario.load import load_scenario
from harness.sim.kernel import EndlessRunError, StandstillError, Strategy


@dataclass(frozen=True, kw_only=True)
class SeedProgram:
    """A :class:`~harness.explore.program.Program` over the simulator."""

    simulator: Simulator
    seed: int
    name: str = "replay"
    """What the strategy is called in the record."""
    keys: Keys | None = None
    """How states are told apart, for an exhaustive search; it costs some tenths of the run."""

    @property
    def requirements(self) -> frozenset[str]:
        """What the checkers of the scenario need that a reduction of the search may drop."""
        scenario = self.simulator.cell.scenario
        if scenario.ignores_real_time:
            return frozenset()
        return frozenset({REAL_TIME_ORDER} if scenario.ignores_durations else {REAL_TIME_ORDER, REAL_TIMES})

    def workload(self) -> Workload:
        """Return the calls that the seed draws."""
        return draw_workload(self.simulator.cell, self.seed)

    def execute(self, workload: Workload, strategy: Strategy, *, keep_events: bool = False) -> Execution:
        """Simulate and judge one run."""
        try:
            judged = judge_execution(
                self.simulator, self.seed, workload, strategy, self.name, keep_events=keep_events, keys=self.keys
            )
        except (EndlessRunError, StandstillError) as error:
            return Execution(deviations=(), digest="", decisions=0, steps=0, status="unknown", reason=error.message)
        verdict, run = judged.verdict, judged.run
        id_of = {item.index: item.id for item in workload}
        return Execution(
            deviations=run.deviations,
            digest=judged.digest,
            decisions=run.decisions,
            steps=run.steps,
            status=verdict.status,
            anomalies=tuple(sorted(kinds_of(verdict))),
            evidence=_evidence(verdict, id_of),
            story=tuple(
                line for checked in verdict.verdicts for anomaly in checked.anomalies for line in anomaly.story
            ),
            reason="; ".join(reasons_of(verdict)),
            history=run.history,
            origin_us=START_US,
            facts=judged,
            events=run.events,
        )


class CellArguments(TypedDict):
    """What names a cell in plain values, for another process or a reader."""

    scenario: str
    variant: str
    setting: str
    fault: str
    clients: int
    client_groups: int
    operations: int
    members: int
    strikes: int


def arguments_of(cell: SimulatedCell) -> CellArguments:
    """Return the arguments with which :func:`make_program` makes programs of that cell."""
    return CellArguments(
        scenario=cell.loaded.source,
        variant=cell.variant,
        setting=cell.setting,
        fault=cell.fault,
        clients=cell.clients,
        client_groups=cell.client_groups,
        operations=cell.operations,
        members=cell.members,
        strikes=cell.strikes,
    )


def make_program(seed: int, **arguments: Unpack[CellArguments]) -> SeedProgram:
    """Return the program of one seed of a cell; what the scenario's setup leaves is made once in a process."""
    return SeedProgram(simulator=_simulator(tuple(arguments.items())), seed=seed)


@functools.lru_cache(maxsize=8)
def _simulator(arguments: tuple[tuple[str, Any], ...]) -> Simulator:
    named = dict(arguments)
    fault = named.pop("fault")
    loaded = load_scenario(named.pop("scenario"))
    return Simulator(
        cell=SimulatedCell(loaded=loaded, faults=() if fault == "none" else tuple(fault.split("+")), **named)
    )


def program_source(program: SeedProgram) -> str:
    """Return Python text that defines ``program``."""
    arguments = "".join(f"    {name}={value!r},\n" for name, value in arguments_of(program.simulator.cell).items())
    return (
        "from harness.run.simulated.program import make_program\n\n"
        f"program = make_program(\n    seed={program.seed},\n{arguments})"
    )


def _evidence(verdict: RunVerdict, id_of: dict[int, str]) -> tuple[str, ...]:
    indexes = [index for checked in verdict.verdicts for anomaly in checked.anomalies for index in anomaly.operations]
    return tuple(dict.fromkeys(id_of[index] for index in indexes if index in id_of))
