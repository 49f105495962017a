"""Simulated runs: a function of cell and seed, recorded like real ones, kept so that they can be done again."""

from __future__ import annotations

import pytest

from harness import store
from harness.errors import HarnessError, ScenarioError, UsageError
from harness.explore.replay import ReplayStrategy
from harness.run.judge import judge_run
from harness.run.rejudge import rejudge
from harness.run.simulated.campaign import SimulatedCampaign, SimulatedPlan
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import draw_workload
from harness.run.simulated.judged import judge_execution
from harness.run.simulated.keep import deviations_of
from harness.run.simulated.seeds import SeedRunner, keep
from harness.run.simulated.stored import replay
from harness.scenario.load import load_scenario

WRITES = load_scenario("write_concern")
COUNTER = load_scenario("optimistic_lock")


def cell_of(loaded=WRITES, variant="published", setting="w=1", faults=("partition-primary",), **sizes):
    return SimulatedCell(loaded=loaded, variant=variant, setting=setting, faults=faults, operations=12, **sizes)


def silent_campaign(plan):
    return SimulatedCampaign(plan=plan, finished=lambda *_: None, progress=lambda *_: None)


def plan_of(root, cell, **changes):
    settings = {"campaign": "c", "root": root, "cells": ((cell, None),), "seed": 3, "seeds": 12, **changes}
    return SimulatedPlan(**settings)


def test_a_seed_gives_the_same_run_again_and_another_seed_another():
    """Digest, trace and history are functions of cell and seed, whatever ran before."""
    first, second = SeedRunner(cell=cell_of()), SeedRunner(cell=cell_of())
    second.judge(99)
    one, again, other = first.judge(7), second.judge(7), first.judge(8)
    assert one.digest == again.digest
    assert one.run.deviations == again.run.deviations
    assert one.run.history.operations == again.run.history.operations
    assert one.digest != other.digest


def test_the_trace_of_a_run_does_it_again_event_for_event():
    """A replay by deviations alone has the digest of the run that the strategy drew."""
    runner = SeedRunner(cell=cell_of())
    for seed in range(8):
        judged = runner.judge(seed, keep_events=True)
        strategy = ReplayStrategy(judged.run.deviations)
        workload = draw_workload(runner.cell, seed)
        again = judge_execution(runner.simulator, seed, workload, strategy, "replay", keep_events=True)
        assert strategy.unapplied == ()
        assert again.run.events == judged.run.events
        assert again.digest == judged.digest


def test_a_kept_run_is_read_judged_and_replayed_from_its_files(tmp_path):
    """The stored record has the history that was judged; its trace gives its digest."""
    runner = SeedRunner(cell=cell_of())
    judged = next(j for j in map(runner.judge, range(20)) if j.verdict.status == "violated")
    facts = keep(tmp_path, "c", runner.cell, judged, "r")
    directory = store.run_directory(tmp_path, facts)
    history = store.load_history(directory)
    assert history.operations == judged.run.history.operations
    assert history.fault_windows == judged.run.history.fault_windows
    assert judge_run(history, WRITES.scenario).status == "violated"
    _, replayed, strategy = replay(directory)
    assert strategy.unapplied == ()
    assert facts.simulation is not None
    assert replayed.digest == facts.simulation.digest == judged.digest
    assert deviations_of(facts.simulation.choices) == judged.run.deviations


def test_clients_run_one_after_the_other_by_default_and_race_by_choice():
    """Without deviations nothing is lost; strategies find the race within some seeds."""
    cell = cell_of(COUNTER, setting="default", faults=())
    runner = SeedRunner(cell=cell)
    calm = judge_execution(runner.simulator, 1, draw_workload(cell, 1), ReplayStrategy(()), "none")
    assert calm.verdict.status == "holds"
    assert calm.run.deviations == ()
    assert any(runner.judge(seed).verdict.status == "violated" for seed in range(20))


