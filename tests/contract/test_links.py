"""What both networks promise alike; the parties are echo servers and processes that speak to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import pytest
import trio
from link_parties import BYE, Conversation, World, echo_servers, missing, with_links

from harness.backends.links import open_network
from harness.backends.links.tether import python_environment
from harness.errors import BackendError, FaultError
from harness.interfaces.link import Direction, Link, Toxic

KINDS = ["builtin", pytest.param("toxiproxy", marks=pytest.mark.toxiproxy)]
pytestmark = [pytest.mark.parametrize("kind", KINDS), pytest.mark.slow]

LINK = Link("clients", "m1")
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FAST_S = 0.3
"""The quickest of a few round trips without a toxic stays below this even on a busy machine."""


def quickest_s(conversation: Conversation | None) -> float:
    """Return the time of the quickest of a few round trips."""
    assert conversation is not None
    return min(conversation.exchange().took_s for _ in range(4))


def toxic(kind: Any, direction: Direction = "downstream", **attributes: int) -> Toxic:
    """Return a toxic with its attributes as keywords."""
    return Toxic(kind=kind, direction=direction, attributes=attributes)


def test_bytes_pass_unchanged_in_both_directions(kind: str) -> None:
    """Eight megabytes come back whole, through many connections at once and through one that fills every buffer."""

    async def body(world: World) -> None:
        conversations = [world.connect("clients", "m1") for _ in range(20)]
        for conversation in conversations:
            outcome = conversation.exchange("0123456789abcdef", times=1000)
            assert (outcome.ended, outcome.got, outcome.whole) == ("enough", 16_000, True)
        outcome = conversations[0].exchange("some text that repeats;", times=350_000, timeout_s=20)
        assert (outcome.ended, outcome.whole) == ("enough", True)

    with_links(kind, body)


def test_a_close_on_one_side_reaches_the_other(kind: str) -> None:
    """When the member closes, the source sees the end; nothing is left hanging."""

    async def body(world: World) -> None:
        outcome = world.connect("clients", "m1").exchange(BYE.decode(), want=100)
        assert (outcome.ended, outcome.got) == ("closed", 0)
        assert outcome.took_s < 2.0

    with_links(kind, body)


def test_a_member_that_is_down_is_seen_as_down(kind: str) -> None:
    """Where nobody listens behind the link, the connection ends at once and does not hang."""

    async def body(world: World) -> None:
        world.members["m1"].close()
        conversation = world.connect("clients", "m1")
        assert conversation is None or conversation.exchange(timeout_s=10).ended in {"closed", "reset"}

    with_links(kind, body)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_latency_delays_open_connections_and_new_ones_until_healed(kind: str, direction: Direction) -> None:
    """A delay in either direction shows in the round trip; healing takes it off without closing the connection."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        assert quickest_s(conversation) < FAST_S
        await world.network.links.add_toxic([LINK], toxic("latency", direction, latency=400))
        assert 0.4 <= quickest_s(conversation) < 0.4 + FAST_S
        assert 0.4 <= quickest_s(world.connect("clients", "m1")) < 0.4 + FAST_S
        await world.network.links.heal([LINK])
        assert quickest_s(conversation) < FAST_S

    with_links(kind, body)


def test_jitter_varies_the_delay(kind: str) -> None:
    """With jitter the round trips differ, and none is faster than latency minus jitter."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        await world.network.links.add_toxic([LINK], toxic("latency", latency=60, jitter=50))
        times = [conversation.exchange().took_s for _ in range(8)]
        assert min(times) >= 0.01
        assert max(times) - min(times) > 0.01

    with_links(kind, body)


def test_bandwidth_limits_bytes_per_second(kind: str) -> None:
    """At 100 KB/s 30 KB take about 0.3 s, and arrive whole."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        await world.network.links.add_toxic([LINK], toxic("bandwidth", rate=100))
        outcome = conversation.exchange("x" * 1000, times=30)
        assert (outcome.ended, outcome.whole) == ("enough", True)
        assert 0.25 <= outcome.took_s < 2.0

    with_links(kind, body)


