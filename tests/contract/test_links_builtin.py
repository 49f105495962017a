"""What only the built-in links promise: who may pass, and that one slow connection holds up no other."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from link_parties import Source, World, with_links

from harness.errors import BackendError, FaultError
from harness.interfaces.link import Link, Toxic

pytestmark = pytest.mark.slow


def test_with_one_group_an_unknown_process_is_a_client() -> None:
    """The harness need not register each of its own processes while there is only one group."""

    async def body(world: World) -> None:
        world.sources["clients"] = stranger = Source()
        assert world.reaches("clients", "m1")
        await world.network.links.cut([Link("clients", "m1")])
        assert not world.reaches("clients", "m1")
        assert stranger.process_id

    with_links("builtin", body, sources=("m1", "m2"))


def test_with_two_groups_an_unknown_process_is_refused() -> None:
    """It could be a way round a cut: better none than one that nobody controls."""

    async def body(world: World) -> None:
        world.sources["clients-1"] = Source()
        assert not world.reaches("clients-1", "m1")
        assert "not registered" in (world.directory / "links.log").read_text()

    with_links("builtin", body, groups=("clients-1", "clients-2"), sources=("m1", "m2", "clients-2"))


def test_a_member_reaches_itself() -> None:
    """A member that cannot find itself in the configuration leaves the set; that link exists and is not for cutting."""

    async def body(world: World) -> None:
        await world.network.links.cut([Link("m2", "m1"), Link("clients", "m1")])
        assert world.reaches("m1", "m1")

    with_links("builtin", body)


def test_an_unknown_source_cannot_be_registered() -> None:
    """A misspelt name would silently make a process a client."""

    async def body(world: World) -> None:
        with pytest.raises(FaultError, match="m7"):
            await world.network.register("m7", 1)

    with_links("builtin", body)


def test_a_reader_that_does_not_read_holds_up_its_own_connection_alone() -> None:
    """Its sender is made to wait, nothing is lost, and others are as fast as ever."""

    async def body(world: World) -> None:
        with socket.create_connection(world.network.address(Link("clients", "m2"))) as lazy:
            lazy.setblocking(False)
            sent, stuck_since = 0, time.monotonic()
            while time.monotonic() < stuck_since + 0.3:
                try:
                    sent += lazy.send(b"z" * 65536)
                    stuck_since = time.monotonic()
                except BlockingIOError:
                    time.sleep(0.01)
                assert sent < 100_000_000, "the proxy takes in whatever it is sent"
            assert world.connect("clients", "m1").exchange().ended == "enough"
            got = 0
            lazy.settimeout(5)
            while got < sent:
                data = lazy.recv(1 << 20)
                assert data
                got += len(data)

    with_links("builtin", body)


def test_an_idle_proxy_uses_no_processor_time() -> None:
    """Connections that ended, paused, or wait for ever do not keep its loop awake."""

    async def body(world: World) -> None:
        links = world.network.links
        held = world.connect("clients", "m1")
        held.exchange()
        world.connect("clients", "m2").exchange("bye!", want=10)
        await links.add_toxic([Link("clients", "m1")], Toxic(kind="timeout", attributes={"timeout": 0}))
        await links.add_toxic([Link("clients", "m2")], Toxic(kind="slow_close", attributes={"delay": 60_000}))
        held.exchange(timeout_s=0.05)
        closing = world.connect("clients", "m2")
        closing.exchange("bye!", want=10, timeout_s=0.1)
        closing.close()
        before = processor_ticks(world.network.process_ids[0])
        time.sleep(0.5)
        assert processor_ticks(world.network.process_ids[0]) - before <= 3

    with_links("builtin", body)


def processor_ticks(process_id: int) -> int:
    """Return the processor time that the process has used, in hundredths of a second."""
    fields = Path("/proc", str(process_id), "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_request_that_fails_in_the_process_is_an_error_here_and_the_bytes_flow_on() -> None:
    """A defect in steering must not take the data path down with it."""

    async def body(world: World) -> None:
        with pytest.raises(BackendError, match="KeyError"):
            await world.network._process.ask("cut", links=[["nobody", "m1"]])
        assert world.reaches("clients", "m1")

    with_links("builtin", body)
