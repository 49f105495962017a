"""The log of a run: what the harness itself did, one JSON line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.clock import RunClock
from harness.journal import ENCODER


class RunLog:
    """Appends lines of ``{"time_ns", "message", ...}``."""

    def __init__(self, path: Path, clock: RunClock) -> None:
        self._clock = clock
        self._file = path.open("ab", buffering=0)

    def write(self, message: str, **details: Any) -> None:
        """Write one line."""
        if not self._file.closed:
            self._file.write(ENCODER.encode({"time_ns": self._clock.now_ns(), "message": message, **details}) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
