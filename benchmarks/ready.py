"""How long a local replica set takes from nothing to its first majority write; target: a median of at most 3 s."""

from __future__ import annotations

import statistics
import time
from typing import Any

import trio

from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod

TARGET_S = 3.0


async def start_once() -> float:
    """Return the seconds that one start took."""
    backend = LocalBackend(mongod=find_mongod(None), members=3)
    began = time.monotonic()
    try:
        await backend.start()
        return time.monotonic() - began
    finally:
        await backend.stop()


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:  # noqa: ARG001 - one signature for all
    """Return the median over twice as many starts as ``rounds``; the peer is the target."""
    median = statistics.median(trio.run(start_once) for _ in range(rounds * 2))
    return [
        {
            "name": f"replica set ready (median of {rounds * 2}; peer: target)",
            "unit": "s",
            "ours": round(median, 3),
            "peer": TARGET_S,
            "ratio": round(median / TARGET_S, 3),
        }
    ]