def test_operations_of_different_clients_never_touch_in_time():
    """Each operation begins after what returned before it, so that real-time order is known."""
    history = SeedRunner(cell=cell_of(faults=())).judge(4).run.history
    ends = {operation.returned_ns for operation in history.operations}
    starts = {operation.start_ns for operation in history.operations}
    assert not ends & starts


def test_processes_give_the_same_results_as_one(tmp_path):
    """What a campaign keeps and tells does not depend on how many processes did it."""
    cell = cell_of()
    (one,) = silent_campaign(plan_of(tmp_path / "one", cell)).run()
    (two,) = silent_campaign(plan_of(tmp_path / "two", cell, jobs=2)).run()
    assert one == two


def test_a_campaign_goes_on_where_it_ended(tmp_path):
    """Results that are on file are not simulated again, and count."""
    cell = cell_of()
    plan = plan_of(tmp_path, cell)
    (whole,) = silent_campaign(plan).run()
    file = next(tmp_path.rglob("seeds.jsonl"))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[: 1 + len(lines) // 2]) + b'{"indexes": [1')
    (resumed,) = silent_campaign(plan).run()
    assert resumed == whole


def test_results_of_other_code_are_not_gone_on_with(tmp_path, monkeypatch):
    """A campaign that other code began is refused, in words that say so, and its file is left as it was."""
    plan = plan_of(tmp_path, cell_of())
    silent_campaign(plan).run()
    file = next(tmp_path.rglob("seeds.jsonl"))
    before = file.read_bytes()
    monkeypatch.setattr("harness.run.simulated.campaign.code_digest", lambda: "other")
    with pytest.raises(UsageError, match=r"or of other code: code '.+', not 'other "):
        silent_campaign(plan).run()
    assert file.read_bytes() == before


def scenario_with(tmp_path, name, extra):
    """Return the optimistic_lock scenario as a file of its own, with ``extra`` code at its end."""
    file = tmp_path / f"{name}.py"
    file.write_text(COUNTER.path.read_text() + extra)
    return load_scenario(str(file))


def test_a_scenario_that_depends_on_hash_order_is_caught(tmp_path):
    """The audit in a process with another hash seed finds what the seed does not decide."""
    loaded = scenario_with(
        tmp_path,
        "hashing",
        """
import dataclasses

plain_workload = SCENARIO.workload


def by_hash(random, client):
    random.seed(hash(f"client {client}"))
    return plain_workload(random, client)


SCENARIO = dataclasses.replace(SCENARIO, workload=by_hash)
""",
    )
    with pytest.raises(HarnessError, match=r"not deterministic"):
        silent_campaign(plan_of(tmp_path / "runs", cell_of(loaded, setting="default", faults=()), seeds=60)).run()


def test_a_pattern_that_looks_at_the_clock_is_told_so(tmp_path):
    """The guard names the call and its replacement."""
    loaded = scenario_with(
        tmp_path,
        "clock",
        """
import dataclasses
import time


async def looks_at_the_clock(context):
    time.time()


SCENARIO = dataclasses.replace(SCENARIO, setup=looks_at_the_clock)
""",
    )
    with pytest.raises(ScenarioError, match=r"time\.time\(\)") as caught:
        SeedRunner(cell=cell_of(loaded, setting="default", faults=())).judge(1)
    assert "env.now()" in caught.value.next_step


def test_a_campaign_is_judged_again_from_its_files(tmp_path):
    """Kept runs by their records, all other seeds by their lines: the same verdict, counts and all."""
    cell = cell_of()
    expected = WRITES.scenario.expectation(cell.variant, cell.settings, cell.fault)
    (before,) = silent_campaign(plan_of(tmp_path, cell, cells=((cell, expected),))).run()
    (again,) = rejudge(tmp_path / "c", lambda _: None)
    assert again == before
    assert store.read_cells(tmp_path / "c") == (before,)
