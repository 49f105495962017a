"""Connections of the wire front over a set that does nothing: order, streams, hang-ups, and what becomes of members."""

from __future__ import annotations

import struct
import threading
import time

import pytest
import trio
from bson import Int64
from fake_served_set import FakeServedSet
from raw_wire import EXHAUST_ALLOWED, MORE_TO_COME, body, op_msg, raw_client

from harness.errors import BackendError
from harness.sim.kernel import Kernel
from harness.wire.member_port import bind
from harness.wire.pump import Clock
from harness.wire.server import Front, serving

HELLO = {"hello": 1, "$db": "admin"}
PING = {"ping": 1, "$db": "admin"}


class Running:
    """A front in a thread of its own, and a way to change its set between two runs of the kernel."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.front: Front
        self.served: FakeServedSet
        self._token: trio.lowlevel.TrioToken
        self._scope = trio.CancelScope()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))

    async def _main(self) -> None:
        clock = Clock()
        kernel = Kernel(start_us=clock.now_us(), steps_limit=1 << 62)
        self.served = FakeServedSet(kernel)
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with serving(self.served, kernel, clock, (0, 0, 0)) as self.front:
                self.ready.set()
                await trio.sleep_forever()

    def start(self) -> None:
        self._thread.start()
        assert self.ready.wait(10)

    def stop(self) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def change(self, act) -> None:
        """Do something in the front's thread and let it take notice."""
        done = threading.Event()

        def apply() -> None:
            act()
            self.front._refresh()
            self.front.pump.poke()
            done.set()

        self._token.run_sync_soon(apply)
        assert done.wait(10)

    def reach(self, member: str, reach: str) -> None:
        self.change(lambda: self.served.reaches.__setitem__(member, reach))

    def close_connections(self, member: str) -> None:
        self.change(lambda: self.served.closed.__setitem__(member, self.served.closed[member] + 1))

    def address(self, member: str = "m1") -> str:
        return self.front.hosts[member]


@pytest.fixture
def running():
    """Serve a set that does nothing."""
    one = Running()
    one.start()
    yield one
    one.stop()


def release(running: Running) -> None:
    """Let the commands end that hang."""
    running.change(lambda: running.served.kernel.signal(running.served.released))


def nothing_is_left(running: Running) -> bool:
    """Whether every connection is gone, and the task that ran its commands with it."""
    connections = [each for port in running.front.ports.values() for each in port._conversations]
    return not connections and all(task.done for task in running.served.kernel.tasks)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_requests_are_answered_in_order(running):
    """Requests that come at once are answered one after the other, each by its id."""
    with raw_client(running.address()) as client:
        slow = {"slow": 1, "micros": 30_000, "$db": "d"}
        client.send(op_msg(body(slow), request_id=1) + b"".join(op_msg(body(PING), request_id=n) for n in (2, 3)))
        assert [client.receive().response_to for _ in range(3)] == [1, 2, 3]


def test_a_frame_may_come_in_pieces(running):
    """A message that arrives byte by byte is one message."""
    with raw_client(running.address()) as client:
        for byte in op_msg(body(PING)):
            client.send(bytes([byte]))
        assert client.receive().document["ok"] == 1


def test_virtual_time_follows_the_clock(running):
    """What waits 100 ms in the kernel is answered after 100 ms."""
    with raw_client(running.address()) as client:
        began = time.monotonic()
        client.ask({"slow": 1, "micros": 100_000, "$db": "d"})
        assert 0.09 < time.monotonic() - began < 3


def test_what_needs_no_answer_gets_none(running):
    """A request with moreToCome is run and not answered, whatever comes of it."""
    with raw_client(running.address()) as client:
        client.send(
            op_msg(body({**PING}), bits=MORE_TO_COME) + op_msg(body({"frob": 1, "$db": "d"}), bits=MORE_TO_COME)
        )
        assert client.ask({**PING, "z": 1})["echo"] == ["ping", "z"]
        assert running.served.ran == ["ping", "frob", "ping"]


def test_a_broken_message_closes_after_what_came_before_it(running):
    """The requests before a message that cannot be understood are answered, then the connection is closed."""
    with raw_client(running.address()) as client:
        client.send(op_msg(body(PING)) + op_msg(body(PING), opcode=9999) + op_msg(body(PING)))
        assert client.receive().document["ok"] == 1
        with pytest.raises(ConnectionError):
            client.receive()


def test_a_connection_that_the_member_breaks(running):
    """Where the member gives no answer, the connection ends; another is taken as before."""
    with raw_client(running.address()) as client:
        client.send(op_msg(body({"break": 1, "$db": "d"})))
        with pytest.raises(ConnectionError):
            client.receive()
    with raw_client(running.address()) as client:
        assert client.ask(PING)["ok"] == 1


def test_a_defect_is_told_and_takes_nobody_down(running, capfd):
    """An exception of the simulator is an error reply with its words, and a traceback for the report of it."""
    with raw_client(running.address()) as client:
        reply = client.ask({"crash": 1, "$db": "d"})
        assert (reply["ok"], reply["code"], reply["codeName"]) == (0.0, 8, "UnknownError")
        assert client.ask(PING)["ok"] == 1
    assert "ValueError: asked to" in capfd.readouterr().err


def test_errors_of_role_carry_the_version_of_the_topology(running):
    """A driver tells by it whether it knew already."""
    with raw_client(running.address()) as client:
        known = client.ask(HELLO)["topologyVersion"]
        assert client.ask({"demoted": 1, "$db": "d"})["topologyVersion"] == known
        assert "topologyVersion" not in client.ask({"frob": 1, "$db": "d"})


