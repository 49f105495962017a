"""Watching who is primary, over connections that no link carries."""

from __future__ import annotations

from collections.abc import Callable

import trio

from harness.clock import RunClock
from harness.facts import PrimaryChange
from harness.interfaces.backend import Backend, MemberState
from harness.journal import PrimarySeen

INTERVAL_S = 0.2


def newest_primary(states: tuple[MemberState, ...]) -> MemberState | None:
    """Return the primary of the highest term among those that call themselves primary."""
    primaries = [state for state in states if state.role == "PRIMARY"]
    return max(primaries, key=lambda state: state.term or 0, default=None)


async def watch_primary(backend: Backend, clock: RunClock, seen: Callable[[PrimarySeen], None]) -> None:
    """Call ``seen`` whenever another member than before, or none, is primary. Runs until cancelled."""
    last: tuple[str | None, int | None] | None = None
    while True:
        now_ns = clock.now_ns()
        primary = newest_primary(await backend.observe())
        current = (primary.member, primary.term) if primary else (None, None)
        if current != last:
            seen(PrimarySeen(change=PrimaryChange(time_ns=now_ns, member=current[0], term=current[1])))
            last = current
        await trio.sleep(INTERVAL_S)
