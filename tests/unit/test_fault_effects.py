"""The rules that say whether a strike had an effect, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.faults import effects
from harness.faults.effects import Answer, Sample
from harness.interfaces.backend import MemberState
from harness.interfaces.link import Link, LinkCounters

ALL = ("m1", "m2", "m3")
CUT = tuple(Link(a, b) for a, b in [("m1", "m2"), ("m1", "m3"), ("m2", "m1"), ("m3", "m1")])


def member(name: str, role: str = "SECONDARY", term: int = 3, hears=ALL, **more) -> MemberState:
    """Return a member that answers; m1's process is 10, m2's 20."""
    given = {"applied": (term, 100, 1), "process_id": int(name[1]) * 10, **more}
    return MemberState(member=name, reachable=True, role=role, term=term, heard_from=tuple(hears), **given)


def silent(name: str, process_id: int | None = None) -> MemberState:
    """Return a member that does not answer; without a process, unless one is given."""
    return MemberState(member=name, reachable=False, process_id=process_id)


HEALTHY = (member("m1", "PRIMARY"), member("m2"), member("m3"))
CUT_OFF_PRIMARY = member("m1", "PRIMARY", hears=["m1"])
CUT_OFF_SECONDARY = member("m1", hears=["m1"])
HEIR = member("m2", "PRIMARY", 4, ["m2", "m3"])
FOLLOWER = member("m3", "SECONDARY", 4, ["m2", "m3"])


@pytest.mark.parametrize(
    ("after", "effective"),
    [
        ((CUT_OFF_PRIMARY, HEIR, FOLLOWER), True),
        ((CUT_OFF_SECONDARY, HEIR, FOLLOWER), True),
        ((CUT_OFF_SECONDARY, member("m2", hears=["m2", "m3"]), member("m3", hears=["m2", "m3"])), True),
        ((CUT_OFF_PRIMARY, member("m2", hears=["m2", "m3"]), member("m3", hears=["m2", "m3"])), False),
        ((member("m1"), member("m2", "PRIMARY", 4), member("m3", term=4)), False),
        ((CUT_OFF_PRIMARY, HEIR, replace(FOLLOWER, heard_from=ALL)), False),
        ((CUT_OFF_PRIMARY, replace(HEIR, term=3), FOLLOWER), False),
        (HEALTHY, False),
    ],
    ids=[
        "two primaries",
        "replaced and stepped down",
        "stepped down, nobody elected yet",
        "cut but still in office",
        "election without a cut",
        "one member still hears it",
        "no higher term",
        "nothing",
    ],
)
def test_a_primary_counts_as_partitioned_only_if_cut_off_and_out_of_office(after, effective: bool) -> None:
    """Both are asked for: nobody heard over the cut, and another primary or a step-down."""
    assert (effects.primary_replaced(HEALTHY, after, CUT, 5) is not None) is effective


def test_members_that_did_not_hear_each_other_before_prove_no_cut() -> None:
    """A cut that another fault had made already is not this one's effect."""
    apart = (CUT_OFF_PRIMARY, HEIR, FOLLOWER)
    assert effects.members_cut(HEALTHY, apart, CUT, 5) is not None
    assert effects.members_cut(apart, apart, CUT, 5) is None


def test_a_silent_member_proves_no_cut() -> None:
    """Who does not answer its observer tells nothing about whom it hears."""
    assert effects.members_cut(HEALTHY, (silent("m1"), silent("m2"), silent("m3")), CUT, 5) is None


def test_one_way_asks_for_the_other_way_to_work() -> None:
    """Nothing over the cut links, something over their opposites."""
    cut = (Link("m2", "m1"), Link("m3", "m1"))
    one_way = (member("m1", "PRIMARY"), member("m2", hears=["m2", "m3"]), member("m3", hears=["m2", "m3"]))
    both = (CUT_OFF_PRIMARY, *one_way[1:])
    assert effects.members_cut_one_way(HEALTHY, one_way, cut, 5) is not None
    assert effects.members_cut_one_way(HEALTHY, both, cut, 5) is None


@pytest.mark.parametrize(
    ("old", "dead", "halted"),
    [
        (silent("m1"), True, False),
        (silent("m1", 10), False, True),
        (member("m1", process_id=99), True, False),
        (member("m1"), False, False),
    ],
    ids=["process gone", "silent, process there", "another process", "alive"],
)
def test_death_and_halt_are_told_apart_by_the_process(old, dead: bool, halted: bool) -> None:
    """A slow answer is no death, and a death is no halt."""
    after = (old, HEIR, FOLLOWER)
    assert (effects.primary_dead(HEALTHY, after, "m1", 5) is not None) is dead
    assert (effects.primary_halted(HEALTHY, after, "m1", 5) is not None) is halted
    assert effects.primary_dead(HEALTHY, (old, member("m2"), member("m3")), "m1", 5) is None