def test_slow_close_delays_the_end_alone(kind: str) -> None:
    """Data is as fast as ever; the member's close is seen late."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        await world.network.links.add_toxic([LINK], toxic("slow_close", delay=300))
        assert quickest_s(conversation) < FAST_S
        outcome = conversation.exchange(BYE.decode(), want=100)
        assert outcome.ended == "closed"
        assert 0.28 <= outcome.took_s < 2.0

    with_links(kind, body)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_black_hole_swallows_one_direction_and_keeps_the_connection_open(kind: str, direction: Direction) -> None:
    """``timeout`` 0: nothing arrives any more that way, the other way works, and healing closes the holed stream."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        conversation.exchange("before")
        await world.network.links.add_toxic([LINK], toxic("timeout", direction, timeout=0))
        outcome = conversation.exchange("swallowed", timeout_s=0.3)
        assert (outcome.ended, outcome.got) == ("timeout", 0)
        arrived = world.members["m1"].received.endswith(b"swallowed")
        assert arrived is (direction == "downstream")
        await world.network.links.heal([LINK])
        assert conversation.exchange("after", timeout_s=1.0).ended in {"closed", "reset"}
        assert world.reaches("clients", "m1")

    with_links(kind, body)


def test_timeout_closes_after_its_time(kind: str) -> None:
    """With a timeout the silent connection is closed when it has passed."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        await world.network.links.add_toxic([LINK], toxic("timeout", timeout=250))
        outcome = conversation.exchange(want=100)
        assert outcome.ended in {"closed", "reset"}
        assert outcome.got == 0
        assert 0.15 <= outcome.took_s < 2.0

    with_links(kind, body)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_reset_peer_resets_a_connection_that_is_used(kind: str, direction: Direction) -> None:
    """A connection made under the toxic is reset, not closed in good order; one that was open ends as well."""

    async def body(world: World) -> None:
        before = world.connect("clients", "m1")
        before.exchange()
        await world.network.links.add_toxic([LINK], toxic("reset_peer", direction, timeout=100))
        outcome = world.connect("clients", "m1").exchange(want=100)
        assert outcome.ended == "reset"
        assert outcome.got == 0
        assert 0.08 <= outcome.took_s < 2.0
        assert before.exchange(want=100).ended in {"closed", "reset"}

    with_links(kind, body)


def test_slicer_cuts_the_stream_into_late_pieces(kind: str) -> None:
    """2,000 bytes in slices of about 100, 10 ms apart, take at least 0.1 s and come back whole."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        await world.network.links.add_toxic([LINK], toxic("slicer", average_size=100, size_variation=20, delay=10_000))
        outcome = conversation.exchange("0123456789", times=200)
        assert (outcome.ended, outcome.whole) == ("enough", True)
        assert outcome.took_s >= 0.1

    with_links(kind, body)


def test_limit_data_closes_after_so_many_bytes(kind: str) -> None:
    """The source gets the first bytes of the answer and then the end."""

    async def body(world: World) -> None:
        await world.network.links.add_toxic([LINK], toxic("limit_data", bytes=10))
        outcome = world.connect("clients", "m1").exchange("0123456789abcdef")
        assert (outcome.got, outcome.whole) == (10, True)
        assert outcome.ended in {"closed", "reset"}

    with_links(kind, body)


def test_toxicity_strikes_that_share_of_connections(kind: str) -> None:
    """At 0 none is struck; at 0.5 of 40 connections some are and some are not."""

    async def body(world: World) -> None:
        never = Toxic(kind="latency", attributes={"latency": 300}, toxicity=0.0)
        await world.network.links.add_toxic([LINK], never)
        assert quickest_s(world.connect("clients", "m1")) < FAST_S
        await world.network.links.heal_all()
        half = Toxic(kind="limit_data", attributes={"bytes": 1}, toxicity=0.5)
        await world.network.links.add_toxic([LINK], half)
        whole = sum(world.reaches("clients", "m1") for _ in range(40))
        assert 5 <= whole <= 35

    with_links(kind, body)


