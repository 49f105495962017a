"""Every declared cell of every scenario in the simulator, against its declared verdict; resumable.

    python scripts/evidence_cells.py                     10,000 seeds a cell, kept under docs/evidence/
    python scripts/evidence_cells.py --slice 25          25 seeds a cell, printed alone: what CI does
    python scripts/evidence_cells.py search              every run of 4 calls of 2 clients within bounds, cell by cell

A cell is one line of docs/evidence/cells-sim.jsonl (cells-search.jsonl); a cell that is there already is not run again
(--anew starts over), and within a cell the seeds that are done are not simulated again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.assets import code_digest
from harness.result import CellResult
from harness.run.judge import CellTally
from harness.run.simulated.campaign import SimulatedCampaign, SimulatedPlan
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.exhaustive import Scope, explore_cell
from harness.scenario.load import available_scenarios, load_scenario
from harness.scenario.record import Expected
from harness.settings import parse_settings

EVIDENCE = Path(__file__).parents[1] / "docs" / "evidence"
FULL_SEEDS = 10_000
FIRST_SEED = 20_261_125
SCOPE = Scope(preemptions=2, faults=1, failovers=1, seconds=600)

Line = dict[str, Any]


def declared_cells() -> Iterator[tuple[SimulatedCell, Expected]]:
    """Yield every cell that a scenario declares a verdict for, those that are not applicable left out."""
    for name in available_scenarios():
        loaded = load_scenario(name)
        scenario = loaded.scenario
        for variant in scenario.variants:
            for setting in scenario.settings:
                for fault in scenario.faults:
                    expected = scenario.expectation(variant, parse_settings(setting), fault)
                    if expected is not None and expected.verdict != "not-applicable":
                        faults = () if fault == "none" else tuple(fault.split("+"))
                        yield SimulatedCell(loaded=loaded, variant=variant, setting=setting, faults=faults), expected


def judge_cell(cell: SimulatedCell, expected: Expected, seeds: int, jobs: int, store: Path) -> Line:
    """Simulate a cell and return its line."""
    began = time.monotonic()
    first: list[float] = []

    def progress(_cell: SimulatedCell, _done: int, _total: int, tally: CellTally) -> None:
        if tally.violated and not first:
            first.append(time.monotonic() - began)

    plan = SimulatedPlan(
        campaign=f"cells-{seeds}-{code_digest()}",
        root=store,
        cells=((cell, expected),),
        seed=FIRST_SEED,
        seeds=seeds,
        jobs=jobs,
    )
    results = SimulatedCampaign(plan=plan, finished=lambda *_: None, progress=progress).run()
    if not results:
        raise KeyboardInterrupt
    line = line_of(results[0], expected)
    return line | {
        "seeds": seeds,
        "seconds": round(time.monotonic() - began, 1),
        "first_violation_s": round(first[0], 2) if first else None,
    }


def search_cell(cell: SimulatedCell, expected: Expected, store: Path, seconds: float) -> Line:
    """Search a cell with four calls of two clients, ``seconds`` long at most, and return its line."""
    sized, scope = replace(cell, clients=2, operations=4), replace(SCOPE, seconds=seconds)
    explored = explore_cell(store, "search", sized, seed=FIRST_SEED, scope=scope)
    line = line_of(explored.result, expected)
    found = explored.search
    return line | {
        "complete": found.complete,
        "completed_deviations": found.completed_deviations,
        "executions": found.executions,
        "seconds": round(found.seconds, 1),
    }


def line_of(result: CellResult, expected: Expected) -> Line:
    """Return what is kept of a verdict."""
    cell, evidence = result.cell, result.evidence
    return {
        "scenario": cell.scenario,
        "variant": cell.variant,
        "setting": cell.setting,
        "fault": cell.fault,
        "expected": expected.verdict,
        "status": result.status,
        "violated": result.violated_runs,
        "anomalies": result.anomalies,
        "reasons": list(result.reasons[:2]),
        "ok": evidence.ok,
        "runs_with_effect": evidence.runs_with_effect,
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "code": code_digest(),
    }


def as_promised(line: Line) -> bool:
    """Whether a cell came out as it is declared.

    A small search need not find what a scenario is declared to show.
    """
    if line["expected"] == "may-violate":
        return line["status"] in {"holds", "violated"}
    if "complete" in line and line["expected"] == "violated":
        return line["status"] in {"holds", "violated"}
    return bool(line["status"] == line["expected"])


def extent_of(line: Line) -> str:
    """Return how much of a search was completed: all of it, or up to how many deviations from the default run."""
    if "complete" not in line:
        return ""
    return " whole |" if line["complete"] else f" up to {line['completed_deviations']} deviations |"


def page(name: str, lines: list[Line]) -> str:
    """Return the kept lines as a Markdown page."""
    dates = sorted({line["date"] for line in lines})
    promised = sum(map(as_promised, lines))
    scope = (
        f"{lines[0]['seeds']:,} seeds a cell, 30 calls of 3 clients each"
        if "seeds" in lines[0]
        else f"every run of 4 calls of 2 clients with {SCOPE.bounds.describe()}"
    )
    rows = [
        f"| {line['scenario']} | {line['variant']} | {line['setting']} | {line['fault']} | {line['expected']} "
        f"| {line['status']} | {line['violated']:,} "
        f"| {', '.join(f'{kind} ({count:,})' for kind, count in line['anomalies'].items()) or '-'} "
        f"| {line.get('runs_with_effect', 0):,} | {line.get('executions', line.get('seeds', 0)):,} "
        f"| {line['seconds']} |{extent_of(line)} "
        f"{'yes' if as_promised(line) else 'no: ' + '; '.join(line['reasons'])} |"
        for line in lines
    ]
    searched = "complete" in lines[0]
    whole = sum(1 for line in lines if line.get("complete"))
    return "\n".join(
        (
            f"# Evidence: {name}",
            "",
            f"`make evidence-{name}`, {dates[0]} to {dates[-1]}, on 2 cores: {scope}.",
            f"As promised: {promised} of {len(lines)} cells; declared are {sum(1 for _ in declared_cells())}.",
            *((f"Searched whole: {whole}; the others say how far they came.",) if searched else ()),
            "",
            "| scenario | variant | setting | fault | declared | verdict | violated | found | effect | runs | s "
            + ("| extent | ok |" if searched else "| ok |"),
            "| --- " * (13 if searched else 12) + "|",
            *rows,
            "",
        )
    )


def read_lines(path: Path) -> list[Line]:
    """Return the kept lines, none where there are none yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def key_of(line: Line) -> tuple[str, ...]:
    """Return what a line is of."""
    return tuple(line[part] for part in ("scenario", "variant", "setting", "fault"))


