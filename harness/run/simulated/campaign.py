"""A simulated campaign: many seeds of each cell, judged; findings and a sample kept whole, the rest as a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness import store
from harness.journal import ENCODER
from harness.result import CellResult, SeedResult
from harness.run.judge import CellTally, conclude
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.seeds import SeedRunner, keep, replay_command
from harness.scenario.describe import describe_scenario
from harness.scenario.record import Expected
from harness.seed import derive

FINDINGS_KEPT = 3
"""Findings of one cell and set of anomalies whose whole record is kept."""
UNKNOWNS_KEPT = 3
SEEDS = "seeds.jsonl"


@dataclass(frozen=True, kw_only=True)
class SimulatedPlan:
    """What to simulate, how often, and where to keep it."""

    campaign: str
    root: Path
    cells: tuple[tuple[SimulatedCell, Expected | None], ...]
    seed: int
    seeds: int
    jobs: int = 1
    until_violated: bool = False
    against_expected: bool = False

    @property
    def directory(self) -> Path:
        """The campaign's directory in the store."""
        return self.root / self.campaign


def seed_number(base: int, number: int) -> int:
    """Return the seed of the run with that number; the first is the campaign's own."""
    return base if number == 0 else derive(base, "run", number)


@dataclass(kw_only=True)
class SimulatedCampaign:
    """One execution of a plan. ``finished`` is called with each cell, ``progress`` with seeds done of a cell."""

    plan: SimulatedPlan
    finished: Callable[[CellResult, int], None]
    progress: Callable[[SimulatedCell, int, int, CellTally], None]
    results: list[CellResult] = field(default_factory=list, init=False)

    def run(self) -> tuple[CellResult, ...]:
        """Judge every cell and return the results in the order of the plan."""
        plan = self.plan
        for cell, _ in plan.cells:
            copy = plan.directory / store.SCENARIOS / f"{cell.scenario.name}.py"
            store.write_bytes(copy, cell.loaded.path.read_bytes())
            store.write_scenario(plan.directory, describe_scenario(cell.scenario))
        for cell, expected in plan.cells:
            result = self._listed_only(cell, expected) or self._judge(cell, expected)
            self.results.append(result)
            store.write_cells(plan.directory, self.results)
            self.finished(result, len(self.results))
        return tuple(self.results)

    def _listed_only(self, cell: SimulatedCell, expected: Expected | None) -> CellResult | None:
        if not (self.plan.against_expected and expected and expected.verdict == "not-applicable"):
            return None
        tally = CellTally(not_applicable=expected.why or "declared so by the scenario")
        return conclude(cell.name, tally, expected)

    def _judge(self, cell: SimulatedCell, expected: Expected | None) -> CellResult:
        runner = SeedRunner(cell=cell)
        keeper = Keeper(root=self.plan.root, campaign=self.plan.campaign, runner=runner)
        tally = CellTally()
        lines: list[bytes] = []
        for done, result in enumerate(self._simulate(runner), start=1):
            kept = keeper.consider(result)
            lines.append(ENCODER.encode(kept))
            tally = tally.plus(tally_seed(cell, kept))
            self.progress(cell, done, self.plan.seeds, tally)
            if self.plan.until_violated and tally.violated:
                break
        store.write_bytes(keeper.directory / SEEDS, b"\n".join(lines) + b"\n")
        return conclude(cell.name, tally, expected)

    def _simulate(self, runner: SeedRunner) -> Iterator[SeedResult]:
        for number in range(self.plan.seeds):
            yield runner.judge(seed_number(self.plan.seed, number)).result()


@dataclass(kw_only=True)
class Keeper:
    """Decides which runs of a cell are kept whole; makes them again from their seeds and writes them."""

    root: Path
    campaign: str
    runner: SeedRunner
    findings: dict[tuple[str, ...], int] = field(default_factory=dict, init=False)
    unknowns: int = field(default=0, init=False)
    runs: int = field(default=0, init=False)

    @property
    def directory(self) -> Path:
        """The directory of the cell."""
        cell = self.runner.cell.name
        return self.root / self.campaign / cell.backend / cell.scenario / cell.variant / cell.setting / cell.fault

    def consider(self, result: SeedResult) -> SeedResult:
        """Return the result, with the id of the run if its record was kept."""
        if not self._wanted(result):
            return result
        self.runs += 1
        run_id = f"{self.campaign}-{self._cell_id()}-{self.runs:03d}"
        judged = self.runner.judge(result.seed)
        keep(self.root, self.campaign, self.runner.cell, judged, run_id)
        return msgspec.structs.replace(result, run=run_id)

    def _cell_id(self) -> str:
        label = self.runner.cell.name.label()
        return f"{derive(0, label):08x}"[:6]

    def _wanted(self, result: SeedResult) -> bool:
        if result.status == "violated":
            kinds = tuple(sorted(result.kinds))
            self.findings[kinds] = self.findings.get(kinds, 0) + 1
            return self.findings[kinds] <= FINDINGS_KEPT
        if result.status == "unknown":
            self.unknowns += 1
            return self.unknowns <= UNKNOWNS_KEPT
        return self.runs == 0


def tally_seed(cell: SimulatedCell, result: SeedResult) -> CellTally:
    """Return the tally of one seed."""
    return CellTally(
        runs=(result.run,) if result.run else (),
        count=1,
        violated=int(result.status == "violated"),
        evidence=result.evidence,
        anomalies=result.kinds,
        reasons=result.reasons,
        vacuous=dict.fromkeys(result.vacuous, 1),
        not_applicable=result.not_applicable,
        telling=replay_command(cell, result.seed),
    )


def read_seeds(directory: Path) -> Iterable[SeedResult]:
    """Return the lines of a cell's ``seeds.jsonl``."""
    return (msgspec.json.decode(line, type=SeedResult) for line in (directory / SEEDS).read_bytes().splitlines())
