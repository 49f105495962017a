"""Simulated runs begin where setup ended: with its oplog, so that what setup saved of it is good in the run."""

from __future__ import annotations

import pytest

from harness.explore.replay import ReplayStrategy
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import Simulator, draw_workload
from harness.scenario.load import load_scenario

SCENARIO = '''
"""A reader that goes on from what setup saved of the oplog."""

from pymongo.read_concern import ReadConcern

from harness import Call, Scenario
from harness.checkers import unexpected_errors


class Reader:
    def __init__(self, database, *, env):
        self.database = database
        self.documents = database["documents"].with_options(read_concern=ReadConcern("majority"))

    async def saved(self):
        return await self.database["saved"].find_one({"_id": "place"})

    async def watch(self, options):
        async with await self.documents.watch(max_await_time_ms=100, **options) as stream:
            return [change["fullDocument"]["value"] async for change in taken(stream, 2)]

    async def resume(self):
        return await self.watch({"resume_after": (await self.saved())["token"]})

    async def start_at(self):
        return await self.watch({"start_at_operation_time": (await self.saved())["time"]})

    async def read_after(self):
        place = await self.saved()
        async with self.database.client.start_session(causal_consistency=True) as session:
            session.advance_cluster_time(place["cluster"])
            session.advance_operation_time(place["time"])
            found = await self.documents.find({}, session=session).to_list()
            return [document["value"] for document in found]

    async def read_as_it_was(self):
        concern = {"level": "snapshot", "atClusterTime": (await self.saved())["time"]}
        reply = await self.database.command("find", "documents", readConcern=concern)
        return [document["value"] for document in reply["cursor"]["firstBatch"]]

    async def insert(self):
        await self.documents.insert_one({"value": 9})
        return "done"


async def taken(stream, count):
    for _ in range(count):
        yield await anext(stream)


async def setup(context):
    database = context.database
    await database["documents"].insert_one({"value": 1})
    async with database.client.start_session(causal_consistency=True) as session:
        async with await database["documents"].watch(max_await_time_ms=100) as stream:
            await database["documents"].insert_one({"value": 2}, session=session)
            change = await anext(stream)
            place = {"token": change["_id"], "time": session.operation_time, "cluster": session.cluster_time}
        await database["documents"].insert_one({"value": 3}, session=session)
    await database["saved"].insert_one({"_id": "place", **place})


def call(name):
    async def function(context):
        return await getattr(context.pattern, name)()

    return function


NAMES = ("insert", "resume", "start_at", "read_after", "read_as_it_was")

SCENARIO = Scenario(
    name="after_setup",
    section="none",
    contract="What setup saved is good.",
    variants={"published": Reader},
    operations={name: call(name) for name in NAMES},
    workload=lambda random, client: iter([Call(function=name) for name in NAMES]),
    checkers=(unexpected_errors(()),),
    setup=setup,
)
'''


@pytest.fixture
def simulator(tmp_path):
    file = tmp_path / "after_setup.py"
    file.write_text(SCENARIO)
    cell = SimulatedCell(
        loaded=load_scenario(str(file)), variant="published", setting="default", clients=1, operations=5
    )
    return Simulator(cell=cell)


def results(run):
    return {operation.function: operation.result or operation.error for operation in run.history.operations}


def test_what_setup_saved_of_the_oplog_is_good_in_every_run(simulator):
    """Resume token, operation time, cluster time and a snapshot of setup's work, in two runs that write after it."""
    for seed in (1, 2):
        run = simulator.run(seed, draw_workload(simulator.cell, seed), ReplayStrategy(()))
        assert results(run) == {
            "insert": "done",
            "resume": [3, 9],
            "start_at": [2, 3],
            "read_after": [1, 2, 3, 9],
            "read_as_it_was": [1, 2],
        }
