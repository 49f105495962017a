"""A backend: a replica set that clients can be connected to, and the powers over it that faults use.

Optional powers are named by :data:`Capability`; a fault that needs one which a backend lacks is refused before the
run starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from harness.interfaces.link import Links

Capability = Literal["links", "kill", "pause", "stepdown", "failpoint", "client-groups", "crash-client"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One member as an observer sees it, over a connection that no link carries."""

    member: str
    reachable: bool
    role: str = ""
    """``PRIMARY``, ``SECONDARY``, ``ROLLBACK``, ... or empty where it did not answer."""
    term: int | None = None
    applied: tuple[int, int, int] | None = None
    """Its last applied oplog entry: (term, seconds, increment)."""
    heard_from: tuple[str, ...] = ()
    """The members that it holds to be up, by its own heartbeats (itself included)."""
    sync_source: str = ""
    rollback_id: int | None = None
    process_id: int | None = None


def primary_of(states: Iterable[MemberState]) -> MemberState | None:
    """Return the member that is primary, in the highest term if several believe so, or None."""
    primaries = [state for state in states if state.reachable and state.role == "PRIMARY"]
    return max(primaries, key=lambda state: state.term or 0, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """All that a client group needs to reach the set; it can be sent to another process.

    ``resolve`` maps each advertised host name to the address that this group's links listen on; names that are
    missing there are resolved by the system.
    """

    group: str
    seeds: tuple[str, ...]
    """``host:port`` as the members advertise themselves."""
    replica_set: str
    members: Mapping[str, str] = field(default_factory=dict)
    """Advertised ``host:port`` to member name."""
    resolve: Mapping[str, str] = field(default_factory=dict)
    direct: bool = False
    """Whether to speak to the one seed alone (PyMongo's ``directConnection``), and not to what it advertises: those
    addresses lead over links. The seed was primary when this was made; after a failover, ask the backend anew."""


class Backend(Protocol):
    """A replica set under the harness's hands. Methods are called from one trio task at a time unless noted."""

    name: str

    @property
    def members(self) -> tuple[str, ...]:
        """Member names: ``m1``, ``m2``, ``m3``."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The powers that this backend has here."""
        ...

    @property
    def links(self) -> Links:
        """The links of the set. Raises FaultError where there are none."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be done otherwise than asked (links that fell back), in words."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return the versions of what runs: ``mongod``, ``toxiproxy``."""
        ...

    async def start(self) -> None:
        """Start the set; return when a majority write has returned. Raises BackendError with the last log lines."""
        ...

    async def stop(self) -> None:
        """End every process of the set and remove its directory. Safe to call twice and after a failed start."""
        ...

    async def wait_healthy(self, timeout_s: float) -> None:
        """Wait until every member is up, one is primary, and a majority write returns. Raises BackendError."""
        ...

    async def observe(self) -> tuple[MemberState, ...]:
        """Return the state of every member, unreachable ones included, within half a second. Safe beside others."""
        ...

    def connection(self, group: int) -> Connection:
        """Return how clients of that group reach the set."""
        ...

    def observer_connection(self) -> Connection:
        """Return a way to the set that no link carries, for setup, final reads and observers."""
        ...

    async def register_group(self, group: str, process_id: int) -> None:
        """Tell which process the clients of a group live in, before they connect."""
        ...

    async def drain(self, application_name_prefix: str, timeout_s: float) -> None:
        """Kill the sessions and operations of clients whose application name starts so; wait until none is left."""
        ...

    async def drop_database(self, name: str) -> None:
        """Drop a run's database."""
        ...

    async def kill(self, member: str) -> None:
        """End the member's process at once (kill -9)."""
        ...

    async def restart(self, member: str) -> None:
        """Start a killed member again on its old files."""
        ...

    async def pause(self, member: str) -> None:
        """Stop the member's process (SIGSTOP)."""
        ...

    async def resume(self, member: str) -> None:
        """Let a paused member go on (SIGCONT)."""
        ...

    async def admin(self, member: str, command: Mapping[str, Any]) -> dict[str, Any]:
        """Run an admin command on one member over a connection that no link carries; return the reply.

        Raises BackendError where the member does not answer or refuses.
        """
        ...

    def log_tail(self, member: str, lines: int) -> tuple[str, ...]:
        """Return the last lines of the member's log."""
        ...
