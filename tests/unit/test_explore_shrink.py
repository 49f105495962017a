"""Shrinking: to the known optimum of each toy, verdict and anomaly kept, and honest about what it is minimal in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from toy_programs import Counter, FaultyCounter, Lease, Register, Starvation, ToyProgram, WriteSkew

from harness.errors import UsageError
from harness.explore.bounds import Bounds
from harness.explore.exhaustive import search
from harness.explore.program import Execution
from harness.explore.replay import ReplayStrategy
from harness.explore.shrink import ShrinkResult, minimise, shrink
from harness.explore.strategies import learn_profile, make_strategy


def violations(program: ToyProgram, count: int, strikes: int = 0) -> Iterator[Execution]:
    profile, workload = learn_profile(program, strikes=strikes), program.workload()
    for seed in range(2_000):
        execution = program.execute(workload, make_strategy("portfolio", seed, profile, strikes=strikes))
        if execution.status == "violated":
            yield execution
            count -= 1
        if not count:
            return


@pytest.mark.slow
def test_the_lease_is_shrunk_to_its_optimum_in_twenty_of_twenty() -> None:
    """5 clients with 6 transactions come down to 8 database calls, 2 clients, 1 preemption and 1 jump in time."""
    program = Lease(5, 6)
    for execution in violations(program, 20):
        result = shrink(program, program.workload(), execution)
        assert result.size == (2, 2, 2)
        assert sum(len(o.calls) for o in result.execution.history.operations) == 8
        assert sorted(label == "time" for _, label in result.execution.deviations) == [False, True]
        assert result.minimal
        assert result.executions <= 5_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "strikes", "sizes"),
    [
        (Counter(3, 5), 0, {(2, 2, 1)}),
        (WriteSkew(4, 4), 0, {(2, 2, 1)}),
        (Register(3, 5), 1, {(1, 1, 1)}),
        # Three bugs under one anomaly: a race, a lost reply, a failover; each has an optimum of its own.
        (FaultyCounter(3, 4), 1, {(2, 2, 1), (1, 1, 1), (2, 1, 1)}),
    ],
    ids=["counter", "skew", "register", "faulty counter"],
)
def test_toys_are_shrunk_to_their_optimum(program: ToyProgram, strikes: int, sizes: set[tuple[int, int, int]]) -> None:
    """Every failing run comes down to the smallest workload and schedule that there are."""
    for execution in violations(program, 12, strikes):
        result = shrink(program, program.workload(), execution)
        assert result.size in sizes
        assert result.minimal
        assert len(result.claims) == 2


@pytest.mark.slow
def test_a_starvation_is_shrunk_to_at_most_one_more_than_its_optimum() -> None:
    """One operation overtaken by twenty: 21 operations, or 22 where the budget ends."""
    program = Starvation(increments=11)
    [execution] = violations(program, 1)
    result = shrink(program, program.workload(), execution)
    assert 21 <= len(result.workload) <= 22
    assert len(result.execution.deviations) <= 3


def test_what_is_kept_replays_and_shows_the_anomaly() -> None:
    """The small run is one that anybody can execute: same verdict, same kind, same digest."""
    program = Lease(4, 3)
    [execution] = violations(program, 1)
    result = shrink(program, program.workload(), execution)
    again = program.execute(result.workload, ReplayStrategy(result.execution.deviations))
    assert again.shows(result.anomaly)
    assert again.digest == result.execution.digest


def test_minimal_means_that_nothing_smaller_fails() -> None:
    """An independent search confirms both claims: less workload holds, and so do fewer deviations."""
    program = WriteSkew(2, 2)
    [execution] = violations(program, 1)
    result = shrink(program, program.workload(), execution)
    for item in result.workload:
        rest = result.workload.without({item.id})
        assert not search(program, rest, Bounds(preemptions=None, total=3), hashing=False).violations
    fewer = Bounds(preemptions=None, total=len(result.execution.deviations) - 1)
    assert not search(program, result.workload, fewer, hashing=False).violations


def test_a_small_budget_is_kept_and_told() -> None:
    """Out of budget the smallest run so far is returned, and not called minimal."""
    program = Lease(5, 6)
    [execution] = violations(program, 1)
    result = shrink(program, program.workload(), execution, budget=10)
    assert result.execution.shows("lost-update")
    assert not result.minimal
    assert "budget of 10 executions was spent" in result.claims[0]
    assert result.executions <= 11


def test_progress_only_gets_smaller() -> None:
    """Each result on the way is smaller than the one before."""
    program = Lease(4, 3)
    [execution] = violations(program, 1)
    told: list[ShrinkResult] = []
    shrink(program, program.workload(), execution, on_progress=told.append)
    operations = [result.size[0] for result in told]
    assert operations == sorted(operations, reverse=True)
    assert len(set(operations)) > 2


class TwoKinds(Counter):
    """Shows a second kind of anomaly beside the first where both clients are there."""

    def execute(self, workload, strategy, *, keep_events=False):
        execution = super().execute(workload, strategy, keep_events=keep_events)
        if len(workload) < 4:
            return execution
        return Execution(
            deviations=execution.deviations,
            digest=execution.digest,
            decisions=execution.decisions,
            steps=execution.steps,
            status="violated",
            anomalies=tuple(sorted({*execution.anomalies, "too-many"})),
            history=execution.history,
        )


def test_the_kind_of_anomaly_is_kept() -> None:
    """Shrinking does not slip to another anomaly: each kind has its own smallest run."""
    program = TwoKinds(2, 4)
    profile, workload = learn_profile(program), program.workload()
    execution = next(
        run
        for seed in range(100)
        if len((run := program.execute(workload, make_strategy("random", seed, profile))).anomalies) == 2
    )
    assert shrink(program, workload, execution, anomaly="lost-update").size == (2, 2, 1)
    assert shrink(program, workload, execution, anomaly="too-many").size[0] == 4


def test_what_does_not_fail_is_not_shrunk() -> None:
    """A run that holds, and one that does not show the anomaly that is asked for, are usage errors."""
    program = Counter(2, 2)
    holds = program.execute(program.workload(), ReplayStrategy(()))
    with pytest.raises(UsageError, match="it is holds"):
        shrink(program, program.workload(), holds)
    [execution] = violations(program, 1)
    with pytest.raises(UsageError, match="name one of lost-update"):
        shrink(program, program.workload(), execution, anomaly="stale-read")


class Forgetful(Counter):
    """A program that is not a function of its choices."""

    count = 0

    def is_violated(self, run):
        Forgetful.count += 1
        return Forgetful.count == 1


def test_a_run_that_does_not_replay_is_not_shrunk() -> None:
    """A program without determinism is told, not shrunk to nonsense."""
    Forgetful.count = 0
    program = Forgetful(2, 2)
    execution = program.execute(program.workload(), ReplayStrategy(()))
    with pytest.raises(UsageError, match="when it is replayed"):
        shrink(program, program.workload(), execution)


def test_minimise_finds_what_is_needed() -> None:
    """Delta debugging keeps the needed ones of many, wherever they are."""
    for needed in ({0}, {9}, {3, 4}, {0, 9}, {1, 5, 8}, set()):
        assert set(minimise(range(10), lambda kept, needed=needed: needed <= set(kept))) == needed
