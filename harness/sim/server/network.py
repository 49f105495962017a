"""What clients use: commands over links that may be cut or disturbed, and what a monitor hears of a member.

A command runs in the client's own task, which is fast. Where the client goes away while the command waits (its link is
cut, its time is over, it died), the member does not: the command goes on in a task of the member.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator, Iterable
from types import coroutine
from typing import Any, Final, Protocol

from bson import ObjectId

from harness.interfaces.link import Link
from harness.sim.kernel.loop import Event, Footprint, Kernel, Task, Timer
from harness.sim.server.configuration import OBSERVER
from harness.sim.server.errors import MemberGone, NetworkFailure, NetworkFailureKind
from harness.sim.server.member import Member
from harness.sim.server.replica_set import ReplicaSet
from harness.sim.server.topology import Disturbance, DisturbanceKind

Command = dict[str, Any]
Reply = dict[str, Any]
Hook = Callable[[str, str, Command], None]
"""Called with group, member and command."""

REPLICA_SET_NAME: Final = "rs"
_PORT: Final = 27017
_ELECTION_ID: Final = 0x7FFFFFFF << 64
_QUEUED: Final = object()
"""In place of what a command waits for: its member's process is stopped, the command lies in its socket."""


class Dispatch(Protocol):
    """Runs a command on a member and returns the reply."""

    def __call__(self, member: Member, command: Command, connection: int) -> Coroutine[Any, Any, Reply]:
        """Never raises what becomes a reply; raises MemberGone where no reply will come."""
        ...


class _ClientLeft(Exception):  # noqa: N818 - what the client did
    """Raised in a client's task: its command's reply can no longer reach it."""

    def __init__(self, kind: NetworkFailureKind) -> None:
        super().__init__(kind)
        self.kind: NetworkFailureKind = kind


class Call:
    """A command on its way through a member; it begins when it is advanced the first time."""

    __slots__ = ("_body", "_connection", "command", "incarnation", "member", "seen")

    def __init__(self, member: Member, command: Command, connection: int) -> None:
        self.member = member
        self.command = command
        self._connection = connection
        self.incarnation = member.incarnation
        """The member's, when the command was sent."""
        self.seen = b""
        """Whatever ``on_suspended`` keeps of the states in which it let others run."""
        self._body: Coroutine[Any, Any, Reply] | None = None

    def advance(self, dispatch: Dispatch) -> Any:
        """Run it up to where it waits next; return what it waits with. Raises StopIteration with the reply."""
        if self.member.incarnation != self.incarnation:
            self.close()
            raise MemberGone
        if self._body is None:
            self._body = dispatch(self.member, self.command, self._connection)
        return self._body.send(None)

    def close(self) -> None:
        """Let it not run any further."""
        if self._body is not None:
            self._body.close()


