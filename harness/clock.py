"""Time in a run: nanoseconds since the run's origin on the machine's monotonic clock.

All processes of one machine share that clock, so the times of several client groups can be compared.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

NANOSECONDS_PER_SECOND = 1_000_000_000
NANOSECONDS_PER_MILLISECOND = 1_000_000

FOREVER_NS = 2**63 - 1
"""The end of an operation whose outcome is unknown: it may still take effect at any later time."""


@dataclass(frozen=True, slots=True)
class RunClock:
    """The clock of one run; ``origin_ns`` is the monotonic time at which the run began."""

    origin_ns: int

    @classmethod
    def start(cls) -> RunClock:
        """Return a clock whose origin is now."""
        return cls(time.monotonic_ns())

    def now_ns(self) -> int:
        """Return the nanoseconds that have passed since the origin."""
        return time.monotonic_ns() - self.origin_ns
