"""Which member a command goes to: what the client knows of the set, and how it waits until one fits.

The client's monitors are not simulated one by one. At each selection it knows what a fresh ``hello`` would tell, or,
by choice, for half a second after a change, what was so before; after an error it looks afresh. A primary of an older
election than one it has seen is none to it (server discovery and monitoring specification, PyMongo's server selection).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pymongo.errors import (
    ConnectionFailure,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteError,
)

from harness.sim.driver.errors_mapping import NOT_PRIMARY_CODES, PORT, network_text
from harness.sim.kernel.loop import US_PER_MS, US_PER_SECOND, Event, Kernel

if TYPE_CHECKING:
    from pymongo.read_preferences import _ServerMode

SELECTION_TIMEOUT_US: Final = 3 * US_PER_SECOND
HEARTBEAT_US: Final = 500 * US_PER_MS
"""How long after a change a client may not know of it, and for how long it loses sight of a member whose connection
broke: PyMongo's monitor notices within that time that its check was cancelled."""
REDISCOVERY_US: Final = 1 * US_PER_MS
"""What a look at a member takes that says that it is not primary."""

PRIMARY: Final = 0
PRIMARY_PREFERRED: Final = 1
SECONDARY: Final = 2
SECONDARY_PREFERRED: Final = 3
NEAREST: Final = 4
"""The modes of read preferences, as PyMongo numbers them."""

_DISCOVER: Final = ("fresh", "stale")
_NOT_WRITABLE: Final = 10107


class Network(Protocol):
    """What a client needs of the simulated network."""

    @property
    def members(self) -> Sequence[str]:
        """The names of the members, in order."""
        ...

    @property
    def topology_changed(self) -> Event:
        """Happens when what ``hello`` tells may have changed."""
        ...

    @property
    def topology_version(self) -> int:
        """Counts the times that ``topology_changed`` has happened."""
        ...

    @property
    def topology_changed_us(self) -> int:
        """When it happened last."""
        ...

    def hello(self, group: str, member: str) -> Mapping[str, Any] | None:
        """Return what clients of that group would be told by the member; None where they cannot reach it."""
        ...

    async def request(
        self,
        group: str,
        member: str,
        command: dict[str, Any],
        *,
        connection: int,
        deadline_us: int | None,
        footprint: Any = None,
    ) -> dict[str, Any]:
        """Send a command and return its reply. Raises NetworkFailure."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the client knows of one member."""

    member: str
    kind: str
    """``RSPrimary``, ``RSSecondary``, ``RSOther`` or ``Unknown``."""
    election: Any = None
    """The id of the election that made it primary; ids of later elections are greater."""
    error: str = ""

    def __str__(self) -> str:
        error = f", error={self.error!r}" if self.error else ""
        return f"<ServerDescription ({self.member!r}, {PORT}) server_type: {self.kind}, rtt: None{error}>"


