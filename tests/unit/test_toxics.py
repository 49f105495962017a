"""The toxics as pure state machines: every time in here is made up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.links.toxics import CHUNK_BYTES, Chain, Chunk, Ending, make_stage, validate
from harness.errors import FaultError
from harness.interfaces.link import Toxic
from harness.seed import stream

MS = 1_000_000
START_NS = 1_000 * MS


def chain_of(*toxics: Toxic, seed: int = 0) -> Chain:
    """Return the chain of these toxics, made at the start."""
    chain = Chain()
    for toxic in toxics:
        validate(toxic)
        chain.add(make_stage(toxic, stream(seed, toxic.kind)), START_NS)
    return chain


def toxic(kind: Any, **attributes: int) -> Toxic:
    """Return a toxic with its attributes as keywords."""
    return Toxic(kind=kind, attributes=attributes)


def run(chain: Chain, until_ms: int = 10**6) -> list[tuple[float, bytes | Ending]]:
    """Let time pass from event to event; return (ms since the start, what left)."""
    now_ns, seen = START_NS, []
    while True:
        seen += [
            ((now_ns - START_NS) / MS, item.data if isinstance(item, Chunk) else item) for item in chain.advance(now_ns)
        ]
        next_ns = chain.next_ns()
        if next_ns is None or next_ns > START_NS + until_ms * MS:
            return seen
        assert next_ns > now_ns, "a chain must not ask for a time that has passed"
        now_ns = next_ns


def test_latency_delays_each_chunk_from_its_arrival_and_not_the_end() -> None:
    """Latency counts from the read of each chunk; the end follows the last chunk without a delay of its own."""
    chain = chain_of(toxic("latency", latency=100))
    chain.arrive(START_NS, b"a")
    chain.arrive(START_NS + 30 * MS, b"b")
    chain.end(START_NS + 40 * MS, Ending.CLOSE)
    assert run(chain) == [(100, b"a"), (130, b"b"), (130, Ending.CLOSE)]


def test_latencies_in_a_row_add_up() -> None:
    """Two toxics that delay, delay by the sum."""
    chain = chain_of(toxic("latency", latency=100), toxic("latency", latency=50))
    chain.arrive(START_NS, b"a")
    assert run(chain) == [(150, b"a")]


@given(st.integers(0, 2**32), st.integers(0, 50))
def test_jitter_keeps_order_and_bounds_and_is_reproducible(seed: int, jitter: int) -> None:
    """Every delay is within latency +/- jitter, no chunk overtakes another, and a seed gives the same delays."""

    def delays() -> list[tuple[float, bytes | Ending]]:
        chain = chain_of(toxic("latency", latency=60, jitter=jitter), seed=seed)
        for number in range(10):
            chain.arrive(START_NS, bytes([number]))
        return run(chain)

    seen = delays()
    assert [data for _, data in seen] == [bytes([number]) for number in range(10)]
    assert all(60 - jitter <= at <= 60 + jitter for at, _ in seen)
    assert seen == delays()


def test_bandwidth_spreads_bytes_over_time() -> None:
    """At 10 KB/s 2,500 bytes take 250 ms, in pieces of at most 100 ms, and a second chunk queues behind them."""
    chain = chain_of(toxic("bandwidth", rate=10))
    chain.arrive(START_NS, b"x" * 2500)
    chain.arrive(START_NS, b"y" * 100)
    seen = run(chain)
    assert [(at, len(data)) for at, data in seen if isinstance(data, bytes)] == [
        (100, 1000),
        (200, 1000),
        (250, 500),
        (260, 100),
    ]


def test_bandwidth_does_not_save_up_idle_time() -> None:
    """A pause does not let later bytes go faster than the rate."""
    chain = chain_of(toxic("bandwidth", rate=10))
    chain.arrive(START_NS + 900 * MS, b"x" * 1000)
    assert run(chain) == [(1000, b"x" * 1000)]


def test_slow_close_delays_only_the_end() -> None:
    """Data passes at once, the end comes late."""
    chain = chain_of(toxic("slow_close", delay=300))
    chain.arrive(START_NS, b"a")
    chain.end(START_NS, Ending.CLOSE)
    assert run(chain) == [(0, b"a"), (300, Ending.CLOSE)]


def test_timeout_zero_swallows_for_ever_and_closes_when_removed() -> None:
    """A black hole passes nothing and never closes by itself; taking it off closes the holed stream."""
    chain = chain_of(toxic("timeout", timeout=0))
    chain.arrive(START_NS, b"a")
    assert run(chain) == []
    assert chain.queued_bytes == 0
    assert chain.dismantle() == [Ending.CLOSE]


def test_timeout_closes_after_silence() -> None:
    """With a timeout the connection closes that long after the last byte that vanished."""
    chain = chain_of(toxic("timeout", timeout=200))
    chain.advance(START_NS)
    chain.arrive(START_NS + 150 * MS, b"a")
    assert run(chain) == [(350, Ending.CLOSE)]


def test_an_ended_timeout_asks_for_no_more_time() -> None:
    """After the source's end a pending deadline is void: it must not keep the loop awake."""
    chain = chain_of(toxic("timeout", timeout=200))
    chain.end(START_NS, Ending.CLOSE)
    assert run(chain) == [(0, Ending.CLOSE)]
    assert chain.next_ns() is None


def test_reset_peer_waits_for_data_and_then_resets() -> None:
    """Idle connections live; the first byte starts the clock, later ones do not move it, and none passes."""
    chain = chain_of(toxic("reset_peer", timeout=50))
    assert run(chain) == []
    chain.arrive(START_NS, b"a")
    chain.arrive(START_NS + 20 * MS, b"b")
    assert run(chain) == [(50, Ending.RESET)]


