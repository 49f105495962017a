"""How long an exhaustive search takes: 2 clients with 4 read-modify-writes each of one document, in processor seconds.

The peers are the targets: 1 s without faults and without a bound on preemptions; 10 s with at most 2 preemptions, 1
kill of the primary and 1 jump in time, within which it fails over. Every run is executed from its start, so that a
search costs its executions times a run: the last rows say how many there are, and what one costs.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from harness.explore.bounds import Bounds
from harness.explore.exhaustive import SearchResult
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.exhaustive import Scope, search_cell
from harness.scenario.load import load_scenario

SCENARIO = Path(__file__).with_name("read_modify_write.py")
CLIENTS = 2
OPERATIONS = 8
BUDGET_S = 900.0
PLAIN = Bounds(preemptions=None, faults=0, jumps=0, others=0)
FAULTY = Bounds(preemptions=2, faults=1, jumps=1, others=0)
TARGETS_S = ((PLAIN, (), 1.0), (FAULTY, ("kill-primary",), 10.0))


def search_once(bounds: Bounds, faults: tuple[str, ...]) -> tuple[float, SearchResult]:
    """Return the processor seconds of one search, and what it found."""
    cell = SimulatedCell(
        loaded=load_scenario(str(SCENARIO)),
        variant="published",
        setting="w=1",
        faults=faults,
        clients=CLIENTS,
        operations=OPERATIONS,
        strikes=1,
    )
    began = time.process_time()
    found = search_cell(cell, 0, Scope(bounds=bounds, seconds=BUDGET_S))
    return time.process_time() - began, found


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:  # noqa: ARG001 - one signature for all
    """Return the median of ``rounds`` searches without faults, and the figure of one with them."""
    rows = []
    for bounds, faults, target_s in TARGETS_S:
        searches = [search_once(bounds, faults) for _ in range(1 if faults else rounds)]
        median = statistics.median(cost for cost, _ in searches)
        found = searches[0][1]
        what = f"2 x 4 read-modify-writes, {faults[0] if faults else 'no fault'}"
        complete = "" if found.complete else ", not complete"
        rows += [
            _row(f"{what}{complete} (peer: target)", "s", median, target_s),
            _row(f"{what}: states", "states", found.states),
            _row(f"{what}: executions", "executions", found.executions),
            _row(f"{what}: an execution", "us", median / found.executions * 1e6),
        ]
    return rows


def _row(name: str, unit: str, ours: float, peer: float | None = None) -> dict[str, Any]:
    ratio = None if peer is None else round(ours / peer, 2)
    return {"name": name, "unit": unit, "ours": round(ours, 2), "peer": peer, "ratio": ratio}
