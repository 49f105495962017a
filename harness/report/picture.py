"""The evidence of a finding as a small drawing: lanes by client, the order of events, the faults around them.

The axis keeps the order of events and not their distances: evidence often lies seconds apart and lasts microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from harness.report import words
from harness.report.model import EvidenceOperation, Strike

WIDTH = 760
LANE_HEIGHT = 34
LEFT = 84
RIGHT = 16
TOP = 34
MINIMUM_BAR = 34
DRAWN_OPERATIONS = 8


def draw(operations: Sequence[EvidenceOperation], strikes: Sequence[Strike]) -> str:
    """Return the drawing as SVG markup, every text in it escaped; empty where there is nothing to draw."""
    drawn = operations[:DRAWN_OPERATIONS]
    if not drawn:
        return ""
    axis = _Axis(drawn, strikes)
    clients = sorted({operation.client for operation in drawn})
    height = TOP + LANE_HEIGHT * len(clients) + 22
    bands = "".join(_band(strike, axis, height) for strike in strikes)
    lanes = "".join(_lane(client, row) for row, client in enumerate(clients))
    bars = "".join(_bar(operation, clients.index(operation.client), axis) for operation in drawn)
    names = ", ".join(f"{operation.name} by client {operation.client}" for operation in drawn)
    return (
        f'<svg class="picture" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(names)}">'
        f"{bands}{lanes}{bars}"
        f'<text class="axis" x="{WIDTH - RIGHT}" y="{height - 6}" text-anchor="end">'
        "order of events, not to scale</text></svg>"
    )


class _Axis:
    """Maps a microsecond of the run to its place in the order of the events that are drawn."""

    def __init__(self, operations: Sequence[EvidenceOperation], strikes: Sequence[Strike]) -> None:
        moments = {operation.start_us for operation in operations}
        moments |= {operation.end_us for operation in operations if operation.end_us is not None}
        moments |= {strike.start_us for strike in strikes}
        moments |= {strike.end_us for strike in strikes if strike.end_us is not None}
        self._ranks = {moment: rank for rank, moment in enumerate(sorted(moments), start=1)}
        self._step = (WIDTH - LEFT - RIGHT) / (len(self._ranks) + 1)

    def at(self, moment_us: int | None) -> float:
        """Return the x of a moment; of None the end of the axis."""
        return float(WIDTH - RIGHT) if moment_us is None else LEFT + self._ranks[moment_us] * self._step


def _band(strike: Strike, axis: _Axis, height: int) -> str:
    left, right = axis.at(strike.start_us), axis.at(strike.end_us)
    kind = "effective" if strike.effective else "idle"
    label = escape(words.sentence(f"{strike.fault} #{strike.number} {strike.targets}", 60))
    return (
        f'<rect class="band {kind}" x="{left:.1f}" y="4" width="{max(2, right - left):.1f}" height="{height - 24}"/>'
        f'<text class="band-label" x="{left + 5:.1f}" y="18">{label}</text>'
    )


def _lane(client: int, row: int) -> str:
    middle = TOP + LANE_HEIGHT * row + LANE_HEIGHT / 2
    return (
        f'<text class="lane" x="4" y="{middle + 4:.1f}">client {client}</text>'
        f'<line class="lane-line" x1="{LEFT - 6}" x2="{WIDTH - RIGHT}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
    )


def _bar(operation: EvidenceOperation, row: int, axis: _Axis) -> str:
    left = axis.at(operation.start_us)
    right = max(axis.at(operation.end_us), left + MINIMUM_BAR)
    y = TOP + LANE_HEIGHT * row + 6
    mark = {"ok": "", "fail": " ✕", "info": " ?"}[operation.status]
    title = escape(f"{operation.name} {operation.what} {operation.ending}")
    return (
        f'<g class="bar {operation.status}"><title>{title}</title>'
        f'<rect x="{left:.1f}" y="{y}" width="{right - left:.1f}" height="{LANE_HEIGHT - 12}" rx="3"/>'
        f'<text x="{left + 6:.1f}" y="{y + 15}">{operation.name}{mark}</text></g>'
    )
