"""Write concern: what an acknowledgement waits for, and how the wait can end otherwise.

Whatever comes of it, the write stays applied where it is. Sources: the manual's page "Write Concern";
src/mongo/db/repl/README.md; codes as measured on mongod 6.0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.sim.server import journal
from harness.sim.server.commit import holders_of
from harness.sim.server.errors import MemberGone
from harness.sim.server.member import Member
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.kernel.loop import Footprint
    from harness.sim.server.replica_set import ReplicaSet

MAJORITY: Final = "majority"
COMMIT_POINT: Final[Footprint] = (("commit point", True),)
"""What an acknowledgement touches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConcern:
    """``w``, ``j`` and ``wtimeout`` of a command. ``provenance`` is told in errors, as the server does."""

    w: int | str = MAJORITY
    j: bool | None = None
    wtimeout_ms: int = 0
    provenance: str = "clientSupplied"

    def document(self) -> dict[str, Any]:
        """Return it as errors tell it."""
        told: dict[str, Any] = {"w": self.w}
        if self.j is not None:
            told["j"] = self.j
        return {**told, "wtimeout": self.wtimeout_ms, "provenance": self.provenance}


class WriteConcerns:
    """Waits for write concerns."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        self._kernel = replica_set.kernel
        self._configuration = replica_set.configuration
        self._defects = replica_set.configuration.defects

    async def wait(
        self, member: Member, entry: OplogEntry, concern: WriteConcern, deadline_us: int | None
    ) -> dict[str, Any] | None:
        """Wait until ``concern`` holds for ``entry``; return None, or the ``writeConcernError`` document."""
        w = concern.w
        if w == 0 or (w == 1 and not concern.j):
            return None
        refusal = self._refusal(concern)
        if refusal is not None or (w == MAJORITY and self._defects.majority_acknowledged_at_once):
            return refusal
        if member.role != "PRIMARY":
            return _stepped_down()
        if w == MAJORITY and entry.index <= member.commit.index:
            if self._defects.noop_majority_acknowledgement:
                self._flush(member, entry)
                return None
            entry = self._set.write(member, member.last.data, ())
        return await self._wait(member, entry, concern, deadline_us)

    async def _wait(
        self, member: Member, entry: OplogEntry, concern: WriteConcern, deadline_us: int | None
    ) -> dict[str, Any] | None:
        epoch, incarnation = member.epoch, member.incarnation
        limit_us = self._kernel.now_us + concern.wtimeout_ms * 1_000 if concern.wtimeout_ms else None
        until_us = limit_us if deadline_us is None else deadline_us if limit_us is None else min(limit_us, deadline_us)
        await self._kernel.pause(COMMIT_POINT)
        while True:
            if member.paused:
                await self._set.resume_command(member)
            if member.incarnation != incarnation:
                raise MemberGone
            if member.epoch != epoch:
                return _interrupted()
            if self._is_satisfied(member, entry, concern):
                return None
            if until_us is not None and self._kernel.now_us >= until_us:
                return _timed_out(concern) if until_us == limit_us else _expired()
            await self._kernel.wait(self._set.reach_changed, until_us)

    def _refusal(self, concern: WriteConcern) -> dict[str, Any] | None:
        w = concern.w
        if isinstance(w, str):
            if w == MAJORITY:
                return None
            message = f"No write concern mode named '{w}' found in replica set configuration"
            return _error(79, "UnknownReplWriteConcern", message, concern)
        if w > len(self._configuration.members):
            return _error(100, "UnsatisfiableWriteConcern", "Not enough data-bearing nodes", concern)
        return None

    def _is_satisfied(self, member: Member, entry: OplogEntry, concern: WriteConcern) -> bool:
        journaled = bool(concern.j) and not self._defects.journal_ignored
        if concern.w != MAJORITY:
            assert isinstance(concern.w, int)
            return self._is_held(member, entry, concern.w - 1, journaled=journaled)
        if member.commit.index < entry.index:
            if self._set.commits.reachable(member).index < entry.index:
                return False
            self._set.commits.advance(member, entry, flushed=True)
        else:
            self._flush(member, entry)
        needs_journal = journaled and not self._configuration.journal_default
        return not needs_journal or self._is_held(member, entry, self._configuration.majority - 1, journaled=True)

    def _flush(self, member: Member, entry: OplogEntry) -> None:
        if self._configuration.journal_default and not self._defects.journal_ignored:
            journal.flush(member, entry)

    def _is_held(self, primary: Member, entry: OplogEntry, need: int, *, journaled: bool) -> bool:
        holders = holders_of(primary, entry)
        if len(holders) < need:
            return False
        if journaled:
            journal.flush(primary, entry)
        self._set.replication.quorums.require(entry, need, holders, journaled=journaled)
        return True


def _error(code: int, name: str, message: str, concern: WriteConcern) -> dict[str, Any]:
    return {"code": code, "codeName": name, "errmsg": message, "errInfo": {"writeConcern": concern.document()}}


def _timed_out(concern: WriteConcern) -> dict[str, Any]:
    error = _error(64, "WriteConcernFailed", "waiting for replication timed out", concern)
    error["errInfo"] = {"wtimeout": True, **error["errInfo"]}
    return error


def _expired() -> dict[str, Any]:
    return {"code": 50, "codeName": "MaxTimeMSExpired", "errmsg": "operation exceeded time limit"}


def _interrupted() -> dict[str, Any]:
    return {"code": 11602, "codeName": "InterruptedDueToReplStateChange", "errmsg": "operation was interrupted"}


def _stepped_down() -> dict[str, Any]:
    message = "Primary stepped down while waiting for replication"
    return {"code": 189, "codeName": "PrimarySteppedDown", "errmsg": message}
