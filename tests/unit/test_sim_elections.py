"""Elections, step-downs, and what they promise."""

from typing import Any

import pytest
from random_strategy import RandomStrategy
from sim_turmoil import Turmoil
from sim_values import START_US, Values, values_of

from harness.interfaces.link import Link
from harness.sim.server.defects import Defects
from harness.sim.server.errors import SimulatorError
from harness.sim.server.write_concern import WriteConcern

ONE = WriteConcern(w=1)
SECOND_US = 1_000_000


def around(name: str, names: tuple[str, ...] = ("m1", "m2", "m3")) -> list[Link]:
    return [link for other in names if other != name for link in (Link(name, other), Link(other, name))]


async def _wait_for_other_primary(values: Values, name: str, limit_us: int = 5 * SECOND_US) -> tuple[str, int]:
    begin = values.kernel.now_us
    while values.set.primary is None or values.set.primary.name == name:
        assert values.kernel.now_us < begin + limit_us
        await values.kernel.wait(values.set.reach_changed, begin + limit_us)
    return values.set.primary.name, values.kernel.now_us - begin


@pytest.mark.parametrize("fault", ["kill", "pause", "cut"])
def test_a_lost_primary_is_replaced_after_the_election_timeout(fault: str) -> None:
    """A killed, a stopped, and an isolated primary are replaced one second later, in a higher term."""
    values = Values()

    async def body() -> Any:
        if fault == "cut":
            values.set.cut(around("m1"))
        else:
            getattr(values.set, fault)("m1")
        return await _wait_for_other_primary(values, "m1")

    name, took_us = values.run(body())
    assert name == "m2"
    assert took_us == SECOND_US
    assert values.set.members["m2"].term == 2


def test_a_minority_elects_nobody() -> None:
    """With two of three members gone, the third stays secondary and takes no writes."""
    values = Values()

    async def body() -> Any:
        values.set.kill("m1")
        values.set.kill("m2")
        await values.kernel.sleep(10 * SECOND_US)
        return await values.write(1, "m3")

    assert values.run(body())["code"] == 10107


def test_an_isolated_primary_takes_writes_until_it_steps_down() -> None:
    """For the election timeout it acknowledges w:1, then it answers 10107."""
    values = Values()

    async def body() -> list[Any]:
        values.set.cut(around("m1"))
        before = await values.write(1, concern=ONE)
        await values.kernel.sleep(SECOND_US)
        return [before, await values.write(2, concern=ONE)]

    before, after = values.run(body())
    assert before["ok"] == 1.0
    assert after["code"] == 10107


def test_two_primaries_may_coexist_in_different_terms() -> None:
    """Where the election comes early, an isolated primary and its successor both take writes for a moment."""
    both = 0
    for seed in range(30):
        values = Values(RandomStrategy(seed, 0.0, {"election": 1.0}))

        async def body(values: Values = values) -> int:
            values.set.cut(around("m1"))
            await values.kernel.sleep(900_000)
            primaries = [member for member in values.set.in_order if member.is_primary]
            assert len({member.last.term for member in primaries}) == len(primaries)
            return len(primaries)

        both += values.run(body()) == 2
    assert both > 3


def test_a_primary_reached_over_another_member_stays_primary() -> None:
    """A secondary that reaches the primary over a chain alone neither runs for election nor stops replicating."""
    values = Values()

    async def body() -> Any:
        values.set.cut([Link("m3", "m1"), Link("m1", "m3")])
        await values.kernel.sleep(5 * SECOND_US)
        await values.write(1)
        return await values.read("local", "m3")

    assert values.run(body())["values"] == {1}
    assert values.set.members["m1"].is_primary
    assert values.set.members["m3"].via is values.set.members["m2"]


def test_a_chained_member_is_never_ahead_of_its_source() -> None:
    """Who pulls through another member has nothing that the other has not."""
    for seed in range(60):
        values = Values(RandomStrategy(seed, 0.7))

        async def body(values: Values = values) -> tuple[frozenset[int], frozenset[int]]:
            values.set.cut([Link("m3", "m1"), Link("m1", "m3")])
            for value in range(3):
                await values.write(value, concern=ONE)
            chained = await values.read("local", "m3")
            values.set.kill("m1")
            source = await values.read("local", "m2")
            return chained["values"], source["values"]

        chained, source = values.run(body())
        assert chained <= source


def test_a_primary_that_no_secondary_reaches_is_replaced_and_hears_of_it() -> None:
    """Cut one way, so that nobody can pull from it, the primary is replaced, and its own heartbeats tell it."""
    values = Values()

    async def body() -> Any:
        values.set.cut([Link("m2", "m1"), Link("m3", "m1")])
        name, _ = await _wait_for_other_primary(values, "m1")
        return name

    assert values.run(body()) == "m2"
    assert values.set.members["m1"].role == "SECONDARY"


def test_no_candidate_behind_a_majority_wins() -> None:
    """Whoever wins holds every write that a majority acknowledged, whatever else is chosen."""
    winners = set()
    for seed in range(250):
        values = Values(RandomStrategy(seed, 0.6))

        async def body(values: Values = values) -> tuple[str, frozenset[int]]:
            await values.write(1)
            await values.write(2, concern=ONE)
            values.set.kill("m1")
            name, _ = await _wait_for_other_primary(values, "m1")
            return name, values_of(values.set.applied(values.set.members[name]))

        name, found = values.run(body())
        assert 1 in found
        winners.add((name, 2 in found))
    assert winners == {(name, kept) for name in ("m2", "m3") for kept in (True, False)}


