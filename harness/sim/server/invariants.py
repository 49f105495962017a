"""What replica sets promise whatever happens, checked while a run goes on.

No two primaries in a term; nothing that was majority-committed is rolled back or missing in a later primary (but after
a crash with ``journal_default`` off); a member's committed snapshot never moves back while it lives. The names are
those of the TLA+ specifications RaftMongo and RaftMongoReplTimestamp in the server's repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.sim.server.digests import entry_digest
from harness.sim.server.errors import SimulatorError
from harness.sim.server.member import Member
from harness.sim.server.oplog import common_point
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet


class Invariants:
    """Checks the promises where something happens that could break them, and the roles after every step."""

    def __init__(self, replica_set: ReplicaSet, first: OplogEntry) -> None:
        self._set = replica_set
        self._enabled = replica_set.configuration.check_invariants
        self._committed = first
        self._primaries: dict[int, str] = {}
        self._snapshots: dict[str, tuple[int, OplogEntry]] = {}
        self._roles_changed = True
        self._failure: SimulatorError | None = None

    @property
    def newest_committed(self) -> OplogEntry:
        """The newest entry that any primary has found committed."""
        return self._committed

    def describe(self) -> tuple[Any, ...]:
        """Return what later checks compare with, as plain values."""
        snapshots = [(name, life, entry_digest(entry)) for name, (life, entry) in self._snapshots.items()]
        return entry_digest(self._committed), tuple(self._primaries.items()), tuple(snapshots), self._roles_changed

    def forget_snapshots(self) -> None:
        """Compare the members' snapshots with those of now, no longer with earlier ones."""
        self._snapshots = {member.name: (member.incarnation, member.commit) for member in self._set.in_order}

    def note_roles(self) -> None:
        """Let the roles be checked after this step."""
        self._roles_changed = True

    def check(self) -> None:
        """Check what needs to be checked after a step. Raises SimulatorError."""
        if not self._roles_changed:
            return
        self._roles_changed = False
        if self._failure is None and self._enabled:
            self._check_members()
        if self._failure is not None:
            raise self._failure

    def _check_members(self) -> None:
        for member in self._set.in_order:
            if member.role == "PRIMARY":
                self._check_only_primary(member)
            self._check_snapshot(member)

    def _check_only_primary(self, member: Member) -> None:
        term = member.last.term
        holder = self._primaries.setdefault(term, member.name)
        if holder != member.name:
            self._fail("NoTwoPrimariesInSameTerm", f"{holder} and {member.name} are both primary in term {term}")

    def _check_snapshot(self, member: Member) -> None:
        life, before = self._snapshots.get(member.name, (member.incarnation, member.commit))
        if life == member.incarnation and not member.commit.holds(before):
            self._fail("CommittedSnapshotNeverMovesBack", f"the one of {member.name} did")
        self._snapshots[member.name] = (member.incarnation, member.commit)

    def committed(self, primary: Member, entry: OplogEntry) -> None:
        """Take notice that a primary's commit point is ``entry``."""
        newest = self._committed
        if entry.index >= newest.index:
            if self._enabled and not entry.holds(newest):
                self._fail("NeverRollbackCommitted", f"{primary.name} committed a log without {_name(newest)}")
            self._committed = entry
        elif self._enabled and not newest.holds(entry):
            self._fail("NeverRollbackCommitted", f"{primary.name} committed {_name(entry)} beside {_name(newest)}")

    def elected(self, primary: Member) -> None:
        """Take notice of a new primary."""
        self._roles_changed = True
        if self._enabled and not primary.last.holds(self._committed):
            message = f"{primary.name} became primary in term {primary.term} without {_name(self._committed)}"
            self._fail("LeaderCompleteness", message)
        if self._enabled:
            self._check_only_primary(primary)

    def rolled_back(self, member: Member, common: OplogEntry) -> None:
        """Take notice that a member is about to go back to ``common``."""
        self._roles_changed = True
        if common.holds(member.commit) and (common.holds(self._committed) or not member.last.holds(self._committed)):
            return
        if self._enabled and self._committed.holds(member.commit):
            self._fail("NeverRollbackCommitted", f"{member.name} goes back to {_name(common)}")
        self._snapshots.pop(member.name, None)

    def crashed(self, member: Member, before: OplogEntry) -> None:
        """Take notice that a member that may have had ``before`` came up again with ``member.last``."""
        self._roles_changed = True
        self._snapshots.pop(member.name, None)
        if self._set.configuration.journal_default or member.last is before:
            return
        if before.holds(self._committed) and not member.last.holds(self._committed):
            self._committed = common_point(self._committed, member.last)

    def _fail(self, invariant: str, what: str) -> None:
        # Kept for the end of the step: raised here, it would pass through code under test that may swallow it.
        self._roles_changed = True
        self._failure = self._failure or SimulatorError(
            f"the simulated servers broke {invariant}: {what}, at {self._set.kernel.now_us} us",
            next_step="replay this seed and look at the last election, acknowledgement and rollback before it",
        )


def _name(entry: OplogEntry) -> str:
    return f"entry {entry.index} of term {entry.term}"
