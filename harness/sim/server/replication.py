"""Pull replication, lazily: what each member may have applied, and what it has, as soon as somebody looks.

A secondary that follows a primary may have any prefix of its log from the member's floor on. Nothing is decided about
it until it is observed: by a read, a vote, an acknowledgement, a change of who reaches whom. Then the prefix is chosen,
and becomes the new floor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.sim.server import journal
from harness.sim.server.member import Member
from harness.sim.server.oplog import PREFIX_LABELS, newer, prefixes
from harness.sim.server.quorums import Quorums
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet

Path = tuple[Member, ...]


class Replication:
    """Who follows whom, and how far each has come."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        self._kernel = replica_set.kernel
        self._interval_us = replica_set.configuration.journal_interval_us
        self.quorums = Quorums(self.raise_floor)

    # -- how far a member has come

    def exact(self, member: Member, kind: str = "applied") -> OplogEntry:
        """Return what the member has applied, chosen now where that is open; by default it is caught up."""
        if member.role == "PRIMARY":
            return member.last
        moment = (self._kernel.steps, self._kernel.now_us)
        if member.observed_moment == moment:
            return member.last
        member.observed_moment = moment
        top, path = self._top(member)
        if top is not member.last:
            options = prefixes(member.last, top)
            chosen = self._kernel.choose(kind, PREFIX_LABELS[: len(options)])
            self._place(member, options[chosen], path)
        return member.last

    def newest(self, member: Member) -> OplogEntry:
        """Return the newest entry that the member may have applied."""
        if member.role == "PRIMARY" or member.observed_moment == (self._kernel.steps, self._kernel.now_us):
            return member.last
        return self._top(member)[0]

    def raise_floor(self, member: Member, entry: OplogEntry) -> None:
        """Let a member hold ``entry``, one that it may have, and those that it must have pulled it through."""
        before = member.last
        if before.index >= entry.index:
            return
        member.last = entry
        if member.ceiling.index < entry.index:
            member.ceiling = entry
            if member.via is not None and member.via is not member.source:
                self.raise_floor(member.via, entry)
        journal.note_applied(member, entry, self._kernel.now_us, self._interval_us)
        self.quorums.placed(member, before, entry, exact=False)

    def _place(self, member: Member, entry: OplogEntry, path: Path) -> None:
        before = member.last
        pulled = entry.index > member.ceiling.index
        member.last = member.ceiling = entry
        if entry is not before:
            journal.note_applied(member, entry, self._kernel.now_us, self._interval_us)
        if pulled:
            for hop in path:
                self.raise_floor(hop, entry)
        self.quorums.placed(member, before, entry, exact=True)

    def _top(self, member: Member) -> tuple[OplogEntry, Path]:
        """Return the newest entry that a member may have, and the secondaries that it would have pulled it through."""
        if member.lagged or not member.running:
            return member.ceiling, ()
        if member.source is not None:
            return member.source.last, _way(member)
        if member.role == "SECONDARY" and member.hears is None:
            return self._top_of_peers(member)
        return member.ceiling, ()

    def _top_of_peers(self, member: Member) -> tuple[OplogEntry, Path]:
        """Without a primary, secondaries go on pulling from those that are ahead of them."""
        top: OplogEntry = member.ceiling
        path: Path = ()
        reached: list[tuple[Member, Path]] = [(member, ())]
        seen = [member]
        for puller, way in reached:
            for peer in self._set.in_order:
                if peer in seen or peer.role != "SECONDARY" or not self._set.linked(puller, peer):
                    continue
                seen.append(peer)
                if peer.ceiling.index > top.index and peer.ceiling.holds(member.ceiling):
                    top, path = peer.ceiling, (*way, peer)
                if not peer.lagged:
                    reached.append((peer, (*way, peer)))
        return top, path

    # -- who follows whom

    def freeze(self) -> None:
        """Make certain what a change of who reaches whom must not leave open: call before each such change."""
        for member in self._set.in_order:
            if member.role == "PRIMARY":
                self._set.commits.settle(member)
        for member in self._set.in_order:
            source = member.source
            if source is None:
                continue
            member.commit_ceiling = newer(member.commit_ceiling, source.commit)
            if member.lagged:
                continue
            if member.via is not source:
                self.exact(member)
            elif member.ceiling.index < source.last.index:
                member.ceiling = source.last

    def follow(self) -> None:
        """Let every member follow the primary that it reaches: call after each such change."""
        for member in self._set.in_order:
            member.source = member.via = member.hears = None
            member.followers = member.reporters = ()
        primaries = [member for member in self._set.in_order if member.role == "PRIMARY" and member.running]
        for primary in sorted(primaries, key=lambda member: -member.term):
            self._spread(primary, self._hear)
            self._spread(primary, self._join)
            followers = [member for member in self._set.in_order if member.source is primary]
            primary.followers = tuple(member for member in followers if not member.lagged)
            primary.reporters = tuple(member for member in followers if member.lagged)

    def _spread(self, primary: Member, admits: Callable[[Member, Member, Member], bool]) -> None:
        reached = [primary]
        for node in reached:
            for member in self._set.in_order:
                if member not in reached and self._set.linked(member, node) and admits(member, node, primary):
                    reached.append(member)

    def _hear(self, member: Member, _node: Member, primary: Member) -> bool:
        if member.role == "PRIMARY" or member.hears is not None:
            return False
        member.hears = primary
        return True

    def _join(self, member: Member, node: Member, primary: Member) -> bool:
        """Let a member follow; return whether others can pull on from it."""
        if member.role != "SECONDARY" or member.hears is not primary or member.source is not None:
            return False
        if not self._is_prefix(member, primary):
            return False
        member.source, member.via = primary, node
        if not primary.last.holds(member.commit_ceiling):
            member.commit_ceiling = member.commit
        return not member.lagged

    def _is_prefix(self, member: Member, primary: Member) -> bool:
        return primary.last.holds(member.ceiling) or primary.last.holds(self.exact(member))


def _way(member: Member) -> Path:
    way: list[Member] = []
    hop = member.via
    while hop is not None and hop is not member.source:
        way.append(hop)
        hop = hop.via
    return tuple(way)
