"""What each toxic does to one direction of one connection, as pure state machines over an explicit time.

A toxic's stage takes chunks and endings with the time of their arrival and says what leaves it, and when. A
:class:`Chain` puts stages one behind the other, in the order in which their toxics were added. Nothing here waits,
reads a clock or touches a socket, so all of it can be tested with made-up times.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from harness.clock import NANOSECONDS_PER_MILLISECOND
from harness.errors import FaultError
from harness.interfaces.link import Toxic, ToxicKind

NANOSECONDS_PER_MICROSECOND = 1_000
CHUNK_BYTES = 32 * 1024
"""What one read takes where a chain stands; Toxiproxy reads as much, so that its chunk counts mean the same here."""

ATTRIBUTES: Mapping[ToxicKind, tuple[str, ...]] = MappingProxyType(
    {
        "latency": ("latency", "jitter"),
        "bandwidth": ("rate",),
        "slow_close": ("delay",),
        "timeout": ("timeout",),
        "reset_peer": ("timeout",),
        "slicer": ("average_size", "size_variation", "delay"),
        "limit_data": ("bytes",),
    }
)
"""Toxiproxy's attribute names of each kind; one that is left out is 0."""

_AT_LEAST_ONE = {"bandwidth": "rate", "slicer": "average_size"}


def validate(toxic: Toxic) -> None:
    """Raise FaultError where the toxic's kind, direction, attributes or toxicity are none that both networks take."""
    known = ATTRIBUTES.get(toxic.kind)
    if known is None:
        raise FaultError(f"unknown toxic {toxic.kind!r}", next_step=f"known: {', '.join(ATTRIBUTES)}")
    where = f"toxic {toxic.kind}"
    if toxic.direction not in {"upstream", "downstream"}:
        raise FaultError(f"{where}: unknown direction {toxic.direction!r}", next_step="known: upstream, downstream")
    unknown = sorted(set(toxic.attributes) - set(known))
    if unknown:
        raise FaultError(f"{where}: unknown attribute {unknown[0]!r}", next_step=f"known: {', '.join(known)}")
    if any(value < 0 for value in toxic.attributes.values()):
        raise FaultError(f"{where}: attributes are not negative, got {dict(toxic.attributes)}")
    needed = _AT_LEAST_ONE.get(toxic.kind)
    if needed and toxic.attributes.get(needed, 0) < 1:
        raise FaultError(f"{where}: {needed} is at least 1", next_step="to let nothing through, use timeout=0")
    if toxic.kind == "slicer" and toxic.attributes.get("size_variation", 0) >= toxic.attributes["average_size"]:
        raise FaultError(f"{where}: size_variation is less than average_size")
    if not 0.0 <= toxic.toxicity <= 1.0:
        raise FaultError(f"{where}: toxicity is a share between 0 and 1, got {toxic.toxicity}")


class Ending(enum.Enum):
    """How a direction ends."""

    CLOSE = "close"
    RESET = "reset"


class Chunk(NamedTuple):
    """Bytes as one read took them, and when: latency counts from there, whatever stood before it."""

    data: bytes
    read_ns: int


class Due(NamedTuple):
    """What leaves a stage, and when."""

    at_ns: int
    item: Chunk | Ending


class Stage:
    """One toxic in one direction of one connection; this base passes everything on at once."""

    deadline_ns: int | None = None
    """When :meth:`expire` must be called, unless another arrival moves it."""
    capacity_bytes = CHUNK_BYTES
    """How much may wait in the stage before the source is made to wait."""

    def attach(self, now_ns: int) -> None:
        """Begin to stand in the chain."""

    def arrive(self, now_ns: int, chunk: Chunk) -> list[Due]:
        """Take a chunk; return what leaves because of it."""
        return [Due(now_ns, chunk)]

    def end(self, now_ns: int, ending: Ending) -> list[Due]:
        """Take the end of the stream; return what leaves because of it."""
        return [Due(now_ns, ending)]

    def expire(self) -> list[Due]:
        """Return what leaves because the deadline has passed."""
        return []

    def detach(self) -> Ending | None:
        """Return how the connection ends because the toxic is removed; None where it goes on."""
        return None


class Latency(Stage):
    """Each chunk leaves ``latency`` ms, give or take less than ``jitter`` ms, after it was read; order is kept."""

    capacity_bytes = 1024 * CHUNK_BYTES

    def __init__(self, attributes: Mapping[str, int], source: random.Random) -> None:
        self._latency_ms = attributes.get("latency", 0)
        self._jitter_ms = attributes.get("jitter", 0)
        self._random = source
        self._free_ns = 0

    def arrive(self, now_ns: int, chunk: Chunk) -> list[Due]:
        """Delay the chunk."""
        delay_ms = self._latency_ms
        if self._jitter_ms:
            delay_ms += self._random.randrange(-self._jitter_ms, self._jitter_ms)
        at_ns = max(now_ns, self._free_ns, chunk.read_ns + delay_ms * NANOSECONDS_PER_MILLISECOND)
        self._free_ns = at_ns
        # A second latency counts from here: delays of several toxics add up.
        return [Due(at_ns, Chunk(chunk.data, at_ns))]

    def end(self, now_ns: int, ending: Ending) -> list[Due]:
        """End after the last chunk; the end itself is not delayed."""
        return [Due(max(now_ns, self._free_ns), ending)]