def await_hello(client, version, **fields):
    return {**HELLO, "topologyVersion": version, "maxAwaitTimeMS": Int64(fields.get("wait_ms", 5000))}


def test_hello_waits_for_news(running):
    """An awaitable hello is answered when the topology changes, or after its time."""
    with raw_client(running.address()) as client:
        version = client.ask(HELLO)["topologyVersion"]
        began = time.monotonic()
        assert client.ask(await_hello(client, version, wait_ms=60))["topologyVersion"] == version
        assert time.monotonic() - began > 0.05
        client.send(op_msg(body(await_hello(client, version))))
        running.change(lambda: setattr(running.served, "primary", "m2"))
        reply = client.receive().document
        assert reply["primary"] == running.address("m2")
        assert not reply["isWritablePrimary"]
        assert reply["topologyVersion"]["counter"] == version["counter"] + 1


def test_hellos_stream(running):
    """With exhaustAllowed one request is answered again and again, each reply answering the one before."""
    with raw_client(running.address()) as client:
        version = client.ask(HELLO)["topologyVersion"]
        client.send(op_msg(body(await_hello(client, version, wait_ms=40)), bits=EXHAUST_ALLOWED, request_id=50))
        replies = [client.receive() for _ in range(3)]
        assert [reply.response_to for reply in replies] == [50, replies[0].request_id, replies[1].request_id]
        assert {reply.flags for reply in replies} == {MORE_TO_COME}


def test_a_client_that_hangs_up_ends_what_it_read(running):
    """A read of a client that is gone is cancelled, and its connection forgotten."""
    with raw_client(running.address()) as client:
        client.send(op_msg(body({"hang": 1, "$db": "d"})))
        wait_until(lambda: running.served.ran == ["hang"])
    wait_until(lambda: not running.front.ports["m1"]._conversations)
    wait_until(lambda: not running.served.released.waiters)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_hangs_up_does_not_end_what_it_wrote(running, how):
    """A write of a client that is gone goes on to its end."""
    with raw_client(running.address()) as client:
        client.send(op_msg(body({"insert": "c", "$db": "d"})))
        wait_until(lambda: running.served.ran == ["insert"])
        if how == "reset":
            client.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))
    time.sleep(0.05)
    release(running)
    wait_until(lambda: running.served.ended == ["insert"])
    wait_until(lambda: nothing_is_left(running))


def test_clients_that_are_cut_off_do_not_end_what_they_wrote(running):
    """A write that is under way when its client's link is cut goes on to its end."""
    with raw_client(running.address()) as client:
        client.send(op_msg(body({"insert": "c", "$db": "d"})))
        wait_until(lambda: running.served.ran == ["insert"])
        running.reach("m1", "cut")
        with pytest.raises(ConnectionError):
            client.receive()
    release(running)
    wait_until(lambda: running.served.ended == ["insert"])
    wait_until(lambda: nothing_is_left(running))


def test_a_member_that_is_killed(running):
    """Its connections are reset, its port is closed, and both come back with it, as another process."""
    with raw_client(running.address()) as client:
        before = client.ask(HELLO)["topologyVersion"]
        running.close_connections("m1")
        running.reach("m1", "dead")
        with pytest.raises(ConnectionError):
            client.ask(PING)
    with pytest.raises(ConnectionRefusedError), raw_client(running.address()):
        pass
    running.reach("m1", "open")
    with raw_client(running.address()) as client:
        after = client.ask(HELLO)["topologyVersion"]
    assert after["processId"] != before["processId"]


def test_a_member_that_is_paused(running):
    """Its clients hang, old and new ones, hello included, and are answered when it goes on."""
    with raw_client(running.address()) as old:
        assert old.ask(PING)["ok"] == 1
        running.reach("m1", "paused")
        with raw_client(running.address()) as new:
            for client in (old, new):
                client.send(op_msg(body(HELLO)))
                with pytest.raises(TimeoutError):
                    client.receive(timeout_s=0.1)
            with raw_client(running.address("m2")) as other:
                assert other.ask(PING)["ok"] == 1
            running.reach("m1", "open")
            assert old.receive().document["ok"] == new.receive().document["ok"] == 1


def test_clients_that_are_cut_off(running):
    """Their connections are reset and new ones refused until the link is healed."""
    with raw_client(running.address()) as client:
        assert client.ask(PING)["ok"] == 1
        running.reach("m1", "cut")
        with pytest.raises(ConnectionError):
            client.ask(PING)
    with pytest.raises(ConnectionError), raw_client(running.address()) as client:
        client.ask(PING)
    running.reach("m1", "open")
    with raw_client(running.address()) as client:
        assert client.ask(PING)["ok"] == 1


def test_a_member_that_closes_its_connections(running):
    """After a rollback connections are reset, new ones are taken, and the process is the same."""
    with raw_client(running.address()) as client:
        before = client.ask(HELLO)["topologyVersion"]
        running.close_connections("m1")
        with pytest.raises(ConnectionError):
            client.ask(PING)
    with raw_client(running.address()) as client:
        assert client.ask(HELLO)["topologyVersion"]["processId"] == before["processId"]


def test_many_connections_come_and_go(running):
    """Nothing of them stays behind."""
    for _ in range(200):
        with raw_client(running.address()) as client:
            client.send(op_msg(body(PING)))
    wait_until(lambda: nothing_is_left(running))
    with raw_client(running.address()) as client:
        assert client.ask(PING)["ok"] == 1


def test_a_port_that_is_taken_is_told():
    """Who asks for a port of somebody else learns which, and what to do."""
    taken = bind(0)
    try:
        with pytest.raises(BackendError, match="cannot listen on") as raised:
            bind(taken.getsockname()[1])
        assert "--port 0" in raised.value.next_step
    finally:
        taken.close()
