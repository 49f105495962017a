"""How fast the simulator is: operations, small runs and whole campaigns, per second of processor time of one core.

Operations go through the driver model, the servers, the document engine and the record: one client alone, w:1. Runs are
drawn, simulated, judged and given their digest, as a campaign does it, what is shared by all seeds of a cell made
before. The time of 10,000 runs on 2 cores is scaled from a sample on one. Peers are the targets; a ratio of a rate
above 1, and of a time below 1, is better than the target.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

from harness.run.simulated.cell import START_US, SimulatedCell
from harness.run.simulated.judged import campaign_memory
from harness.run.simulated.seeds import SeedRunner
from harness.scenario.load import load_scenario
from harness.settings import parse_settings
from harness.sim.driver import Recorder, open_client
from harness.sim.kernel import Kernel
from harness.sim.server.commands.dispatch import Dispatcher
from harness.sim.server.configuration import Configuration
from harness.sim.server.network import Network
from harness.sim.server.replica_set import ReplicaSet

OPERATIONS_TARGET = 50_000.0
RUNS_TARGET = 1_500.0
CAMPAIGN_TARGET_S = 10.0

OPERATIONS = 3_000
DOCUMENTS = 5
OPLOG_ENTRIES = 128
"""Kept of the oplog, so that a long sequence of operations costs what a short one does."""

CLIENTS = 3
SMALL = 3 * 5
LARGE = 30
"""Operations of a run, of all clients together."""
CAMPAIGN_RUNS = 10_000
CAMPAIGN_CORES = 2
SAMPLE = 40
"""Seeds a round of each cell."""

CellNames = tuple[str, str, str, tuple[str, ...]]
"""Scenario, variant, setting and faults."""

CELLS: tuple[CellNames, ...] = (
    ("write_concern", "published", "w=majority", ()),
    ("write_concern", "published", "w=majority", ("partition-primary",)),
    ("optimistic_lock", "published", "default", ()),
    ("transfer", "hardened", "default", ("kill-primary",)),
)
"""One database call an operation; the same under a fault; three an operation; transactions under a fault."""


async def _insert(collection: Any, number: int) -> None:
    await collection.insert_one({"_id": f"new-{number}", "n": 0})


async def _find(collection: Any, number: int) -> None:
    await collection.find_one({"_id": number % DOCUMENTS})


async def _update(collection: Any, number: int) -> None:
    await collection.update_one({"_id": number % DOCUMENTS}, {"$inc": {"n": 1}})


CALLS: dict[str, Callable[[Any, int], Any]] = {"insert_one": _insert, "find_one": _find, "update_one": _update}


def operations_per_second(call: Callable[[Any, int], Any]) -> float:
    """Return the recorded operations per second of processor time of one client, a database call each."""
    kernel = Kernel(start_us=START_US)
    replica_set = ReplicaSet(kernel, Configuration(oplog_limit=OPLOG_ENTRIES))
    network = Network(replica_set, Dispatcher(replica_set))
    recorder = Recorder(kernel, origin_us=START_US)
    client = open_client(network, kernel, parse_settings("w=1"), group="clients", random=Random(1), recorder=recorder)
    collection = client.get_database("run")["documents"]

    async def body() -> None:
        for number in range(OPERATIONS):
            recorder.begin()
            await call(collection, number)
            recorder.end()

    kernel.spawn("setup", collection.insert_many([{"_id": number, "n": 0} for number in range(DOCUMENTS)]))
    kernel.run()
    kernel.spawn("client", body())
    # As in a run: the collector is off in it.
    gc.disable()
    try:
        began = time.process_time()
        kernel.run()
        return OPERATIONS / (time.process_time() - began)
    finally:
        gc.enable()
        kernel.close()


def seconds_per_run(runner: SeedRunner, rounds: int) -> float:
    """Return the median seconds of processor time of a judged run."""
    runner.judge(0)
    with campaign_memory():
        return statistics.median(_round(runner, number) for number in range(rounds))


def _round(runner: SeedRunner, number: int) -> float:
    began = time.process_time()
    for seed in range(number * SAMPLE, (number + 1) * SAMPLE):
        runner.judge(seed)
    return (time.process_time() - began) / SAMPLE


def _runner(cell: CellNames, operations: int) -> SeedRunner:
    scenario, variant, setting, faults = cell
    return SeedRunner(
        cell=SimulatedCell(
            loaded=load_scenario(scenario),
            variant=variant,
            setting=setting,
            faults=faults,
            clients=CLIENTS,
            operations=operations,
        )
    )


def _name(cell: CellNames) -> str:
    scenario, _, _, faults = cell
    return f"{scenario}, {'+'.join(faults) or 'no fault'}"


def _row(name: str, unit: str, ours: float, peer: float) -> dict[str, Any]:
    return {"name": name, "unit": unit, "ours": round(ours, 3), "peer": peer, "ratio": round(ours / peer, 3)}


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:  # noqa: ARG001 - one signature for all
    """Return the medians of ``rounds`` rounds; the peers are the targets."""
    rows = []
    for name, call in CALLS.items():
        rate = statistics.median(operations_per_second(call) for _ in range(rounds))
        rows.append(_row(f"simulator, {name}, recorded (peer: target)", "operations/s", rate, OPERATIONS_TARGET))
    for cell in CELLS:
        small_s = seconds_per_run(_runner(cell, SMALL), rounds)
        rows.append(_row(f"runs of 3x5, {_name(cell)} (peer: target)", "runs/s", 1 / small_s, RUNS_TARGET))
    for cell in CELLS:
        large_s = seconds_per_run(_runner(cell, LARGE), rounds)
        campaign_s = large_s * CAMPAIGN_RUNS / CAMPAIGN_CORES
        name = f"10,000 runs of 30, scaled, {_name(cell)}"
        rows.append(_row(name, "s on 2 cores", campaign_s, CAMPAIGN_TARGET_S))
    return rows
