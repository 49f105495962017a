"""What commands share: the service with its members' volatile state, and the request that a running command is."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from harness.sim.documents.expressions import Environment, let_values
from harness.sim.server.commands.codes import MAX_TIME_EXPIRED, failure
from harness.sim.server.commands.read_concerns import DEFAULT, ReadConcern
from harness.sim.server.errors import MemberGone, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.sim.kernel.loop import Footprint, Kernel
    from harness.sim.server.commands.cursors import Cursor
    from harness.sim.server.commands.fail_points import FailPoints
    from harness.sim.server.commands.storage import LockKey
    from harness.sim.server.commands.transactions import Transaction
    from harness.sim.server.configuration import Configuration
    from harness.sim.server.defects import Defects
    from harness.sim.server.member import Member
    from harness.sim.server.records import Data, Document, OplogEntry
    from harness.sim.server.replica_set import ReplicaSet

US_PER_MS: Final = 1_000
_US_PER_SECOND: Final = 1_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - dates in documents are naive UTC


class ActiveSession:
    """What a member holds in memory of a session: the last ``number`` that it saw, and the transaction under it."""

    __slots__ = ("awaited", "busy", "number", "transaction", "was_transaction")

    def __init__(self, number: int, *, was_transaction: bool) -> None:
        self.number = number
        self.transaction: Transaction | None = None
        self.was_transaction = was_transaction
        self.busy = False
        """Whether a command of the session is running: they run one after the other."""
        self.awaited = False
        """Whether another command waits for that one."""


class MemberState:
    """What one member holds in memory besides its data, until it restarts or its role changes."""

    __slots__ = ("claims", "cursors", "epoch", "exclusive", "incarnation", "sessions")

    def __init__(self, incarnation: int, epoch: int, cursors: dict[int, Cursor]) -> None:
        self.incarnation = incarnation
        self.epoch = epoch
        self.cursors = cursors
        self.sessions: dict[str, ActiveSession] = {}
        self.claims: dict[LockKey, Transaction] = {}
        """What open transactions have written, and so claim."""
        self.exclusive: dict[str, int] = {}
        """Collections that a command waits to have for itself (drop, createIndexes), and how many do."""


class Service:
    """The commands of a set as a whole: what outlives single commands."""

    def __init__(self, replica_set: ReplicaSet, fail_points: FailPoints) -> None:
        self.replica_set = replica_set
        self.kernel: Kernel = replica_set.kernel
        self.configuration: Configuration = replica_set.configuration
        self.defects: Defects = replica_set.configuration.defects
        self.fail_points = fail_points
        self.on_ttl_index: Callable[[], None] = _nothing
        """Called when an index with an expiry was made."""
        self.states: dict[str, MemberState] = {}
        """By name of the member, as it was when it was last asked for."""
        self.numbers_given = 0
        self._clock: tuple[int, datetime.datetime] = (0, _EPOCH)

    def state(self, member: Member) -> MemberState:
        """Return what the member holds in memory in its present role."""
        state = self.states.get(member.name)
        if state is None or state.epoch != member.epoch or state.incarnation != member.incarnation:
            survives = state is not None and state.incarnation == member.incarnation
            cursors = state.cursors if state is not None and survives else {}
            state = MemberState(member.incarnation, member.epoch, cursors)
            self.states[member.name] = state
        return state

    def next_number(self) -> int:
        """Return a number that is unique in this run: for cursors, collections, generated ids."""
        self.numbers_given += 1
        return self.numbers_given

    def new_object_id(self, member: Member) -> ObjectId:
        """Return a fresh ``_id`` as the server makes one for an upsert."""
        seconds = self.wall_us(member) // _US_PER_SECOND
        return ObjectId(f"{seconds & 0xFFFFFFFF:08x}5e7f000000{self.next_number() & 0xFFFFFF:06x}")

    def wall_us(self, member: Member) -> int:
        """Return the member's wall clock in microseconds since the epoch."""
        return self.kernel.now_us + member.skew_us

    def now(self, member: Member) -> datetime.datetime:
        """Return the member's wall clock as a document holds it."""
        milliseconds = self.wall_us(member) // US_PER_MS
        if self._clock[0] != milliseconds:
            self._clock = (milliseconds, _EPOCH + datetime.timedelta(milliseconds=milliseconds))
        return self._clock[1]


