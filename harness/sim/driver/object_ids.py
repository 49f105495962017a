"""ObjectIds of one simulated client: made of virtual time, five bytes of the client's own and a counter."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from bson import ObjectId

from harness.sim.kernel.loop import US_PER_SECOND, Kernel

_MACHINE_BITS: Final = 40
_COUNTER_BITS: Final = 24
_COUNTER_MASK: Final = (1 << _COUNTER_BITS) - 1


class ObjectIds:
    """ObjectIds in the layout that PyMongo uses; ``random`` gives the client's bytes and the first count."""

    __slots__ = ("_count", "_kernel", "_machine", "on_seen")

    def __init__(self, kernel: Kernel, random: Random) -> None:
        self.on_seen: Callable[[object], None] | None = None
        """Called with the seconds of each id."""
        self._kernel = kernel
        self._machine = random.getrandbits(_MACHINE_BITS).to_bytes(_MACHINE_BITS // 8, "big")
        self._count = random.getrandbits(_COUNTER_BITS)

    def next(self) -> ObjectId:
        """Return a new ObjectId."""
        self._count = (self._count + 1) & _COUNTER_MASK
        seconds = self._kernel.now_us // US_PER_SECOND & 0xFFFFFFFF
        if self.on_seen is not None:
            self.on_seen(seconds)
        return ObjectId(seconds.to_bytes(4, "big") + self._machine + self._count.to_bytes(3, "big"))
