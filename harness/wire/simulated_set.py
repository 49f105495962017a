"""The simulated replica set as the wire front serves it: its commands, its powers, and its choices.

Without a seed every choice takes its default: secondaries are caught up, nothing is lost that need not be. With a seed
a share of the choices is drawn from it, so that secondaries are behind and elections end in one way or another.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from bson.int64 import Int64
from bson.timestamp import Timestamp

from harness.errors import BackendError, UsageError
from harness.interfaces.backend import MemberState
from harness.interfaces.link import Link
from harness.sim.documents.values import normalise
from harness.sim.kernel import DefaultStrategy, Kernel, Strategy
from harness.sim.kernel.choices import RUN, Label
from harness.sim.server.commands.dispatch import Dispatcher
from harness.sim.server.configuration import Configuration
from harness.sim.server.errors import CommandError, NetworkFailure
from harness.sim.server.member import Member
from harness.sim.server.network import REPLICA_SET_NAME, Network
from harness.sim.server.records import OplogEntry
from harness.sim.server.replica_set import ReplicaSet
from harness.wire.control import CLIENTS
from harness.wire.errors import BrokenConnectionError, RefusedError
from harness.wire.hello import MemberView
from harness.wire.served import Reach

OPLOG_ENTRIES: Final = 20_000
"""How much of the history is kept by default: some 50 MB of small writes."""
STEPS_MAX: Final = 1 << 62
DRAWN_SHARE: Final = 0.25
"""The share of choices that a seed decides."""

_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - dates in documents are naive UTC
_NOT_MODELLED: Final = 238


class SeededStrategy:
    """Draws a share of the choices from a seed; which task goes on is never among them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Strategy
        """Return the default, or one that is drawn."""
        if kind == RUN or self._random.random() >= DRAWN_SHARE:
            return default
        return self._random.randrange(len(options))


