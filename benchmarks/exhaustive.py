"""How long an exhaustive search takes: 2 clients with 4 read-modify-writes each of one document, in processor seconds.

The peers are the targets: 1 s without faults and without a bound on preemptions; 10 s with at most 2 preemptions, 1
kill of the primary and 1 jump in time, within which it fails over. The rows below each target say why it is missed: a
coroutine cannot be copied, so a branch is executed from the start of the run, and a search costs its executions times a
run of 17 commands. With a fault there are many: timers of a strike keep states apart until all of them are over.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from harness.explore.bounds import Bounds
from harness.explore.exhaustive import Budget, SearchResult
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import draw_workload
from harness.run.simulated.exhaustive import search_cell
from harness.scenario.load import load_scenario

SCENARIO = Path(__file__).with_name("read_modify_write.py")
CLIENTS = 2
OPERATIONS = 8
BUDGET_ROUNDS = 40
"""A search that takes longer than so many rounds is stopped, and its row says so."""
PLAIN = Bounds(preemptions=None, faults=0, jumps=0, others=0)
FAULTY = Bounds(preemptions=2, faults=1, jumps=1, others=0)
TARGETS_S: tuple[tuple[Bounds, tuple[str, ...], float], ...] = ((PLAIN, (), 1.0), (FAULTY, ("kill-primary",), 10.0))


def search_once(bounds: Bounds, faults: tuple[str, ...], budget_s: float) -> tuple[float, SearchResult]:
    """Return the processor seconds of one search of at most ``budget_s``, and what it found."""
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
    found = search_cell(cell, draw_workload(cell, 0), bounds, budget=Budget(seconds=budget_s))
    return time.process_time() - began, found


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return the median of ``rounds`` searches without faults, and the figures of one with them."""
    rows = []
    for bounds, faults, target_s in TARGETS_S:
        searches = [search_once(bounds, faults, seconds * BUDGET_ROUNDS) for _ in range(1 if faults else rounds)]
        median = statistics.median(cost for cost, _ in searches)
        found = searches[0][1]
        what = f"2 x 4 read-modify-writes, {faults[0] if faults else 'no fault'}"
        complete = "" if found.complete else f", stopped with about {found.seconds_left:,.0f} s left"
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
