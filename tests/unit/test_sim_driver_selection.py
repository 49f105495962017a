"""Which member the driver model sends a command to, and how long it waits for one."""

from __future__ import annotations

import pytest
from pymongo import ReadPreference
from pymongo.errors import AutoReconnect, NotPrimaryError, ServerSelectionTimeoutError
from pymongo.read_preferences import Nearest, Secondary
from scripted_network import Rig, failure, refusal

from harness.errors import BackendError, UsageError

TARGETS = {
    "primary": (["m1"], []),
    "primaryPreferred": (["m1"], ["m2", "m3"]),
    "secondary": (["m2", "m3"], ["m2", "m3"]),
    "secondaryPreferred": (["m2", "m3"], ["m2", "m3"]),
    "nearest": (["m1", "m2", "m3"], ["m2", "m3"]),
}


class Choosing:
    """A strategy that takes these options, by kind, and the default where none is left."""

    def __init__(self, **wanted):
        self.wanted = {kind: list(labels) for kind, labels in wanted.items()}
        self.asked = []

    def begin(self, kernel):
        """Need nothing of it."""

    def choose(self, kind, options, default, footprints):
        """Take the wanted option."""
        self.asked.append((kind, list(options)))
        labels = self.wanted.get(kind)
        return list(options).index(labels.pop(0)) if labels else default


@pytest.mark.parametrize("mode", TARGETS)
def test_reads_go_where_their_preference_allows(mode):
    """Each candidate is an option of the choice, in the order of the members; the first is the default."""
    with_primary, without = TARGETS[mode]
    for candidates, primaries, unreachable in ((with_primary, {"m1": 1}, set()), (without, {}, {"m1"})):
        strategy = Choosing()
        rig = Rig(f"readPreference={mode}", strategy=strategy)
        rig.network.terms = primaries
        rig.network.unreachable = unreachable
        if not candidates:
            assert type(rig.error(rig.orders.find_one({}))) is ServerSelectionTimeoutError
            continue
        rig.run(rig.orders.find_one({}))
        assert rig.network.targets == candidates[:1]
        asked = [options for kind, options in strategy.asked if kind == "server"]
        assert asked == ([candidates] if len(candidates) > 1 else [])


def test_a_preference_is_sent_unless_it_is_the_default():
    """The member is told the preference, as mongod needs it to answer on a secondary."""
    rig = Rig("readPreference=secondary")
    rig.run(rig.orders.find_one({}))
    rig.run(rig.orders.with_options(read_preference=ReadPreference.PRIMARY).find_one({}))
    assert rig.network.commands[0]["$readPreference"] == {"mode": "secondary"}
    assert "$readPreference" not in rig.network.commands[1]


def test_tags_match_no_member():
    """The members of a simulated set have no tags."""
    rig = Rig()
    orders = rig.orders.with_options(read_preference=Secondary(tag_sets=[{"dc": "east"}]))
    assert type(rig.error(orders.find_one({}))) is ServerSelectionTimeoutError
    orders = rig.orders.with_options(read_preference=Secondary(tag_sets=[{"dc": "east"}, {}]))
    rig.run(orders.find_one({}))


def test_staleness_is_refused_in_words():
    """What is not modelled is not silently ignored."""
    with pytest.raises(BackendError, match="maxStalenessSeconds"):
        Rig().orders.with_options(read_preference=Nearest(max_staleness=120))


def test_writes_wait_for_a_primary():
    """A write outlives an election: it goes to the new primary as soon as there is one."""
    rig = Rig()
    rig.network.terms = {}
    rig.kernel.call_at(rig.kernel.now_us + 1_500_000, "election", lambda: rig.network.change({"m3": 2}))
    rig.run(rig.orders.insert_one({"_id": 1}))
    assert rig.network.targets == ["m3"]
    assert 1_500_000 <= rig.elapsed_us < 1_600_000


@pytest.mark.parametrize(
    ("unreachable", "call", "text"),
    [
        (set(), lambda orders: orders.insert_one({"_id": 1}), "No primary available for writes, Timeout: 3.0s"),
        (set(), lambda orders: orders.find_one({}), 'No replica set members match selector "Primary()"'),
        ({"m1", "m2", "m3"}, lambda orders: orders.find_one({}), "m1:27017: [Errno 111] Connection refused"),
    ],
)
def test_selection_gives_up_after_three_seconds(unreachable, call, text):
    """The error says what was looked for and what the client sees of the set."""
    rig = Rig()
    rig.network.terms = {}
    rig.network.unreachable = unreachable
    error = rig.error(call(rig.orders))
    assert type(error) is ServerSelectionTimeoutError
    assert text in str(error)
    assert "ReplicaSetNoPrimary" in str(error)
    assert 3_000_000 <= rig.elapsed_us < 3_100_000
    assert rig.network.sent == []


def test_the_primary_of_the_newest_election_counts():
    """Of two that claim to be primary the later elected is believed."""
    rig = Rig()
    rig.network.terms = {"m1": 1, "m2": 2}
    rig.run(rig.orders.insert_one({"_id": 1}))
    assert rig.network.targets == ["m2"]


