"""Replication, acknowledgements, reads and the journal of the simulated set."""

from typing import Any

import pytest
from random_strategy import RandomStrategy
from sim_turmoil import Outcome, Turmoil
from sim_values import START_US, Values, values_of

from harness.interfaces.link import Link
from harness.sim.kernel import StandstillError
from harness.sim.server.defects import Defects
from harness.sim.server.write_concern import WriteConcern

ONE = WriteConcern(w=1)
JOURNALED = WriteConcern(w=1, j=True)
PARTITION = [Link("m1", "m2"), Link("m1", "m3"), Link("m2", "m1"), Link("m3", "m1")]
SECOND_US = 1_000_000


class Chooses:
    """Takes the named option of a kind wherever it is offered, the default elsewhere; ``last`` is the last option."""

    def __init__(self, **labels: str) -> None:
        self._labels = {kind.replace("_", "-"): label for kind, label in labels.items()}

    def begin(self, kernel: Any) -> None:
        pass

    def choose(self, kind: str, options: Any, default: int, footprints: Any) -> int:
        label = self._labels.get(kind)
        if label == "last":
            return len(options) - 1
        return options.index(label) if label in options else default


def test_a_write_is_replicated_and_committed_by_default() -> None:
    """In a healthy set and without deviations every member shows an acknowledged write at every read concern."""
    values = Values()

    async def body() -> list[Any]:
        assert await values.write(1) == {"ok": 1.0, "time": values.set.members["m1"].last.timestamp}
        return [await values.read(level, name) for level in ("local", "majority") for name in values.set.members]

    assert all(reply["values"] == {1} for reply in values.run(body()))
    assert values.kernel.deviations == []


def test_a_secondary_may_be_behind_and_never_goes_back() -> None:
    """A local read on a secondary sees some prefix of the primary's log, and later reads no shorter one."""
    seen: set[int] = set()
    for seed in range(40):
        values = Values(RandomStrategy(seed, 0.6))

        async def body(values: Values = values) -> list[int]:
            counts = []
            for value in range(5):
                await values.write(value, concern=ONE)
                counts.append(len((await values.read("local", "m2"))["values"]))
            return counts

        counts = values.run(body())
        assert counts == sorted(counts)
        seen |= {number - count for number, count in enumerate(counts, 1)}
    assert {0, 1, 2} <= seen


def test_at_most_one_secondary_lacks_what_a_majority_acknowledged() -> None:
    """After a majority write either secondary may be stale, but not both."""
    found = set()
    for seed in range(60):
        values = Values(RandomStrategy(seed, 0.7))

        async def body(values: Values = values) -> tuple[bool, bool]:
            await values.write(1)
            replies = [await values.read("local", name) for name in ("m2", "m3")]
            return tuple(1 in reply["values"] for reply in replies)  # type: ignore[return-value]

        found.add(values.run(body()))
    assert found == {(True, True), (True, False), (False, True)}


def test_three_of_three_means_every_member() -> None:
    """After w:3 no member is without the write, whatever is chosen."""
    for seed in range(20):
        values = Values(RandomStrategy(seed, 0.9))

        async def body(values: Values = values) -> list[Any]:
            await values.write(1, concern=WriteConcern(w=3))
            return [await values.read("local", name) for name in ("m2", "m3")]

        assert all(reply["values"] == {1} for reply in values.run(body()))


def test_a_majority_write_times_out_in_a_partition_and_stays_applied() -> None:
    """A wtimeout is answered with code 64 and its errInfo, and the primary still has the document."""
    values = Values()

    async def body() -> tuple[Any, Any]:
        values.set.cut(PARTITION)
        reply = await values.write(1, concern=WriteConcern(wtimeout_ms=100))
        return reply, await values.read("local")

    reply, read = values.run(body())
    error = reply["writeConcernError"]
    assert (error["code"], error["codeName"]) == (64, "WriteConcernFailed")
    assert error["errInfo"] == {
        "wtimeout": True,
        "writeConcern": {"w": "majority", "wtimeout": 100, "provenance": "clientSupplied"},
    }
    assert read["values"] == {1}


