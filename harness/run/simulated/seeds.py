"""From a seed to its result, and to its record where that is to be kept."""

from __future__ import annotations

import platform
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import pymongo

import harness
from harness.explore.profile import Profile
from harness.explore.program import Workload
from harness.explore.source import ProgramSource, Sampling
from harness.explore.strategies import STRATEGIES, learn_profile, make_strategy
from harness.facts import RunFacts, SimulationFacts
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import Simulator, draw_workload
from harness.run.simulated.judged import JudgedRun, facts_of, judge_execution
from harness.run.simulated.keep import calls_of, choices_of, keep_run
from harness.run.simulated.program import SeedProgram, arguments_of, make_program

DEFAULT_STRATEGY = next(iter(STRATEGIES))
PROFILE_SEED = 0


@dataclass(kw_only=True)
class SeedRunner:
    """Runs seeds of one cell. What a seed does depends on cell, seed and strategy alone, not on what ran before."""

    cell: SimulatedCell
    strategy: str = DEFAULT_STRATEGY

    @cached_property
    def simulator(self) -> Simulator:
        """The simulator of the cell, with what its setup leaves."""
        return Simulator(cell=self.cell)

    @cached_property
    def profile(self) -> Profile:
        """How many choices of each kind a run makes, by which strategies are sized."""
        return learn_profile(SeedProgram(simulator=self.simulator, seed=PROFILE_SEED), strikes=self.strikes)

    @property
    def strikes(self) -> int:
        """How often faults may strike in a run."""
        return self.cell.strikes if self.cell.faults else 0

    def sampling(self) -> Sampling:
        """Return how a fresh process does the same."""
        source = ProgramSource(
            factory=f"{make_program.__module__}:{make_program.__name__}", arguments=dict(arguments_of(self.cell))
        )
        return Sampling(source=source, strategy=self.strategy, profile=self.profile, strikes=self.strikes)

    def judge(self, seed: int, *, keep_events: bool = False) -> JudgedRun:
        """Simulate the run of a seed and judge it."""
        strategy = make_strategy(self.strategy, seed, self.profile, strikes=self.strikes)
        workload = draw_workload(self.cell, seed)
        return judge_execution(self.simulator, seed, workload, strategy, self.strategy, keep_events=keep_events)


def keep(
    root: Path, campaign: str, cell: SimulatedCell, judged: JudgedRun, run_id: str, *, workload: Workload | None = None
) -> RunFacts:
    """Write the record of a judged run; ``workload`` where it is not the one that the seed draws."""
    facts = msgspec.structs.replace(
        facts_of(cell, judged.seed, run=run_id, campaign=campaign),
        simulation=SimulationFacts(
            operations=cell.operations,
            strikes=cell.strikes,
            strategy=judged.strategy,
            digest=judged.digest,
            decisions=judged.run.decisions,
            choices=choices_of(judged.run.deviations),
            workload=None if workload is None else calls_of(workload),
        ),
        replay=replay_command(cell, judged.seed) if workload is None else f"harness replay {run_id}",
        versions={
            "harness": harness.__version__,
            "pymongo": pymongo.version,
            "python": platform.python_version(),
            "simulated server": "6.0.5 semantics",
        },
    )
    keep_run(root, facts, judged.run.history, judged.verdict)
    return facts


def replay_command(cell: SimulatedCell, seed: int) -> str:
    """Return the command that does the run of a seed again."""
    words = ["harness", "replay", cell.loaded.source, "--variant", cell.variant]
    if cell.name.setting != "default":
        words += ["--setting", cell.name.setting]
    if cell.faults:
        words += ["--fault", cell.fault]
    words += ["--clients", str(cell.clients), "--operations", str(cell.operations), "--members", str(cell.members)]
    if cell.client_groups > 1:
        words += ["--client-groups", str(cell.client_groups)]
    if cell.faults:
        words += ["--strikes", str(cell.strikes)]
    return shlex.join([*words, "--seed", str(seed)])
