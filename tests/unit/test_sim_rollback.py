"""Rollback: the divergent window of an ex-primary, and what is left after it."""

from typing import Any

from random_strategy import RandomStrategy
from sim_values import Values, values_of

from harness.interfaces.link import Link
from harness.sim.server.defects import Defects
from harness.sim.server.write_concern import WriteConcern

ONE = WriteConcern(w=1)
SECOND_US = 1_000_000
PARTITION = [Link("m1", "m2"), Link("m1", "m3"), Link("m2", "m1"), Link("m3", "m1")]


async def _diverge(values: Values) -> None:
    """Let m1 acknowledge 1 by a majority, then 2 alone, while m2 becomes primary and acknowledges 3."""
    await values.write(1)
    values.set.cut(PARTITION)
    await values.write(2, concern=ONE)
    await values.kernel.sleep(2 * SECOND_US)
    await values.write(3, "m2")


def test_an_ex_primary_shows_its_divergent_data_then_nothing_then_the_new_history() -> None:
    """After healing: SECONDARY with the lost write for 0.9 s, ROLLBACK and unreadable for 1.1 s, then all is new."""
    values = Values()

    async def body() -> list[Any]:
        await _diverge(values)
        values.set.heal_all()
        member = values.set.members["m1"]
        seen = []
        for after_us in (0, 950_000, 1_100_000):
            await values.kernel.sleep(after_us)
            seen.append((member.role, (await values.read("local")).get("values")))
        return seen

    assert values.run(body()) == [
        ("SECONDARY", {1, 2}),
        ("ROLLBACK", None),
        ("SECONDARY", {1, 3}),
    ]


def test_a_member_in_rollback_answers_reads_with_13436() -> None:
    """A read in the unreadable time fails with NotPrimaryOrSecondary, at every read concern."""
    values = Values()

    async def body() -> list[int]:
        await _diverge(values)
        values.set.heal_all()
        await values.kernel.sleep(SECOND_US)
        return [(await values.read(level))["code"] for level in ("local", "majority")]

    assert values.run(body()) == [13436, 13436]


def test_the_majority_snapshot_never_shows_the_divergent_write() -> None:
    """Before, during and after the divergence a majority read on the ex-primary shows committed data alone."""
    for seed in range(20):
        values = Values(RandomStrategy(seed, 0.4, {"run": 0.0, "durable": 0.0}))

        async def body(values: Values = values) -> list[Any]:
            await values.write(1)
            values.set.cut(PARTITION)
            await values.write(2, concern=ONE)
            seen = [await values.read("majority")]
            await values.kernel.sleep(2 * SECOND_US)
            values.set.heal_all()
            seen.append(await values.read("majority"))
            await values.kernel.sleep(3 * SECOND_US)
            return [*seen, await values.read("majority")]

        assert all(2 not in reply.get("values", ()) and 1 in reply.get("values", (1,)) for reply in values.run(body()))


def test_a_rollback_closes_connections_and_counts() -> None:
    """What waits on a member that enters ROLLBACK gets no reply, and its rollback id grows."""
    values = Values()

    async def body() -> Any:
        await _diverge(values)
        values.set.heal_all()
        member = values.set.members["m1"]
        wanted = values.set.members["m2"].last.timestamp + (10 << 32)
        values.set.note_cluster_time(member, wanted)
        return await values.read("local", after=wanted)

    assert values.run(body())["network"] == "reset"
    state = values.set.observe()[0]
    assert state.role == "ROLLBACK"

    async def rest() -> None:
        await values.set.settle()


def test_an_ex_primary_that_comes_back_before_an_election_keeps_its_writes() -> None:
    """Where nobody was elected meanwhile, the write of the partition is replicated after healing."""
    values = Values()

    async def body() -> Any:
        values.set.cut(PARTITION)
        await values.write(2, concern=ONE)
        await values.kernel.sleep(500_000)
        values.set.heal_all()
        await values.kernel.sleep(5 * SECOND_US)
        return await values.read("majority", "m3")

    assert values.run(body())["values"] == {2}
    assert values.set.members["m1"].is_primary


def test_a_restarted_ex_primary_diverges_as_well() -> None:
    """Killed with a write that nobody pulled and started again after a failover, it rolls back too."""
    values = Values(RandomStrategy(1, 0.0))

    async def body() -> Any:
        for name in ("m2", "m3"):
            values.set.lag(name, on=True)
        await values.write(1, concern=ONE)
        values.set.kill("m1")
        await values.kernel.sleep(2 * SECOND_US)
        values.set.restart("m1")
        shown = await values.read("local")
        await values.set.settle()
        return shown["values"], values_of(values.set.applied(values.set.members["m1"]))

    assert values.run(body()) == ({1}, frozenset())


def test_a_server_that_keeps_a_document_in_rollback_shows_it() -> None:
    """With the defect the ex-primary still shows the lost write after its rollback."""
    values = Values(defects=Defects(rollback_keeps_document=True))

    async def body() -> Any:
        await _diverge(values)
        await values.set.settle()
        return await values.read("local")

    assert values.run(body())["values"] == {1, 2, 3}