class Network:
    """The way from client groups to members.

    ``before_request`` and ``before_reply`` are lists of callables (group, member, command) that are called before a
    command reaches its member, and before its reply leaves: there faults decide whether to strike.
    """

    def __init__(self, replica_set: ReplicaSet, dispatch: Dispatch) -> None:
        self.replica_set = replica_set
        self.kernel: Kernel = replica_set.kernel
        self.topology_changed: Event = replica_set.reach_changed
        self.before_request: list[Hook] = []
        self.before_reply: list[Hook] = []
        self._dispatch = dispatch
        self._members = replica_set.members
        self._topology = replica_set.topology
        self._latency_us = replica_set.configuration.latency_us
        self._waiting: dict[Task, tuple[str, Member]] = {}
        self._left: dict[tuple[str, str], int] = {}
        self.suspended: dict[Task, Call] = {}
        """Commands that have let others run, by the task that runs them."""
        self.on_suspended: Callable[[Call], None] | None = None
        """Called each time that a command lets others run."""
        replica_set.links_cut.append(self._drop_connections)

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the members, in order."""
        return tuple(self._members)

    @property
    def topology_version(self) -> int:
        """How often ``topology_changed`` has happened."""
        return self.replica_set.reach_version

    @property
    def topology_changed_us(self) -> int:
        """When it happened last."""
        return self.replica_set.reach_changed_us

    # -- commands

    async def request(
        self,
        group: str,
        member: str,
        command: Command,
        *,
        connection: int,
        deadline_us: int | None = None,
        footprint: Footprint | None = None,
    ) -> Reply:
        """Run a command on a member for a client of ``group`` and return its reply.

        ``deadline_us`` is when the client gives up (its socket time-out), later by as long as the client is held up
        before it sends; ``footprint`` is what the command touches.
        Raises NetworkFailure where there is no reply.
        """
        kernel = self.kernel
        asked_us = kernel.now_us
        await kernel.pause(footprint)
        if deadline_us is not None:
            deadline_us += kernel.now_us - asked_us
        for hook in self.before_request:
            hook(group, member, command)
        server = self._members[member]
        topology = self._topology
        if not topology.whole:
            await self._before_command(group, server, deadline_us)
        if not server.up:
            raise NetworkFailure("refused", member=member, sent=False)
        try:
            reply: Reply = await self._attend(Call(server, command, connection), group, deadline_us)
        except MemberGone:
            raise NetworkFailure("reset", member=member, sent=True) from None
        except _ClientLeft as left:
            raise NetworkFailure(left.kind, member=member, sent=True) from None
        for hook in self.before_reply:
            hook(group, member, command)
        if not server.up or not topology.whole:
            await self._before_reply(group, server, deadline_us)
        self.kernel.spend(self._latency_us)
        return reply

    async def _before_command(self, group: str, member: Member, deadline_us: int | None) -> None:
        name = member.name
        if self._topology.is_cut(group, name):
            raise NetworkFailure("refused", member=name, sent=False)
        disturbance = self._topology.disturbance(group, name)
        if disturbance is None or disturbance.remaining == 0:
            return
        kind = disturbance.kind
        if kind == "delay":
            await self._delay(disturbance, name, deadline_us)
        elif kind == "reset" and self.kernel.choose("reset", ("before", "after")) == 0:
            _strike(disturbance)
            raise NetworkFailure("reset", member=name, sent=True)
        elif kind in ("black-hole", "drop-request"):
            _strike(disturbance)
            await self._hang(name, deadline_us)

    async def _before_reply(self, group: str, member: Member, deadline_us: int | None) -> None:
        name = member.name
        if not member.up or self._topology.is_cut(group, name):
            raise NetworkFailure("reset", member=name, sent=True)
        disturbance = self._topology.disturbance(group, name)
        if disturbance is None or disturbance.remaining == 0 or disturbance.kind in ("delay", "drop-request"):
            return
        _strike(disturbance)
        if disturbance.kind in ("black-hole", "drop-reply"):
            await self._hang(name, deadline_us)
        raise NetworkFailure("reset", member=name, sent=True)

    async def _delay(self, disturbance: Disturbance, member: str, deadline_us: int | None) -> None:
        _strike(disturbance)
        until_us = self.kernel.now_us + disturbance.delay_us
        if deadline_us is not None and deadline_us < until_us:
            await self.kernel.sleep_until(deadline_us)
            raise NetworkFailure("timeout", member=member, sent=True)
        await self.kernel.sleep_until(until_us)

    async def _hang(self, member: str, deadline_us: int | None) -> None:
        """Wait for an answer that does not come: until the client gives up, or the connection is closed."""
        incarnation = self._members[member].incarnation
        while deadline_us is None or self.kernel.now_us < deadline_us:
            woken = await self.kernel.wait(self.topology_changed, deadline_us)
            if woken and (self._topology.whole or self._members[member].incarnation != incarnation):
                raise NetworkFailure("reset", member=member, sent=True)
        raise NetworkFailure("timeout", member=member, sent=True)

    # -- a command and its client

    @coroutine
    def _attend(self, call: Call, group: str, deadline_us: int | None) -> Generator[Any, Any, Reply]:
        """Run a command in its client's task; leave it to the member where the client goes away meanwhile."""
        kernel, task, member = self.kernel, self.kernel.current, call.member
        timer: Timer | None = None
        running = False
        try:
            while True:
                trap = _QUEUED
                if not member.paused:
                    running = True
                    trap = call.advance(self._dispatch)
                    running = False
                self._suspend(task, call)
                if task not in self._waiting and (trap is _QUEUED or task.waiting_for or task.timer):
                    self._waiting[task] = (group, member)
                    timer = self._give_up_at(deadline_us, task)
                if trap is _QUEUED:
                    yield from kernel.wait(self.replica_set.changed)
                else:
                    yield trap
                self._check_client(group, member, deadline_us)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except GeneratorExit:
            call.close()
            raise
        except BaseException:
            if not running:
                self._leave_to_member(call, task)
            raise
        finally:
            self._waiting.pop(task, None)
            self.suspended.pop(task, None)
            if timer is not None:
                timer.cancel()

    def _give_up_at(self, deadline_us: int | None, task: Task) -> Timer | None:
        if deadline_us is None:
            return None
        left = _ClientLeft("timeout")
        return self.replica_set.call_at(deadline_us, f"{task.name} gives up", self.kernel.cancel, task, left)

    def _check_client(self, group: str, member: Member, deadline_us: int | None) -> None:
        if deadline_us is not None and self.kernel.now_us >= deadline_us:
            raise _ClientLeft("timeout")
        if self._topology.is_cut(group, member.name):
            raise _ClientLeft("reset")

    def _leave_to_member(self, call: Call, task: Task) -> None:
        number = self._left.get((task.name, call.member.name), 0) + 1
        self._left[task.name, call.member.name] = number
        name = f"{call.member.name} for {task.name} {number}"
        self.suspended[self.kernel.spawn(name, self._finish(call), vital=False)] = call

    @coroutine
    def _finish(self, call: Call) -> Generator[Any, Any, None]:
        """Run a command to its end without a client."""
        task = self.kernel.current
        try:
            while True:
                if call.member.paused:
                    yield from self.kernel.wait(self.replica_set.changed)
                else:
                    trap = call.advance(self._dispatch)
                    self._suspend(task, call)
                    yield trap
        except (StopIteration, MemberGone):
            return
        finally:
            del self.suspended[task]
            call.close()

    def _suspend(self, task: Task, call: Call) -> None:
        self.suspended[task] = call
        if self.on_suspended is not None:
            self.on_suspended(call)

    def _drop_connections(self) -> None:
        for task, (group, member) in tuple(self._waiting.items()):
            if self._topology.is_cut(group, member.name):
                self.replica_set.as_servers(self.kernel.cancel, task, _ClientLeft("reset"))

    # -- monitors

    def hello(self, group: str, member: str) -> Reply | None:
        """Return what a monitor of that group hears of the member now; None where it does not answer."""
        server = self._members[member]
        if not server.running:
            return None
        if group != OBSERVER and not self._topology.carries(group, member):
            return None
        return describe(self.replica_set, server)

    # -- faults

    def disturb(
        self, links: Iterable[Link], kind: DisturbanceKind, *, delay_us: int = 0, remaining: int | None = None
    ) -> Disturbance:
        """Disturb links; the record that is returned counts whom it struck."""
        disturbance = Disturbance(kind=kind, delay_us=delay_us, remaining=remaining)
        self.replica_set.disturb(links, disturbance)
        return disturbance

    def undisturb(self, links: Iterable[Link]) -> None:
        """End the disturbance of links."""
        self.replica_set.undisturb(links)


def describe(replica_set: ReplicaSet, member: Member) -> Reply:
    """Return the topology part of a member's answer to ``hello``."""
    primary = member if member.role == "PRIMARY" else member.hears
    reply: Reply = {
        "ok": 1.0,
        "setName": REPLICA_SET_NAME,
        "setVersion": 1,
        "hosts": [address(name) for name in replica_set.members],
        "me": address(member.name),
        "isWritablePrimary": member.is_primary,
        "secondary": member.role == "SECONDARY",
        "minWireVersion": 0,
        "maxWireVersion": 17,
    }
    if primary is not None:
        reply["primary"] = address(primary.name)
    if member.is_primary:
        reply["electionId"] = ObjectId(f"{_ELECTION_ID + member.last.term:024x}")
    return reply


@functools.cache
def address(member: str) -> str:
    """Return the ``host:port`` under which a member is known."""
    return f"{member}:{_PORT}"


def _strike(disturbance: Disturbance) -> None:
    disturbance.struck += 1
    if disturbance.remaining is not None:
        disturbance.remaining -= 1
