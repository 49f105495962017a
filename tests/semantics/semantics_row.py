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
    """Where else it is held, and what of it is not."""
    unprobed: str = ""
    """Why there is no probe that could show it on both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows of one subject."""

    title: str
    rows: tuple[Row, ...]


def row(topic: str, rule: str, *probes: str, besides: str = "", unprobed: str = "") -> Row:
    """Return a row. It has probes, or a reason why not."""
    if bool(probes) == bool(unprobed):
        raise ValueError(f"the row {topic!r} needs probes, or the reason why it has none")
    return Row(topic=topic, rule=rule, probes=probes, besides=besides, unprobed=unprobed)


GRID = "the grid of concerns, `tests/semantics/test_concern_matrix.py`"
