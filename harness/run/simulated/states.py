"""States of a simulated run, so that an exhaustive search need not go on twice from one.

A state is told by the servers (``sim/server/states.py``, ``sim/server/commands/states.py``), by what every client got
so far, of which it is a function, by armed timers and the nemesis, and by virtual time itself. In the key of a client
is no time: what it computes from its clock and acts on later is told beside it (readings of ``env.now``, ids made of
it, when it last began to wait). The driver's own longest waits begin to matter after :data:`LONGEST_WAIT_US`; from
there on states are not compared any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import bson
import msgspec

from harness.explore.program import REAL_TIME_ORDER
from harness.explore.state_keys import RealTimeOrder
from harness.run.simulated.nemesis import SimulatedNemesis
from harness.sim.driver.client import Client
from harness.sim.driver.recorder import Recorder
from harness.sim.kernel import Event, Kernel, StateKeys, Task
from harness.sim.kernel.loop import US_PER_SECOND, Footprint
from harness.sim.server.commands.context import Service
from harness.sim.server.commands.states import describe_service, is_idle
from harness.sim.server.digests import digest_of
from harness.sim.server.errors import NetworkFailure
from harness.sim.server.network import Call, Command, Network
from harness.sim.server.states import Plain, describe_calm_set, describe_set, is_calm

LONGEST_WAIT_US: Final = 100 * US_PER_SECOND
"""Before that much of a run has passed, no wait that counts from an earlier reading of the clock is over, but those
that are told: ``with_transaction`` gives up after 120 s, an idle server session after 29 minutes."""

_CLIENT: Final = re.compile(r"client (\d+)(?:[. ]|$)")
_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(slots=True, kw_only=True)
class Keys:
    """How the states of a search's runs are told apart.

    Without ``keep_log``, those of a calm set are told apart by its data, however it came about. That will do where no
    member is chosen to be behind or to lose anything, until a command looks back in the log: ``looked_back`` is set
    then, and what was searched by these keys does not count.
    """

    keep_log: bool = True
    looked_back: bool = False


class ClientTrail:
    """What one client got to see, and where it stands in it.

    ``key`` is the chain of its results. A task of it that waits, or is held up with a command, is told by ``waits``
    and ``sent_us`` until the next command.
    """

    def __init__(self, client: int, kernel: Kernel, order: RealTimeOrder | None) -> None:
        self.client = client
        self.key = b""
        self.handle: Client | None = None
        self.recorder: Recorder | None = None
        self.process = client
        self.was_silent = False
        """Whether its last step touched nothing that others see, nor anything that they change."""
        self.begin_footprint: Footprint | None = () if order is None else None
        """What the step touches in which an operation begins: where real time is not looked at, nothing as a rule."""
        self._kernel = kernel
        self._order = order
        self._touched = True
        self._steps = 0
        self._tasks: dict[int, int] = {}
        """Number of a task that is under way to how many steps it made since the client got to see something."""
        self._waits: dict[int, bytes] = {}
        self._sent_us: dict[int, int] = {}

    def note(self, seen: object) -> None:
        """Take notice of what the client got to see."""
        self._touched = True
        self.key = digest_of(self.key, seen if isinstance(seen, bytes) else _encode(seen))
        self._tasks = dict.fromkeys(self._tasks, 0)

    def begins(self) -> None:
        """Take notice that an operation begins."""
        self._waits.clear()
        if self._order is not None:
            self._touched = True
            self._order.begins(self.client)

    def ends(self, process: int) -> None:
        """Take notice that the operation has ended, and of the process that goes on."""
        self.process = process
        if self._order is not None:
            self._order.ends(self.client)

    def asks(self, task: Task) -> None:
        """Take notice that a command is about to be sent, or was answered: how it waited before is over."""
        self._waits.pop(task.number, None)
        self._sent_us.pop(task.number, None)

    def looks(self) -> None:
        """Take notice that it looks at a member, whose state others change."""
        self._touched = True

    def sends(self, task: Task) -> None:
        """Take notice that the command is sent now."""
        self._touched = True
        self._sent_us[task.number] = self._kernel.now_us

    def stepped(self, task: Task) -> None:
        """Take notice of a step of one of its tasks."""
        number = task.number
        self._steps += 1
        self._tasks[number] = self._tasks.get(number, 0) + 1
        if len(self._tasks) > 1:
            # Tasks of one client share its memory: in which order they made their steps counts.
            self.note((task.name, self._steps))
        if task.done:
            del self._tasks[number]
        elif not task.ready:
            self._waits[number] = digest_of(self._waits.get(number, b""), _encode(self._kernel.now_us))
        self.was_silent = not self._touched and task.ready and len(self._tasks) == 1
        self._touched = False

    def describe(self) -> Plain:
        """Return the state of the client, as far as all its tasks have it in common."""
        return (
            self.client,
            self.key,
            self.process,
            () if self.handle is None else self.handle.topology.describe(),
            () if self.recorder is None else self.recorder.describe(),
            () if self._order is None else self._order.of(self.client),
        )

    def describe_task(self, task: Task) -> Plain:
        """Return where a task of the client stands."""
        number = task.number
        waits = self._waits.get(number)
        return (self._tasks.get(number, 0), waits, waits is not None and task.woken, self._sent_us.get(number))


class ObservedNetwork:
    """The network as one client has it, where what the client gets is noted in its trail."""

    def __init__(self, network: Network, trail: ClientTrail) -> None:
        self._network = network
        self._trail = trail
        self._kernel = network.kernel

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the members, in order."""
        return self._network.members

    @property
    def topology_changed(self) -> Event:
        """Happens when what ``hello`` tells may have changed."""
        return self._network.topology_changed

    @property
    def topology_version(self) -> int:
        """How often that has happened."""
        return self._network.topology_version

    @property
    def topology_changed_us(self) -> int:
        """When it happened last."""
        return self._network.topology_changed_us

    def hello(self, group: str, member: str) -> Mapping[str, Any] | None:
        """Return what the member tells; what of it the client keeps is part of its state."""
        self._trail.looks()
        return self._network.hello(group, member)

    async def request(
        self,
        group: str,
        member: str,
        command: Command,
        *,
        connection: int,
        deadline_us: int | None,
        footprint: Any = None,
    ) -> dict[str, Any]:
        """Run a command and return its reply. Raises NetworkFailure."""
        task, trail = self._kernel.current, self._trail
        trail.asks(task)
        try:
            reply = await self._network.request(
                group, member, command, connection=connection, deadline_us=deadline_us, footprint=footprint
            )
        except NetworkFailure as failure:
            trail.note((failure.kind, failure.member, failure.sent))
            raise
        finally:
            trail.asks(task)
        trail.note(bson.encode(reply))
        return reply