def test_a_step_down_interrupts_the_wait_for_a_majority() -> None:
    """An isolated primary steps down after the election timeout, and who waits for a majority gets 11602."""
    values = Values()

    async def body() -> Any:
        values.set.cut(PARTITION)
        return await values.write(1), values.kernel.now_us

    reply, now_us = values.run(body())
    assert reply["writeConcernError"]["code"] == 11602
    assert now_us - START_US == pytest.approx(SECOND_US, abs=10_000)


@pytest.mark.parametrize(("w", "code"), [(4, 100), ("elsewhere", 79)])
def test_a_concern_that_no_set_can_satisfy_is_refused_after_the_write(w: Any, code: int) -> None:
    """Too many members and unknown modes are a writeConcernError at once, and the write is applied."""
    values = Values()

    async def body() -> tuple[Any, Any]:
        return await values.write(1, concern=WriteConcern(w=w)), await values.read("local")

    reply, read = values.run(body())
    assert reply["writeConcernError"]["code"] == code
    assert read["values"] == {1}


@pytest.mark.parametrize(("defect", "acknowledged"), [(True, True), (False, False)])
def test_what_changes_nothing_is_majority_acknowledged_without_a_quorum(defect: bool, acknowledged: bool) -> None:
    """A stale primary acknowledges a no-op whose last entry is committed; with the defect off it waits."""
    values = Values(defects=Defects(noop_majority_acknowledgement=defect))
    primary = values.set.members["m1"]

    async def body() -> Any:
        await values.write(1)
        values.set.cut(PARTITION)
        return await values.set.await_write_concern(primary, primary.last, WriteConcern(wtimeout_ms=200))

    assert (values.run(body()) is None) is acknowledged


def test_a_majority_read_on_a_stale_primary_is_stale() -> None:
    """An ex-primary that does not know of its successor answers majority reads from before, linearizable not at all."""
    values = Values(Chooses(election="early"))

    async def body() -> tuple[Any, Any, Any]:
        await values.write(1)
        values.set.cut(PARTITION)
        await values.kernel.sleep(900_000)
        primary = values.set.primary
        assert primary is not None
        acknowledged = await values.write(2, primary.name)
        assert primary.name != "m1"
        linearizable = await values.read("linearizable", until_us=values.kernel.now_us + 50_000)
        return acknowledged, await values.read("majority"), linearizable

    acknowledged, majority, linearizable = values.run(body())
    assert "writeConcernError" not in acknowledged
    assert majority["values"] == {1}
    assert linearizable["code"] == 50


def test_a_majority_read_never_shows_what_is_not_committed() -> None:
    """In a partition a primary's majority read does not show its newest write, its local read does."""
    values = Values()

    async def body() -> tuple[Any, Any]:
        values.set.cut(PARTITION)
        await values.write(1, concern=ONE)
        return await values.read("majority"), await values.read("local")

    majority, local = values.run(body())
    assert (majority["values"], local["values"]) == (frozenset(), {1})


def test_a_causal_read_waits_for_its_time() -> None:
    """A read after a cluster time blocks on a lagged secondary until 50, and sees the write once it caught up."""
    values = Values()

    async def body() -> list[Any]:
        values.set.lag("m2", on=True)
        time = (await values.write(1))["time"]
        values.set.note_cluster_time(values.set.members["m2"], time)
        stale = await values.read("local", "m2")
        late = await values.read("local", "m2", after=time, until_us=values.kernel.now_us + 1_000)
        values.set.lag("m2", on=False)
        return [
            stale,
            late,
            await values.read("local", "m2", after=time),
            await values.read("majority", "m2", after=time),
        ]

    stale, late, local, majority = values.run(body())
    assert stale["values"] == frozenset()
    assert late["code"] == 50
    assert local["values"] == majority["values"] == {1}


