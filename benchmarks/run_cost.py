"""What a run costs beside its load on a reused set: setup, healing, draining, final reads, judging; target 6 s."""

from __future__ import annotations

import datetime
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod
from harness.cli.cells import plan_cells
from harness.result import CellResult
from harness.run.campaign import Campaign, CampaignPlan, new_campaign_id
from harness.run.progress import Silent
from harness.scenario.load import load_scenario

TARGET_S = 6.0
FAULT = "partition-primary"


class Stopwatch(Silent):
    """Notes when the set was ready and when the last cell had its verdict."""

    ready = 0.0
    finished = 0.0

    def message(self, text: str) -> None:
        """Note the time at which the set is ready."""
        if "ready" in text:
            self.ready = time.monotonic()

    def cell_finished(self, result: CellResult, *, finished: int, total: int) -> None:  # noqa: ARG002 - the listener's signature
        """Note the time at which a cell has its verdict."""
        self.finished = time.monotonic()


async def run_campaign(root: Path, load_s: float, runs: int) -> float:
    """Return the seconds from a ready set to the verdict, of ``runs`` runs with ``load_s`` seconds of load."""
    plan = CampaignPlan(
        campaign=new_campaign_id(datetime.datetime.now(datetime.UTC)),
        root=root,
        cells=plan_cells(
            [load_scenario("write_concern")],
            backend="local",
            variants=["published"],
            settings=["w=majority"],
            faults=[FAULT],
        ),
        seed=1,
        clients=5,
        client_groups=1,
        members=3,
        network="builtin",
        duration_s=load_s,
        runs=runs,
    )
    stopwatch = Stopwatch()
    mongod = find_mongod(None)
    await Campaign(plan, lambda _: LocalBackend(mongod=mongod, members=3), stopwatch).run()
    return stopwatch.finished - stopwatch.ready


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return the median fixed cost of a run under ``partition-primary``; the peer is the target."""
    load_s = max(8.0, seconds)
    with tempfile.TemporaryDirectory() as directory:
        median = statistics.median(trio.run(run_campaign, Path(directory), load_s, 1) - load_s for _ in range(rounds))
    return [
        {
            "name": f"cost of a run beside its load (median of {rounds}; peer: target)",
            "unit": "s",
            "ours": round(median, 3),
            "peer": TARGET_S,
            "ratio": round(median / TARGET_S, 3),
        }
    ]
