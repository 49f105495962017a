"""A simulated campaign: many seeds of each cell, judged; findings and a sample kept whole, the rest as a line each.

Seeds are spread over processes. A worker returns what a seed came to; runs that are kept are made again here from their
seeds, which must give the same digest. A part of the seeds is audited in a fresh process under another hash seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from harness import store
from harness.assets import code_digest
from harness.errors import HarnessError
from harness.explore.audit import audit, is_audited
from harness.explore.results import Header, ResultFile
from harness.explore.spread import Shard, spread
from harness.result import CellResult, SeedResult
from harness.run.judge import CellTally, conclude
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.findings import Finding, Findings
from harness.run.simulated.judged import campaign_memory
from harness.run.simulated.known import KnownBad, known_bad, remember
from harness.run.simulated.program import arguments_of
from harness.run.simulated.seeds import SeedRunner, keep, replay_command
from harness.scenario.describe import describe_scenario
from harness.scenario.record import Expected
from harness.seed import derive

UNKNOWNS_KEPT = 3
FINDINGS_KEPT = 3
"""Findings of one cell with the same kinds of anomaly whose whole record is kept."""
AUDITED_MOST = 500
"""Seeds of one cell that are audited at most."""


@dataclass(frozen=True, kw_only=True)
class SimulatedPlan:
    """What to simulate, how often, and where to keep it."""

    campaign: str
    root: Path
    cells: tuple[tuple[SimulatedCell, Expected | None], ...]
    seed: int
    seeds: int
    jobs: int = 1
    shard: Shard = field(default_factory=Shard)
    until_violated: bool = False
    against_expected: bool = False
    shrink_findings: bool = False
    """Whether findings are shrunk, and told apart by what they have come to."""
    strategy: str = ""

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
    interrupted: bool = field(default=False, init=False)
    findings: list[Finding] = field(default_factory=list, init=False)
    """What findings came to, where they are shrunk: each bug once."""
    known: list[SeedResult] = field(default_factory=list, init=False)
    """What seeds came to that an earlier campaign had found bad."""

    def run(self) -> tuple[CellResult, ...]:
        """Judge every cell and return the results in the order of the plan; those that were finished, if interrupted.

        Raises HarnessError where a seed does not come out the same in another process.
        """
        plan = self.plan
        for cell, _ in plan.cells:
            copy = plan.directory / store.SCENARIOS / f"{cell.scenario.name}.py"
            store.write_bytes(copy, cell.loaded.path.read_bytes())
            store.write_scenario(plan.directory, describe_scenario(cell.scenario))
        for cell, expected in plan.cells:
            result = self._listed_only(cell, expected) or self._judge(cell, expected)
            if result is None:
                break
            self.results.append(result)
            store.write_cells(plan.directory, self.results)
            self.finished(result, len(self.results))
        return tuple(self.results)

    def _listed_only(self, cell: SimulatedCell, expected: Expected | None) -> CellResult | None:
        if not (self.plan.against_expected and expected and expected.verdict == "not-applicable"):
            return None
        tally = CellTally(not_applicable=expected.why or "declared so by the scenario")
        return conclude(cell.name, tally, expected)

    def _judge(self, cell: SimulatedCell, expected: Expected | None) -> CellResult | None:
        judging = CellJudging(plan=self.plan, cell=cell, progress=self.progress)
        if not judging.run():
            self.interrupted = True
            return None
        if judging.keeper.findings is not None:
            self.findings += judging.keeper.findings.by_key.values()
        self.known += judging.known
        return conclude(cell.name, judging.tally, expected)


@dataclass(kw_only=True)
class CellJudging:
    """The seeds of one cell."""

    plan: SimulatedPlan
    cell: SimulatedCell
    progress: Callable[[SimulatedCell, int, int, CellTally], None]
    tally: CellTally = field(default_factory=CellTally, init=False)
    audited: dict[int, str] = field(default_factory=dict, init=False)
    _early: dict[int, SeedResult] = field(default_factory=dict, init=False)
    _indexes: Iterator[int] = field(init=False)
    runner: SeedRunner = field(init=False)
    keeper: Keeper = field(init=False)
    known: list[SeedResult] = field(default_factory=list, init=False)
    """What the seeds came to that were known to be bad."""

    def __post_init__(self) -> None:
        self._indexes = iter(self.plan.shard.indexes(self.plan.seeds))
        strategy = {"strategy": self.plan.strategy} if self.plan.strategy else {}
        self.runner = SeedRunner(cell=self.cell, **strategy)
        self.keeper = Keeper(
            root=self.plan.root,
            campaign=self.plan.campaign,
            runner=self.runner,
            findings=Findings(runner=self.runner, root=self.plan.root, campaign=self.plan.campaign)
            if self.plan.shrink_findings
            else None,
        )

    def run(self) -> bool:
        """Simulate and judge the seeds that are not done yet; return False where the user stopped it.

        Raises HarnessError where a seed does not come out the same in another process.
        """
        # Learnt before the processes part, so that they share it.
        _ = self.runner.profile
        with campaign_memory():
            self._try_known()
            done = spread(
                self._simulate,
                self.plan.seeds,
                jobs=self.plan.jobs,
                shard=self.plan.shard,
                file=self._file(),
                on_results=self._take,
                stop=lambda: self.plan.until_violated and bool(self.tally.violated),
            )
        if done.interrupted:
            return False
        self._audit()
        if self.plan.shrink_findings:
            remember(self.plan.root, self.keeper.bad)
        return True

    def _try_known(self) -> None:
        """Do first what was violated before: a bug that is still there shows at once."""
        if not self.plan.shrink_findings:
            return
        for bad in known_bad(self.plan.root, self.cell, self.runner.strategy):
            result = self.keeper.consider(self.runner.judge(bad.seed).result())
            self.known.append(result)
            if result.status == "violated":
                self.tally = self.tally.plus(tally_seed(self.cell, result))

    def _simulate(self, number: int) -> SeedResult:
        return self.runner.judge(seed_number(self.plan.seed, number)).result()

    def _file(self) -> ResultFile:
        plan = self.plan
        # Changed code makes other runs of the same seeds: what is kept of the old must not be taken for theirs.
        identity: dict[str, Any] = {
            "seed": plan.seed,
            "strategy": self.runner.strategy,
            "code": f"{code_digest()} {self.cell.loaded.digest[:16]}",
            **arguments_of(self.cell),
        }
        header = Header(identity=identity, total=plan.seeds, shard=str(plan.shard))
        name = "seeds.jsonl" if plan.shard.count == 1 else f"seeds-{plan.shard.number}-of-{plan.shard.count}.jsonl"
        return ResultFile(self.keeper.directory / name, header, SeedResult)

    def _take(self, results: Sequence[tuple[int, SeedResult]]) -> None:
        # Processes end out of turn; what is kept and told must not depend on that.
        self._early.update(results)
        for number in self._indexes:
            result = self._early.pop(number, None)
            if result is None:
                self._indexes = itertools.chain((number,), self._indexes)
                break
            kept = self.keeper.consider(result)
            self.tally = self.tally.plus(tally_seed(self.cell, kept))
            if is_audited(result.seed) and len(self.audited) < AUDITED_MOST:
                self.audited[result.seed] = result.digest
        self.progress(self.cell, self.tally.count, len(self.plan.shard.indexes(self.plan.seeds)), self.tally)

    def _audit(self) -> None:
        if not self.audited:
            return
        outcome = audit(self.runner.sampling(), self.audited)
        if not outcome.passed:
            raise HarnessError(
                f"{self.cell.name.label()}: {outcome.differences[0].describe()}",
                next_step="look in the scenario for what depends on more than the seed: sets, hashes, the clock",
            )


@dataclass(kw_only=True)
class Keeper:
    """Decides which runs of a cell are kept whole; makes them again from their seeds and writes them."""

    root: Path
    campaign: str
    runner: SeedRunner
    findings: Findings | None = None
    by_kinds: dict[tuple[str, ...], int] = field(default_factory=dict, init=False)
    unknowns: int = field(default=0, init=False)
    bad: list[KnownBad] = field(default_factory=list, init=False)
    """The violated seeds whose record was kept."""
    runs: int = field(default=0, init=False)

    @property
    def directory(self) -> Path:
        """The directory of the cell."""
        cell = self.runner.cell.name
        return self.root / self.campaign / cell.backend / cell.scenario / cell.variant / cell.setting / cell.fault

    def consider(self, result: SeedResult) -> SeedResult:
        """Return the result, with the id of the run if its record was kept.

        Raises HarnessError where the run does not come out as it did.
        """
        if not self._wanted(result):
            return result
        self.runs += 1
        run_id = f"{self.campaign}-{self._cell_id()}-{self.runs:03d}"
        judged = self.runner.judge(result.seed)
        if judged.digest != result.digest:
            raise HarnessError(
                f"seed {result.seed} of {self.runner.cell.name.label()} came out otherwise when it was done again",
                next_step="look in the scenario for what depends on more than the seed: sets, hashes, the clock",
            )
        facts = keep(self.root, self.campaign, self.runner.cell, judged, run_id)
        signature = ""
        if self.findings is not None and result.status == "violated":
            signature = self.findings.shrink(store.run_directory(self.root, facts))
            self.bad.append(
                KnownBad(
                    cell=dict(arguments_of(self.runner.cell)),
                    strategy=self.runner.strategy,
                    seed=result.seed,
                    kinds=tuple(sorted(result.kinds)),
                    signature=signature,
                )
            )
        return msgspec.structs.replace(result, run=run_id, signature=signature)

    def _cell_id(self) -> str:
        return f"{derive(0, self.runner.cell.name.label()):08x}"[:6]

    def _wanted(self, result: SeedResult) -> bool:
        if result.status == "violated":
            kinds = tuple(sorted(result.kinds))
            self.by_kinds[kinds] = self.by_kinds.get(kinds, 0) + 1
            return self.by_kinds[kinds] <= FINDINGS_KEPT
        if result.status == "unknown" and result.reasons:
            self.unknowns += 1
            return self.unknowns <= UNKNOWNS_KEPT
        return self.runs == 0


def tally_seed(cell: SimulatedCell, result: SeedResult) -> CellTally:
    """Return the tally of one seed, with the command that does it again."""
    return msgspec.structs.replace(tally_result(result), telling=replay_command(cell, result.seed))


def tally_result(result: SeedResult) -> CellTally:
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
    )
