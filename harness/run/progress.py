"""What a campaign tells while it runs. The runner calls a listener; how it looks is the command line's matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.facts import Cell
from harness.result import CellResult
from harness.run.group import GroupCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A moment of a run under load."""

    cell: Cell
    phase: str
    elapsed_s: float
    duration_s: float
    counts: GroupCounts
    operations_per_second: float
    faults: tuple[str, ...]
    """Faults that are striking now, with their targets."""
    primary: str


class ProgressListener(Protocol):
    """Gets what happens, as it happens; must return at once."""

    def message(self, text: str) -> None:
        """Take a line for the reader (``replica set ready in 2.4 s``)."""
        ...

    def snapshot(self, snapshot: Snapshot) -> None:
        """Take the state of a run, a few times a second."""
        ...

    def cell_finished(self, result: CellResult, *, finished: int, total: int) -> None:
        """Take the verdict on a cell."""
        ...


class Silent:
    """A listener that tells nobody."""

    def message(self, text: str) -> None:
        """Ignore it."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Ignore it."""

    def cell_finished(self, result: CellResult, *, finished: int, total: int) -> None:
        """Ignore it."""