def test_a_primary_of_an_election_before_the_newest_seen_is_none():
    """A client that has seen a newer primary does not go back to an old one that alone is left to it."""
    rig = Rig()

    async def calls():
        rig.network.change({"m1": 1, "m2": 2})
        await rig.orders.insert_one({"_id": 1})
        rig.network.change({"m1": 1}, {"m2"})
        await rig.kernel.sleep(600_000)
        await rig.orders.insert_one({"_id": 2})

    assert type(rig.error(calls())) is ServerSelectionTimeoutError
    assert rig.network.targets == ["m2"]


def test_a_client_may_be_stale_for_half_a_second_after_a_change():
    """By choice it goes on with what it knew; after that, or without that choice, it knows."""
    strategy = Choosing(discover=["stale"])
    rig = Rig(strategy=strategy)

    async def calls():
        await rig.orders.find_one({})
        rig.network.change({"m2": 2})
        await rig.orders.find_one({})
        await rig.orders.find_one({})
        rig.network.change({"m3": 3})
        await rig.kernel.sleep(500_000)
        await rig.orders.find_one({})

    rig.run(calls())
    assert rig.network.targets == ["m1", "m1", "m2", "m3"]
    assert [options for kind, options in strategy.asked if kind == "discover"] == [["fresh", "stale"]] * 2


def test_a_refusal_ends_staleness():
    """A member that says it is not primary is not asked again on the strength of old news."""
    strategy = Choosing(discover=["stale", "stale"])
    rig = Rig(strategy=strategy)
    rig.network.default = lambda member, _command: (
        refusal(10107, "NotWritablePrimary", "RetryableWriteError") if member == "m1" else {"n": 1, "ok": 1.0}
    )

    async def calls():
        rig.network.change({"m1": 1})
        with pytest.raises(NotPrimaryError):
            await rig.orders.update_many({}, {"$set": {"n": 1}})
        rig.network.change({"m2": 2})
        await rig.orders.insert_one({"_id": 1})

    rig.run(calls())
    assert rig.network.targets == ["m1", "m2"]
    assert not any(kind == "discover" for kind, _ in strategy.asked)


def test_a_broken_connection_costs_the_sight_of_the_member():
    """For half a second the member is unknown; if it is still primary then, the repetition goes there."""
    rig = Rig()
    rig.network.answers.append(failure("reset"))
    rig.run(rig.orders.insert_one({"_id": 1}))
    assert rig.network.targets == ["m1", "m1"]
    assert 500_000 <= rig.elapsed_us < 600_000


def test_a_new_primary_is_found_while_the_old_is_out_of_sight():
    """The repetition goes to whoever is primary first."""
    rig = Rig()
    rig.network.answers.append(failure("reset"))
    rig.kernel.call_at(rig.kernel.now_us + 100_000, "election", lambda: rig.network.change({"m2": 2}))
    rig.run(rig.orders.insert_one({"_id": 1}))
    assert rig.network.targets == ["m1", "m2"]
    assert 100_000 <= rig.elapsed_us < 200_000


def test_a_silent_member_stays_known():
    """After a socket time-out the member is not given up: only the connection is."""
    rig = Rig()
    rig.network.answers.extend([{"n": 1, "ok": 1.0}, failure("timeout")])

    async def calls():
        await rig.orders.insert_one({"_id": 1})
        await rig.orders.insert_one({"_id": 2})

    rig.run(calls())
    assert 5_000_000 <= rig.elapsed_us < 5_100_000
    assert rig.network.connections[1] != rig.network.connections[2]


def test_connections_are_used_again_until_they_break():
    """One after the other uses one connection; side by side each has its own."""
    rig = Rig("retry=none", strategy=Choosing(run=["client 1.1", "client 1.2"]))

    async def calls():
        await rig.orders.find_one({})
        await rig.orders.find_one({})
        await rig.env.gather(rig.orders.find_one({}), rig.orders.find_one({}))
        rig.network.answers.append(failure("reset"))
        with pytest.raises(AutoReconnect):
            await rig.orders.find_one({})
        await rig.orders.find_one({})

    rig.run(calls())
    first, second, third, fourth, fifth, sixth = rig.network.connections
    assert first == second
    assert third != fourth
    assert sixth not in {first, third, fourth, fifth}


def test_a_cursor_stays_with_its_member():
    """Both getMore and killCursors go where the query went, whoever is primary by then."""
    rig = Rig("readPreference=secondary", strategy=Choosing(server=["m3"]))
    rig.network.answers.append({"cursor": {"id": 7, "ns": "shop.orders", "firstBatch": [{"_id": 1}]}, "ok": 1.0})
    rig.network.answers.append({"cursor": {"id": 7, "ns": "shop.orders", "nextBatch": [{"_id": 2}]}, "ok": 1.0})

    async def calls():
        cursor = rig.orders.find({}, batch_size=1)
        await cursor.next()
        rig.network.change({"m3": 2})
        await cursor.next()
        await cursor.close()

    rig.run(calls())
    assert rig.network.names == ["find", "getMore", "killCursors"]
    assert rig.network.targets == ["m3", "m3", "m3"]
    assert "$readPreference" not in rig.network.commands[1]


def test_settings_that_pymongo_refuses_are_refused():
    """w:0 and a journal do not go together."""
    with pytest.raises(UsageError, match="w=0"):
        Rig("w=0,j=true")
