"""The map that keeps its versions: every version is what a copied dict would be, for ever."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sim.server import document_map
from harness.sim.server.document_map import PLAIN_MAX, VersionedMap, drop, put


def test_a_small_map_is_a_plain_dict():
    """Below the limit nothing but dicts are made."""
    small = put({"a": 1}, "b", 2)
    assert type(small) is dict
    assert small == {"a": 1, "b": 2}
    assert drop(small, "a") == {"b": 2}
    with pytest.raises(KeyError):
        drop(small, "z")


def test_a_large_map_is_not_copied():
    """Beyond the limit a change keeps all versions readable without a table for each."""
    versions = [dict.fromkeys(range(PLAIN_MAX), 0)]
    for number in range(1000):
        versions.append(put(versions[-1], PLAIN_MAX + number, number))
    assert sum(1 for each in versions[1:] if each._table is not None) == 1
    assert [len(each) for each in versions] == [PLAIN_MAX + number for number in range(1001)]
    assert versions[-1][PLAIN_MAX + 7] == 7
    assert PLAIN_MAX + 7 not in versions[7]
    assert versions[8][PLAIN_MAX + 7] == 7


def test_who_iterates_is_not_disturbed():
    """Entries that come later are not seen by who began before, and do not end the iteration."""
    before = put(dict.fromkeys(range(PLAIN_MAX), 0), "a", 1)
    keys = iter(before)
    next(keys)
    after = drop(put(before, "b", 2), 5)
    assert [*keys] == [*range(1, PLAIN_MAX), "a"]
    assert "b" in after
    assert 5 not in after


def test_two_branches_go_their_own_ways():
    """A version that was changed already can be changed again, as after a rollback."""
    common = put(dict.fromkeys(range(PLAIN_MAX), 0), "a", 1)
    left, right = put(common, "a", 2), put(common, "a", 3)
    assert (common["a"], left["a"], right["a"]) == (1, 2, 3)
    assert put(left, "z", 0)["a"] == 2


CHANGES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.booleans()), max_size=40)


@settings(max_examples=100, deadline=None)
@given(CHANGES, st.sampled_from([0, 4]), st.integers(0, 40))
def test_every_version_is_a_dict(changes, plain_max, read):
    """Random changes of recent versions: entries, order, lengths and lookups are those of copied dicts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_map, "PLAIN_MAX", plain_max)
        versions: list = [{}]
        expected: list[dict] = [{}]
        for number, (back, key, drops) in enumerate(changes):
            chosen = max(0, len(versions) - 1 - back)
            copied = dict(expected[chosen])
            if key in copied and drops:
                del copied[key]
                versions.append(drop(versions[chosen], key))
            else:
                copied[key] = number
                versions.append(put(versions[chosen], key, number))
            expected.append(copied)
            asked = min(read, len(versions) - 1)
            assert versions[asked].get(key, "none") == expected[asked].get(key, "none")
        for version, copied in zip(versions, expected, strict=True):
            assert [*version.items()] == [*copied.items()]
            assert [*version] == [*copied]
            assert [*version.values()] == [*copied.values()]
            assert (len(version), version) == (len(copied), copied)
            assert all((key in version) == (key in copied) for key in range(9))


def test_a_key_that_is_not_there_is_an_error():
    """As of a dict."""
    large = put(dict.fromkeys(range(PLAIN_MAX), 0), "a", 1)
    assert isinstance(large, VersionedMap)
    for call in (lambda: large["z"], lambda: drop(large, "z"), lambda: drop(drop(large, "a"), "a")):
        with pytest.raises(KeyError):
            call()
    assert large.get("z") is None