class SimulatedSet:
    """A simulated set under a kernel of its own. It is a ServedSet, and has the powers that orders use."""

    def __init__(self, kernel: Kernel, configuration: Configuration) -> None:
        self.kernel = kernel
        self.name = REPLICA_SET_NAME
        self.members = configuration.members
        self._set = ReplicaSet(kernel, configuration)
        self._dispatcher = Dispatcher(self._set)
        self._network = Network(self._set, self._dispatcher)

    @classmethod
    def start(
        cls, now_us: int, *, members: int, seed: int | None, journal_default: bool, oplog_entries: int = OPLOG_ENTRIES
    ) -> Self:
        """Return a set that is healthy at ``now_us`` microseconds since 1970, and keeps so many oplog entries."""
        strategy: Strategy = DefaultStrategy() if seed is None else SeededStrategy(seed)
        configuration = Configuration(
            members=tuple(f"m{number}" for number in range(1, members + 1)),
            groups=(CLIENTS,),
            latency_us=0,
            journal_default=journal_default,
            oplog_limit=oplog_entries,
        )
        return cls(Kernel(strategy, start_us=now_us, steps_limit=STEPS_MAX), configuration)

    # -- what is served

    def reach(self, member: str) -> Reach:
        """Return what clients meet at the member's port."""
        one = self._set.members[member]
        if not one.up:
            return "dead"
        if self._set.topology.is_cut(CLIENTS, member):
            return "cut"
        return "paused" if one.paused else "open"

    def closures(self, member: str) -> int:
        """Return how many times the member has closed all its connections."""
        return self._set.members[member].connection_closures

    def view(self, member: str) -> MemberView:
        """Return what the member knows of itself and the set."""
        one = self._set.members[member]
        hears = one if one.role == "PRIMARY" else one.hears
        primary = "" if hears is None else hears.name
        role = "STEPPING DOWN" if one.role == "PRIMARY" and not one.is_primary else one.role
        return MemberView(member=member, role=role, primary=primary, term=one.term if one.is_primary else 0)

    def last_write(self, member: str) -> Mapping[str, Any]:
        """Return ``lastWrite`` of the member's ``hello``."""
        one = self._set.members[member]
        return {
            "opTime": _op_time(one.last),
            "lastWriteDate": _date(one.last.timestamp),
            "majorityOpTime": _op_time(one.commit),
            "majorityWriteDate": _date(one.commit.timestamp),
        }

    def wall_us(self, member: str) -> int:
        """Return the member's wall clock in microseconds since 1970."""
        return self.kernel.now_us + self._set.skew_us(self._set.members[member])

    def connection_ended(self, connection: int) -> None:
        """Forget what was known of a connection."""
        self._dispatcher.service.fail_points.forget_client(connection)

    async def request(self, member: str, command: dict[str, Any], connection: int) -> dict[str, Any]:
        """Run a command on the member. Raises BrokenConnectionError where the connection ends without a reply."""
        try:
            normal = normalise(command)
            if "client" in normal:
                self._dispatcher.service.fail_points.note_client(connection, normal["client"])
            return await self._network.request(CLIENTS, member, normal, connection=connection, deadline_us=None)
        except NetworkFailure as failure:
            raise BrokenConnectionError(str(failure)) from None
        except BackendError as error:
            raise RefusedError(
                _NOT_MODELLED, f"the simulated server cannot do that: {error}", "NotImplemented"
            ) from error

    # -- powers

    def cut(self, links: Iterable[Link]) -> None:
        """Cut links between members, or from clients to members."""
        self._set.cut(links)

    def heal_all(self) -> None:
        """Let all links carry again."""
        self._set.heal_all()

    def kill(self, member: str) -> None:
        """End a member's process at once (kill -9)."""
        self._set.kill(member)

    def restart(self, member: str) -> None:
        """Start a killed member again."""
        self._set.restart(member)

    def pause(self, member: str) -> None:
        """Stop a member's process (SIGSTOP)."""
        self._set.pause(member)

    def resume(self, member: str) -> None:
        """Let a paused member go on (SIGCONT)."""
        self._set.resume(member)

    async def step_down(self) -> str:
        """Let the primary step down as planned; return in words what came of it."""
        primary = self._set.primary
        if primary is None:
            raise UsageError("no member is primary now", next_step="wait for an election, see `status`")
        try:
            await self._set.step_down(primary.name)
        except CommandError as error:
            raise UsageError(f"{primary.name} did not step down: {error.message}", next_step="see `status`") from error
        return f"{primary.name} stepped down"

    def lag(self, member: str, *, on: bool) -> None:
        """Keep a member from replicating, or no more."""
        self._set.lag(member, on)

    def set_skew(self, member: str, skew_us: int) -> None:
        """Set how far a member's clock is ahead, in microseconds."""
        self._set.set_skew(member, skew_us)

    def observe(self) -> tuple[MemberState, ...]:
        """Return the members as an observer sees them."""
        return self._set.observe()

    def condition(self, member: str) -> str:
        """Return in words what is being done to a member; empty for nothing."""
        one = self._set.members[member]
        if not one.up:
            return "killed"
        return ", ".join(self._conditions(one))

    def _conditions(self, member: Member) -> Iterable[str]:
        if member.paused:
            yield "paused"
        if member.lagged:
            yield "lagged"
        lost = [
            source
            for source in (CLIENTS, *self.members)
            if source != member.name and self._set.topology.is_cut(source, member.name)
        ]
        if lost:
            yield f"cut off from {', '.join(lost)}"
        if member.skew_us:
            yield f"clock {member.skew_us / 1_000_000:g} s off"


def _timestamp(ticks: int) -> Timestamp:
    return Timestamp(ticks >> 32, ticks & 0xFFFFFFFF)


def _op_time(entry: OplogEntry) -> dict[str, Any]:
    return {"ts": _timestamp(entry.timestamp), "t": Int64(entry.term)}


def _date(ticks: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(seconds=ticks >> 32)
