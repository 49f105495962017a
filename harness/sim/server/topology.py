"""Who can reach whom: the links of the set, whole, cut or disturbed. An observer's links are always whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from harness.errors import FaultError
from harness.interfaces.link import Link
from harness.sim.server.configuration import OBSERVER, Configuration

DisturbanceKind = Literal["delay", "reset", "black-hole", "drop-request", "drop-reply", "lose-reply"]

_STOPS_MEMBERS: Final = frozenset({"reset", "black-hole", "drop-request", "drop-reply"})


@dataclass(slots=True, kw_only=True)
class Disturbance:
    """What strikes the commands on a link.

    ``delay``: each takes ``delay_us`` longer (latency, bandwidth, slices). ``reset``: the connection is reset before or
    after the command ran. ``black-hole``: nothing arrives in either direction, and connections stay open.
    ``drop-request``, ``drop-reply``: the same in one direction. ``lose-reply``: the connection is reset after the
    command ran. ``remaining`` is for how many commands still, None for all.
    """

    kind: DisturbanceKind
    delay_us: int = 0
    remaining: int | None = None
    struck: int = 0


class Topology:
    """The links of a set. Raises FaultError for a link between names that are not in it."""

    def __init__(self, configuration: Configuration) -> None:
        self._members = configuration.members
        self._sources = (*configuration.members, *configuration.groups)
        self._delay_limit_us = configuration.election_timeout_us
        self._cut: dict[Link, None] = {}
        self._disturbed: dict[Link, Disturbance] = {}

    def check(self, links: Iterable[Link]) -> tuple[Link, ...]:
        """Return the links, each once."""
        checked = tuple(dict.fromkeys(links))
        for link in checked:
            if link.source not in self._sources or link.destination not in self._members:
                raise FaultError(
                    f"there is no link from {link.source!r} to {link.destination!r} in the simulated set",
                    next_step=f"sources are {', '.join(self._sources)}; destinations {', '.join(self._members)}",
                )
        return checked

    @property
    def whole(self) -> bool:
        """Whether no link is cut or disturbed."""
        return not self._cut and not self._disturbed

    def describe(self) -> tuple[Any, ...]:
        """Return what is cut and disturbed as plain values."""
        if self.whole:
            return ()
        disturbed = [(*link, each.kind, each.delay_us, each.remaining) for link, each in self._disturbed.items()]
        return tuple(sorted([tuple(link) for link in self._cut])), tuple(sorted(disturbed, key=str))

    def cut(self, links: Iterable[Link]) -> None:
        """Let these links carry nothing, and refuse connections."""
        for link in links:
            self._cut[link] = None

    def heal(self, links: Iterable[Link]) -> None:
        """Make these links whole."""
        for link in links:
            self._cut.pop(link, None)
            self._disturbed.pop(link, None)

    def heal_all(self) -> None:
        """Make every link whole."""
        self._cut.clear()
        self._disturbed.clear()

    def disturb(self, links: Iterable[Link], disturbance: Disturbance) -> None:
        """Disturb these links; one disturbance each at a time."""
        for link in links:
            self._disturbed[link] = disturbance

    def undisturb(self, links: Iterable[Link]) -> None:
        """End the disturbance of these links."""
        for link in links:
            self._disturbed.pop(link, None)

    def is_cut(self, source: str, destination: str) -> bool:
        """Whether connections over the link are refused."""
        return bool(self._cut) and source != OBSERVER and (source, destination) in self._cut

    def disturbance(self, source: str, destination: str) -> Disturbance | None:
        """Return what disturbs the link, or None."""
        if not self._disturbed or source == OBSERVER:
            return None
        return self._disturbed.get(Link(source, destination))

    def carries(self, source: str, destination: str) -> bool:
        """Whether requests that ``source`` makes over the link are answered in time for members' heartbeats."""
        if self.is_cut(source, destination):
            return False
        disturbance = self.disturbance(source, destination)
        if disturbance is None:
            return True
        return disturbance.kind not in _STOPS_MEMBERS and disturbance.delay_us < self._delay_limit_us
