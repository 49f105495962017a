"""The timeline of a run as packed columns: sampled where it is large, deflated, base64, decoded by the page alone."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.facts import FaultWindow
from harness.history import History
from harness.operation import Operation
from harness.report import words
from harness.report.frames import Series
from harness.report.model import Shade

NANOSECONDS_PER_MICROSECOND = 1_000
STATUS_NUMBERS = {"ok": 0, "fail": 1, "info": 2}
DETAIL_CHARACTERS = 100
COMPRESSION_LEVEL = 9


def micro(nanoseconds: int) -> int:
    """Return whole microseconds."""
    return nanoseconds // NANOSECONDS_PER_MICROSECOND


def end_of(history: History) -> int:
    """Return the microsecond at which the record of a run ends."""
    times = [phase.time_ns for phase in history.phases]
    times += [change.time_ns for change in history.primary_changes]
    times += [window.end_ns or window.start_ns for window in history.fault_windows]
    times += [o.start_ns if o.returned_ns is None else o.returned_ns for o in history.operations]
    return micro(max(times, default=0)) + 1


def shades(windows: Sequence[FaultWindow], end_us: int) -> tuple[Shade, ...]:
    """Return the fault windows as bands; one that was never healed lasts until the end of the record."""
    return tuple(
        Shade(
            label=words.sentence(" ".join([f"#{w.strike + 1} {w.fault}", *w.targets]), 60),
            fault=w.fault,
            start_us=micro(w.start_ns),
            end_us=end_us if w.end_ns is None else micro(w.end_ns),
            effective=w.effective,
        )
        for w in windows
    )


def sample(operations: Sequence[Operation], evidence: frozenset[int], limit: int) -> tuple[Operation, ...]:
    """Return at most ``limit`` operations in their order: the evidence first, then what failed, then every n-th."""
    if len(operations) <= limit:
        return tuple(operations)
    tiers: list[list[Operation]] = [[], [], []]
    for operation in operations:
        tiers[0 if operation.index in evidence else 1 if operation.status != "ok" else 2].append(operation)
    kept: list[Operation] = []
    for tier in tiers:
        kept += _every_nth(tier, limit - len(kept))
    return tuple(sorted(kept, key=lambda operation: (operation.start_ns, operation.index)))


def _every_nth(operations: list[Operation], limit: int) -> list[Operation]:
    if limit <= 0:
        return []
    if len(operations) <= limit:
        return operations
    return [operations[position * len(operations) // limit] for position in range(limit)]


def pack(content: Mapping[str, Any]) -> str:
    """Return ``content`` as base64 of deflated JSON."""
    return base64.b64encode(zlib.compress(msgspec.json.encode(content), COMPRESSION_LEVEL)).decode("ascii")


def columns(
    history: History, shown: Sequence[Operation], evidence: Mapping[int, int], measures: Series, *, detailed: bool
) -> str:
    """Return the packed columns of a run.

    ``evidence`` maps the index of an operation to the number of the finding that it belongs to. Arguments and
    results are told of every operation where ``detailed``, else of those alone that failed or are evidence.
    """
    end_us = end_of(history)
    return pack(
        {
            "end": end_us,
            "total": len(history.operations),
            **_operation_columns(shown, [detailed or o.status != "ok" or o.index in evidence for o in shown]),
            "evidence": [[index, finding] for index, finding in evidence.items()],
            "faults": [
                {"label": s.label, "fault": s.fault, "start": s.start_us, "end": s.end_us, "effective": s.effective}
                for s in shades(history.fault_windows, end_us)
            ],
            "effects": [
                [micro(effect.time_ns), words.sentence(f"{effect.observer}: {effect.description}", 200)]
                for window in history.fault_windows
                for effect in window.effects
            ],
            "primaries": [[micro(c.time_ns), c.member or "", c.term] for c in history.primary_changes],
            "phases": [[micro(phase.time_ns), phase.name] for phase in history.phases],
            "series": {
                "bin": measures.bin_s,
                "rate": {status: [round(value, 2) for value in values] for status, values in measures.rate.items()},
                "latency": {words.sentence(name, 80): lines for name, lines in measures.latency.items()},
            },
        }
    )


def _operation_columns(shown: Sequence[Operation], detailed: Sequence[bool]) -> dict[str, Any]:
    functions = _dictionary(operation.function for operation in shown)
    nodes = _dictionary(operation.node for operation in shown)
    starts = [micro(operation.start_ns) for operation in shown]
    indexes = [operation.index for operation in shown]
    return {
        "functions": [words.sentence(name, 80) for name in functions],
        "nodes": [words.sentence(name, 40) for name in nodes],
        "index": _deltas(indexes),
        "start": _deltas(starts),
        "length": [-1 if o.returned_ns is None else micro(o.returned_ns - o.start_ns) for o in shown],
        "process": [operation.process for operation in shown],
        "client": [operation.client for operation in shown],
        "status": [STATUS_NUMBERS[operation.status] for operation in shown],
        "function": [functions[operation.function] for operation in shown],
        "node": [nodes[operation.node] for operation in shown],
        "asked": [_asked(o) if told else "" for o, told in zip(shown, detailed, strict=True)],
        "ended": [words.ending(o, DETAIL_CHARACTERS) if told else "" for o, told in zip(shown, detailed, strict=True)],
    }


def _asked(operation: Operation) -> str:
    return words.call(operation, DETAIL_CHARACTERS // 2)


def _dictionary(names: Any) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for name in names:
        numbers.setdefault(name, len(numbers))
    return numbers


def _deltas(values: Sequence[int]) -> list[int]:
    return [value - before for before, value in zip([0, *values], values, strict=False)]
