"""What a strike aims at: the members as they are, and the primary, which may have to be waited for."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from harness.errors import FaultError
from harness.faults.effects import SECONDARY, States
from harness.interfaces.backend import primary_of
from harness.interfaces.fault import FaultContext
from harness.interfaces.link import Link, LinkCounters

PATIENCE_S = 3.0
"""How long a strike waits for a primary: the strike of another fault may just have taken it away."""
_POLL_INTERVAL_S = 0.1


async def wait_for_primary(context: FaultContext, fault: str) -> tuple[States, str]:
    """Return the states of all members and the name of the primary. Raises FaultError if none appears."""
    deadline = trio.current_time() + PATIENCE_S
    while True:
        states = await context.backend.observe()
        if (primary := primary_of(states)) is not None:
            return states, primary.member
        if trio.current_time() > deadline:
            seen = ", ".join(f"{state.member} {state.role or 'silent'}" for state in states)
            raise FaultError(f"{fault} found no primary to strike within {PATIENCE_S:.0f} s ({seen})")
        await trio.sleep(_POLL_INTERVAL_S)


def secondaries(states: States) -> tuple[str, ...]:
    """Return the members that are secondaries now, in the order of their names."""
    return tuple(sorted(state.member for state in states if state.reachable and state.role == SECONDARY))


def links_of(member: str, members: tuple[str, ...], groups: tuple[str, ...]) -> tuple[Link, ...]:
    """Return all links to ``member``, those of the client groups first, and its own to the other members."""
    others = tuple(other for other in members if other != member)
    inbound = [Link(source, member) for source in (*groups, *others)]
    return (*inbound, *(Link(member, other) for other in others))


def client_links(member: str, groups: tuple[str, ...]) -> tuple[Link, ...]:
    """Return the links of all client groups to ``member``."""
    return tuple(Link(group, member) for group in groups)


async def counters_of(context: FaultContext, links: Sequence[Link]) -> tuple[LinkCounters, ...]:
    """Return the counters of ``links``, or nothing where the links do not count."""
    if not context.links.counts:
        return ()
    return tuple([await context.links.counters(link) for link in links])