def test_a_snapshot_read_sees_its_time() -> None:
    """A snapshot read at a cluster time sees what was committed by then, and no more."""
    values = Values()

    async def body() -> Any:
        time = (await values.write(1))["time"]
        await values.write(2)
        values.set.note_cluster_time(values.set.members["m2"], time)
        return await values.read("snapshot", "m2", at=time), await values.read("snapshot", "m2")

    at, newest = values.run(body())
    assert (at["values"], newest["values"]) == ({1}, {1, 2})


def test_the_clock_of_a_skewed_primary_stays_in_the_cluster_time() -> None:
    """A primary whose clock is ahead pushes cluster time ahead, and its successor does not go back."""
    values = Values(clock_skew_us={"m1": 60 * SECOND_US})

    async def body() -> tuple[int, int]:
        time = (await values.write(1))["time"]
        await values.set.step_down("m1")
        await values.set.wait_healthy(5 * SECOND_US)
        primary = values.set.primary
        assert primary is not None
        return time, (await values.write(2, primary.name))["time"]

    first, second = values.run(body())
    assert (first >> 32) * SECOND_US == START_US + 60 * SECOND_US
    assert second > first


def _survivors(concern: WriteConcern, *, after_us: int = 0, **configuration: Any) -> frozenset[int]:
    values = Values(Chooses(durable="last", commit="last"), **configuration)

    async def body() -> frozenset[int]:
        await values.write(1, concern=concern)
        await values.kernel.sleep(after_us)
        for name in ("m1", "m2", "m3"):
            values.set.kill(name)
        await values.set.settle()
        primary = values.set.primary
        assert primary is not None
        return values_of(values.set.applied(primary))

    return values.run(body())  # type: ignore[no-any-return]


def test_killing_every_member_may_lose_what_was_not_journaled() -> None:
    """A crash of all loses an acknowledged w:1 write; never one with j, by a majority, or older than the interval."""
    assert _survivors(ONE) == frozenset()
    assert _survivors(JOURNALED) == {1}
    assert _survivors(WriteConcern()) == {1}
    assert _survivors(ONE, after_us=150_000) == {1}


def test_without_journal_default_a_majority_does_not_survive_the_crash_of_all() -> None:
    """Set to false, writeConcernMajorityJournalDefault acknowledges what only memory holds; j:true is safe even so."""
    assert _survivors(WriteConcern(), journal_default=False) == frozenset()
    assert _survivors(WriteConcern(j=True), journal_default=False) == {1}


def test_a_server_that_ignores_the_journal_loses_what_it_promised() -> None:
    """With the defect, j:true and majority writes are lost in a crash of all."""
    wrong = {"defects": Defects(journal_ignored=True), "check_invariants": False}
    assert _survivors(JOURNALED, **wrong) == frozenset()
    assert _survivors(WriteConcern(), **wrong) == frozenset()


def test_a_read_that_nothing_can_satisfy_stands_still() -> None:
    """A read without a deadline after a time that no member reaches ends where the kernel has no timer left."""
    values = Values()
    member = values.set.members["m1"]

    async def body() -> Any:
        for name in ("m2", "m3"):
            values.set.kill(name)
        await values.kernel.sleep(2 * SECOND_US)
        time = member.last.timestamp + 1
        values.set.note_cluster_time(member, time)
        return await values.read("majority", after=time)

    values.kernel.spawn("client", body())
    values.kernel.spawn("end", values.kernel.sleep(60 * SECOND_US))
    with pytest.raises(StandstillError):
        values.kernel.run()
    values.kernel.close()


