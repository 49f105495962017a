"""The way from clients to members: refused, reset and lost, and what goes on without its client."""

from typing import Any

import pytest
from sim_values import Values

from harness.errors import FaultError
from harness.interfaces.link import Link
from harness.sim.server.errors import NetworkFailure
from harness.sim.server.write_concern import WriteConcern

ONE = WriteConcern(w=1)
MS = 1_000
SECOND_US = 1_000_000
TO_M1 = [Link("clients", "m1")]
PARTITION = [Link("m1", "m2"), Link("m1", "m3"), Link("m2", "m1"), Link("m3", "m1")]


def test_a_cut_link_refuses_and_an_observer_gets_through() -> None:
    """A cut link refuses its own group before anything is sent, and nobody else."""
    values = Values(groups=("clients", "others"))

    async def body() -> list[Any]:
        values.set.cut(TO_M1)
        return [
            await values.write(number, group=group) for number, group in enumerate(("clients", "others", "observer"))
        ]

    refused, *others = values.run(body())
    assert refused == {"ok": 0.0, "network": "refused", "sent": False}
    assert [reply["ok"] for reply in others] == [1.0, 1.0]


def test_a_dead_member_refuses() -> None:
    """A killed member refuses connections until it is started again."""
    values = Values()

    async def body() -> list[Any]:
        values.set.kill("m2")
        refused = await values.read("local", "m2")
        values.set.restart("m2")
        return [refused["network"], (await values.read("local", "m2"))["ok"]]

    assert values.run(body()) == ["refused", 1.0]


def test_a_kill_resets_what_waits_there() -> None:
    """A client whose command waits on a member that is killed sees its connection reset, with unknown outcome."""
    values = Values()

    async def body() -> Any:
        values.set.cut(PARTITION)
        waiting = values.kernel.spawn("client 2", values.write(1))
        await values.kernel.sleep(100 * MS)
        values.set.kill("m1")
        await values.kernel.join(waiting)
        return waiting.result

    assert values.run(body()) == {"ok": 0.0, "network": "reset", "sent": True}


def test_a_cut_resets_the_client_and_its_command_goes_on() -> None:
    """Cutting a client's link resets it at once; its command, which waits for a causal time, still ends there."""
    values = Values()
    ended: list[Any] = []
    dispatch = values.network._dispatch

    async def watched(member: Any, command: Any, connection: int) -> Any:
        reply = await dispatch(member, command, connection)
        ended.append(reply)
        return reply

    values.network._dispatch = watched  # type: ignore[assignment]

    async def body() -> Any:
        values.set.lag("m2", on=True)
        time = (await values.write(1, group="observer"))["time"]
        values.set.note_cluster_time(values.set.members["m2"], time)
        waiting = values.kernel.spawn("client 2", values.read("local", "m2", after=time))
        await values.kernel.sleep(100 * MS)
        values.set.cut([Link("clients", "m2")])
        await values.kernel.join(waiting)
        assert len(ended) == 1
        values.set.lag("m2", on=False)
        await values.kernel.sleep(1)
        return waiting.result

    assert values.run(body())["network"] == "reset"
    assert ended[1]["values"] == {1}


def test_a_client_that_gives_up_leaves_its_command_behind() -> None:
    """A socket time-out ends the client's wait with unknown outcome; what it sent to a stopped member runs later."""
    values = Values()

    async def body() -> list[Any]:
        values.set.pause("m1")
        begin = values.kernel.now_us
        late = await values.write(1, concern=ONE, deadline_us=begin + 300 * MS)
        waited_us = values.kernel.now_us - begin
        values.set.resume("m1")
        await values.kernel.sleep(10 * MS)
        return [late["network"], waited_us, (await values.read())["values"]]

    assert values.run(body()) == ["timeout", 300 * MS, {1}]


def test_a_crashed_client_leaves_its_command_behind() -> None:
    """Cancelling the client's task while its command waits does not undo or stop the command."""
    values = Values()

    async def body() -> Any:
        values.set.pause("m1")
        client = values.kernel.spawn("client 2", values.write(1, concern=ONE))
        await values.kernel.sleep(100 * MS)
        values.kernel.cancel(client)
        await values.kernel.join(client)
        values.set.resume("m1")
        await values.kernel.sleep(10 * MS)
        return await values.read()

    assert values.run(body())["values"] == {1}


def test_a_command_queued_on_a_member_that_is_killed_never_runs() -> None:
    """What lies in the socket of a stopped process dies with it."""
    values = Values()

    async def body() -> Any:
        values.set.pause("m1")
        client = values.kernel.spawn("client 2", values.write(1, concern=ONE))
        await values.kernel.sleep(100 * MS)
        values.set.kill("m1")
        await values.kernel.join(client)
        await values.set.settle()
        return client.result["network"], await values.read("local", "m2")

    network, read = values.run(body())
    assert network == "reset"
    assert read["values"] == frozenset()


