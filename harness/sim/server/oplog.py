"""Questions about logs that several modules ask: where two part, where a time lies, which prefixes there are."""

from __future__ import annotations

from typing import Final

from harness.sim.server.records import Data, OplogEntry

PREFIX_LABELS: Final = ("behind 0", "behind 1", "behind 2", "floor")
"""Labels of what :func:`prefixes` returns, first is newest."""


def first_entry(timestamp: int, wall_us: int) -> OplogEntry:
    """Return the entry that every set begins with: an empty database in term 0."""
    return OplogEntry(index=0, term=0, timestamp=timestamp, wall_us=wall_us, data=Data())


def prefixes(floor: OplogEntry, top: OplogEntry) -> list[OplogEntry]:
    """Return the last entries of the prefixes of ``top``'s log that are told apart: the newest three, and the floor."""
    found = [top]
    entry = top
    while len(found) < len(PREFIX_LABELS) - 1 and entry.index > floor.index:
        assert entry.previous is not None
        entry = entry.previous
        found.append(entry)
    if entry.index > floor.index:
        found.append(floor)
    return found


def common_point(one: OplogEntry, other: OplogEntry) -> OplogEntry:
    """Return the last entry that both logs hold."""
    while one is not other:
        if one.index >= other.index:
            assert one.previous is not None
            one = one.previous
        else:
            assert other.previous is not None
            other = other.previous
    return one


def first_at_or_after(timestamp: int, floor: OplogEntry, top: OplogEntry) -> OplogEntry:
    """Return the first entry from ``floor`` to ``top`` that is not older than ``timestamp``; ``top`` is not."""
    entry = top
    while entry.index > floor.index and entry.previous is not None and entry.previous.timestamp >= timestamp:
        entry = entry.previous
    return entry


def last_at_or_before(timestamp: int, top: OplogEntry) -> OplogEntry | None:
    """Return the last entry of ``top``'s log that is not newer than ``timestamp``, or None."""
    entry: OplogEntry | None = top
    while entry is not None and entry.timestamp > timestamp:
        entry = entry.previous
    return entry


def first_of_term(top: OplogEntry) -> OplogEntry:
    """Return the first entry of the term that ``top`` is of."""
    entry = top
    while entry.previous is not None and entry.previous.term == entry.term:
        entry = entry.previous
    return entry


def newer(one: OplogEntry, other: OplogEntry) -> OplogEntry:
    """Return the later one of two entries of one log."""
    return one if one.index >= other.index else other


def older(one: OplogEntry, other: OplogEntry) -> OplogEntry:
    """Return the earlier one of two entries of one log."""
    return one if one.index <= other.index else other
