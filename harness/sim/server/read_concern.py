"""Read concern: which entry of a member's log a read sees, and what it waits for before.

Sources: the manual's pages "Read Concern" and "Causal Consistency"; src/mongo/db/repl/README.md; measured on 6.0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.sim.server.errors import (
    CommandError,
    MemberGone,
    interrupted,
    max_time_expired,
    not_primary_or_secondary,
    not_writable_primary,
)
from harness.sim.server.member import Member
from harness.sim.server.oplog import first_at_or_after, last_at_or_before
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet

SNAPSHOT_HISTORY_S: Final = 300
"""``minSnapshotHistoryWindowInSeconds``."""
NOOP_INTERVAL_US: Final = 10_000_000
"""``periodicNoopIntervalSecs``: how long a reader may wait for a time that no write reaches."""


class ReadConcerns:
    """Finds what a read sees."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        self._kernel = replica_set.kernel
        self._defects = replica_set.configuration.defects
        self.noop_at_us = 0
        """When a no-op is written, or was, for those that wait for a time."""

    async def entry(
        self,
        member: Member,
        level: str,
        after_cluster_time: int | None,
        at_cluster_time: int | None,
        deadline_us: int | None,
    ) -> OplogEntry:
        """Return the entry whose data the read sees.

        Raises CommandError: 13436 in a rollback, 10107 for linearizable on a secondary, 72 for a time that the member
        has not heard of, 50 at the deadline, 239 for a snapshot that is too old.
        """
        wanted = at_cluster_time if at_cluster_time is not None else after_cluster_time
        if wanted is not None and wanted > self._set.clocks.now(member):
            name = "atClusterTime" if at_cluster_time is not None else "afterClusterTime"
            message = f"readConcern {name} value must not be greater than the current clusterTime"
            raise CommandError(72, "InvalidOptions", message)
        if self._defects.after_cluster_time_ignored and at_cluster_time is None:
            wanted = None
        committed = level in ("majority", "snapshot")
        self._check_readable(member, level)
        if wanted is not None:
            await self._reach(member, level, wanted, deadline_us, committed=committed)
        if not committed:
            return self._set.applied(member)
        entry = self._set.committed(member)
        return entry if at_cluster_time is None else self._at(entry, at_cluster_time)

    def _check_readable(self, member: Member, level: str) -> None:
        if not member.is_readable:
            raise not_primary_or_secondary()
        if level == "linearizable" and not member.is_primary:
            raise not_writable_primary()

    async def _reach(
        self, member: Member, level: str, wanted: int, deadline_us: int | None, *, committed: bool
    ) -> None:
        """Wait until the member holds, or knows committed, an entry not older than ``wanted``."""
        incarnation = member.incarnation
        while not self._has_reached(member, wanted, committed=committed):
            if deadline_us is not None and self._kernel.now_us >= deadline_us:
                raise max_time_expired()
            self._expect_noop()
            await self._kernel.wait(self._set.changed, deadline_us)
            if member.incarnation != incarnation:
                raise MemberGone
            self._check_readable(member, level)

    def _has_reached(self, member: Member, wanted: int, *, committed: bool) -> bool:
        floor = member.commit if committed else member.last
        if floor.timestamp >= wanted:
            return True
        replication = self._set.replication
        top = self._set.commits.knowable(member) if committed else replication.newest(member)
        if top.timestamp < wanted:
            return False
        reached = first_at_or_after(wanted, floor, top)
        if committed:
            self._set.commits.known(member, reached)
        else:
            replication.raise_floor(member, reached)
        return True

    def _expect_noop(self) -> None:
        """Let the primary write a no-op after a while, as it does from time to time, for those that wait for a time."""
        if self.noop_at_us > self._kernel.now_us or self._set.primary is None:
            return
        self.noop_at_us = self._kernel.now_us + NOOP_INTERVAL_US
        self._set.call_at(self.noop_at_us, "periodic no-op", self._write_noops)

    def _write_noops(self) -> None:
        for member in self._set.in_order:
            if member.is_primary and member.running:
                self._set.write(member, member.last.data, ())
        self._set.notify()

    def _at(self, committed: OplogEntry, timestamp: int) -> OplogEntry:
        entry = last_at_or_before(timestamp, committed)
        if entry is None or (committed.timestamp >> 32) - (timestamp >> 32) > SNAPSHOT_HISTORY_S:
            message = "Read timestamp is older than the oldest available timestamp"
            raise CommandError(239, "SnapshotTooOld", message)
        return entry

    async def confirm(self, member: Member, deadline_us: int | None) -> None:
        """Prove by a no-op that a majority still follows this primary.

        Raises CommandError: 10107 where the member is not primary, 11602 where it stops being it, 50 at the deadline.
        """
        if self._defects.linearizable_read_without_quorum:
            return
        if not member.is_primary:
            raise not_writable_primary()
        entry = self._set.write(member, member.last.data, ())
        epoch, incarnation = member.epoch, member.incarnation
        await self._kernel.pause((("commit point", True),))
        while True:
            if member.incarnation != incarnation:
                raise MemberGone
            if member.epoch != epoch:
                raise interrupted()
            if self._set.commits.reachable(member).index >= entry.index:
                self._set.commits.advance(member, entry, flushed=True)
                return
            if deadline_us is not None and self._kernel.now_us >= deadline_us:
                raise max_time_expired()
            await self._kernel.wait(self._set.reach_changed, deadline_us)