@pytest.mark.parametrize(
    ("kind", "network", "applied"),
    [
        ("lose-reply", "reset", True),
        ("drop-reply", "timeout", True),
        ("drop-request", "timeout", False),
        ("black-hole", "timeout", False),
        ("reset", "reset", False),
    ],
)
def test_what_a_disturbance_does_to_a_write(kind: Any, network: str, applied: bool) -> None:
    """Each kind of disturbance fails the client as it does on a real link, with or without the write applied."""
    values = Values()

    async def body() -> Any:
        disturbance = values.network.disturb(TO_M1, kind, remaining=1)
        reply = await values.write(1, concern=ONE, deadline_us=values.kernel.now_us + SECOND_US)
        return reply, disturbance.struck, await values.read(group="observer"), (await values.read())["ok"]

    reply, struck, read, again = values.run(body())
    assert reply == {"ok": 0.0, "network": network, "sent": True}
    assert struck == 1
    assert read["values"] == ({1} if applied else frozenset())
    assert again == 1.0


def test_a_delay_takes_its_time_and_a_deadline_cuts_it_short() -> None:
    """A delayed command takes that much longer, and times out where its client does not wait so long."""
    values = Values()

    async def body() -> list[Any]:
        values.network.disturb(TO_M1, "delay", delay_us=200 * MS)
        begin = values.kernel.now_us
        reply = await values.write(1, concern=ONE)
        took_us = values.kernel.now_us - begin
        late = await values.write(2, concern=ONE, deadline_us=values.kernel.now_us + 100 * MS)
        return [reply["ok"], took_us, late["network"]]

    ok, took_us, network = values.run(body())
    assert (ok, network) == (1.0, "timeout")
    assert 200 * MS <= took_us < 202 * MS


def test_healing_resets_what_hangs() -> None:
    """A client without a deadline that hangs in a black hole is reset once the link is whole again."""
    values = Values()

    async def body() -> Any:
        values.network.disturb(TO_M1, "black-hole")
        client = values.kernel.spawn("client 2", values.write(1))
        await values.kernel.sleep(SECOND_US)
        assert not client.done
        values.set.heal_all()
        await values.kernel.join(client)
        return client.result

    assert values.run(body())["network"] == "reset"


def test_black_holes_between_members_count_as_cuts() -> None:
    """A primary whose members' links swallow everything is replaced like an isolated one."""
    values = Values()

    async def body() -> Any:
        values.network.disturb(PARTITION, "black-hole")
        await values.kernel.sleep(2 * SECOND_US)
        return values.set.primary.name  # type: ignore[union-attr]

    assert values.run(body()) == "m2"


def test_hello_tells_a_monitor_what_its_links_let_it_hear() -> None:
    """A hello names the primary and its election; a cut link and a stopped member do not answer."""
    values = Values()

    async def body() -> list[Any]:
        primary, secondary = values.network.hello("clients", "m1"), values.network.hello("clients", "m2")
        values.set.cut(TO_M1)
        values.set.pause("m2")
        return [primary, secondary, values.network.hello("clients", "m1"), values.network.hello("observer", "m2")]

    primary, secondary, cut, stopped = values.run(body())
    assert primary["isWritablePrimary"]
    assert "electionId" in primary
    assert secondary["secondary"]
    assert secondary["primary"] == primary["me"] == "m1:27017"
    assert cut is None
    assert stopped is None


def test_hooks_see_each_command_before_it_arrives_and_before_its_reply_leaves() -> None:
    """A hook before the reply can kill the member: the write is applied and its client is reset."""
    values = Values()
    calls: list[str] = []

    def kill(group: str, member: str, command: dict[str, Any]) -> None:
        calls.append(f"reply to {group} from {member}")
        values.set.kill("m1")

    values.network.before_request.append(lambda group, member, command: calls.append(f"request to {member}"))
    values.network.before_reply.append(kill)

    async def body() -> Any:
        try:
            await values.network.request("clients", "m1", {"write": 1}, connection=1)
        except NetworkFailure as failure:
            return failure.kind, failure.sent, str(failure)

    assert values.run(body()) == ("reset", True, "m1: reset")
    assert calls == ["request to m1", "reply to clients from m1"]


def test_an_unknown_link_is_an_error() -> None:
    """Cutting a link between names that are not there is refused, naming those that are."""
    values = Values()
    with pytest.raises(FaultError, match="no link from 'm4' to 'm1'"):
        values.set.cut([Link("m4", "m1")])
    values.kernel.close()
