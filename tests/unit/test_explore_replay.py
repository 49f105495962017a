"""Replay: identical on the same program, and as far as it goes on another, saying where it left off."""

from __future__ import annotations

import pytest
from toy_programs import Lease, Register

from harness.explore.replay import ReplayStrategy
from harness.explore.strategies import STRATEGIES, learn_profile, make_strategy
from harness.sim.kernel import Deviation, Site


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_replay_is_identical(name: str) -> None:
    """The deviations of a run give the same digest, the same events and the same verdict."""
    program = Lease(4, 3)
    workload, profile = program.workload(), learn_profile(program)
    for seed in range(20):
        run = program.execute(workload, make_strategy(name, seed, profile), keep_events=True)
        strategy = ReplayStrategy(run.deviations)
        again = program.execute(workload, strategy, keep_events=True)
        assert (again.digest, again.events, again.status) == (run.digest, run.events, run.status)
        assert strategy.first_divergence is None


def test_a_replay_on_less_says_what_did_not_apply() -> None:
    """Deviations of operations that are gone are reported as never reached, those of others are applied."""
    program = Register(2, 2)
    workload = program.workload()
    deviations = (
        Deviation(Site("client 0", "0.0", "fault", 0), "failover"),
        Deviation(Site("client 1", "1.0", "fault", 0), "lost-reply"),
    )
    strategy = ReplayStrategy(deviations)
    execution = program.execute(workload.without({"0.0"}), strategy)
    assert execution.deviations == deviations[1:]
    [missing] = strategy.unapplied
    assert missing.deviation == deviations[0]
    assert strategy.first_divergence == missing
    assert missing.describe() == (
        "The run never came to choice 1 of the kind 'fault' of client 0 in operation 0.0, where 'failover' was chosen."
    )


def test_a_replay_says_what_was_offered_instead() -> None:
    """An option that a program does not have any more is named beside those that it has."""
    program = Register(1, 1)
    strategy = ReplayStrategy([Deviation(Site("client 0", "0.0", "fault", 0), "earthquake")])
    execution = program.execute(program.workload(), strategy)
    assert execution.deviations == ()
    assert strategy.unapplied[0].offered == ("none", "failover", "lost-reply")
    assert "no 'earthquake', only 'none', 'failover', 'lost-reply'" in strategy.unapplied[0].describe()


def test_deviations_at_one_site_are_taken_in_their_order() -> None:
    """A task that comes to a site of one name again gets its second deviation there."""
    site = Site("client 0", "", "fault", 0)
    strategy = ReplayStrategy([Deviation(site, "a"), Deviation(site, "b"), Deviation(site, "c")])

    class Current:
        name, operation, counts, ready = "client 0", "", {}, True

    class StandIn:
        current = Current

    strategy.begin(StandIn)  # type: ignore[arg-type]
    options = ("none", "a", "b")
    assert [strategy.choose("fault", options, 0, None) for _ in range(3)] == [1, 2, 0]
    assert [missing.deviation.label for missing in strategy.unapplied] == ["c"]