class Bandwidth(Stage):
    """No more than ``rate`` KB (1,000 bytes) leave in a second; large chunks leave in pieces of 100 ms."""

    def __init__(self, attributes: Mapping[str, int]) -> None:
        self._bytes_per_ms = attributes["rate"]
        self._free_ns = 0

    def arrive(self, now_ns: int, chunk: Chunk) -> list[Due]:
        """Let the chunk's bytes leave when their turn has come."""
        at_ns = max(now_ns, self._free_ns)
        piece_bytes = self._bytes_per_ms * 100
        leaving = []
        for start in range(0, len(chunk.data), piece_bytes):
            piece = chunk.data[start : start + piece_bytes]
            at_ns += len(piece) * NANOSECONDS_PER_MILLISECOND // self._bytes_per_ms
            leaving.append(Due(at_ns, Chunk(piece, chunk.read_ns)))
        self._free_ns = at_ns
        return leaving

    def end(self, now_ns: int, ending: Ending) -> list[Due]:
        """End after the last byte."""
        return [Due(max(now_ns, self._free_ns), ending)]


class SlowClose(Stage):
    """The end is passed on ``delay`` ms late."""

    def __init__(self, attributes: Mapping[str, int]) -> None:
        self._delay_ns = attributes.get("delay", 0) * NANOSECONDS_PER_MILLISECOND

    def end(self, now_ns: int, ending: Ending) -> list[Due]:
        """Delay the end."""
        return [Due(now_ns + self._delay_ns, ending)]


class Timeout(Stage):
    """Data vanishes; after ``timeout`` ms without any the connection is closed, or never where that is 0."""

    def __init__(self, attributes: Mapping[str, int]) -> None:
        self._timeout_ns = attributes.get("timeout", 0) * NANOSECONDS_PER_MILLISECOND

    def attach(self, now_ns: int) -> None:
        """Start the clock."""
        if self._timeout_ns:
            self.deadline_ns = now_ns + self._timeout_ns

    def arrive(self, now_ns: int, chunk: Chunk) -> list[Due]:  # noqa: ARG002 - the chunk vanishes
        """Drop the chunk, and start the clock anew as Toxiproxy does."""
        self.attach(now_ns)
        return []

    def expire(self) -> list[Due]:
        """Close."""
        at_ns, self.deadline_ns = self.deadline_ns or 0, None
        return [Due(at_ns, Ending.CLOSE)]

    def detach(self) -> Ending:
        """Close: the receiver would take up a stream that has a hole in it."""
        return Ending.CLOSE


class ResetPeer(Stage):
    """``timeout`` ms after the first data or end the connection is reset; nothing is passed on."""

    def __init__(self, attributes: Mapping[str, int]) -> None:
        self._timeout_ns = attributes.get("timeout", 0) * NANOSECONDS_PER_MILLISECOND

    def arrive(self, now_ns: int, chunk: Chunk | None) -> list[Due]:  # noqa: ARG002 - the chunk vanishes
        """Drop the chunk; the first one starts the clock."""
        if self.deadline_ns is None:
            self.deadline_ns = now_ns + self._timeout_ns
        return []

    def end(self, now_ns: int, ending: Ending) -> list[Due]:  # noqa: ARG002 - whatever the end, a reset comes of it
        """Start the clock, unless data did."""
        return self.arrive(now_ns, None)

    def expire(self) -> list[Due]:
        """Reset."""
        at_ns, self.deadline_ns = self.deadline_ns or 0, None
        return [Due(at_ns, Ending.RESET)]

    def detach(self) -> Ending | None:
        """Reset where data was dropped already."""
        return None if self.deadline_ns is None else Ending.RESET


class Slicer(Stage):
    """Chunks leave in slices of about ``average_size`` bytes, ``delay`` us apart."""

    def __init__(self, attributes: Mapping[str, int], source: random.Random) -> None:
        self._average_size = attributes["average_size"]
        self._size_variation = attributes.get("size_variation", 0)
        self._delay_ns = attributes.get("delay", 0) * NANOSECONDS_PER_MICROSECOND
        self._random = source
        self._free_ns = 0

    def arrive(self, now_ns: int, chunk: Chunk) -> list[Due]:
        """Slice the chunk."""
        at_ns = max(now_ns, self._free_ns)
        leaving = []
        for start, end in self._slices(0, len(chunk.data)):
            leaving.append(Due(at_ns, Chunk(chunk.data[start:end], chunk.read_ns)))
            at_ns += self._delay_ns
        self._free_ns = at_ns
        return leaving

    def end(self, now_ns: int, ending: Ending) -> list[Due]:
        """End after the last slice."""
        return [Due(max(now_ns, self._free_ns), ending)]

    def _slices(self, start: int, end: int) -> list[tuple[int, int]]:
        """Halve, each time a little off the middle, until the pieces are small enough."""
        if end - start <= self._average_size + self._size_variation:
            return [(start, end)]
        middle = start + (end - start) // 2
        if self._size_variation:
            middle += self._random.randrange(-self._size_variation, self._size_variation)
        return self._slices(start, middle) + self._slices(middle, end)


