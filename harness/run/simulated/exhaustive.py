"""Searching a cell: every run of one small workload within bounds, judged, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness import store
from harness.explore.bounds import Bounds
from harness.explore.exhaustive import Budget, Progress, SearchResult, search
from harness.explore.program import Workload
from harness.result import CellResult, Evidence
from harness.run.judge import CellTally, conclude, kinds_of
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import Simulator, draw_workload
from harness.run.simulated.judged import JudgedRun, campaign_memory
from harness.run.simulated.program import SeedProgram
from harness.run.simulated.seeds import keep
from harness.run.simulated.states import Keys
from harness.scenario.describe import describe_scenario


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Bounds of a search, and the seconds that it may take."""

    preemptions: int = 2
    faults: int = 1
    failovers: int = 1
    others: int = 0
    seconds: float = 600.0

    @property
    def bounds(self) -> Bounds:
        """The bounds as the explorer has them: a failover is time that passes while clients are slow."""
        return Bounds(preemptions=self.preemptions, faults=self.faults, jumps=self.failovers, others=self.others)


@dataclass(frozen=True, kw_only=True)
class ExploredCell:
    """What a search came to."""

    search: SearchResult
    result: CellResult


def explore_cell(
    root: Path,
    campaign: str,
    cell: SimulatedCell,
    *,
    seed: int,
    scope: Scope,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExploredCell:
    """Search the cell with the workload of ``seed``; keep a violation of each kind; write the cell's verdict."""
    sized = replace(cell, strikes=max(1, scope.faults))
    workload = draw_workload(sized, seed)
    found = search_cell(
        sized,
        workload,
        scope.bounds,
        seed=seed,
        budget=Budget(seconds=scope.seconds),
        on_progress=on_progress,
    )
    directory = root / campaign
    store.write_bytes(directory / store.SCENARIOS / f"{cell.scenario.name}.py", cell.loaded.path.read_bytes())
    store.write_scenario(directory, describe_scenario(cell.scenario))
    result = conclude(
        cell.name,
        _tally(root, campaign, sized, found),
        cell.scenario.expectation(cell.variant, cell.settings, cell.fault),
        searched=_scope_words(workload, found) if found.complete else "",
    )
    store.write_cells(directory, [result])
    return ExploredCell(search=found, result=result)


def search_cell(
    cell: SimulatedCell,
    workload: Workload,
    bounds: Bounds,
    *,
    seed: int = 0,
    budget: Budget | None = None,
    hashing: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> SearchResult:
    """Search a cell, with ``hashing`` ending runs at known states; ``seed`` is that of its clients' own randomness."""

    def search_by(keys: Keys | None) -> SearchResult:
        program = SeedProgram(simulator=Simulator(cell=cell), seed=seed, name="exhaustive", keys=keys)
        return search(program, workload, bounds, budget=budget, hashing=hashing, on_progress=on_progress)

    keys = Keys() if hashing else None
    with campaign_memory():
        found = search_by(keys)
        return search_by(Keys(steady=False)) if keys is not None and keys.was_wrong else found


def _scope_words(workload: Workload, found: SearchResult) -> str:
    operations, clients = len(workload), len(workload.clients)
    return f"{operations} operations of {clients} clients, {found.bounds.describe()}"


def _tally(root: Path, campaign: str, cell: SimulatedCell, found: SearchResult) -> CellTally:
    tally = CellTally(
        count=found.executions,
        reasons=tuple(execution.reason for execution in found.unknown if execution.reason),
        evidence=Evidence(),
    )
    if not found.complete:
        tally = tally.plus(CellTally(reasons=(f"the search did not complete: {found.describe()}",)))
    for number, execution in enumerate(found.violations, start=1):
        judged: JudgedRun = execution.facts
        run_id = f"{campaign}-{number:03d}"
        workload = draw_workload(cell, judged.seed)
        facts = keep(root, campaign, cell, judged, run_id, workload=workload)
        tally = tally.plus(
            CellTally(
                runs=(run_id,),
                violated=1,
                anomalies=kinds_of(judged.verdict),
                evidence=judged.verdict.evidence,
                telling=facts.replay,
            )
        )
    return tally
