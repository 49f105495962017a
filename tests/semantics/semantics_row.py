"""What the table of semantics is made of: rules in short, and where each is probed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rule in short, and where it is probed."""

    topic: str
    rule: str
    probes: tuple[str, ...] = ()
    besides: str = ""
    """Where else it is held, or why no probe can show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows of one subject."""

    title: str
    rows: tuple[Row, ...]


def row(topic: str, rule: str, *probes: str, besides: str = "") -> Row:
    """Return a row."""
    return Row(topic=topic, rule=rule, probes=probes, besides=besides)


GRID = "the grid of concerns, `tests/semantics/test_concern_matrix.py`"