def test_a_new_primary_catches_up_with_who_is_ahead() -> None:
    """A write that one reachable member holds survives the election of another, unless catching up fails."""
    kept = set()
    for seed in range(150):
        values = Values(RandomStrategy(seed, 0.5, {"catch-up": 0.0, "durable": 0.0}))

        async def body(values: Values = values) -> tuple[bool, bool]:
            await values.write(1, concern=WriteConcern(w=2))
            values.set.kill("m1")
            name, _ = await _wait_for_other_primary(values, "m1")
            return name == "m2", 1 in values_of(values.set.applied(values.set.members[name]))

        kept.add(values.run(body()))
    assert kept == {(True, True), (False, True)}


def test_a_planned_step_down_hands_over_and_loses_nothing() -> None:
    """A planned step-down waits for a caught-up secondary: 0.04 s later it is primary, with every w:1 write."""
    for seed in range(40):
        values = Values(RandomStrategy(seed, 0.5))

        async def body(values: Values = values) -> Any:
            await values.write(1, concern=ONE)
            assert await values.step_down("m1") == 0
            name, took_us = await _wait_for_other_primary(values, "m1")
            return took_us, values_of(values.set.applied(values.set.members[name]))

        took_us, found = values.run(body())
        assert took_us <= 40_000
        assert found == {1}


def test_without_catch_up_a_planned_step_down_loses_a_write() -> None:
    """With the defect it hands over to whoever, and a w:1 write is gone without any fault."""
    lost = 0
    for seed in range(60):
        strategy = RandomStrategy(seed, 0.0, {"commit": 0.9, "applied": 0.9})
        values = Values(strategy, defects=Defects(no_catch_up=True))

        async def body(values: Values = values) -> Any:
            await values.write(1, concern=ONE)
            await values.step_down("m1")
            await _wait_for_other_primary(values, "m1")
            await values.set.settle()
            primary = values.set.primary
            assert primary is not None
            return values_of(values.set.applied(primary))

        lost += values.run(body()) == frozenset()
    assert lost > 0


def test_a_step_down_that_nobody_can_take_over_is_refused_or_forced() -> None:
    """With both secondaries lagged it answers 262 and goes on; forced, nobody is primary for an election timeout."""
    values = Values()

    async def body() -> list[Any]:
        for name in ("m2", "m3"):
            values.set.lag(name, on=True)
        await values.write(1, concern=ONE)
        refused = await values.step_down("m1", catch_up_us=SECOND_US)
        goes_on = await values.write(2, concern=ONE)
        begin = values.kernel.now_us
        forced = await values.step_down("m1", catch_up_us=0, force=True)
        name, _ = await _wait_for_other_primary(values, "m1")
        return [refused, goes_on["ok"], forced, name != "m1", values.kernel.now_us - begin]

    assert values.run(body()) == [262, 1.0, 0, True, SECOND_US]


def test_a_resumed_primary_runs_what_was_queued_before_it_notices() -> None:
    """What lies in a stopped primary's socket is acknowledged when it goes on, and rolled back later."""
    values = Values()

    async def body() -> Any:
        values.set.pause("m1")
        queued = values.kernel.spawn("queued", values.write(1, concern=ONE))
        await values.kernel.sleep(2 * SECOND_US)
        assert not queued.done
        values.set.resume("m1")
        await values.kernel.join(queued)
        acknowledged = queued.result
        await values.set.settle()
        primary = values.set.primary
        assert primary is not None
        return acknowledged["ok"], primary.name, values_of(values.set.applied(primary))

    assert values.run(body()) == (1.0, "m2", frozenset())
    assert values.set.members["m1"].rollback_count == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "invariant"),
    [
        ("votes_twice", "NoTwoPrimariesInSameTerm"),
        ("candidate_behind_elected", "LeaderCompleteness"),
        ("commit_point_from_one_member", "LeaderCompleteness"),
        ("step_down_keeps_writing", "NeverRollbackCommitted"),
    ],
)
def test_an_invariant_fires_where_a_server_is_wrong(defect: str, invariant: str) -> None:
    """Each broken rule of elections and commit points is found by the invariant that it is about."""
    messages = []
    for seed in range(150):
        try:
            Turmoil(seed, defects=Defects(**{defect: True})).run()
        except SimulatorError as error:
            messages.append(error.message)
        except Exception:  # noqa: BLE001 - a set with that defect may not come to rest either
            continue
    assert any(invariant in message for message in messages)


def test_observers_see_the_roles_and_terms() -> None:
    """What an observer sees names the primary, its term, who is heard, and who does not answer."""
    values = Values()

    async def body() -> Any:
        values.set.kill("m3")
        await values.kernel.sleep(0)
        return values.set.observe()

    first, second, third = values.run(body())
    assert (first.role, first.term, first.heard_from, first.rollback_id) == ("PRIMARY", 1, ("m1", "m2"), 1)
    assert (second.role, second.sync_source) == ("SECONDARY", "m1")
    assert second.applied == (1, START_US // SECOND_US, 1)
    assert not third.reachable