class RunStates:
    """Tells the states of a run apart. ``keep_order`` is whether real-time order is kept, for checkers that need it."""

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        service: Service,
        nemesis: SimulatedNemesis,
        keys: Keys,
        *,
        keep_order: bool,
    ) -> None:
        self._kernel = kernel
        self._network = network
        self._set = network.replica_set
        self._service = service
        self._nemesis = nemesis
        self._keep_order = keep_order
        self._keys = keys
        self._keep_log = keys.keep_log
        self._order = RealTimeOrder() if keep_order else None
        self._trails: dict[int, ClientTrail] = {}
        self._owners: dict[int, ClientTrail | None] = {}
        """Number of a task to the client that it belongs to."""
        self._until_us = kernel.now_us + LONGEST_WAIT_US
        self._steps = kernel.steps
        self._check = kernel.after_step

    def begin(self) -> None:
        """Watch the run from here on."""
        self._kernel.after_step = self._after_step
        self._network.before_request.append(self._before_request)
        self._network.on_suspended = self._on_suspended
        keeps = frozenset({REAL_TIME_ORDER}) if self._keep_order else frozenset()
        self._kernel.state_keys = StateKeys(self.key, keeps, self._was_silent)

    def end(self) -> None:
        """Watch it no longer: its clients have ended."""
        self._kernel.after_step = self._check
        self._network.before_request.remove(self._before_request)
        self._network.on_suspended = None
        self._kernel.state_keys = None

    def trail_of(self, client: int) -> ClientTrail:
        """Return the trail of a client."""
        trail = self._trails.get(client)
        if trail is None:
            trail = self._trails[client] = ClientTrail(client, self._kernel, self._order)
        return trail

    def key(self, task: str) -> int:
        """Return the key of the present state; with the name of the current task, told apart by that too."""
        kernel = self._kernel
        if kernel.now_us >= self._until_us:
            state: Plain = (kernel.digest, kernel.decisions, kernel.steps)
        else:
            state = (
                task,
                self._servers(keep_log=self._keep_log),
                tuple([self._describe_task(each) for each in kernel.tasks if not each.done]),
                tuple([trail.describe() for trail in self._trails.values()]),
                self._nemesis.describe(),
            )
        return int.from_bytes(digest_of(_encode(state)), "big")

    def _servers(self, *, keep_log: bool = True) -> Plain:
        kernel, service = self._kernel, self._service
        calm = not keep_log and is_calm(self._set) and is_idle(service)
        told = describe_calm_set(self._set) if calm else describe_set(self._set)
        return (kernel.now_us, kernel.pending_timers(), told, describe_service(service))

    def _describe_task(self, task: Task) -> Plain:
        owner = self._owner(task)
        call = self._network.suspended.get(task)
        error = task.pending_error
        return (
            task.name,
            task.ready,
            None if error is None else repr(error),
            () if owner is None else owner.describe_task(task),
            () if call is None else (call.member.name, call.incarnation, call.seen),
        )

    def _owner(self, task: Task) -> ClientTrail | None:
        if task.number not in self._owners:
            match = _CLIENT.match(task.name)
            self._owners[task.number] = self._trails.get(int(match.group(1))) if match else None
        return self._owners[task.number]

    def _was_silent(self) -> bool:
        owner = self._owner(self._kernel.current)
        return owner is not None and owner.was_silent

    def _after_step(self) -> None:
        if self._check is not None:
            self._check()
        kernel = self._kernel
        if kernel.steps != self._steps:
            self._steps = kernel.steps
            owner = self._owner(kernel.current)
            if owner is not None:
                owner.stepped(kernel.current)

    def _before_request(self, _group: str, _member: str, command: Command) -> None:
        if not self._keep_log:
            self._look_at(command)
        owner = self._owner(self._kernel.current)
        if owner is not None:
            owner.sends(self._kernel.current)

    def _look_at(self, command: Command) -> None:
        """Take notice of a command that reads, or lets its client read later, what the log held at another time."""
        concern = command.get("readConcern") or {}
        pipeline = command.get("pipeline")
        stream = pipeline[0].get("$changeStream") if isinstance(pipeline, list) and pipeline else None
        if stream is None and not {"atClusterTime", "level"} & concern.keys():
            return
        if stream is not None or "atClusterTime" in concern or concern["level"] == "snapshot":
            self._keep_log = True
        if "atClusterTime" in concern or (stream is not None and "startAtOperationTime" in stream):
            self._keys.looked_back = True

    def _on_suspended(self, call: Call) -> None:
        """Let a command be told by the states of the servers in which it let others run.

        It does not look at anything else, so what it has in memory follows from them.
        """
        command = b"" if call.seen else bson.encode(call.command)
        call.seen = digest_of(call.seen, command, _encode(self._servers()))