class LimitData(Stage):
    """After ``bytes`` bytes the connection is closed."""

    def __init__(self, attributes: Mapping[str, int]) -> None:
        self._remaining_bytes = attributes.get("bytes", 0)

    def arrive(self, now_ns: int, chunk: Chunk) -> list[Due]:
        """Pass on what the limit leaves, and close when nothing is left."""
        passed = chunk.data[: self._remaining_bytes]
        self._remaining_bytes -= len(passed)
        leaving = [Due(now_ns, Chunk(passed, chunk.read_ns))] if passed else []
        if not self._remaining_bytes:
            leaving.append(Due(now_ns, Ending.CLOSE))
        return leaving


_STAGES: Mapping[ToxicKind, Callable[[Mapping[str, int], random.Random], Stage]] = {
    "latency": Latency,
    "bandwidth": lambda attributes, _: Bandwidth(attributes),
    "slow_close": lambda attributes, _: SlowClose(attributes),
    "timeout": lambda attributes, _: Timeout(attributes),
    "reset_peer": lambda attributes, _: ResetPeer(attributes),
    "slicer": Slicer,
    "limit_data": lambda attributes, _: LimitData(attributes),
}


def make_stage(toxic: Toxic, source: random.Random) -> Stage:
    """Return the stage of a valid toxic for one connection; ``source`` is that connection's own random stream."""
    return _STAGES[toxic.kind](toxic.attributes, source)


class _Place:
    """A stage in a chain, with what waits to leave it."""

    __slots__ = ("ended", "leaving", "stage")

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.leaving: deque[Due] = deque()
        self.ended = False


class Chain:
    """The stages of one direction of one connection, in the order of their toxics."""

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._out: list[Chunk | Ending] = []
        self.queued_bytes = 0
        """Bytes that wait in the chain."""
        self.capacity_bytes = 0
        """How many may wait before the source is made to wait."""

    def add(self, stage: Stage, now_ns: int) -> None:
        """Put a stage behind the others."""
        stage.attach(now_ns)
        self._places.append(_Place(stage))
        self.capacity_bytes += stage.capacity_bytes

    def arrive(self, now_ns: int, data: bytes) -> None:
        """Take bytes that were read now."""
        self._feed(0, now_ns, Chunk(data, now_ns))

    def end(self, now_ns: int, ending: Ending) -> None:
        """Take the end of what is read."""
        self._feed(0, now_ns, ending)

    def advance(self, now_ns: int) -> list[Chunk | Ending]:
        """Return what has left the chain by ``now_ns``, in order."""
        for index, place in enumerate(self._places):
            self._expire(place, now_ns)
            leaving = place.leaving
            while leaving and leaving[0].at_ns <= now_ns:
                due = leaving.popleft()
                if isinstance(due.item, Chunk):
                    self.queued_bytes -= len(due.item.data)
                self._feed(index + 1, due.at_ns, due.item)
        out, self._out = self._out, []
        return out

    def next_ns(self) -> int | None:
        """Return when :meth:`advance` has something to do next; None where only an arrival gives it some."""
        times = [place.leaving[0].at_ns for place in self._places if place.leaving]
        running = (place.stage.deadline_ns for place in self._places if not place.ended)
        times += [deadline_ns for deadline_ns in running if deadline_ns is not None]
        return min(times, default=None)

    def dismantle(self) -> list[Chunk | Ending]:
        """Remove every stage; return what was waiting, in order, up to the first ending."""
        endings = [ending for place in self._places if (ending := place.stage.detach()) is not None]
        if endings:
            self.queued_bytes = 0
            return [Ending.RESET if Ending.RESET in endings else Ending.CLOSE]
        waiting: list[Chunk | Ending] = [due.item for place in reversed(self._places) for due in place.leaving]
        ends = [index for index, item in enumerate(waiting) if isinstance(item, Ending)]
        return waiting[: ends[0] + 1] if ends else waiting

    def _feed(self, index: int, now_ns: int, item: Chunk | Ending) -> None:
        if index == len(self._places):
            self._out.append(item)
            return
        place = self._places[index]
        self._expire(place, now_ns)
        if place.ended:
            return
        if isinstance(item, Chunk):
            self._keep(place, place.stage.arrive(now_ns, item))
        else:
            self._keep(place, place.stage.end(now_ns, item))

    def _expire(self, place: _Place, now_ns: int) -> None:
        deadline_ns = place.stage.deadline_ns
        if deadline_ns is not None and deadline_ns <= now_ns and not place.ended:
            self._keep(place, place.stage.expire())

    def _keep(self, place: _Place, leaving: list[Due]) -> None:
        for due in leaving:
            if isinstance(due.item, Chunk):
                self.queued_bytes += len(due.item.data)
            else:
                place.ended = True
        place.leaving.extend(leaving)