def test_two_toxics_work_together(kind: str) -> None:
    """One toxic in each direction: the round trip takes both delays."""

    async def body(world: World) -> None:
        conversation = world.connect("clients", "m1")
        for direction in DIRECTIONS:
            await world.network.links.add_toxic([LINK], toxic("latency", direction, latency=100))
        await world.network.links.add_toxic([LINK], toxic("slicer", average_size=2, delay=1000))
        outcome = conversation.exchange()
        assert (outcome.ended, outcome.whole) == ("enough", True)
        assert outcome.took_s >= 0.2

    with_links(kind, body)


def test_a_cut_ends_open_connections_refuses_new_ones_and_leaves_other_links_alone(kind: str) -> None:
    """Only the ordered pair that is cut is struck: not the way back, not other sources, not other members."""

    async def body(world: World) -> None:
        struck, other = world.connect("m1", "m2"), world.connect("clients", "m2")
        back = world.connect("m2", "m1")
        assert {c.exchange().ended for c in (struck, other, back)} == {"enough"}
        await world.network.links.cut([Link("m1", "m2")])
        assert struck.exchange(timeout_s=1.0).ended in {"closed", "reset"}
        assert not world.reaches("m1", "m2")
        assert {c.exchange().ended for c in (other, back)} == {"enough"}
        assert world.reaches("m2", "m1")
        assert world.reaches("clients", "m1")
        await world.network.links.heal([Link("m1", "m2")])
        assert world.reaches("m1", "m2")

    with_links(kind, body)


def test_one_client_group_is_cut_and_the_other_is_not(kind: str) -> None:
    """Client groups are processes of their own, with links of their own."""

    async def body(world: World) -> None:
        await world.network.links.cut([Link("clients-1", "m1")])
        assert not world.reaches("clients-1", "m1")
        assert world.reaches("clients-1", "m2")
        assert world.reaches("clients-2", "m1")

    with_links(kind, body, groups=("clients-1", "clients-2"))


def test_a_restarted_process_is_known_under_its_new_id(kind: str) -> None:
    """After a member's restart its connections are still its own and fall under its cut links."""

    async def body(world: World) -> None:
        await world.start("m1")
        assert world.reaches("m1", "m2")
        await world.network.links.cut([Link("m1", "m2")])
        assert not world.reaches("m1", "m2")
        assert world.reaches("clients", "m2")

    with_links(kind, body)


def test_cutting_and_healing_twice_is_harmless(kind: str) -> None:
    """Both may be said again, of links that overlap, and ``heal_all`` heals what is whole."""

    async def body(world: World) -> None:
        links = world.network.links
        await links.cut([LINK])
        await links.cut([LINK, Link("clients", "m2")])
        assert not world.reaches("clients", "m2")
        await links.heal_all()
        await links.heal_all()
        assert world.reaches("clients", "m1")
        assert world.reaches("clients", "m2")

    with_links(kind, body)


def test_links_are_healed_even_while_everything_is_being_cancelled(kind: str) -> None:
    """Clean-up after ctrl-C runs in a cancelled scope, and must still heal."""

    async def body(world: World) -> None:
        with trio.CancelScope() as scope:
            await world.network.links.cut([LINK])
            scope.cancel()
            await world.network.links.heal_all()
        assert world.reaches("clients", "m1")

    with_links(kind, body)


def test_what_makes_no_sense_is_refused(kind: str) -> None:
    """A member's link to itself, an unknown name, and the same toxic twice are errors that say why."""

    async def body(world: World) -> None:
        links = world.network.links
        with pytest.raises(FaultError, match="itself"):
            await links.cut([Link("m1", "m1")])
        with pytest.raises(FaultError, match="no such link"):
            await links.cut([Link("clients", "m9")])
        await links.add_toxic([LINK], toxic("latency", latency=1))
        with pytest.raises(FaultError, match="already"):
            await links.add_toxic([LINK], toxic("latency", latency=2))
        await links.heal([LINK])
        await links.add_toxic([LINK], toxic("latency", latency=2))

    with_links(kind, body)


