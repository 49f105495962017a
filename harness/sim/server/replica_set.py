"""The simulated replica set: its members and their logs, what commands may ask of them, and the powers over them.

Commands call what is under "for commands" on the member that they run on. A command that has waited or let others run
compares ``member.epoch``: a change means that the member changed its role meanwhile, so that transactions, locks and
the right to write are gone. Faults call what is under "powers"; timers do the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from harness.errors import BackendError, FaultError
from harness.interfaces.backend import MemberState
from harness.interfaces.link import Link
from harness.sim.kernel.loop import Event, Kernel, Task, Timer
from harness.sim.server import journal
from harness.sim.server.cluster_time import Clocks
from harness.sim.server.commit import Commits
from harness.sim.server.configuration import Configuration
from harness.sim.server.elections import Elections
from harness.sim.server.errors import MemberGone, not_writable_primary
from harness.sim.server.invariants import Invariants
from harness.sim.server.member import Member
from harness.sim.server.oplog import PREFIX_LABELS, first_entry, older, prefixes
from harness.sim.server.read_concern import ReadConcerns
from harness.sim.server.records import Change, CollectionData, Data, OplogEntry
from harness.sim.server.replication import Replication
from harness.sim.server.rollback import Rollbacks
from harness.sim.server.topology import Disturbance, Topology
from harness.sim.server.trimming import Trimming
from harness.sim.server.write_concern import WriteConcern, WriteConcerns

NOTICE_US = 8_000
"""How long a resumed member runs what was queued before it notices that the set went on: a stale write took 8 ms."""


class ReplicaSet:
    """A replica set under a kernel. It starts healthy: the first member is primary in term 1, all are caught up.

    ``log`` is what all of them hold then, as the last entry of another set's log; by default an empty database. Sets
    that begin with one log share it, so none of them may have an ``oplog_limit``.
    """

    def __init__(self, kernel: Kernel, configuration: Configuration, log: OplogEntry | None = None) -> None:
        self.kernel = kernel
        self.configuration = configuration
        self.changed = Event()
        """Something happened that may let a waiting command go on: an entry, a change of roles or links."""
        self.reach_changed = Event()
        """Roles, links or who is up have changed."""
        self.reach_version = 0
        """How often that has happened."""
        self.reach_changed_us = kernel.now_us
        """When it happened last."""
        self.observers: list[Callable[[], None]] = []
        """Called at once when roles, links or who is up have changed."""
        self.links_cut: list[Callable[[], None]] = []
        """Called after links were cut, so that open connections end."""
        self.topology = Topology(configuration)
        self._begin_time = max(1, kernel.now_us // 1_000_000) << 32
        first = log or first_entry(self._begin_time, kernel.now_us)
        skews = configuration.clock_skew_us
        self.in_order = tuple(Member(name, first, skews.get(name, 0)) for name in configuration.members)
        self.members: Mapping[str, Member] = {member.name: member for member in self.in_order}
        self._servers = _servers_task()
        self.invariants = Invariants(self, first)
        self.replication = Replication(self)
        self.commits = Commits(self)
        self.clocks = Clocks(self)
        self.elections = Elections(self)
        self.rollbacks = Rollbacks(self)
        self.trimming = Trimming(self)
        self._write_concerns = WriteConcerns(self)
        self.read_concerns = ReadConcerns(self)
        self._begin(first)
        kernel.after_step = self.invariants.check

    def _begin(self, first: OplogEntry) -> None:
        primary = self.in_order[0]
        for member in self.in_order:
            member.term = max(1, first.term)
        primary.role = "PRIMARY"
        entry = first if first.index else self.write(primary, first.data, ())
        for member in self.in_order:
            member.last = member.ceiling = member.durable = member.commit = member.commit_ceiling = entry
        self.invariants.committed(primary, entry)
        self.invariants.elected(primary)
        self.replication.follow()

    # -- for commands

    def applied(self, member: Member) -> OplogEntry:
        """Return the member's last applied entry; a choice where that is open."""
        entry = member.last if member.role == "PRIMARY" else self.replication.exact(member)
        return _haunted(member, entry) if member.ghosts or member.kept_sessions is not None else entry

    def append(
        self, member: Member, data: Data, changes: tuple[Change, ...], *, session: str = "", transaction: int = -1
    ) -> OplogEntry:
        """Write an oplog entry on a primary. Raises CommandError 10107 elsewhere."""
        if member.role != "PRIMARY" or member.stepping_down:
            raise not_writable_primary()
        entry = self.write(member, data, changes, session=session, transaction=transaction)
        if entry.index >= self.trimming.due_at_index:
            self.trimming.trim(member)
        if self.changed.waiters:
            self.kernel.signal(self.changed)
        return entry

    def write(
        self, member: Member, data: Data, changes: tuple[Change, ...], *, session: str = "", transaction: int = -1
    ) -> OplogEntry:
        """Write an oplog entry, whatever the member's state: no-ops of the servers themselves."""
        now_us = self.kernel.now_us
        previous = member.last
        entry = OplogEntry(
            index=previous.index + 1,
            term=member.term,
            timestamp=self.clocks.tick(member),
            wall_us=now_us + member.skew_us,
            data=data,
            changes=changes,
            previous=previous,
            session=session,
            transaction=transaction,
            at_us=now_us,
        )
        member.last = entry
        self.kernel.note(entry.timestamp)
        return entry

    def committed(self, member: Member) -> OplogEntry:
        """Return the member's majority-committed snapshot; a choice within what it may know."""
        defects = self.configuration.defects
        if defects.majority_read_from_future:
            return self.applied(member)
        entry = self.commits.known(member)
        if defects.stale_majority_read and entry.previous is not None:
            return entry.previous
        return entry

    def note_cluster_time(self, member: Member, timestamp: int) -> None:
        """Let a member know of a cluster time that a client sent (seconds since the epoch << 32 | increment)."""
        member.clock = max(member.clock, timestamp)

    def cluster_time(self, member: Member) -> int:
        """Return the cluster time that the member knows."""
        return self.clocks.now(member)

    def skew_us(self, member: Member) -> int:
        """Return how far the member's wall clock is ahead of the simulated time, which is microseconds since 1970."""
        return member.skew_us

    def notify(self) -> None:
        """Let those go on that wait for something to change."""
        if self.changed.waiters:
            self.kernel.signal(self.changed)

    async def wait(self, member: Member, deadline_us: int | None) -> bool:
        """Wait until something changes; return False at the deadline.

        Raises MemberGone where the member died meanwhile, or closed its connections.
        """
        if not member.up:
            raise MemberGone
        incarnation = member.incarnation
        await self.kernel.wait(self.changed, deadline_us)
        await self.resume_command(member)
        if member.incarnation != incarnation:
            raise MemberGone
        return deadline_us is None or self.kernel.now_us < deadline_us

    async def resume_command(self, member: Member) -> None:
        """Let a command stand still as long as its member's process is stopped."""
        while member.paused:
            await self.kernel.wait(self.changed)

    def await_write_concern(
        self, member: Member, entry: OplogEntry, concern: WriteConcern, *, deadline_us: int | None = None
    ) -> Awaitable[dict[str, Any] | None]:
        """Wait until ``concern`` holds for ``entry``, the member's last for what wrote nothing.

        Returns None, or the ``writeConcernError`` document: 64 at its wtimeout, 50 at ``deadline_us``, 11602 and 189
        after a step-down, 79 and 100 for a concern that no wait can satisfy.
        """
        return self._write_concerns.wait(member, entry, concern, deadline_us)

    async def read_entry(
        self,
        member: Member,
        *,
        level: str = "local",
        after_cluster_time: int | None = None,
        at_cluster_time: int | None = None,
        deadline_us: int | None = None,
    ) -> OplogEntry:
        """Return the entry whose data a read at this concern sees; see :meth:`ReadConcerns.entry`."""
        return await self.read_concerns.entry(member, level, after_cluster_time, at_cluster_time, deadline_us)

    async def confirm_linearizable(self, member: Member, deadline_us: int | None = None) -> None:
        """Prove after a read that this is still the primary; see :meth:`ReadConcerns.confirm`."""
        await self.read_concerns.confirm(member, deadline_us)

    # -- what changes who reaches whom

    def linked(self, source: Member, destination: Member) -> bool:
        """Whether ``source`` can ask ``destination`` and is answered: for heartbeats, votes, pulling."""
        if source is destination or source.paused or destination.paused or source.deaf or destination.deaf:
            return False
        if not source.up or not destination.up:
            return False
        return self.topology.whole or self.topology.carries(source.name, destination.name)

    def change(self, act: Callable[[], None]) -> None:
        """Do something that changes roles, links or processes, and let the set react to it."""
        self.replication.freeze()
        act()
        self.elections.spread_terms()
        self.clocks.spread()
        self.replication.follow()
        self.rollbacks.arm()
        self.elections.arm()
        self.notify()
        self.reach_version += 1
        self.reach_changed_us = self.kernel.now_us
        self.kernel.signal(self.reach_changed)
        for observer in self.observers:
            observer()

    def call_at(self, at_us: int, name: str, action: Callable[..., None], *arguments: Any) -> Timer:
        """Call an action of the servers at a time; choices made in it belong to the servers, not to a client."""
        return self.kernel.call_at(at_us, name, lambda: self.as_servers(action, *arguments))

    def as_servers(self, action: Callable[..., None], *arguments: Any) -> None:
        """Call an action outside of any client's operation."""
        kernel = self.kernel
        current, kernel.current = kernel.current, self._servers
        try:
            action(*arguments)
        finally:
            kernel.current = current

    # -- powers

    def cut(self, links: Iterable[Link]) -> None:
        """Close the connections of these links and refuse new ones."""
        checked = self.topology.check(links)
        self.change(lambda: self.topology.cut(checked))
        for notice in self.links_cut:
            notice()

    def heal(self, links: Iterable[Link]) -> None:
        """Let these links carry connections again, undisturbed."""
        checked = self.topology.check(links)
        self.change(lambda: self.topology.heal(checked))

    def heal_all(self) -> None:
        """Heal every link."""
        self.change(self.topology.heal_all)

    def disturb(self, links: Iterable[Link], disturbance: Disturbance) -> None:
        """Disturb these links."""
        checked = self.topology.check(links)
        self.change(lambda: self.topology.disturb(checked, disturbance))

    def undisturb(self, links: Iterable[Link]) -> None:
        """End the disturbance of these links."""
        checked = self.topology.check(links)
        self.change(lambda: self.topology.undisturb(checked))

    def kill(self, name: str) -> None:
        """End the member's process at once (kill -9); what is not in its journal may be lost."""
        member = self._member(name)
        if member.up:
            self.change(lambda: self._die(member))

    def _die(self, member: Member) -> None:
        survives = journal.on_disk(member, self.kernel.now_us, self.configuration.journal_interval_us)
        if member.role == "PRIMARY":
            member.ceiling = member.last
        self.replication.quorums.crashed(member)
        member.last = member.durable = survives
        member.known.clear()
        member.role = "DOWN"
        member.up = member.paused = member.deaf = member.stepping_down = False
        member.epoch += 1
        member.incarnation += 1
        member.connection_closures += 1
        self.invariants.note_roles()

    def restart(self, name: str) -> None:
        """Start a killed member again; how much of its log was on disk is chosen, by default all of it."""
        member = self._member(name)
        if not member.up:
            self.change(lambda: self._recover(member))

    def _recover(self, member: Member) -> None:
        before, top = member.last, member.ceiling
        options = prefixes(before, top)
        survives = options[self.kernel.choose("durable", PREFIX_LABELS[: len(options)])]
        member.up = True
        member.role = "SECONDARY"
        member.last = member.ceiling = member.durable = survives
        member.commit = member.commit_ceiling = older(member.commit, survives)
        self.replication.quorums.placed(member, before, survives, exact=True, on_disk=True)
        self.invariants.crashed(member, top)

    def pause(self, name: str) -> None:
        """Stop the member's process (SIGSTOP): it keeps its role, and what it is asked is queued."""
        member = self._member(name)
        if not member.up:
            raise FaultError(f"{name} cannot be paused: it is not running", next_step="restart it first")

        def stop() -> None:
            member.paused = True

        self.change(stop)

    def resume(self, name: str) -> None:
        """Let a paused member go on (SIGCONT): first with what was queued, then it notices what it has missed."""
        member = self._member(name)
        if member.paused:
            self.change(lambda: self._go_on(member))

    def _go_on(self, member: Member) -> None:
        member.paused = False
        member.deaf = any(
            other.term > member.term and (self.linked(member, other) or self.linked(other, member))
            for other in self.in_order
        )
        if member.deaf:
            self.call_at(self.kernel.now_us + NOTICE_US, f"{member.name} notices", self._notice, member)

    def _notice(self, member: Member) -> None:
        def hear() -> None:
            member.deaf = False

        if member.deaf and not member.paused:
            self.change(hear)

    async def step_down(
        self, name: str, *, barred_us: int = 60_000_000, catch_up_us: int = 10_000_000, force: bool = False
    ) -> None:
        """``replSetStepDown``; see :meth:`Elections.hand_over`."""
        member = self._member(name)
        await self.elections.hand_over(member, barred_us=barred_us, catch_up_us=catch_up_us, force=force)

    def lag(self, name: str, on: bool) -> None:
        """Hold back a member's replication, or let it go on; it still votes and sends heartbeats."""
        member = self._member(name)

        def hold() -> None:
            member.lagged = on

        self.change(hold)

    def set_skew(self, name: str, skew_us: int) -> None:
        """Set a member's wall clock that far ahead of the simulated time."""
        self._member(name).skew_us = skew_us

    def set_priority(self, name: str, priority: int) -> None:
        """Let a member take over from primaries of lower priority; all have 1 in the beginning."""
        member = self._member(name)
        if priority < 1:
            raise FaultError("members that are never primary are not modelled", next_step="give at least 1")

        def prefer() -> None:
            member.priority = priority

        self.change(prefer)

    def _member(self, name: str) -> Member:
        member = self.members.get(name)
        if member is None:
            raise FaultError(f"there is no member {name!r}", next_step=f"members are {', '.join(self.members)}")
        return member

    # -- observing, and coming to rest

    @property
    def primary(self) -> Member | None:
        """The running primary of the highest term, or None."""
        primaries = [member for member in self.in_order if member.role == "PRIMARY" and member.running]
        return max(primaries, key=lambda member: member.term, default=None)

    @property
    def is_healthy(self) -> bool:
        """Whether every member runs, one is primary, and the others follow it."""
        primary = self.primary
        return primary is not None and len(primary.followers) == len(self.in_order) - 1

    async def wait_healthy(self, timeout_us: int) -> None:
        """Wait until the set is healthy. Raises BackendError after ``timeout_us``."""
        deadline_us = self.kernel.now_us + timeout_us
        while not self.is_healthy:
            if self.kernel.now_us >= deadline_us:
                states = ", ".join(f"{member.name} {member.role}" for member in self.in_order)
                raise BackendError(
                    f"the simulated set was not healthy within {timeout_us} us: {states}",
                    next_step="heal its links and restart its members first",
                )
            await self.kernel.wait(self.reach_changed, deadline_us)

    async def settle(self, timeout_us: int = 120_000_000) -> None:
        """Undo every fault, wait until the set is healthy, and let every member have everything.

        Raises BackendError where it does not become so.
        """
        self.change(self._undo_faults)
        await self.wait_healthy(timeout_us)
        primary = self.primary
        assert primary is not None
        self.commits.advance(primary, self.commits.reachable(primary))
        for member in primary.followers:
            self.replication.raise_floor(member, primary.last)
            self.commits.known(member, primary.commit)

    def _undo_faults(self) -> None:
        self.topology.heal_all()
        for member in self.in_order:
            member.lagged = False
            member.election_barred_until_us = 0
            if member.paused:
                self._go_on(member)
            elif not member.up:
                self._recover(member)

    def observe(self) -> tuple[MemberState, ...]:
        """Return every member as an observer sees it. Nothing is made certain by that: what is open, may be told."""
        return tuple(self._state(number, member) for number, member in enumerate(self.in_order))

    def _state(self, number: int, member: Member) -> MemberState:
        process_id = 1_000 * (member.incarnation + 1) + number if member.up else None
        if not member.running:
            return MemberState(member=member.name, reachable=False, process_id=process_id)
        newest = self.replication.newest(member)
        return MemberState(
            member=member.name,
            reachable=True,
            role=member.role,
            term=member.term,
            applied=(newest.term, newest.timestamp >> 32, newest.timestamp & 0xFFFFFFFF),
            heard_from=tuple(other.name for other in self.in_order if other is member or self.linked(member, other)),
            sync_source=member.via.name if member.via is not None and not member.lagged else "",
            rollback_id=1 + member.rollback_count,
            process_id=process_id,
        )

    def close(self) -> None:
        """Cut what refers to each other, so that the memory is free at once. Nothing can be asked of it afterwards."""
        for member in self.in_order:
            member.source = member.via = member.hears = None
            member.followers = member.reporters = ()
        vars(self.replication).clear()
        vars(self).clear()


def _servers_task() -> Task:
    async def never() -> None:
        return None

    body = never()
    task = Task(-2, "servers", body, vital=False)
    body.close()
    return task


def _haunted(member: Member, entry: OplogEntry) -> OplogEntry:
    """Defects: return the entry with what the member kept of what it rolled back."""
    data = entry.data
    collections = dict(data.collections)
    for namespace, key, document in member.ghosts:
        collection = collections.get(namespace)
        if collection is not None and key not in collection.documents:
            documents = {**collection.documents, key: document}
            collections[namespace] = _with_documents(collection, documents)
    sessions = data.sessions
    if member.kept_sessions is not None:
        sessions = {**member.kept_sessions.sessions, **sessions}
    return dataclasses.replace(entry, data=Data(collections=collections, sessions=sessions))


def _with_documents(collection: CollectionData, documents: Mapping[Any, Any]) -> CollectionData:
    return dataclasses.replace(collection, documents=documents)