def test_a_dead_majority_leaves_no_primary() -> None:
    """As long as somebody calls itself primary the majority's death has not told yet."""
    after = (silent("m1"), silent("m2"), member("m3"))
    assert effects.majority_dead(HEALTHY, after, ["m1", "m2"], 5) is not None
    assert effects.majority_dead(HEALTHY, (*after[:2], member("m3", "PRIMARY")), ["m1", "m2"], 5) is None
    assert effects.majority_dead(HEALTHY, (*after[:1], member("m2"), after[2]), ["m1", "m2"], 5) is None
    assert effects.members_dead(HEALTHY, after, ["m1", "m2"], 5).description.startswith("m1 and m2 did not answer")


def test_a_hand_over_asks_for_an_old_primary_that_is_alive() -> None:
    """A primary that died was not handed over."""
    heir = member("m2", "PRIMARY", 4)
    assert effects.handed_over(HEALTHY, (member("m1"), heir, member("m3")), "m1", 5) is not None
    assert effects.handed_over(HEALTHY, (silent("m1"), heir, member("m3")), "m1", 5) is None
    assert effects.handed_over(HEALTHY, (member("m1", "PRIMARY"), heir, member("m3")), "m1", 5) is None


def sample(time_ms: int, primary: int, victim: int) -> Sample:
    """Return a look at that time: what the primary m1 and the victim m2 had applied."""
    states = (member("m1", "PRIMARY", applied=(3, 100, primary)), member("m2", applied=(3, 100, victim)), member("m3"))
    return Sample(time_ns=time_ms * 1_000_000, states=states)


def test_lag_is_what_is_still_missing_after_the_least_time() -> None:
    """A batch behind is no lag; what the primary had long ago and the member still lacks is."""
    trailing = [sample(time, time, time - 1) for time in range(0, 2000, 100)]
    assert effects.held_back(trailing, "m2", 400_000_000) is None
    stuck = [sample(0, 7, 7), sample(100, 8, 7), sample(500, 9, 7)]
    assert effects.held_back(stuck, "m2", 400_000_000) is not None
    assert effects.held_back(stuck[:2], "m2", 400_000_000) is None
    assert effects.held_back([*stuck, sample(600, 9, 9)], "m2", 400_000_000) is None
    assert effects.held_back([], "m2", 400_000_000) is None


FAST = Answer(answered=True, elapsed_ms=2, control_ms=1)
NEVER = Answer(answered=False, elapsed_ms=500, control_ms=1, problem="no answer")
SLOW = Answer(answered=True, elapsed_ms=202, control_ms=1)


def test_a_probe_counts_only_if_it_was_answered_before() -> None:
    """What did not work before the strike proves nothing about it."""
    assert effects.unanswered(FAST, NEVER, "m1", 5) is not None
    assert effects.unanswered(NEVER, NEVER, "m1", 5) is None
    assert effects.unanswered(FAST, FAST, "m1", 5) is None
    assert effects.slower(FAST, SLOW, "m1", 200, 5) is not None
    assert effects.slower(FAST, SLOW, "m1", 201, 5) is None
    assert effects.slower(NEVER, SLOW, "m1", 0, 5) is None
    assert effects.answer_lost(FAST, NEVER, "m1", 5, arrived=True) is not None
    assert effects.answer_lost(FAST, NEVER, "m1", 5, arrived=False) is None
    assert effects.answer_lost(FAST, FAST, "m1", 5, arrived=True) is None


@pytest.mark.parametrize("control_ms", [None, 400])
def test_a_probe_does_not_count_where_the_member_or_the_machine_is_slow_anyway(control_ms) -> None:
    """What a direct round trip suffers too is not the links' doing."""
    assert effects.unanswered(FAST, replace(NEVER, control_ms=control_ms), "m1", 5) is None
    assert effects.slower(FAST, replace(SLOW, elapsed_ms=450, control_ms=control_ms), "m1", 200, 5) is None


def test_counters_count_what_was_added() -> None:
    """Only growth since the strike began is an effect, in the direction that was struck."""
    before = (LinkCounters(swallowed_upstream=5, swallowed_downstream=5, refused=1),)
    after = (LinkCounters(swallowed_upstream=9, swallowed_downstream=5, refused=3),)
    assert effects.bytes_swallowed(before, after, "upstream", "m1", 5).details == {"bytes": 4}
    assert effects.bytes_swallowed(before, after, "downstream", "m1", 5) is None
    assert effects.connections_refused(before, after, "m1", 5).details == {"connections": 2}
    assert effects.connections_refused(after, after, "m1", 5) is None
    assert effects.failpoint_hits(3, 5, "m1", "insert failed", 5).details == {"hits": 2}
    assert effects.failpoint_hits(3, 3, "m1", "insert failed", 5) is None
    assert effects.clients_died(0, 1, 2, 5) is not None
    assert effects.clients_died(1, 1, 2, 5) is None


def test_heartbeats_count_by_their_growth() -> None:
    """A set that is slow anyway is not slowed by the fault."""
    assert effects.heartbeats_slower([1, 2], [50, 60], "m1", 40, 5) is not None
    assert effects.heartbeats_slower([30, 50], [50, 60], "m1", 40, 5) is None
    assert effects.heartbeats_slower([], [50, 60], "m1", 40, 5) is None
