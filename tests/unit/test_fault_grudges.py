"""Grudges: which links a partition cuts."""

from __future__ import annotations

from itertools import permutations

import pytest

from harness.faults.partitions import between, bridge, halves, in_words, isolate, one_way, ring
from harness.interfaces.link import Link

THREE = ("m1", "m2", "m3")
FIVE = ("m1", "m2", "m3", "m4", "m5")


def reach(members, cut):
    """Whom each member can still open connections to, itself included."""
    return {a: frozenset(b for b in members if a == b or Link(a, b) not in set(cut)) for a in members}


def symmetric(cut):
    """Whether each pair that is cut is cut both ways."""
    return {Link(b, a) for a, b in cut} == set(cut)


@pytest.mark.parametrize("members", [THREE, FIVE])
def test_isolate_cuts_the_victim_from_all_others_both_ways(members) -> None:
    """The victim reaches nobody and nobody reaches it; the others reach each other."""
    for victim in members:
        cut = isolate(members, victim)
        others = frozenset(members) - {victim}
        assert reach(members, cut) == {victim: frozenset({victim}), **dict.fromkeys(others, others)}


@pytest.mark.parametrize(("members", "sizes"), [(THREE, {1, 2}), (FIVE, {2, 3})])
def test_halves_are_a_minority_and_a_majority(members, sizes) -> None:
    """Two groups remain, of the two sizes, that do not reach each other."""
    groups = set(reach(members, halves(members)).values())
    assert {len(group) for group in groups} == sizes
    assert frozenset.union(*groups) == frozenset(members)
    assert symmetric(halves(members))


@pytest.mark.parametrize("members", [THREE, FIVE])
def test_in_a_ring_each_reaches_a_majority_and_no_two_the_same(members) -> None:
    """Every member reaches exactly a majority, and each a different one, whatever the order of the ring."""
    for order in permutations(members):
        views = reach(members, ring(order))
        assert {len(view) for view in views.values()} == {len(members) // 2 + 1}
        assert len(set(views.values())) == len(members)


def test_a_ring_of_five_is_symmetric_and_one_of_three_is_not() -> None:
    """With five each reaches one neighbour on either side; with three every pair is cut in one direction."""
    assert symmetric(ring(FIVE))
    cut = ring(THREE)
    assert len(cut) == 3
    assert not any(Link(b, a) in cut for a, b in cut)


@pytest.mark.parametrize("members", [THREE, FIVE])
def test_over_a_bridge_one_member_reaches_all_and_the_halves_only_it(members) -> None:
    """The member in the middle reaches everybody; the others reach their own half and the middle."""
    middle = members[len(members) // 2]
    views = reach(members, bridge(members))
    assert views.pop(middle) == frozenset(members)
    groups = {view - {middle} for view in views.values()}
    assert len(groups) == 2
    assert {len(group) for group in groups} == {len(members) // 2}
    assert symmetric(bridge(members))


@pytest.mark.parametrize("silenced", [True, False])
def test_one_way_cuts_exactly_one_direction(silenced: bool) -> None:
    """Only what one side initiates is lost."""
    cut = one_way(FIVE, "m2", silenced=silenced)
    assert len(cut) == 4
    assert all((link.source if silenced else link.destination) == "m2" for link in cut)
    assert not any(Link(b, a) in cut for a, b in cut)


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (isolate(THREE, "m2"), ("m2 from m1 and m3",)),
        (isolate(FIVE, "m1"), ("m1 from m2 and m3 and m4 and m5",)),
        (halves(FIVE), ("m1 and m2 from m3 and m4 and m5",)),
        (bridge(THREE), ("m1 from m3",)),
        (one_way(THREE, "m1", silenced=True), ("m1→m2", "m1→m3")),
        (ring(THREE), ("m1→m3", "m2→m1", "m3→m2")),
    ],
)
def test_a_cut_is_told_by_its_sides(cut, words) -> None:
    """A reader learns who is parted from whom, not a list of links."""
    assert in_words(cut) == words


@pytest.mark.parametrize("grudge", [ring, bridge, halves])
def test_the_words_for_a_cut_name_every_link_once(grudge) -> None:
    """Expanding the words gives the cut again, whatever its shape."""
    cut = grudge(FIVE)
    told = []
    for words in in_words(cut):
        sides = words.split(" from ")
        if len(sides) == 2:
            left, right = (side.split(" and ") for side in sides)
            told += between(left, right)
        elif "↔" in words:
            told += between(*([end] for end in words.split("↔")))
        else:
            told.append(Link(*words.split("→")))
    assert sorted(told) == sorted(cut)
