"""Progress for a reader: one live line on a terminal, plain lines every few seconds elsewhere. To standard error."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.result import CellResult
from harness.run.progress import Snapshot

PLAIN_INTERVAL_S = 5.0

MARKS = {"holds": "holds", "violated": "VIOLATED", "unknown": "unknown"}


def snapshot_line(snapshot: Snapshot) -> str:
    """Return a moment of a run as one line."""
    counts = snapshot.counts
    faults = ", ".join(snapshot.faults) or "no fault"
    return (
        f"{snapshot.cell.label()}: {snapshot.phase} {snapshot.elapsed_s:.0f} s of {snapshot.duration_s:g} s, "
        f"{snapshot.operations_per_second:,.0f} op/s, ok {counts.ok:,} fail {counts.fail:,} info {counts.info:,}, "
        f"{faults}, primary {snapshot.primary or 'none'}"
    )


def cell_line(result: CellResult) -> str:
    """Return the verdict on a cell as one line, with what to know next."""
    words = f"{MARKS[result.status]:>8}  {result.cell.label()}"
    if result.anomalies:
        words += ": " + ", ".join(f"{count:,} x {kind}" for kind, count in result.anomalies.items())
    elif result.reasons:
        words += f": {result.reasons[0]}"
    else:
        words += f": {result.evidence.ok:,} ok operations, {result.evidence.effective_strikes} effective strikes"
    if result.surprise:
        words += f"  (a surprise: {result.expected} was expected)"
    return words


class ConsoleProgress:
    """A progress listener on a rich console. Use as a context manager, so that the live line is taken away."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._last_plain = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def message(self, text: str) -> None:
        """Print a line above the live one."""
        self._console.print(Text(text), soft_wrap=True)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show the state of the run."""
        line = snapshot_line(snapshot)
        if self._live:
            self._live.update(Text(line), refresh=True)
        elif time.monotonic() - self._last_plain >= PLAIN_INTERVAL_S:
            self._last_plain = time.monotonic()
            self._console.print(Text(line), soft_wrap=True)

    def cell_finished(self, result: CellResult, *, finished: int, total: int) -> None:
        """Print the verdict, and for a violation the command that replays it."""
        self._console.print(Text(f"[{finished}/{total}] {cell_line(result)}"), soft_wrap=True)
        if result.status == "violated" and result.replay:
            self._console.print(Text(f"          replay: {result.replay}"), soft_wrap=True)
