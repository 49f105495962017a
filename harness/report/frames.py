"""Throughput, latency and unavailability of a run, computed with pandas."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NANOSECONDS_PER_SECOND
from harness.history import History
from harness.report.model import Cost

if TYPE_CHECKING:
    import pandas as pd

MAXIMUM_BINS = 150
BIN_WIDTHS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0)
UNAVAILABLE_GAP_S = 0.5
"""A span of load without any acknowledged operation counts as unavailable from this length on."""

STATUSES = ("ok", "fail", "info")
QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
ALL_FUNCTIONS = "all functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Equidistant measures of a run: operations a second by status, latency in ms by function and quantile.

    ``None`` stands for a bin in which nothing was measured.
    """

    bin_s: float
    rate: dict[str, list[float]]
    latency: dict[str, dict[str, list[float | None]]]


def operations_frame(history: History) -> pd.DataFrame:
    """Return a row an operation: function, status, the second of its end and its latency in ms.

    An operation that never returned counts at the second of its start and has no latency.
    """
    import pandas as pd

    rows = [
        (
            operation.function,
            operation.status,
            (operation.start_ns if operation.returned_ns is None else operation.returned_ns) / NANOSECONDS_PER_SECOND,
            None if operation.returned_ns is None else (operation.returned_ns - operation.start_ns) / 1e6,
        )
        for operation in history.operations
    ]
    frame = pd.DataFrame(rows, columns=["function", "status", "second", "latency_ms"])
    return frame.astype({"second": "float64", "latency_ms": "float64"})


def load_window(history: History) -> tuple[float, float]:
    """Return the seconds in which the load began and ended; of all operations where no phase is recorded."""
    times = {phase.name: phase.time_ns / NANOSECONDS_PER_SECOND for phase in history.phases}
    starts = [operation.start_ns / NANOSECONDS_PER_SECOND for operation in history.operations]
    begin = times.get("load", min(starts, default=0.0))
    return begin, max(begin, times.get("heal", max(starts, default=begin)))


def measure(history: History) -> Cost:
    """Return throughput and latency of acknowledged operations, and the seconds without any."""
    begin, end = load_window(history)
    frame = operations_frame(history)
    acknowledged = frame[frame["status"] == "ok"]
    latency = acknowledged["latency_ms"].dropna()
    quantiles = {name: float(latency.quantile(q)) if len(latency) else None for name, q in QUANTILES}
    return Cost(
        run=history.facts.run if history.facts else "",
        operations_per_second=len(acknowledged) / (end - begin) if end > begin else 0.0,
        p50_ms=quantiles["p50"],
        p95_ms=quantiles["p95"],
        p99_ms=quantiles["p99"],
        unavailable_s=unavailable_seconds(acknowledged, begin, end),
    )


def unavailable_seconds(acknowledged: pd.DataFrame, begin: float, end: float) -> float:
    """Return the seconds between ``begin`` and ``end`` that lie in gaps without an acknowledged operation."""
    inside = acknowledged["second"][(acknowledged["second"] >= begin) & (acknowledged["second"] <= end)]
    moments = [begin, *sorted(float(second) for second in inside), end]
    gaps = (later - earlier for earlier, later in itertools.pairwise(moments))
    return sum(gap for gap in gaps if gap >= UNAVAILABLE_GAP_S)


def series(history: History, end_s: float) -> Series:
    """Return the measures of a run that lasted ``end_s`` seconds, in at most :data:`MAXIMUM_BINS` bins."""
    bin_s = next((width for width in BIN_WIDTHS_S if end_s / width <= MAXIMUM_BINS), BIN_WIDTHS_S[-1])
    bins = max(1, int(end_s / bin_s) + 1)
    frame = operations_frame(history)
    numbered = frame.assign(bin=(frame["second"] // bin_s).clip(0, bins - 1).astype(int))
    rate = {}
    for status in STATUSES:
        counts = numbered[numbered["status"] == status].groupby("bin").size()
        rate[status] = [float(count) / bin_s for count in counts.reindex(range(bins), fill_value=0)]
    acknowledged = numbered[numbered["status"] == "ok"]
    latency = {ALL_FUNCTIONS: _quantiles(acknowledged, bins)}
    functions = list(dict.fromkeys(acknowledged["function"]))
    if len(functions) > 1:
        latency |= {str(name): _quantiles(acknowledged[acknowledged["function"] == name], bins) for name in functions}
    return Series(bin_s=bin_s, rate=rate, latency=latency)


def _quantiles(frame: pd.DataFrame, bins: int) -> dict[str, list[float | None]]:
    grouped = frame.groupby("bin")["latency_ms"]
    lines: dict[str, list[float | None]] = {}
    for name, q in QUANTILES:
        values = grouped.quantile(q).reindex(range(bins))
        lines[name] = [None if value != value else round(float(value), 3) for value in values]  # noqa: PLR0124 - NaN
    return lines