def test_reset_peer_removed_in_between_still_resets_a_holed_stream() -> None:
    """Untouched connections survive the removal; one that lost bytes does not go on."""
    assert chain_of(toxic("reset_peer", timeout=50)).dismantle() == []
    struck = chain_of(toxic("reset_peer", timeout=50))
    struck.arrive(START_NS, b"a")
    assert struck.dismantle() == [Ending.RESET]


@given(st.binary(max_size=2000), st.integers(1, 200), st.integers(0, 199), st.integers(0, 2**16))
def test_slicer_keeps_every_byte_in_small_slices(data: bytes, average: int, variation: int, seed: int) -> None:
    """Slices are no larger than average plus variation, a delay apart, and make up the data again."""
    variation = min(variation, average - 1)
    chain = chain_of(toxic("slicer", average_size=average, size_variation=variation, delay=1000), seed=seed)
    chain.arrive(START_NS, data)
    slices = run(chain)
    assert b"".join(part for _, part in slices if isinstance(part, bytes)) == data
    assert all(len(part) <= average + variation for _, part in slices if isinstance(part, bytes))
    assert [at for at, _ in slices] == list(range(len(slices)))


def test_limit_data_passes_so_many_bytes_and_closes() -> None:
    """The limit may fall inside a chunk; what follows it is gone."""
    chain = chain_of(toxic("limit_data", bytes=5))
    chain.arrive(START_NS, b"abc")
    chain.arrive(START_NS, b"defg")
    chain.arrive(START_NS, b"h")
    assert run(chain) == [(0, b"abc"), (0, b"de"), (0, Ending.CLOSE)]


def test_removing_toxics_loses_nothing_that_waits() -> None:
    """What waited in several stages comes out at once, the oldest first, the end last."""
    chain = chain_of(toxic("bandwidth", rate=1), toxic("latency", latency=500))
    chain.arrive(START_NS, b"a" * 100)
    chain.arrive(START_NS, b"b" * 100)
    chain.end(START_NS, Ending.CLOSE)
    assert chain.advance(START_NS + 150 * MS) == []
    waiting = chain.dismantle()
    assert [item.data[:1] if isinstance(item, Chunk) else item for item in waiting] == [b"a", b"b", Ending.CLOSE]


def test_a_toxic_added_later_stands_behind_what_left_already() -> None:
    """Bytes that waited when a toxic was added pass through it as well, and none overtakes another."""
    chain = chain_of(toxic("latency", latency=100))
    chain.arrive(START_NS, b"a")
    chain.add(make_stage(toxic("slow_close", delay=10), stream(0)), START_NS + 50 * MS)
    chain.arrive(START_NS + 60 * MS, b"b")
    chain.end(START_NS + 60 * MS, Ending.CLOSE)
    assert run(chain) == [(100, b"a"), (160, b"b"), (170, Ending.CLOSE)]


@given(
    st.lists(
        st.sampled_from(
            [
                toxic("latency", latency=7, jitter=3),
                toxic("bandwidth", rate=3),
                toxic("slicer", average_size=9, size_variation=4, delay=100),
                toxic("slow_close", delay=5),
            ]
        ),
        max_size=4,
    ),
    st.lists(st.tuples(st.integers(0, 20), st.binary(min_size=1, max_size=40)), max_size=8),
)
def test_toxics_that_only_delay_keep_the_stream_whole(toxics: list[Toxic], arrivals: list[tuple[int, bytes]]) -> None:
    """Whatever stands in a chain, bytes leave in their order, all of them, then the end."""
    chain, now_ns, out = chain_of(*toxics), START_NS, []
    for gap_ms, data in arrivals:
        now_ns += gap_ms * MS
        out += chain.advance(now_ns)
        chain.arrive(now_ns, data)
    chain.end(now_ns, Ending.CLOSE)
    total = sum(len(data) for _, data in arrivals)
    assert chain.queued_bytes + sum(len(item.data) for item in out if isinstance(item, Chunk)) <= total
    out += chain.advance(now_ns + 10**6 * MS)
    assert b"".join(item.data for item in out if isinstance(item, Chunk)) == b"".join(data for _, data in arrivals)
    assert out[-1] is Ending.CLOSE
    assert chain.queued_bytes == 0


def test_capacity_grows_with_what_a_toxic_may_hold() -> None:
    """Latency may hold a second's worth of a fast stream, the others make the source wait sooner."""
    assert chain_of(toxic("bandwidth", rate=1)).capacity_bytes == CHUNK_BYTES
    assert chain_of(toxic("latency", latency=1)).capacity_bytes == 1024 * CHUNK_BYTES


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (Toxic(kind="bananas"), "unknown toxic"),  # type: ignore[arg-type]
        (Toxic(kind="latency", direction="sideways"), "direction"),  # type: ignore[arg-type]
        (toxic("latency", latencey=3), "latencey"),
        (toxic("latency", latency=-3), "negative"),
        (toxic("bandwidth", rate=0), "at least 1"),
        (toxic("slicer", average_size=10, size_variation=10), "less than"),
        (Toxic(kind="latency", toxicity=1.5), "toxicity"),
    ],
)
def test_a_toxic_that_is_none_is_refused(bad: Toxic, word: str) -> None:
    """A misspelt or impossible toxic is an error before it reaches a link."""
    with pytest.raises(FaultError, match=word):
        validate(bad)
