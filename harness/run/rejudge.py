"""Judging what is stored again: from the files alone, with the scenario as it is now or as it was kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness import store
from harness.errors import HarnessError, StoreError
from harness.facts import Cell, RunFacts
from harness.result import CellResult, RunVerdict
from harness.run.campaign import judge_stored
from harness.run.judge import SIMULATED, judge_cell
from harness.run.simulated.rejudge import rejudge_simulated
from harness.scenario.load import LoadedScenario, load_scenario
from harness.settings import parse_settings


def rejudge(directory: Path, tell: Callable[[str], None]) -> tuple[CellResult, ...]:
    """Judge the run or campaign in ``directory`` again; write ``verdict.json`` of each run and ``cells.jsonl``.

    Returns the cells that were judged. The scenario is loaded by the name or path under which it was run; where that
    is gone, from the copy that the campaign keeps. Raises HistoryError for a damaged journal.
    """
    by_cell: dict[Cell, list[tuple[RunFacts, RunVerdict]]] = {}
    loaded: dict[str, LoadedScenario] = {}
    campaign = directory
    for run_directory in store.iterate_runs(directory):
        facts = store.read_facts(run_directory)
        campaign = _campaign_directory(run_directory, facts)
        scenario = facts.cell.scenario
        if scenario not in loaded:
            loaded[scenario] = _load(facts, campaign, tell)
        verdict = judge_stored(run_directory, loaded[scenario])
        by_cell.setdefault(facts.cell, []).append((facts, verdict))
    if not by_cell:
        raise StoreError(f"no run is stored in {directory}", next_step="`harness runs` lists what is stored")
    before = _cells_before(campaign)
    results = tuple(_result(campaign, cell, runs, loaded[cell.scenario], before) for cell, runs in by_cell.items())
    _merge_into(campaign, results)
    return results


def _campaign_directory(run_directory: Path, facts: RunFacts) -> Path:
    return next((path for path in run_directory.parents if path.name == facts.campaign), run_directory)


def _load(facts: RunFacts, campaign: Path, tell: Callable[[str], None]) -> LoadedScenario:
    copy = campaign / store.SCENARIOS / f"{facts.cell.scenario}.py"
    try:
        loaded = load_scenario(facts.scenario_source)
    except HarnessError:
        if not copy.exists():
            raise
        tell(f"{facts.scenario_source} cannot be loaded any more; judging with the copy {copy}")
        return load_scenario(str(copy))
    if copy.exists() and copy.read_bytes() != loaded.path.read_bytes():
        tell(f"{facts.scenario_source} has changed since it was run; judging with the file as it is now")
    return loaded


def _result(
    campaign: Path,
    cell: Cell,
    runs: Sequence[tuple[RunFacts, RunVerdict]],
    loaded: LoadedScenario,
    before: Mapping[Cell, CellResult],
) -> CellResult:
    ordered = sorted(runs, key=lambda pair: pair[0].run)
    expected = loaded.scenario.expectation(cell.variant, parse_settings(cell.setting), cell.fault)
    old = before.get(cell)
    if cell.backend == SIMULATED and old is not None:
        return rejudge_simulated(campaign, old, ordered, expected)
    return judge_cell(cell, ordered, expected)


def _cells_before(campaign: Path) -> dict[Cell, CellResult]:
    try:
        return {cell.cell: cell for cell in store.read_cells(campaign)}
    except StoreError:
        return {}


def _merge_into(campaign: Path, results: Sequence[CellResult]) -> None:
    """Replace cells that were judged whole; a cell of which only some runs were judged stays as it was."""
    before = _cells_before(campaign)
    for result in results:
        old = before.get(result.cell)
        if old is None or set(old.runs) <= set(result.runs):
            before[result.cell] = result
    store.write_cells(campaign, before.values())