class Topology:
    """The set as one client sees it, through the links of its ``group``."""

    def __init__(self, network: Network, kernel: Kernel, group: str) -> None:
        self._network = network
        self._kernel = kernel
        self._group = group
        self._version = -1
        self._known: Mapping[str, Description] = {}
        self._primary = ""
        self._newest_election: Any = None
        self._blind: dict[str, tuple[int, str]] = {}
        """Members that the client lost sight of: until when, and by which error."""

    def primary_now(self) -> str:
        """Return the primary's name, or empty where the client knows of none."""
        if self._version != self._network.topology_version:
            self._look()
        return self._primary

    async def writable(self) -> str:
        """Return the primary's name. Raises ServerSelectionTimeoutError where none is found in time."""
        return self.primary_now() or (await self._wait_for(None))[0]

    async def readable(self, preference: _ServerMode) -> str:
        """Return the name of a member that reads of that preference go to; raises as :meth:`writable` does."""
        if self._version != self._network.topology_version:
            self._look()
        candidates = self._candidates(preference) or await self._wait_for(preference)
        return candidates[self._kernel.choose("server", candidates)]

    async def known(self, member: str) -> None:
        """Wait until that member answers, for a command that can go nowhere else; raises as :meth:`writable` does."""
        deadline_us = self._kernel.now_us + SELECTION_TIMEOUT_US
        while True:
            if self._version != self._network.topology_version:
                self._look()
            if self._known[member].kind != "Unknown":
                return
            await self._wait("any_server_selector", deadline_us)

    def note_error(self, member: str, error: PyMongoError, *, connected: bool) -> bool:
        """Note an error of a command sent to ``member``; return whether its connections are to be given up.

        ``connected`` tells whether there was a connection, whose silence then says nothing about the member.
        """
        if isinstance(error, WriteError) or (isinstance(error, NetworkTimeout) and connected):
            return False
        if isinstance(error, NotPrimaryError | OperationFailure):
            details = error.details if isinstance(error.details, Mapping) else {}
            code = error.code if isinstance(error, OperationFailure) else details.get("code", _NOT_WRITABLE)
            if code not in NOT_PRIMARY_CODES:
                return False
        elif not isinstance(error, ConnectionFailure):
            return False
        self._version = -1
        if isinstance(error, NotPrimaryError | OperationFailure):
            self._kernel.spend(REDISCOVERY_US)
            return False
        self._blind[member] = (self._kernel.now_us + HEARTBEAT_US, str(error))
        return True

    def description(self) -> str:
        """Return the set as this client sees it, in PyMongo's words."""
        kind = "ReplicaSetWithPrimary" if self._primary else "ReplicaSetNoPrimary"
        servers = ", ".join(map(str, self._known.values()))
        return f"<TopologyDescription id: {self._group}, topology_type: {kind}, servers: [{servers}]>"

    def describe(self) -> tuple[Any, ...]:
        """Return what this client knows of the set and still goes by, as plain values."""
        network, now_us = self._network, self._kernel.now_us
        blind = tuple([(member, *each) for member, each in self._blind.items() if each[0] > now_us])
        is_fresh = self._version == network.topology_version
        is_recent = self._version >= 0 and now_us < network.topology_changed_us + HEARTBEAT_US
        known: tuple[Any, ...] = ()
        if is_fresh or is_recent:
            known = tuple([(each.member, each.kind, str(each.election), each.error) for each in self._known.values()])
        return (is_fresh, is_recent, str(self._newest_election), self._primary if known else "", known, blind)

    def _look(self) -> None:
        """Learn what the members say now, or, by choice, go on with what they said a moment ago."""
        network = self._network
        kernel = self._kernel
        is_recent = self._version >= 0 and kernel.now_us < network.topology_changed_us + HEARTBEAT_US
        if is_recent and kernel.choose("discover", _DISCOVER):
            return
        self._version = network.topology_version
        if self._blind:
            self._blind = {member: each for member, each in self._blind.items() if each[0] > kernel.now_us}
            if self._blind:
                self._version = -1
        known = {member: self._describe(member) for member in network.members}
        primaries = [each for each in known.values() if each.kind == "RSPrimary"]
        self._primary = ""
        for primary in primaries:
            if self._newest_election is None or primary.election >= self._newest_election:
                self._newest_election = primary.election
                self._primary = primary.member
        for primary in primaries:
            if primary.member != self._primary:
                error = f"primary marked stale due to electionId/setVersion mismatch, {primary.election} is stale"
                known[primary.member] = Description(member=primary.member, kind="Unknown", error=error)
        self._known = known

    def _describe(self, member: str) -> Description:
        if member in self._blind:
            return Description(member=member, kind="Unknown", error=self._blind[member][1])
        return _description_of(member, self._network.hello(self._group, member))

    def _candidates(self, preference: _ServerMode) -> list[str]:
        mode = preference.mode
        primary = [self._primary] if self._primary else []
        if mode == PRIMARY or (mode == PRIMARY_PREFERRED and primary):
            return primary
        secondaries: list[str] = []
        # The members of a simulated set have no tags: only a tag set without a tag matches.
        if any(not tags for tags in preference.tag_sets):
            secondaries = [name for name, each in self._known.items() if each.kind == "RSSecondary"]
            if mode == NEAREST:
                return [name for name, each in self._known.items() if each.kind in {"RSPrimary", "RSSecondary"}]
        if mode == SECONDARY_PREFERRED:
            return secondaries or primary
        return [] if mode == NEAREST else secondaries

    async def _wait_for(self, preference: _ServerMode | None) -> list[str]:
        deadline_us = self._kernel.now_us + SELECTION_TIMEOUT_US
        selector = "" if preference is None else str(preference)
        while True:
            if self._version != self._network.topology_version:
                self._look()
            primary = [self._primary] if self._primary else []
            candidates = primary if preference is None else self._candidates(preference)
            if candidates:
                return candidates
            await self._wait(selector, deadline_us)

    async def _wait(self, selector: str, deadline_us: int) -> None:
        kernel = self._kernel
        if kernel.now_us >= deadline_us:
            raise ServerSelectionTimeoutError(
                f"{self._message(selector)}, Timeout: {float(SELECTION_TIMEOUT_US // US_PER_SECOND)}s, "
                f"Topology Description: {self.description()}"
            )
        if self._version != self._network.topology_version:
            # What it knows is stale by choice, or it lost sight of a member: the next heartbeat tells it.
            looks_us = [at_us for at_us, _ in self._blind.values()]
            looks_us.append(self._network.topology_changed_us + HEARTBEAT_US)
            deadline_us = min([deadline_us, *(at_us for at_us in looks_us if at_us > kernel.now_us)])
        await kernel.wait(self._network.topology_changed, deadline_us)

    def _message(self, selector: str) -> str:
        if any(each.kind != "Unknown" for each in self._known.values()):
            if not selector:
                return "No primary available for writes"
            return f'No replica set members match selector "{selector}"'
        errors = [each.error for each in self._known.values()]
        return errors[0] if all(error == errors[0] for error in errors) else ",".join(errors)


def _description_of(member: str, answer: Mapping[str, Any] | None) -> Description:
    if answer is None:
        return Description(member=member, kind="Unknown", error=network_text("refused", member))
    if answer.get("isWritablePrimary"):
        return Description(member=member, kind="RSPrimary", election=answer["electionId"])
    return Description(member=member, kind="RSSecondary" if answer.get("secondary") else "RSOther")