def test_the_same_seed_is_the_same_run() -> None:
    """Turmoil of one seed has one digest, and another seed another."""
    digests = [Turmoil(seed).run().digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def _length(values: Values) -> int:
    length, entry = 0, values.set.members["m1"].last.previous
    while entry is not None:
        length, entry = length + 1, entry.previous
    return length


def test_a_limited_oplog_forgets_what_nobody_needs() -> None:
    """With a limit the log stays about that long; what a lagged member is at is kept, and it still catches up."""
    values = Values(oplog_limit=100)

    async def body() -> list[Any]:
        lengths = []
        for lagged in (False, True, False):
            values.set.lag("m3", on=lagged)
            for value in range(500):
                await values.write(value % 7, concern=ONE)
            lengths.append(_length(values))
        return [*lengths, await values.read("local", "m3")]

    short, grown, short_again, read = values.run(body())
    assert 100 <= short < 200
    assert grown >= 500
    assert 100 <= short_again < 200
    assert read["values"] == set(range(7))


def test_a_limited_oplog_keeps_every_promise() -> None:
    """Turmoil with a small limit breaks nothing."""
    for seed in range(30):
        outcome = Turmoil(seed, oplog_limit=10, operations=60, faults=8).run()
        assert not outcome.lost_of_majority, seed
        assert not outcome.rolled_back_reads, seed


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_promises_hold_in_turmoil(part: int) -> None:
    """Over 2,400 runs of random faults, no invariant breaks and no promise of a majority is broken; w:1 loses."""
    lost = 0
    for seed in range(600 * part, 600 * (part + 1)):
        outcome = Turmoil(seed, probability=(0.1, 0.4)[seed % 2], faults=8).run()
        assert not outcome.lost_of_majority, seed
        assert not outcome.rolled_back_reads, seed
        assert not outcome.stale_linearizable_reads, seed
        lost += bool(outcome.lost_of_one)
    assert lost > 5


@pytest.mark.slow
def test_promises_hold_among_five_members() -> None:
    """So it is with five members, where majorities overlap in one."""
    members = ("m1", "m2", "m3", "m4", "m5")
    for seed in range(200):
        outcome = Turmoil(seed, members=members, faults=14, clients=4, probability=0.4).run()
        assert not outcome.lost_of_majority, seed
        assert not outcome.rolled_back_reads, seed
        assert not outcome.stale_linearizable_reads, seed


@pytest.mark.slow
def test_without_journal_default_turmoil_breaks_no_other_promise() -> None:
    """Crashes may then take what a majority acknowledged, which the invariants allow for, and nothing else breaks."""
    for seed in range(300):
        Turmoil(seed, journal_default=False, faults=14, operations=16, probability=0.4).run()


def _breaks(outcome: Outcome) -> set[str]:
    found = {
        "lost of majority": outcome.lost_of_majority,
        "rolled back read": outcome.rolled_back_reads,
        "stale linearizable read": outcome.stale_linearizable_reads,
    }
    return {name for name, values in found.items() if values}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "breaks"),
    [
        ("commit_point_from_one_member", "lost of majority"),
        ("majority_acknowledged_at_once", "lost of majority"),
        ("candidate_behind_elected", "lost of majority"),
        ("majority_read_from_future", "rolled back read"),
        ("linearizable_read_without_quorum", "rolled back read"),
    ],
)
def test_a_wrong_server_shows(defect: str, breaks: str) -> None:
    """Each defect breaks, in what clients see, the promise that it is about."""
    for seed in range(600):
        turmoil = Turmoil(seed, faults=8, defects=Defects(**{defect: True}), check_invariants=False)
        if breaks in _breaks(turmoil.run()):
            return
    pytest.fail(f"{breaks} was not seen")


def test_a_stale_majority_read_is_one_that_misses_an_acknowledged_write() -> None:
    """With the defect the primary's own majority read does not show what it has just acknowledged."""
    values = Values(defects=Defects(stale_majority_read=True))

    async def body() -> Any:
        await values.write(1)
        return await values.read("majority")

    assert values.run(body())["values"] == frozenset()


def test_a_server_that_ignores_after_cluster_time_answers_at_once() -> None:
    """With the defect a causal read on a lagged secondary is stale instead of late."""
    values = Values(defects=Defects(after_cluster_time_ignored=True))

    async def body() -> Any:
        values.set.lag("m2", on=True)
        time = (await values.write(1))["time"]
        values.set.note_cluster_time(values.set.members["m2"], time)
        return await values.read("local", "m2", after=time)

    assert values.run(body())["values"] == frozenset()
