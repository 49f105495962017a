"""A replica set of mongod processes on this machine, as a backend."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import trio

from harness.backends.local.binary import Mongod
from harness.backends.local.directories import create_directory
from harness.backends.local.drain import drain_member
from harness.backends.local.log import last_lines
from harness.backends.local.member import Member, PortTakenError
from harness.backends.local.observer import observe_member
from harness.backends.local.ports import free_ports
from harness.backends.local.process import Guardian
from harness.backends.local.replica_set import configuration, initiate, majority_write, what_is_unhealthy
from harness.backends.local.tasks import run_beside, run_together
from harness.errors import BackendError, FaultError, UsageError, unknown_name
from harness.interfaces.backend import Capability, Connection, MemberState, primary_of
from harness.interfaces.link import Links, Network

START_TIMEOUT_S = 60.0
TOO_SLOW_LOG_LINES = 3
PORT_TRIES = 4
ADMIN_TIMEOUT_S = 15.0
DROP_TIMEOUT_S = 15.0
NETWORK_CLOSE_TIMEOUT_S = 10.0
MEMBERS_MAX = 7

NetworkKind = Literal["builtin", "toxiproxy"]

_HEALTH_POLL_S = 0.05


class OpenNetwork(Protocol):
    """What makes the links: :func:`harness.backends.links.open_network`, or a double of it."""

    async def __call__(
        self, kind: NetworkKind, *, ports: Mapping[str, int], groups: tuple[str, ...], directory: Path
    ) -> Network:
        """Return the open network between members that will listen on those ports of the loopback address."""
        ...


class LocalBackend:
    """Starts ``members`` (1, 3, 5 or 7) mongod processes as one replica set with links between them.

    ``network`` is ``builtin`` or ``toxiproxy``; ``groups`` names the client groups; ``journal_default`` is the set's
    ``writeConcernMajorityJournalDefault`` (None: the server's). ``directory`` is where the private directory of the
    set is made, else ``$HARNESS_DIRECTORY`` or the system's directory for temporary files. Once stopped it can be
    started again, as a new and empty set. Whatever happens to this process, its servers end with it.
    """

    name = "local"

    def __init__(
        self,
        *,
        mongod: Mongod,
        members: int = 3,
        network: NetworkKind = "builtin",
        groups: tuple[str, ...] = ("clients",),
        journal_default: bool | None = None,
        directory: Path | None = None,
        open_network: OpenNetwork | None = None,
    ) -> None:
        if members % 2 == 0 or not 1 <= members <= MEMBERS_MAX:
            raise UsageError(f"a set of {members} members", next_step="use 3 or 5")
        self._mongod = mongod
        self._names = tuple(f"m{number}" for number in range(1, members + 1))
        self._network_kind = network
        self._groups = groups
        self._journal_default = journal_default
        self._base = directory
        self._open_network = open_network
        self._directory: Path | None = None
        self._guardian: Guardian | None = None
        self._network: Network | None = None
        self._members: dict[str, Member] = {}
        self._set_name = ""
        self._primary = self._names[0]

    @property
    def members(self) -> tuple[str, ...]:
        """Member names: ``m1``, ``m2``, ``m3``."""
        return self._names

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All powers: these are the harness's own processes."""
        return frozenset({"links", "kill", "pause", "stepdown", "failpoint", "client-groups", "crash-client"})

    @property
    def links(self) -> Links:
        """The links of the set. Raises FaultError before it was started."""
        if self._network is None:
            raise FaultError("the local set has no links before it is started")
        return self._network.links

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be done otherwise than asked, in words."""
        return () if self._network is None else tuple(self._network.notes)

    def versions(self) -> Mapping[str, str]:
        """Return the versions of mongod and, where it carries the links, of Toxiproxy."""
        versions = {"mongod": self._mongod.version}
        if self._network is not None and self._network.links.name == "toxiproxy":
            versions["toxiproxy"] = self._network.version
        return versions

    async def start(self) -> None:
        """Start the set; return when a majority write has returned. A failed or cancelled start leaves nothing.

        Raises BackendError, with the last log lines where a member died.
        """
        if self._guardian is not None:
            raise BackendError("starting the local set: it is running already")
        try:
            await self._start_on_free_ports()
        except BaseException:
            await self._stop_shielded()
            raise

    async def stop(self) -> None:
        """End every process of the set and remove its directory. Safe to call twice and after a failed start."""
        for member in self._members.values():
            member.channel.close()
        network, self._network = self._network, None
        guardian, self._guardian = self._guardian, None
        directory, self._directory = self._directory, None
        try:
            if network is not None:
                with trio.move_on_after(NETWORK_CLOSE_TIMEOUT_S, shield=True):
                    await network.close()
        finally:
            if guardian is not None:
                await guardian.close()
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)

    async def wait_healthy(self, timeout_s: float) -> None:
        """Wait until all members are up and hear each other, one is primary, and a majority write returns.

        Raises BackendError, saying what is missing, when ``timeout_s`` has passed.
        """
        missing = "no member was asked"
        with trio.move_on_after(timeout_s):
            while True:
                missing = what_is_unhealthy(await self.observe())
                if not missing:
                    try:
                        await majority_write(self._running(self._primary).channel)
                        return
                    except BackendError as error:
                        missing = error.message
                await trio.sleep(_HEALTH_POLL_S)
        raise BackendError(
            f"the local set was not healthy within {timeout_s:g} s: {missing}",
            next_step="see the members' logs; faults must be healed before",
        )

    async def observe(self) -> tuple[MemberState, ...]:
        """Return the state of every member, unreachable ones included, within half a second."""
        names = {member.address: member.name for member in self._members.values()}
        states = await run_together(
            *(
                partial(observe_member, member.channel, names, member.live_process_id())
                for member in self._members.values()
            )
        )
        if (primary := primary_of(states)) is not None:
            self._primary = primary.member
        return tuple(states)

    def connection(self, group: int) -> Connection:
        """Return how clients of that group reach the set: through their links. Raises BackendError if not started."""
        network = self._opened_network()
        names = {network.advertised(name): name for name in self._names}
        return Connection(
            group=self._groups[group],
            seeds=tuple(names),
            replica_set=self._set_name,
            members=names,
            resolve=network.resolve(self._groups[group]),
        )

    def observer_connection(self) -> Connection:
        """Return a direct connection, which no link carries, to the member last seen as primary.

        What the members advertise leads over links, so nothing must be discovered through it (``direct``). Wait for
        a healthy set before, and ask again after a failover.
        """
        names = {member.real_address: name for name, member in self._members.items()}
        return Connection(
            group="observer",
            seeds=(self._running(self._primary).real_address,),
            replica_set=self._set_name,
            members=names,
            direct=True,
        )

    async def register_group(self, group: str, process_id: int) -> None:
        """Tell which process the clients of a group live in, before they connect."""
        await self._opened_network().register(group, process_id)

    async def drain(self, application_name_prefix: str, timeout_s: float) -> None:
        """End all that clients of that application name have on the members, and wait until none is left.

        Their connections count too: close the clients and cut their links before. A dead member is passed over; one
        that runs and does not answer (paused) is waited for, at most ``timeout_s``. Raises BackendError, saying what
        is left.
        """
        await run_together(
            *(
                partial(drain_member, member.channel, application_name_prefix, timeout_s)
                for member in self._members.values()
                if member.live_process_id() is not None
            )
        )

    async def drop_database(self, name: str) -> None:
        """Drop a run's database on the primary; return when a majority has dropped it. Raises BackendError."""
        command = {"dropDatabase": 1, "writeConcern": {"w": "majority"}}
        problem = "no member answered"
        with trio.move_on_after(DROP_TIMEOUT_S):
            while True:
                await self.observe()
                try:
                    await self._running(self._primary).channel.command(name, command, timeout_s=DROP_TIMEOUT_S)
                    return
                except BackendError as error:
                    problem = error.message
                await trio.sleep(_HEALTH_POLL_S)
        raise BackendError(f"dropping the database {name} took longer than {DROP_TIMEOUT_S:.0f} s: {problem}")

    async def kill(self, member: str) -> None:
        """End the member's process at once (kill -9); return when it is gone."""
        await self._running(member).kill()

    async def restart(self, member: str) -> None:
        """Start a killed member again on its old files; return when it answers. Nothing where it still runs.

        Raises BackendError with its last log lines where it ends instead.
        """
        await self._running(member).restart(self._opened_network())

    async def pause(self, member: str) -> None:
        """Stop the member's process (SIGSTOP); return when it has stopped. Raises BackendError where it is dead."""
        await self._running(member).guardian.pause(member)

    async def resume(self, member: str) -> None:
        """Let a paused member go on (SIGCONT); nothing where it is dead or was not paused."""
        await self._running(member).guardian.resume(member)

    async def admin(self, member: str, command: Mapping[str, Any]) -> dict[str, Any]:
        """Run an admin command on one member over a connection that no link carries; return the reply.

        Raises UnreachableError where it does not answer within 15 s and CommandFailedError, which has the server's
        ``code``, where it refuses; both are BackendErrors.
        """
        return await self._running(member).channel.command("admin", command, timeout_s=ADMIN_TIMEOUT_S)

    def log_tail(self, member: str, lines: int) -> tuple[str, ...]:
        """Return the last lines of the member's log, as mongod wrote them."""
        return last_lines(self._running(member).log_path, lines)

    def _running(self, member: str) -> Member:
        if self._guardian is None:
            raise BackendError("the local set is not running", next_step="start it first")
        if member not in self._members:
            raise unknown_name("member", member, self._names)
        return self._members[member]

    def _opened_network(self) -> Network:
        if self._network is None:
            raise BackendError("the local set is not running", next_step="start it first")
        return self._network

    async def _stop_shielded(self) -> None:
        with trio.CancelScope(shield=True):
            await self.stop()

    async def _start_on_free_ports(self) -> None:
        for remaining in reversed(range(PORT_TRIES)):
            try:
                await self._start_once()
                return
            except PortTakenError:
                await self._stop_shielded()
                if not remaining:
                    raise

    async def _start_once(self) -> None:
        directory = self._directory = create_directory(self._base)
        self._set_name = f"harness-{directory.name.rpartition('-')[2]}"
        self._primary = self._names[0]
        ports = dict(zip(self._names, free_ports(len(self._names)), strict=True))
        (directory / "links").mkdir()
        # No time limit here: a Toxiproxy server may have to be built first.
        network = self._network = await self._network_opener()(
            self._network_kind, ports=ports, groups=self._groups, directory=directory / "links"
        )
        guardian = self._guardian = Guardian(directory)
        guardian.open()
        self._members = {name: self._member(name, port, network, guardian) for name, port in ports.items()}
        try:
            with trio.fail_after(START_TIMEOUT_S):
                await run_together(*(partial(member.launch, network) for member in self._members.values()))
                await run_beside(self._initiate, self._watch_for_deaths)
        except trio.TooSlowError:
            told = "\n".join(member.last_words(TOO_SLOW_LOG_LINES) for member in self._members.values())
            raise BackendError(
                f"the local set was not ready within {START_TIMEOUT_S:g} s; its members' last log lines:\n{told}",
                next_step="see whether the machine is overloaded, then start again",
            ) from None

    def _member(self, name: str, port: int, network: Network, guardian: Guardian) -> Member:
        assert self._directory is not None
        return Member(
            name=name,
            port=port,
            address=network.advertised(name),
            directory=self._directory / name,
            set_name=self._set_name,
            mongod=self._mongod,
            guardian=guardian,
        )

    def _network_opener(self) -> OpenNetwork:
        if self._open_network is not None:
            return self._open_network
        from harness.backends.links import open_network

        return open_network

    async def _initiate(self) -> None:
        members = tuple(self._members.values())
        await run_together(*(member.wait_answering for member in members))
        addresses = [member.address for member in members]
        document = configuration(self._set_name, addresses, journal_default=self._journal_default)
        await initiate([member.channel for member in members], document)

    async def _watch_for_deaths(self) -> None:
        await run_together(*(member.wait_death for member in self._members.values()))
