"""A fault: it strikes, heals, and reports the effect that an observer saw. Whoever injects does not observe.

A strike is one cycle of :meth:`Fault.aim`, :meth:`Fault.inject`, :meth:`Fault.observe` (called again and again while
the fault is on) and :meth:`Fault.heal`. Aiming is a step of its own so that the targets are on record before anything
is touched, and so that a strike whose injection failed half way can be healed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from harness.facts import Effect
from harness.interfaces.backend import Backend, Capability, MemberState
from harness.interfaces.link import Links


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """What is struck: ``targets`` for the reader, ``memory`` for the fault's own healing and observing."""

    targets: tuple[str, ...]
    before: tuple[MemberState, ...]
    """The members as they were just before."""
    memory: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultContext:
    """What a fault may use: the backend, a random stream of its own, the run's clock and its client groups.

    ``crash_client`` makes a client process die between two database calls; it is None where there are no clients.
    """

    backend: Backend
    random: random.Random
    now_ns: Callable[[], int]
    groups: tuple[str, ...] = ("clients",)
    crash_client: Callable[[int], None] | None = None
    client_crashes: Callable[[], int] = lambda: 0
    """How many client processes have died so far, by the journal's count."""
    clients: int = 0
    application_name: str = ""
    """The application name of every client of the run, exactly: failpoints strike no other connection."""
    own_links: Links | None = None
    """The links as this fault shares them with the other faults of the run, where there is a nemesis."""

    @property
    def links(self) -> Links:
        """The links to disturb. Raises FaultError where the backend has none."""
        return self.backend.links if self.own_links is None else self.own_links


class Fault(Protocol):
    """One named fault."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        ...

    @property
    def needs(self) -> frozenset[Capability]:
        """The powers that a backend must have for it."""
        ...

    @property
    def hold_s(self) -> float:
        """How long a strike is held."""
        ...

    async def aim(self, context: FaultContext) -> Injection:
        """Choose the targets and note how things are before; disturb nothing. Raises FaultError without a target."""
        ...

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Strike. Raises FaultError or BackendError where it cannot; what was done by then is healed all the same."""
        ...

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Return the effect if it shows by now, by another observer than the injector; else None."""
        ...

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Undo the strike, every step of it tried; may be repeated.

        Returns an effect that shows only now (a counter read at the end), or None. Raises FaultError or BackendError
        where a step failed.
        """
        ...