class Request:
    """One command on its way through a member. What is at its default is not set for each command, which is fast."""

    namespace = ""
    """That of its collection, empty where it has none."""
    deadline_us: int | None = None
    entry: OplogEntry | None = None
    """What the write concern waits for, None for the member's last."""
    read_timestamp: int | None = None
    """What was read at, None for the member's last."""
    read_concern: ReadConcern = DEFAULT
    session = ""
    number = -1
    """``txnNumber``, or -1."""
    transaction: Transaction | None = None
    writes = True
    wrote = False
    """Whether it came as far as to try a write: then it waits for its write concern, even where it failed."""
    in_change_stream = False
    unanswered = False
    """Whether a fail point closes the connection when the command has run to its end."""

    def __init__(self, service: Service, member: Member, command: Document, name: str) -> None:
        self.service = service
        self.kernel = service.kernel
        self.member = member
        self.command: dict[str, Any] = command
        self.name = name
        self.database: str = command.get("$db", "")
        self.state = service.state(member)

    @property
    def data(self) -> Data:
        """What a write of this request sees: the transaction's own data, else the primary's last."""
        if self.transaction is not None:
            return self.transaction.visible_data()
        return self.member.last.data

    def now(self) -> datetime.datetime:
        """Return the member's wall clock as a document holds it."""
        return self.service.now(self.member)

    def timestamp(self) -> Timestamp:
        """Return a cluster time for a zero timestamp in a document."""
        ticks = self.service.replica_set.cluster_time(self.member)
        return Timestamp(ticks >> 32, (ticks & 0xFFFFFFFF) + 1)

    def environment(self) -> Environment:
        """Return what expressions may read: the clock, the cluster time, the command's ``let``."""
        ticks = self.service.replica_set.cluster_time(self.member)
        environment = Environment(now=self.now(), cluster_time=Timestamp(ticks >> 32, ticks & 0xFFFFFFFF))
        given = self.command.get("let")
        if not given:
            return environment
        values = let_values(given, environment)
        return Environment(now=environment.now, let=values, cluster_time=environment.cluster_time)

    async def let_others_run(self, footprint: Footprint | None) -> None:
        """Let others run here, as mongod does where it yields; in a transaction never.

        Raises CommandError 11602 where the member lost its role meanwhile, MemberGone where it died.
        """
        if self.transaction is None:
            await self.kernel.pause(footprint)
            await self.come_back()

    async def wait(self, until_us: int | None = None) -> None:
        """Wait until something has changed, or until a time. Raises CommandError (50, 11602) and MemberGone."""
        deadline_us = self.deadline_us
        if until_us is not None:
            deadline_us = until_us if deadline_us is None else min(until_us, deadline_us)
        await self.service.replica_set.wait(self.member, deadline_us)
        await self.come_back()
        self.check_deadline()

    def check_deadline(self) -> None:
        """Raise CommandError 50 where the time that the command may take is over."""
        if self.deadline_us is not None and self.kernel.now_us >= self.deadline_us:
            raise failure(MAX_TIME_EXPIRED, "operation exceeded time limit")

    async def come_back(self) -> None:
        """Go on after others ran: not while the member is paused, nor where it lost what the command relies on."""
        member = self.member
        while member.paused and member.incarnation == self.state.incarnation:
            await self.service.replica_set.wait(member, None)
        if member.incarnation != self.state.incarnation:
            raise MemberGone(member.name)
        if member.epoch != self.state.epoch and (self.writes or not member.is_readable):
            raise interrupted()


def _nothing() -> None:
    return None
