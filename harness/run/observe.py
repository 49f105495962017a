"""Watching who is primary, over connections that no link carries."""

from __future__ import annotations

from collections.abc import Callable

import trio

from harness.clock import RunClock
from harness.facts import PrimaryChange
from harness.interfaces.backend import Backend, primary_of
from harness.journal import PrimarySeen

INTERVAL_S = 0.2


async def watch_primary(backend: Backend, clock: RunClock, seen: Callable[[PrimarySeen], None]) -> None:
    """Call ``seen`` whenever another member than before, or none, is primary. Runs until cancelled."""
    last: tuple[str | None, int | None] | None = None
    while True:
        now_ns = clock.now_ns()
        primary = primary_of(await backend.observe())
        current = (primary.member, primary.term) if primary else (None, None)
        if current != last:
            seen(PrimarySeen(change=PrimaryChange(time_ns=now_ns, member=current[0], term=current[1])))
            last = current
        await trio.sleep(INTERVAL_S)
