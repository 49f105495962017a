"""Throughput, latency and unavailability of a run."""

from __future__ import annotations

from harness.facts import Phase
from harness.history import History
from harness.operation import Operation
from harness.report import frames

SECOND = 1_000_000_000


def operation(index: int, start_s: float, latency_ms: float | None, status: str = "ok", name: str = "put") -> Operation:
    start_ns = int(start_s * SECOND)
    return Operation(
        index=index,
        process=0,
        client=0,
        function=name,
        start_ns=start_ns,
        returned_ns=None if latency_ms is None else start_ns + int(latency_ms * 1e6),
        status=status,  # type: ignore[arg-type]
        outcome="returned" if status == "ok" else "raised",
    )


def history(*operations: Operation) -> History:
    phases = (Phase(name="load", time_ns=SECOND), Phase(name="heal", time_ns=11 * SECOND))
    return History(operations=operations, phases=phases)


def test_throughput_and_latency_are_those_of_acknowledged_operations() -> None:
    """Failures neither raise the throughput nor lower the latency."""
    good = [operation(n, 1 + n * 0.1, 10.0) for n in range(99)]
    bad = [operation(100 + n, 1 + n * 0.1, 0.1, "fail") for n in range(99)]
    cost = frames.measure(history(*good, *bad))
    assert cost.operations_per_second == 9.9
    assert (cost.p50_ms, cost.p95_ms, cost.p99_ms) == (10.0, 10.0, 10.0)


def test_gaps_without_an_acknowledged_operation_are_unavailable_seconds() -> None:
    """Only gaps of half a second or more count, at the edges of the load too."""
    steady = [operation(n, 1 + n * 0.1, 1.0) for n in range(40)]
    later = [operation(100 + n, 7 + n * 0.1, 1.0) for n in range(40)]
    cost = frames.measure(history(*steady, *later))
    # 4.901 s to 7.001 s in the middle, and 10.901 s to 11 s at the end, which is too short to count.
    assert round(cost.unavailable_s, 3) == 2.1


def test_a_run_without_any_acknowledged_operation_is_unavailable_throughout() -> None:
    """Nothing measured is told as nothing, not as zero latency."""
    cost = frames.measure(history(operation(0, 2, None, "info")))
    assert cost.p50_ms is None
    assert cost.unavailable_s == 10.0
    assert cost.operations_per_second == 0.0


def test_series_count_each_status_in_its_bin() -> None:
    """Each operation counts once, in the bin in which it ended; one that never ended where it began."""
    measured = frames.series(
        history(operation(0, 1.0, 1.0), operation(1, 1.1, 1.0, "fail"), operation(2, 3.0, None, "info")), 12.0
    )
    assert measured.bin_s == 0.25
    assert sum(measured.rate["ok"]) * measured.bin_s == 1
    assert measured.rate["fail"][4] == 4.0
    assert measured.rate["info"][12] == 4.0


def test_latency_series_tell_functions_apart() -> None:
    """A slow function is not hidden behind a fast one."""
    measured = frames.series(history(operation(0, 1.0, 1.0), operation(1, 1.0, 50.0, name="scan")), 12.0)
    assert measured.latency["put"]["p50"][4] == 1.0
    assert measured.latency["scan"]["p99"][4] == 50.0
    assert measured.latency[frames.ALL_FUNCTIONS]["p50"][0] is None


def test_a_long_run_gets_wider_bins() -> None:
    """A night of load is drawn with a bounded number of bins."""
    measured = frames.series(history(operation(0, 1.0, 1.0)), 3_600.0)
    assert len(measured.rate["ok"]) <= frames.MAXIMUM_BINS + 1