def run_slice(seeds: int, jobs: int, only: str) -> int:
    """Judge every cell with a few seeds; print surprises and the size of the slice; return 1 at a surprise."""
    surprises = 0
    began = time.monotonic()
    cells = [(cell, expected) for cell, expected in declared_cells() if only in cell.name.label()]
    with tempfile.TemporaryDirectory() as store:
        for cell, expected in cells:
            line = judge_cell(cell, expected, seeds, jobs, Path(store))
            # A slice is too small to find every violation: only what contradicts the declaration counts.
            if line["status"] == "violated" and expected.verdict == "holds":
                surprises += 1
                print(f"surprise: {cell.name.label()}: {line['anomalies']}", flush=True)
    seconds = time.monotonic() - began
    print(f"slice: {len(cells)} cells, {seeds} seeds a cell in {seconds:.0f} s; surprises: {surprises}")
    print(f"full size: {FULL_SEEDS:,} seeds a cell (make evidence-cells-sim)")
    return 1 if surprises else 0


def gather(name: str, arguments: argparse.Namespace) -> int:
    """Do the cells that are missing; return 1 where one is not as promised."""
    kept = EVIDENCE / f"{name}.jsonl"
    if arguments.anew:
        kept.unlink(missing_ok=True)
    done = {key_of(line) for line in read_lines(kept)}
    cells = [(c, e) for c, e in declared_cells() if arguments.only in c.name.label()]
    todo = [(c, e) for c, e in cells if (c.scenario.name, c.variant, c.name.setting, c.fault) not in done]
    print(f"{name}: {len(done)} cells are kept, {len(todo)} to run", flush=True)
    for number, (cell, expected) in enumerate(todo, start=1):
        if name == "cells-search":
            line = search_cell(cell, expected, arguments.runs, arguments.seconds)
        else:
            line = judge_cell(cell, expected, arguments.seeds, arguments.jobs, arguments.runs)
        with kept.open("a") as file:
            file.write(json.dumps(line) + "\n")
        (EVIDENCE / f"{name}.md").write_text(page(name, read_lines(kept)))
        promised = "yes" if as_promised(line) else "NO"
        print(
            f"[{number}/{len(todo)}] {promised:<3} {cell.name.label()}: {line['status']} {line['anomalies']}",
            flush=True,
        )
    return 0 if all(map(as_promised, read_lines(kept))) else 1


def main() -> int:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("seeds", "search"), default="seeds")
    parser.add_argument("--seeds", type=int, default=FULL_SEEDS)
    parser.add_argument("--slice", type=int, default=0, help="so many seeds a cell, nothing kept")
    parser.add_argument("--seconds", type=float, default=SCOPE.seconds, help="the longest search of a cell")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="only cells whose label contains this text")
    parser.add_argument("--anew", action="store_true", help="forget what is kept")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "evidence", help="the store")
    arguments = parser.parse_args()
    if arguments.slice:
        return run_slice(arguments.slice, arguments.jobs, arguments.only)
    return gather("cells-search" if arguments.what == "search" else "cells-sim", arguments)


if __name__ == "__main__":
    sys.exit(main())
