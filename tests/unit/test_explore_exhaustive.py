"""Exhaustive search: nothing within the bounds is left out, with state hashing or not, and it says how far it got."""

from __future__ import annotations

from typing import Any

import pytest
from toy_programs import Counter, FaultyCounter, Lease, Register, StaleRead, ToyProgram, WriteSkew

from harness.errors import HarnessError
from harness.explore.bounds import UNBOUNDED, Bounds, Used
from harness.explore.exhaustive import Budget, Progress, SearchResult, executions_left, search
from harness.explore.program import Execution, Workload
from harness.sim.kernel import Strategy


class Outcomes:
    """A program that keeps what its executions came to: documents, and the results of every client."""

    def __init__(self, program: ToyProgram) -> None:
        self.program = program
        self.requirements = program.requirements
        self.finals: set[Any] = set()

    def workload(self) -> Workload:
        return self.program.workload()

    def execute(self, workload: Workload, strategy: Strategy, *, keep_events: bool = False) -> Execution:
        execution = self.program.execute(workload, strategy, keep_events=keep_events)
        results = sorted((o.client, o.index, repr(o.result)) for o in execution.history.operations)
        self.finals.add((execution.facts, tuple(results), execution.status))
        return execution


def explored(program: ToyProgram, bounds: Bounds, **options: Any) -> tuple[SearchResult, set[Any]]:
    outcomes = Outcomes(program)
    return search(outcomes, program.workload(), bounds, **options), outcomes.finals


@pytest.mark.slow
def test_two_clients_with_four_increments_have_12870_interleavings() -> None:
    """Without hashing every interleaving is executed; there are 3,437 states, and 1,723 with symmetric clients."""
    naive = search(Counter(2, 4, offers_keys=False), Counter(2, 4).workload(), UNBOUNDED)
    assert naive.complete
    assert naive.executions == 12_870
    for symmetric, states, most_executions in ((False, 3_437, 1_500), (True, 1_723, 800)):
        program = Counter(2, 4, symmetric=symmetric)
        program.states = set()
        result = search(program, program.workload(), UNBOUNDED)
        assert result.complete
        assert [execution.anomalies for execution in result.violations] == [("lost-update",)]
        # The state before the first step is one more than those after a step.
        assert len(program.states) + 1 == states
        assert result.executions < most_executions


class ReadsKept(Counter):
    """Increments whose result is what they read."""

    async def perform(self, run: Any, client: int, call: Any) -> Any:
        await super().perform(run, client, call)
        return run.results[client][-2]


class TwoWays(Counter):
    """One state is come to by a fault alone, or by two other deviations, after which a fault may strike still."""

    async def perform(self, run: Any, client: int, call: Any) -> Any:
        if client == 0 and not run.documents["b"]:
            bump = run.kernel.choose("fault", ("none", "bump"))
            halves = [run.kernel.choose("shape", ("none", "half")) for _ in range(2)]
            run.documents["b"] = 1 + bool(bump or all(halves))
        await super().perform(run, client, call)
        if run.documents["b"] == 2 and len(run.operations) < 2:
            run.documents["c"] += run.kernel.choose("fault", ("none", "bump"))
        return True


