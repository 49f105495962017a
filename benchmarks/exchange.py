"""How fast histories from elsewhere are read: operations a second, from bytes in memory to events and to a history.

An operation is two lines, its invocation and its completion. The peer is the target of 200,000 operations a second.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

from harness.exchange.edn_history import read_any_edn, read_edn, write_edn
from harness.exchange.pairing import pair
from harness.exchange.unpairing import unpair

OPERATIONS = 100_000
PROCESSES = 10
TARGET = 200_000.0
EXACT_SHARE = 20
"""The exact reader is measured on a part of the file, as it takes about ten times as long."""


def _history(operation: Callable[[Random, int], tuple[str, str, str]]) -> bytes:
    draw = Random(1)
    lines: list[str] = []
    for number in range(OPERATIONS):
        function, before, after = operation(draw, number)
        process = number % PROCESSES
        lines.extend(
            f"{{:process {process}, :type :{kind}, :f :{function}, :value {value}, :index {at}, :time {time_ns}}}\n"
            for kind, value, at, time_ns in (
                ("invoke", before, 2 * number, number * 10_000),
                ("ok", after, 2 * number + 1, number * 10_000 + 5_000),
            )
        )
    return "".join(lines).encode()


def _register(draw: Random, _: int) -> tuple[str, str, str]:
    value = draw.randrange(1_000)
    return draw.choice([("read", "nil", f"{value}"), ("write", f"{value}", f"{value}")])


def _list_append(draw: Random, number: int) -> tuple[str, str, str]:
    key, seen = draw.randrange(10), " ".join(str(n) for n in range(draw.randrange(12)))
    append = f"[:append {key} {number}]"
    return "txn", f"[[:r {key} nil] {append}]", f"[[:r {key} [{seen}]] {append}]"


def measure(rounds: int, _: float) -> list[dict[str, Any]]:
    """Return the figures: operations a second of each kind of file and each step."""
    files = {"register": _history(_register), "list-append": _history(_list_append)}
    rows = []
    for kind, content in files.items():
        steps: dict[str, tuple[Callable[[], Any], int]] = {
            "EDN to events": (lambda content=content: read_edn(content, "history"), 1),  # type: ignore[misc]
            "EDN to a history": (lambda content=content: pair(read_edn(content, "history")), 1),  # type: ignore[misc]
            "EDN to events, exact reader": (_exact(content), EXACT_SHARE),
            "a history to EDN": (_write(content), EXACT_SHARE),
        }
        for step, (work, share) in steps.items():
            rate = OPERATIONS / share / statistics.median(_seconds(work) for _ in range(rounds))
            target = TARGET if step.startswith("EDN to") and share == 1 else None
            rows.append(
                {
                    "name": f"exchange: {kind}, {step}",
                    "ours": rate,
                    "peer": target,
                    "ratio": rate / target if target else None,
                    "unit": "op/s",
                }
            )
    return rows


def _part(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[: 2 * OPERATIONS // EXACT_SHARE])


def _exact(content: bytes) -> Callable[[], Any]:
    part = _part(content)
    return lambda: read_any_edn(part, "history")


def _write(content: bytes) -> Callable[[], Any]:
    history = pair(read_edn(_part(content), "history")).history
    return lambda: write_edn(unpair(history))


def _seconds(work: Callable[[], Any]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        kept = work()
        seconds = time.process_time() - start
        del kept
        return seconds
    finally:
        gc.enable()
