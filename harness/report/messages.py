"""The message diagram of a small run as a drawing: a vertical line for each client and member, messages between them.

Time goes down, a line for each message: the order of events, not their distances. The drawing keeps its size where the
page is narrow, and is scrolled there, so that its texts stay readable.
"""

from __future__ import annotations

from html import escape
from typing import Final

from harness.explore.diagram import (
    Arrow,
    Band,
    Diagram,
    Mark,
    Row,
    band_words,
    diagram_of,
    render_diagram,
    rows_of,
)
from harness.history import History
from harness.report import words
from harness.report.model import SmallestRun

ROWS_MAX: Final = 80
"""Lines of a drawing; a run with more of them is no small one."""
TEXT_CHARACTERS: Final = 20_000
LABEL_CHARACTERS: Final = 44

_TOP: Final = 42
_ROW: Final = 24
_LEFT: Final = 84
_LANE: Final = 132
_RIGHT: Final = 196
_HEAD: Final = 7


def draw_smallest(run: str, replay: str, history: History) -> SmallestRun:
    """Return the run of that id, which ``replay`` does again, drawn from its history."""
    diagram = diagram_of(history)
    rows = rows_of(diagram)
    return SmallestRun(
        run=run,
        replay=replay,
        operations=len(history.operations),
        clients=len({operation.client for operation in history.operations}),
        messages=draw_messages(diagram, rows[:ROWS_MAX]),
        left_out=max(0, len(rows) - ROWS_MAX),
        text=words.sentence(render_diagram(diagram), TEXT_CHARACTERS, keep="\n"),
    )


def draw_messages(diagram: Diagram, rows: tuple[Row, ...]) -> str:
    """Return the drawing of these rows as SVG markup, every text in it escaped."""
    names = [participant.name for participant in diagram.participants]
    places = {name: _LEFT + _LANE * number + 24 for number, name in enumerate(names)}
    width, height = _LEFT + _LANE * len(names) + _RIGHT, _TOP + _ROW * len(rows) + 12
    bands = "".join(_band(band, rows, width, height) for band in diagram.bands)
    lanes = "".join(_lane(p.name, p.kind, places[p.name], height) for p in diagram.participants)
    lines = "".join(_line(row, _TOP + _ROW * number + _ROW // 2, places) for number, row in enumerate(rows))
    label = escape(words.visible(f"messages between {', '.join(names)}, in order of time; the same as text below"))
    return (
        f'<svg class="messages" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}">{bands}{lanes}{_times(rows)}{lines}</svg>'
    )


def _band(band: Band, rows: tuple[Row, ...], width: int, height: int) -> str:
    numbers = [number for number, row in enumerate(rows) if row.shows is band]
    if not numbers:
        return ""
    top = _TOP + _ROW * numbers[0]
    bottom = _TOP + _ROW * (numbers[1] + 1) if len(numbers) > 1 else height
    return f'<rect class="band effective" x="{_LEFT - 8}" y="{top}" width="{width - _LEFT}" height="{bottom - top}"/>'


def _lane(name: str, kind: str, x: int, height: int) -> str:
    return (
        f'<text class="participant {kind}" x="{x}" y="24" text-anchor="middle">{_shown(name)}</text>'
        f'<line class="lane-line" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{height - 6}"/>'
    )


def _times(rows: tuple[Row, ...]) -> str:
    shown, before = [], -1
    for number, row in enumerate(rows):
        if row.time_us != before:
            y = _TOP + _ROW * number + _ROW // 2 + 4
            shown.append(f'<text class="axis" x="4" y="{y}">{row.time_us / 1_000:,.1f} ms</text>')
            before = row.time_us
    return "".join(shown)


def _line(row: Row, y: int, places: dict[str, int]) -> str:
    match row.shows:
        case Arrow():
            return _arrow(row.shows, y, places)
        case Mark(participant=participant, label=label):
            x = places[participant]
            return f'<circle class="mark" cx="{x}" cy="{y}" r="4"/>{_label(x + 9, y + 4, label, "mark")}'
        case Band():
            return _label(_LEFT, y + 4, band_words(row.shows, ends=row.ends), "band-label")


def _arrow(arrow: Arrow, y: int, places: dict[str, int]) -> str:
    source, target = places[arrow.source], places[arrow.target]
    ahead = 1 if target > source else -1
    lost = arrow.kind == "lost"
    end = target - ahead * 26 if lost else target - ahead
    head = (
        f'<path class="cross" d="M{end - 5} {y - 5}l10 10m0 -10l-10 10"/>'
        if lost
        else f'<path class="head" d="M{end} {y}l{-ahead * _HEAD} -4v8z"/>'
    )
    return (
        f'<g class="arrow {arrow.kind}"><line x1="{source}" x2="{end}" y1="{y}" y2="{y}"/>{head}'
        f"{_label(min(source, target) + 10, y - 5, arrow.label, '')}</g>"
    )


def _label(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{_shown(text)}</text>'


def _shown(text: str) -> str:
    shown = text if len(text) <= LABEL_CHARACTERS else f"{text[: LABEL_CHARACTERS - 1]}…"
    return escape(words.visible(shown))
