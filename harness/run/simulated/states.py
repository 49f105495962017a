"""States of a simulated run, so that an exhaustive search need not go on twice from one.

A state is told by the servers (``sim/server/states.py``, ``sim/server/commands/states.py``), by what every client got
so far, of which it is a function, by armed timers and the nemesis, and by virtual time itself. In the key of a client
is no time: what it computes from its clock and acts on later is told beside it (readings of ``env.now``, ids made of
it, when it last began to wait). The driver's own longest waits begin to matter after :data:`LONGEST_WAIT_US`; from
there on states are not compared any more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import bson
import msgspec

from harness.explore.program import REAL_TIME_ORDER
from harness.explore.state_keys import RealTimeOrder
from harness.run.simulated.nemesis import SimulatedNemesis
from harness.sim.driver.client import Client
from harness.sim.driver.recorder import Recorder
from harness.sim.driver.selection import SELECTION_TIMEOUT_US
from harness.sim.kernel import Event, Kernel, StateKeys, Task
from harness.sim.kernel.loop import US_PER_SECOND, Footprint
from harness.sim.server.commands.context import Service
from harness.sim.server.commands.states import describe_service
from harness.sim.server.digests import digest_of
from harness.sim.server.errors import NetworkFailure
from harness.sim.server.network import Call, Command, Network
from harness.sim.server.states import Plain, describe_set

LONGEST_WAIT_US: Final = 100 * US_PER_SECOND
"""Before that much of a run has passed, no wait that counts from an earlier reading of the clock is over, but those
that are told: ``with_transaction`` gives up after 120 s, an idle server session after 29 minutes."""

_HARMLESS: Final = frozenset(
    {"find", "getMore", "aggregate", "count", "distinct", "killCursors", "listCollections", "listIndexes"}
    | {"insert", "update", "delete", "findAndModify", "bulkWrite", "create", "createIndexes", "drop", "dropIndexes"}
    | {"commitTransaction", "abortTransaction", "endSessions", "hello", "ping"}
)
"""Commands that do not change who is primary."""
_CLIENT: Final = re.compile(r"client (\d+)(?:[. ]|$)")
_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(slots=True, kw_only=True)
class Keys:
    """How the states of a search's runs are told apart.

    With ``steady`` it is taken for granted that strikes and timers alone change who is primary and who reaches whom, so
    that more steps count as silent. A client may bring such a change about by a command, ``replSetStepDown`` for one:
    then ``was_wrong`` is set, and what was searched by these keys does not count.
    """

    steady: bool = True
    was_wrong: bool = False


class ClientTrail:
    """What one client got to see, and where it stands in it.

    ``key`` is the chain of its results. A task of it that waits, or is at a command, is told by when it began to wait,
    whom it asks, and since when.
    """

    def __init__(
        self,
        client: int,
        kernel: Kernel,
        order: RealTimeOrder | None,
        set_may_change: Callable[[], bool] = lambda: True,
    ) -> None:
        self.client = client
        self.set_may_change = set_may_change
        """Whether who reaches whom, and who is primary, may still change while the client is held up."""
        self.key = b""
        self.handle: Client | None = None
        self.recorder: Recorder | None = None
        self.process = client
        self.begin_footprint: Footprint | None = () if order is None else None
        """What the step touches in which an operation begins: where real time is not looked at, nothing as a rule."""
        self._kernel = kernel
        self._order = order
        self._begun = False
        """Whether the step is one in which an operation began: no other is taken for silent."""
        self._touched = True
        self._steps = 0
        self._operations = 0
        self._tasks: dict[int, int] = {}
        """Number of a task that is under way to how many steps it made since the client got to see something."""
        self._waits: dict[int, bytes] = {}
        self._waiting_since_us: dict[int, int] = {}
        self._asked: dict[int, str] = {}
        self._sent_us: dict[int, int] = {}

    def note(self, seen: object) -> None:
        """Take notice of what the client got to see."""
        self._touched = True
        self.key = digest_of(self.key, seen if isinstance(seen, bytes) else _encode(seen))
        self._tasks = dict.fromkeys(self._tasks, 0)

    def begins(self) -> None:
        """Take notice that an operation begins."""
        self._begun = True
        if self._order is not None:
            self._touched = True
            self._order.begins(self.client)

    def ends(self, process: int) -> None:
        """Take notice that the operation has ended, and of the process that goes on."""
        self.process = process
        self._operations += 1
        if self._order is not None:
            self._order.ends(self.client)

    def asks(self, task: Task, member: str) -> None:
        """Take notice that a command is about to be sent: how the task waited before is over.

        A wait for a member goes on until there is one, and the command follows; but one that was given up was something
        that the client got to see.
        """
        number = task.number
        waits = self._waits.pop(number, None)
        if waits is not None and self._kernel.now_us >= self._waiting_since_us[number] + SELECTION_TIMEOUT_US:
            self.note(waits)
        self._asked[number] = member

    def sends(self, task: Task) -> None:
        """Take notice that the command is sent now."""
        self._touched = True
        self._sent_us[task.number] = self._kernel.now_us

    def gets(self, task: Task) -> None:
        """Take notice that the command is over."""
        self._waits.pop(task.number, None)
        self._asked.pop(task.number, None)
        self._sent_us.pop(task.number, None)

    def looks(self) -> None:
        """Take notice that it looks at a member, whose state others change."""
        self._touched = True

    def stepped(self, task: Task) -> bool:
        """Take notice of a step of one of its tasks; return whether it was silent.

        It began an operation, came to its first command, and touched nothing until then that others see or change.
        """
        number = task.number
        self._steps += 1
        self._tasks[number] = self._tasks.get(number, 0) + 1
        if len(self._tasks) > 1:
            # Tasks of one client share its memory: in which order they made their steps counts.
            self.note((task.name, self._steps))
        if task.done:
            del self._tasks[number]
        elif not task.ready:
            now_us = self._kernel.now_us
            waits = self._waits.get(number)
            if waits is None:
                self._waiting_since_us[number] = now_us
            self._waits[number] = digest_of(waits or b"", _encode(now_us))
        silent = self._begun and not self._touched and task.ready and len(self._tasks) == 1
        self._touched = self._begun = False
        return silent

    def describe(self) -> Plain:
        """Return the state of the client, as far as all its tasks have it in common."""
        touched = self._touched
        topology = () if self.handle is None else self.handle.topology.describe()
        # That was not the client who looked.
        self._touched = touched
        return (
            self.client,
            self.key,
            self.process,
            self._operations,
            topology,
            () if self.recorder is None else self.recorder.describe(),
            () if self._order is None else self._order.of(self.client),
        )

    def describe_task(self, task: Task) -> Plain:
        """Return where a task of the client stands."""
        number = task.number
        waits = self._waits.get(number)
        return (
            self._tasks.get(number, 0),
            waits,
            waits is not None and task.woken,
            self._asked.get(number),
            self._sent_us.get(number),
        )


class ObservedNetwork:
    """The network as one client has it, where what the client gets is noted in its trail."""

    def __init__(self, network: Network, trail: ClientTrail) -> None:
        self._network = network
        self._trail = trail
        self._kernel = network.kernel
        self._may_change = trail.set_may_change

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
        if self._may_change():
            self._trail.looks()
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
        trail.asks(task, member)
        try:
            reply = await self._network.request(
                group, member, command, connection=connection, deadline_us=deadline_us, footprint=footprint
            )
        except NetworkFailure as failure:
            trail.note((failure.kind, failure.member, failure.sent))
            raise
        finally:
            trail.gets(task)
        trail.note((member, bson.encode(reply)))
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
        self._order = RealTimeOrder() if keep_order else None
        self._trails: dict[int, ClientTrail] = {}
        self._owners: dict[int, ClientTrail | None] = {}
        """Number of a task to the client that it belongs to."""
        self._until_us = kernel.now_us + LONGEST_WAIT_US
        self._steps = kernel.steps
        self._silent = False
        self._seen: dict[int, bytes] = {}
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
            trail = self._trails[client] = ClientTrail(client, self._kernel, self._order, self._set_may_change)
        return trail

    def key(self, task: str) -> int:
        """Return the key of the present state; with the name of the current task, told apart by that too."""
        kernel = self._kernel
        if kernel.now_us >= self._until_us:
            state: Plain = (kernel.digest, kernel.decisions, kernel.steps)
        else:
            state = (
                task,
                self._servers(),
                tuple([self._describe_task(each) for each in kernel.tasks if not each.done]),
                tuple([trail.describe() for trail in self._trails.values()]),
                self._nemesis.describe(),
            )
        return int.from_bytes(digest_of(_encode(state)), "big")

    def _servers(self) -> Plain:
        kernel = self._kernel
        return (kernel.now_us, kernel.pending_timers(), describe_set(self._set), describe_service(self._service))

    def _describe_task(self, task: Task) -> Plain:
        owner = self._owner(task)
        call = self._network.suspended.get(task)
        error = task.pending_error
        return (
            task.name,
            task.ready,
            None if error is None else repr(error),
            self._seen.get(task.number) if owner is None else owner.describe_task(task),
            () if call is None else (call.member.name, call.incarnation, call.seen),
        )

    def _owner(self, task: Task) -> ClientTrail | None:
        if task.number not in self._owners:
            match = _CLIENT.match(task.name)
            self._owners[task.number] = self._trails.get(int(match.group(1))) if match else None
        return self._owners[task.number]

    def _set_may_change(self) -> bool:
        return not self._keys.steady or self._nemesis.may_strike or bool(self._kernel.pending_timers())

    def _was_silent(self) -> bool:
        return self._silent

    def _after_step(self) -> None:
        if self._check is not None:
            self._check()
        kernel = self._kernel
        if kernel.steps == self._steps:
            # A timer, which others' steps might have come before.
            self._silent = False
            return
        self._steps = kernel.steps
        task = kernel.current
        owner = self._owner(task)
        if owner is not None:
            self._silent = owner.stepped(task)
            return
        self._silent = False
        if not task.done:
            # A task of the servers, as a planned step-down: what it has in memory follows from what it saw of them.
            self._seen[task.number] = digest_of(self._seen.get(task.number, b""), _encode(self._servers()))

    def _before_request(self, _group: str, _member: str, command: Command) -> None:
        if not _HARMLESS.issuperset(itertools.islice(command, 1)):
            self._keys.was_wrong = self._keys.steady
        owner = self._owner(self._kernel.current)
        if owner is not None:
            owner.sends(self._kernel.current)

    def _on_suspended(self, call: Call) -> None:
        """Let a command be told by the states of the servers in which it let others run.

        It does not look at anything else, so what it has in memory follows from them.
        """
        command = b"" if call.seen else bson.encode(call.command)
        call.seen = digest_of(call.seen, command, _encode(self._servers()))