def test_counters_tell_what_was_carried_swallowed_and_refused(kind: str) -> None:
    """Where the links count, they count every byte and connection; where they do not, they say so and show nothing."""

    async def body(world: World) -> None:
        links = world.network.links
        conversation = world.connect("clients", "m1")
        conversation.exchange("x" * 100)
        await links.add_toxic([LINK], toxic("timeout", timeout=0))
        conversation.exchange("y" * 30, timeout_s=0.1)
        await links.cut([LINK])
        world.reaches("clients", "m1")
        seen = await links.counters(LINK)
        if not links.counts:
            assert (seen.connections, seen.bytes_upstream) == (0, 0)
            return
        assert (seen.connections, seen.refused) == (1, 1)
        assert (seen.bytes_upstream, seen.swallowed_upstream) == (130, 0)
        assert (seen.bytes_downstream, seen.swallowed_downstream) == (100, 30)
        assert (await links.counters(Link("clients", "m2"))).connections == 0

    with_links(kind, body)


def test_closing_ends_every_process_and_may_be_repeated(kind: str) -> None:
    """After close no proxy runs; closing again does nothing."""

    async def body(world: World) -> None:
        process_ids = world.network.process_ids
        assert process_ids
        await world.network.close()
        await world.network.close()
        assert not any(Path("/proc", str(process_id)).exists() for process_id in process_ids)

    with_links(kind, body)


def test_several_networks_live_side_by_side(kind: str) -> None:
    """Two sets on one machine do not meet: a cut in one is none in the other."""

    async def outer(first: World) -> None:
        with tempfile.TemporaryDirectory() as directory, echo_servers(2) as members:
            ports = {name: server.port for name, server in members.items()}
            network = await open_network(kind, ports=ports, groups=("clients",), directory=Path(directory))
            second = World(network, members, Path(directory))
            try:
                await second.start("clients")
                await first.network.links.cut([LINK])
                assert second.reaches("clients", "m1")
                assert not first.reaches("clients", "m1")
            finally:
                second.sources["clients"].close()
                await network.close()

    with_links(kind, outer)


ORPHAN_MAKER = """
import pathlib, sys, time, trio
from harness.backends.links import open_network
async def main():
    network = await open_network(sys.argv[1], ports={"m1": int(sys.argv[2]), "m2": int(sys.argv[3])},
                                 groups=("clients",), directory=pathlib.Path(sys.argv[4]))
    print(network.links.name, *network.process_ids, flush=True)
    await trio.sleep_forever()
trio.run(main)
"""


def test_the_proxies_die_with_the_harness_even_by_kill_9(kind: str) -> None:
    """A harness that is killed without a chance to clean up leaves no proxy behind."""
    with tempfile.TemporaryDirectory() as directory, echo_servers(2) as members:
        ports = [str(server.port) for server in members.values()]
        harness = subprocess.Popen(
            [sys.executable, "-c", ORPHAN_MAKER, kind, *ports, directory],
            stdout=subprocess.PIPE, text=True, env=python_environment(),
        )  # fmt: skip
        assert harness.stdout is not None
        name, *process_ids = harness.stdout.readline().split()
        harness.send_signal(signal.SIGKILL)
        harness.wait()
        harness.stdout.close()
        if name != kind:
            missing(f"{kind} links cannot be had here")
        assert process_ids
        deadline = time.monotonic() + 5
        while any(_runs(process_id) for process_id in process_ids):
            assert time.monotonic() < deadline, "a proxy outlived the harness"
            time.sleep(0.01)


def _runs(process_id: str) -> bool:
    try:
        state = Path("/proc", process_id, "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    # A zombie has ended; who reaps it is up to the machine's first process.
    return state != "Z"


def test_a_proxy_that_dies_is_an_error_that_says_so(kind: str) -> None:
    """A dead proxy is not a healed link: the next call fails and names what has ended."""

    async def body(world: World) -> None:
        (process_id,) = world.network.process_ids
        os.kill(process_id, signal.SIGKILL)
        while _runs(str(process_id)):
            await trio.sleep(0.01)
        with pytest.raises(BackendError, match=r"has ended|Toxiproxy at"):
            await world.network.links.cut([LINK])

    with_links(kind, body)