@pytest.mark.slow
def test_hashing_and_naive_search_agree_on_all_finals() -> None:
    """Both come to the same 533 distinct ends."""
    _, naive = explored(ReadsKept(2, 4, offers_keys=False), UNBOUNDED)
    _, hashed = explored(ReadsKept(2, 4), UNBOUNDED)
    assert naive == hashed
    assert len(naive) == 533


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "bounds"),
    [
        (lambda keys: Counter(counters=(("a", "a"), ("a",), ("a",)), offers_keys=keys), UNBOUNDED),
        (lambda keys: Counter(2, 3, counters=(("a", "a", "b"), ("b", "b", "a")), offers_keys=keys), UNBOUNDED),
        (lambda keys: Counter(3, 2, offers_keys=keys), Bounds(preemptions=2)),
        (lambda keys: Counter(3, 2, offers_keys=keys), Bounds(preemptions=None, total=3)),
        (lambda keys: ReadsKept(2, 2, offers_keys=keys), Bounds(preemptions=1)),
        (lambda keys: ReadsKept(2, 3, offers_keys=keys), Bounds(preemptions=2)),
        (lambda keys: TwoWays(offers_keys=keys), Bounds(preemptions=0, faults=1, others=2)),
        (lambda keys: FaultyCounter(2, 2, offers_keys=keys), Bounds(preemptions=2, faults=1, others=1)),
        (lambda keys: FaultyCounter(2, 2, offers_keys=keys), Bounds(preemptions=1, faults=1, others=1, total=2)),
    ],
    ids=[
        *("three clients", "spread", "preemptions", "total", "one preemption", "results", "two ways", "faults"),
        "faults in all",
    ],
)
def test_bounded_searches_agree_with_and_without_hashing(make: Any, bounds: Bounds) -> None:
    """What hashing leaves out has been come to in another way within the same bounds."""
    naive, naive_finals = explored(make(False), bounds)
    hashed, hashed_finals = explored(make(True), bounds)
    assert naive.complete
    assert hashed.complete
    assert naive_finals == hashed_finals
    assert hashed.executions <= naive.executions


@pytest.mark.parametrize(("preemptions", "interleavings"), [(0, 2), (1, 16), (2, 114)])
def test_preemptions_bound_the_interleavings(preemptions: int, interleavings: int) -> None:
    """Two clients with eight steps have 2, 16 and 114 interleavings within 0, 1 and 2 preemptions."""
    program = Counter(2, 4, offers_keys=False)
    result = search(program, program.workload(), Bounds(preemptions=preemptions))
    assert result.complete
    assert result.executions == interleavings


def test_the_first_violation_has_the_fewest_deviations() -> None:
    """A lost update needs one preemption and a lease one more jump; that is what is found first."""
    for program, deviations in ((Counter(2, 3), 1), (WriteSkew(2, 1), 1), (Lease(2, 2), 2), (Register(2, 2), 1)):
        result = search(program, program.workload(), Bounds(), stop=lambda execution: execution.status == "violated")
        assert [len(execution.deviations) for execution in result.violations] == [deviations]
        assert not result.complete


def test_a_bound_that_excludes_the_bug_finds_none() -> None:
    """Without a jump in time the lease holds, and the result says within which bounds."""
    program = Lease(2, 1)
    result = search(program, program.workload(), Bounds(preemptions=2, jumps=0))
    assert result.complete
    assert result.violations == ()
    words = result.describe()
    assert words.startswith("complete within at most 2 preemptions, 1 fault, 0 jumps in time and 0 other deviations: ")


@pytest.mark.parametrize("keeps", [True, False])
def test_what_judges_real_time_keeps_it(keeps: bool) -> None:
    """A stale read is found though the states before it look alike; keys without the order switch hashing off."""
    program = StaleRead(keeps)
    result = search(program, program.workload(), UNBOUNDED)
    assert [execution.anomalies for execution in result.violations] == [("stale-read",)]
    assert result.hashing == keeps
    assert ("real-time-order" in result.why_not_hashing) != keeps


class Careless(StaleRead):
    """One whose checker does not say what it needs."""

    requirements = frozenset()

    def calls(self) -> Any:
        [write], [read] = super().calls()
        return [[read], [write]]


def test_a_checker_that_does_not_declare_it_would_miss_it() -> None:
    """The declaration matters: without it the state after both operations is taken for known, whichever came first."""
    program = Careless()
    program.requirements = frozenset()
    found = search(program, program.workload(), UNBOUNDED, hashing=False)
    missed = search(program, program.workload(), UNBOUNDED)
    assert found.violations
    assert missed.hashing
    assert missed.executions <= found.executions


