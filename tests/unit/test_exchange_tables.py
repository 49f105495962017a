"""Histories as pandas frames: one row an operation, and summaries per process, key and fault window."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.exchange.files import read_history
from harness.exchange.tables import per_fault_window, per_key, per_process
from harness.facts import FaultWindow
from harness.history import History
from harness.operation import Operation

JEPSEN = Path(__file__).parents[1] / "histories" / "jepsen"
LARGE = 2**53 + 1
"""The first whole number that a float cannot hold."""


def operation(index: int, start_ns: int, returned_ns: int | None, result: object = None) -> Operation:
    """Return an operation of process ``index``; one that never returned is ``info``."""
    return Operation(
        index=index,
        process=index,
        client=index,
        function="read",
        arguments={"key": index % 2},
        start_ns=start_ns,
        returned_ns=returned_ns,
        status="info" if returned_ns is None else "ok",
        outcome="unfinished" if returned_ns is None else "returned",
        result=result,
    )


HISTORY = History(
    operations=(
        operation(0, 0, 1_000_000, LARGE),
        operation(1, 2_000_000, 5_000_000),
        operation(2, 6_000_000, None),
        operation(3, 9_000_000, 10_000_000),
    ),
    fault_windows=(
        FaultWindow(fault="kill", strike=1, start_ns=4_000_000, end_ns=7_000_000),
        FaultWindow(fault="lag", strike=1, start_ns=5_000_000),
    ),
)


@pytest.mark.slow
def test_a_frame_has_a_row_an_operation() -> None:
    """Rows are named by the index of their operation; times and values stay exact, and faults are named."""
    frame = HISTORY.to_frame()
    assert list(frame.index) == [0, 1, 2, 3]
    assert frame.loc[0, "result"] == LARGE
    assert list(frame["faults"]) == ["", "kill+lag", "kill+lag", "lag"]
    assert list(frame["latency_ms"])[:2] == [1.0, 3.0]
    assert frame["returned_ns"].isna().tolist() == [False, False, True, False]


@pytest.mark.slow
def test_processes_are_summed_up() -> None:
    """Each process has its counts and its latencies, a process without an ok operation has none."""
    table = per_process(HISTORY)
    assert list(table["operations"]) == [1, 1, 1, 1]
    assert list(table["info"]) == [0, 0, 1, 0]
    assert table.loc[1, "max_ms"] == 3.0
    assert table["p50_ms"].isna().tolist() == [False, False, True, False]


@pytest.mark.slow
def test_keys_are_summed_up() -> None:
    """Each key has its operations; a history without keys has no rows."""
    table = per_key(HISTORY)
    assert table["ok"].to_dict() == {"0": 1, "1": 2}
    assert per_key(read_history(JEPSEN / "register-stale-read.edn").history).empty


@pytest.mark.slow
def test_fault_windows_are_summed_up() -> None:
    """Each window has the operations that overlap it, and the last row those that overlap none."""
    table = per_fault_window(HISTORY)
    assert table["operations"].to_dict() == {("kill", 1): 2, ("lag", 1): 3, ("none", 0): 1}
    assert table.loc[("kill", 1), "duration_ms"] == 3.0
    assert table["end_ns"].isna().tolist() == [False, True, True]


@pytest.mark.slow
def test_an_empty_history_has_empty_tables() -> None:
    """No operation is no error."""
    empty = History(operations=())
    assert empty.to_frame().empty
    assert per_process(empty).empty
    assert per_fault_window(empty)["operations"].tolist() == [0]
