"""The events of a nemesis as fault windows: which function begins a fault, and which one ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.facts import FaultWindow

_BEGINNINGS: Final = ("start-", "begin-")
_ENDS: Final = ("stop-", "end-", "heal-", "reset-")
_PAIRS: Final = {"kill": ("start", "restart"), "pause": ("resume",), "partition": ("heal",), "stop-db": ("start-db",)}
"""Faults that are named by what they do, and what undoes each."""


def fault_windows(events: Sequence[tuple[str, int]]) -> tuple[FaultWindow, ...]:
    """Return the windows of a nemesis from its functions and their times, in order.

    ``start-X`` and ``stop-X`` (heal, end, reset) are a strike of X, ``start`` and ``stop`` one of "nemesis", ``kill``
    lasts until ``start``, ``pause`` until ``resume``, ``partition`` until ``heal``. An event that a nemesis has twice,
    as it begins and as it is done, begins at the first and ends at the last. Others open no window.
    """
    named = {function for function, _ in events}
    begins, ends = _vocabulary(named)
    windows: list[FaultWindow] = []
    latest: dict[str, int] = {}
    strikes: dict[str, int] = {}
    closed: set[str] = set()
    for function, time_ns in events:
        fault = begins.get(function)
        if fault is not None and (fault not in latest or fault in closed):
            closed.discard(fault)
            latest[fault] = len(windows)
            strikes[fault] = strikes.get(fault, 0) + 1
            windows.append(FaultWindow(fault=fault, strike=strikes[fault], start_ns=time_ns))
        for ended in ends.get(function, ()):
            if ended in latest:
                opened = windows[latest[ended]]
                windows[latest[ended]] = FaultWindow(
                    fault=ended, strike=opened.strike, start_ns=opened.start_ns, end_ns=time_ns
                )
                closed.add(ended)
    return tuple(windows)


def _vocabulary(named: set[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    begins: dict[str, str] = {}
    ends: dict[str, list[str]] = {}
    for function in sorted(named):
        for prefix in _BEGINNINGS:
            if function.startswith(prefix):
                begins[function] = function.removeprefix(prefix)
        for prefix in _ENDS:
            if function.startswith(prefix):
                ends.setdefault(function, []).append(function.removeprefix(prefix))
    for fault, undoing in _PAIRS.items():
        if fault in named:
            begins[fault] = fault
            for function in undoing:
                ends.setdefault(function, []).append(fault)
    if "start" in named and not named & {"kill"}:
        begins["start"] = "nemesis"
        ends.setdefault("stop", []).append("nemesis")
    return begins, ends