@pytest.mark.slow
def test_a_search_out_of_budget_says_how_far_it_got() -> None:
    """The largest completed number of deviations is told, with an estimate of what is left."""
    program = Counter(3, 3, offers_keys=False)
    result = search(program, program.workload(), Bounds(preemptions=None), budget=Budget(executions=400))
    assert not result.complete
    assert result.executions == 400
    done = result.completed_deviations
    assert result.seconds_left > 0
    assert f"complete up to {done} deviations within" in result.describe()
    within, beyond = (
        search(program, program.workload(), Bounds(preemptions=None, total=total)).executions
        for total in (done, done + 1)
    )
    assert within <= 400 < beyond


def test_a_search_without_time_completes_nothing() -> None:
    """With no time at all it says so."""
    program = Counter(2, 2)
    result = search(program, program.workload(), Bounds(), budget=Budget(seconds=0))
    assert (result.complete, result.completed_deviations, result.executions) == (False, -1, 0)
    assert result.describe().startswith("nothing completed within")


@pytest.mark.slow
def test_progress_is_told_while_it_searches() -> None:
    """A long search tells executions, states and the time that it expects to need."""
    told: list[Progress] = []
    program = Counter(3, 3, offers_keys=False)
    search(program, program.workload(), UNBOUNDED, budget=Budget(seconds=1.5), on_progress=told.append)
    assert told
    assert told[-1].executions > 0
    assert told[-1].seconds_left > 0


def test_the_estimate_follows_the_growth_of_levels() -> None:
    """Levels that grew by 10 and then by 5 go on to grow by less; a level without branches ends it."""
    assert executions_left([1, 10, 50], 0, 3) == 0
    assert executions_left([1, 10, 50], 25, 2) == 25
    left = executions_left([1, 10, 50, 60], 25, 2)
    assert 25 + 120 < left < 25 + 120 * 4
    assert executions_left([1, 10, 50, 60], 25, 2, most=3) == 25 + 120
    assert executions_left([1, 10, 50, 60], 50, 2, most=3) == 50 + 125


@pytest.mark.slow
def test_the_estimate_is_of_the_right_magnitude() -> None:
    """A quarter into a search, what it expects to be left is within a factor of ten of what is."""
    program = Counter(2, 4, offers_keys=False)
    result = search(program, program.workload(), Bounds(preemptions=None), budget=Budget(executions=12_870 // 4))
    expected = result.seconds_left / result.seconds * result.executions
    assert 12_870 * 3 / 4 / 10 < expected < 12_870 * 3 / 4 * 10


def test_options_can_be_left_out_of_a_search() -> None:
    """What is not admitted is never deviated to."""
    program = Register(2, 2)
    result = search(
        program, program.workload(), Bounds(), admit=lambda kind, label: (kind, label) != ("fault", "failover")
    )
    assert result.complete
    assert result.violations == ()


class Fickle(Register):
    """A program that offers other faults in every execution."""

    count = 0

    async def perform(self, run: Any, client: int, call: Any) -> Any:
        Fickle.count += 1
        run.kernel.choose("fault", ("none", f"fault {Fickle.count}"))
        return await super().perform(run, client, call)


def test_a_program_that_is_not_deterministic_is_told() -> None:
    """A search that does not come to a branch again says so, and where."""
    program = Fickle(1, 1)
    with pytest.raises(HarnessError, match="not deterministic: at choice 0 of the kind 'fault'"):
        search(program, program.workload(), Bounds())


def test_bounds_count_by_class() -> None:
    """Turns are free unless all deviations together are bounded."""
    assert Bounds(preemptions=1).admits(Used(preemptions=1, turns=9))
    assert not Bounds(preemptions=1).admits(Used(preemptions=2))
    assert not Bounds(preemptions=1, total=3).admits(Used(preemptions=1, turns=3))
    assert UNBOUNDED.describe() == "any deviations"
    assert Bounds(preemptions=None, faults=1, jumps=0, total=4).describe() == (
        "at most any number of preemptions, 1 fault, 0 jumps in time and 0 other deviations, 4 in all"
    )
