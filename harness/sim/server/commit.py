"""The commit point: how far a majority holds a primary's log, and how much of that each member knows.

It is the newest entry of the primary's own term that a majority holds (on disk where ``journal_default`` is set), and
what a member knows of it never goes beyond what it has applied. Sources: src/mongo/db/repl/README.md; the TLA+
specification RaftMongo (``AdvanceCommitPoint``, ``LearnCommitPointWithTermCheck``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.sim.server import journal
from harness.sim.server.member import Member
from harness.sim.server.oplog import PREFIX_LABELS, first_of_term, newer, prefixes
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet


class Commits:
    """The commit points of the members."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        self._kernel = replica_set.kernel
        self._defects = replica_set.configuration.defects
        self._need = replica_set.configuration.majority - 1
        self._journaled = replica_set.configuration.journal_default and not self._defects.journal_ignored

    def reachable(self, primary: Member) -> OplogEntry:
        """Return the commit point that a primary may have by now."""
        top = primary.last
        missing = self._need - len(primary.followers)
        if missing > 0 and not self._defects.commit_point_from_one_member:
            ceilings = sorted((member.ceiling for member in primary.reporters), key=lambda entry: -entry.index)
            if len(ceilings) < missing:
                return primary.commit
            top = ceilings[missing - 1]
        return top if top.term == primary.term and top.index > primary.commit.index else primary.commit

    def advance(self, primary: Member, entry: OplogEntry, *, flushed: bool = False) -> None:
        """Let the primary's commit point be ``entry`` at least; one that it may have.

        With ``flushed`` its own journal has it, as every acknowledgement asks for; the majority may do without it.
        """
        if entry.index <= primary.commit.index:
            return
        if entry.term != primary.term:
            entry = first_of_term(primary.last)
        primary.commit = entry
        if not self._defects.commit_point_from_one_member:
            self._require(primary, entry, flushed=flushed)
        self._set.invariants.committed(primary, entry)

    def _require(self, primary: Member, entry: OplogEntry, *, flushed: bool) -> None:
        holders, need = holders_of(primary, entry), self._need
        if not self._journaled:
            self._set.replication.quorums.require(entry, need, holders, journaled=False)
            return
        if flushed:
            journal.flush(primary, entry)
        elif primary.durable.index < entry.index:
            holders, need = (primary, *holders), need + 1
        self._set.replication.quorums.require(entry, need, holders, journaled=True)

    def settle(self, primary: Member) -> None:
        """Make the primary's commit point exact."""
        self._learn(primary, self.reachable(primary), primary.commit, "commit")

    def known(self, member: Member, floor: OplogEntry | None = None) -> OplogEntry:
        """Return the commit point that a member knows, chosen now where that is open; by default the newest.

        With ``floor`` it is known to be that at least.
        """
        if floor is not None and floor.index > member.commit.index:
            self._set_known(member, floor)
        moment = (self._kernel.steps, self._kernel.now_us)
        if member.committed_moment != moment:
            member.committed_moment = moment
            kind = "commit" if member.role == "PRIMARY" else "known-commit"
            self._learn(member, self.knowable(member), member.commit, kind)
        return member.commit

    def knowable(self, member: Member) -> OplogEntry:
        """Return the newest commit point that a member may know."""
        if member.role == "PRIMARY":
            return self.reachable(member)
        source = member.source
        top = member.commit_ceiling
        if source is not None:
            top = newer(top, self.reachable(source))
        held = self._set.replication.newest(member)
        if top.index > held.index:
            top = held
        return newer(member.commit, top)

    def _learn(self, member: Member, top: OplogEntry, floor: OplogEntry, kind: str) -> None:
        if top.index <= floor.index:
            return
        options = [entry for entry in prefixes(floor, top) if entry is floor or self._may_be(member, entry)]
        chosen = options[self._kernel.choose(kind, PREFIX_LABELS[: len(options)])]
        if chosen is not floor:
            self._set_known(member, chosen)
        if chosen is not top:
            member.commit_ceiling = chosen

    def _may_be(self, member: Member, entry: OplogEntry) -> bool:
        return member.role != "PRIMARY" or entry.term == member.term

    def _set_known(self, member: Member, entry: OplogEntry) -> None:
        if member.role == "PRIMARY":
            self.advance(member, entry)
            return
        self._set.replication.raise_floor(member, entry)
        if member.source is not None and entry.index > member.commit_ceiling.index:
            self.advance(member.source, entry)
        member.commit = entry


def holders_of(primary: Member, entry: OplogEntry) -> tuple[Member, ...]:
    """Return the members beside a primary that may hold an entry of its log, as far as they report it."""
    if not primary.reporters:
        return primary.followers
    lagged = tuple(member for member in primary.reporters if member.ceiling.index >= entry.index)
    return primary.followers + lagged
