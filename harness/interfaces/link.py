"""Links between processes: every ordered pair (source, destination) is a link that can be cut on its own.

A source is a member (``m1``) or a client group (``clients``, ``clients-1``); a destination is a member. Toxic
names, attributes and meaning are Toxiproxy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

Direction = Literal["upstream", "downstream"]
"""``upstream``: from source to destination; ``downstream``: the answers."""

ToxicKind = Literal["latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data"]


class Link(NamedTuple):
    """An ordered pair: ``source`` initiates connections to ``destination``."""

    source: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """A disturbance of one direction of a link; ``attributes`` have Toxiproxy's names and units.

    latency: latency, jitter (ms) · bandwidth: rate (KB/s) · slow_close: delay (ms) · timeout: timeout (ms; 0 drops
    data for ever) · reset_peer: timeout (ms) · slicer: average_size, size_variation (bytes), delay (us) ·
    limit_data: bytes. ``toxicity`` is the share of connections that it strikes.
    """

    kind: ToxicKind
    direction: Direction = "downstream"
    attributes: Mapping[str, int] = field(default_factory=dict)
    toxicity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounters:
    """What a link has carried since it was made, as its own process counted it."""

    connections: int = 0
    refused: int = 0
    """Connections refused, or closed at once, because the link was cut."""
    bytes_upstream: int = 0
    bytes_downstream: int = 0
    swallowed_upstream: int = 0
    """Bytes taken from the source and not passed on."""
    swallowed_downstream: int = 0


class Links(Protocol):
    """The links of one replica set. All methods may be awaited at any time between start and stop."""

    @property
    def name(self) -> str:
        """``builtin`` or ``toxiproxy``."""
        ...

    @property
    def counts(self) -> bool:
        """Whether :meth:`counters` tells anything (Toxiproxy's are not exposed by every version)."""
        ...

    async def cut(self, links: Iterable[Link]) -> None:
        """Close the open connections of these links and refuse new ones until healed."""
        ...

    async def heal(self, links: Iterable[Link]) -> None:
        """Let these links carry connections again, and remove their toxics."""
        ...

    async def heal_all(self) -> None:
        """Heal every link."""
        ...

    async def add_toxic(self, links: Iterable[Link], toxic: Toxic) -> None:
        """Disturb these links, open connections included; one toxic of a kind and direction at a time."""
        ...

    async def counters(self, link: Link) -> LinkCounters:
        """Return what the link has carried."""
        ...


class Network(Protocol):
    """What stands between the processes of one set: it gives each member its advertised address and makes the links.

    Made before the members start, by :func:`harness.backends.links.open_network`, from their real ports.
    """

    links: Links
    notes: tuple[str, ...]
    """What could not be had as asked for, in words."""

    @property
    def version(self) -> str:
        """Version of the proxy server, or of the harness for the built-in one."""
        ...

    def advertised(self, member: str) -> str:
        """Return the ``host:port`` under which everybody reaches the member; it goes into the set's configuration."""
        ...

    def member_environment(self, member: str) -> Mapping[str, str]:
        """Return the environment variables that the member's process must be started with."""
        ...

    def resolve(self, group: str) -> Mapping[str, str]:
        """Return, for a client group, host name to loopback address; empty where names need no help."""
        ...

    async def register(self, source: str, process_id: int) -> None:
        """Tell which process a source (a member, a client group) is; again after each restart."""
        ...

    async def close(self) -> None:
        """End the proxies. Safe to call twice."""
        ...
