"""Strategies: each a function of its seed, each finds what it is there for, and faults strike as often as they may."""

from __future__ import annotations

import itertools
from collections import Counter as Multiset

import pytest
from toy_programs import Counter, Lease, Register, Starvation

from harness.errors import UsageError
from harness.explore.profile import Profile
from harness.explore.program import Program
from harness.explore.schedulers import PartialOrder, Priorities, UniformWalk, conflict
from harness.explore.strategies import STRATEGIES, learn_profile, make_strategy
from harness.seed import stream


def first_violation(program: Program, name: str, seeds: int) -> int | None:
    profile = learn_profile(program)
    workload = program.workload()
    for seed in range(seeds):
        if program.execute(workload, make_strategy(name, seed, profile)).status == "violated":
            return seed
    return None


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_a_function_of_its_seed(name: str) -> None:
    """The same seed gives the same run, another seed another."""
    program = Lease(3, 3)
    workload, profile = program.workload(), learn_profile(program)
    digests = [program.execute(workload, make_strategy(name, seed, profile)).digest for seed in (1, 1, 2, 3, 4)]
    assert digests[0] == digests[1]
    assert len(set(digests)) > 2


def test_an_unknown_strategy_is_refused_with_a_hint() -> None:
    """A misspelt name is a usage error that names the near one."""
    with pytest.raises(UsageError, match="portfolio"):
        make_strategy("portfolo", 1, Profile())


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_finds_the_lease_without_fencing(name: str) -> None:
    """A race that needs one jump in time and one preemption is found within 200 seeds by each of them."""
    assert first_violation(Lease(), name, 200) is not None


@pytest.mark.slow
def test_the_portfolio_finds_a_starvation() -> None:
    """One client overtaken by twenty operations is found in fewer than 500 runs; evenly random schedules never do."""
    program = Starvation(increments=11)
    found = first_violation(program, "portfolio", 500)
    assert found is not None
    assert first_violation(program, "random", 500) is None


@pytest.mark.slow
def test_random_schedules_reach_every_interleaving() -> None:
    """All 20 interleavings of two clients with three steps each come up, each a fair number of times by URW."""
    program = Starvation(clients=2, increments=2, patience=99)
    workload, profile = program.workload(), learn_profile(program)
    seen = {
        name: Multiset(program.execute(workload, make_strategy(name, seed, profile)).digest for seed in range(1_500))
        for name in ("random", "urw")
    }
    assert len(seen["random"]) == len(seen["urw"]) == 70
    assert max(seen["urw"].values()) < max(seen["random"].values())


@pytest.mark.parametrize(("strategy", "strikes"), [("random", 1), ("sticky", 1), ("swarm", 1), ("portfolio", 1)])
def test_faults_strike_as_often_as_is_budgeted(strategy: str, strikes: int) -> None:
    """A run that may be struck once is, nearly always, and at any of its places."""
    program = Register(3, 5)
    workload, profile = program.workload(), learn_profile(program, strikes=strikes)
    operations: Multiset[str] = Multiset()
    for seed in range(300):
        execution = program.execute(workload, make_strategy(strategy, seed, profile, strikes=strikes))
        operations.update(site.operation for site, _ in execution.deviations if site.kind == "fault")
    assert operations.total() >= 290
    assert set(operations) == set(workload.ids)


def test_nothing_strikes_where_nothing_may() -> None:
    """Without a budget of strikes no fault is chosen."""
    program = Register(3, 5)
    workload, profile = program.workload(), learn_profile(program)
    for seed in range(50):
        execution = program.execute(workload, make_strategy("portfolio", seed, profile))
        assert all(site.kind == "run" for site, _ in execution.deviations)


@pytest.mark.parametrize("seed", range(5))
def test_all_strikes_fit_where_a_strike_takes_choices_away(seed: int) -> None:
    """With a learnt cost of a strike, both of two strikes are among the choices that are left."""
    profile = Profile(choices={"fault": 100, "run": 10}, strike_cost=60)
    strategy = make_strategy("random", seed, profile, strikes=2)
    offered = [strategy.choose("fault", ("none", "kill"), 0, None) for _ in range(40)]
    assert sum(offered) == 2


def test_a_swarm_switches_kinds_off_and_on() -> None:
    """A kind of choice deviates in some seeds and not at all in others."""
    profile = Profile(choices={"delay": 20, "run": 20})
    counts = []
    for seed in range(60):
        strategy = make_strategy("swarm", seed, profile)
        counts.append(sum(strategy.choose("delay", ("none", "some"), 0, None) for _ in range(20)))
    assert counts.count(0) >= 5
    assert sum(count >= 4 for count in counts) >= 5


def test_priorities_fall_at_their_places_alone() -> None:
    """PCT of depth 1 never leaves a task that can go on; depth 3 leaves one at most twice."""
    options = ("a", "b", "c")
    for seed in range(20):
        for depth, most in ((1, 0), (3, 2)):
            scheduler = Priorities(stream(seed), depth, 50)
            picks = [scheduler.pick(options, 3, 0, None) for _ in range(50)]
            changes = sum(one != other for one, other in itertools.pairwise(picks))
            assert changes <= most


def test_partial_order_draws_anew_for_conflicts_alone() -> None:
    """A step that touches what no other touches leaves the priorities of the others as they were."""
    apart = ((("a", True),), (("b", True),), (("c", True),))
    names = ("x", "y", "z")
    scheduler = PartialOrder(stream(4))
    chosen = scheduler.pick(names, 3, 0, apart)
    kept = dict(scheduler._priorities)
    assert set(kept) == set(names) - {names[chosen]}
    same = ((("a", True),),) * 3
    scheduler.pick(names, 3, 0, same)
    assert scheduler._priorities == {}
    scheduler.pick(names, 3, 0, None)
    assert scheduler._priorities == {}


def test_footprints_conflict_where_one_writes_what_both_touch() -> None:
    """Two reads commute, steps on different resources do, and one that is not known may conflict with any."""
    read, write, other = (("a", False),), (("a", True),), (("b", True),)
    assert conflict(read, write)
    assert not conflict(read, read)
    assert not conflict(write, other)
    assert conflict(None, other)


def test_a_uniform_walk_prefers_who_has_more_left() -> None:
    """A task with nine steps left is chosen about nine times as often as one with one."""
    wins = 0
    for seed in range(500):
        walk = UniformWalk(stream(seed), Profile(turns={"long": 9, "short": 1}))
        wins += walk.pick(("long", "short"), 2, 0, None) == 0
    assert 420 < wins < 480


def test_a_profile_is_the_mean_of_runs() -> None:
    """Choices and turns of a program are learnt; a kind that no run made counts as one."""
    profile = learn_profile(Counter(2, 4))
    assert 8 <= profile.of("run") <= 16
    assert profile.of("never") == 1
    assert set(profile.turns) == {"client 0", "client 1"}
