"""Rollback: a member whose log parts from its primary's serves what it has for a while, then undoes it.

Measured on mongod 6.0.5: a rejoined ex-primary answered with its divergent documents as SECONDARY for 0.9 s, was then
unreadable for 1.1 s (ROLLBACK), and then had the new history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from harness.sim.server import journal
from harness.sim.server.member import Member
from harness.sim.server.oplog import common_point, older
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet

DIVERGENT_US: Final = 900_000
ROLLBACK_US: Final = 1_100_000


class Rollbacks:
    """Takes members back to where their log is the primary's."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        self._kernel = replica_set.kernel
        self._defects = replica_set.configuration.defects

    def arm(self) -> None:
        """Set and take back the timers: call after each change of who follows whom."""
        for member in self._set.in_order:
            due = member.running and member.hears is not None and member.source is None
            if member.role == "ROLLBACK" and due:
                self._start(member, ROLLBACK_US, self._finish)
            elif member.role == "SECONDARY" and due and self._is_divergent(member):
                self._start(member, DIVERGENT_US, self._enter)
            elif member.rollback_timer is not None:
                member.rollback_timer.cancel()
                member.rollback_timer = None

    def _is_divergent(self, member: Member) -> bool:
        primary = member.hears
        return primary is not None and not primary.last.holds(member.last)

    def _start(self, member: Member, after_us: int, action: Callable[[Member], None]) -> None:
        if member.rollback_timer is None:
            at_us = self._kernel.now_us + after_us
            member.rollback_timer = self._set.call_at(at_us, f"{member.name} rolls back", action, member)

    def _enter(self, member: Member) -> None:
        member.rollback_timer = None
        self._set.change(lambda: self._become_unreadable(member))

    def _become_unreadable(self, member: Member) -> None:
        member.role = "ROLLBACK"
        member.epoch += 1
        member.incarnation += 1
        member.connection_closures += 1

    def _finish(self, member: Member) -> None:
        member.rollback_timer = None
        self._set.change(lambda: self._undo(member))

    def _undo(self, member: Member) -> None:
        primary = member.hears
        assert primary is not None
        undone = member.last
        common = common_point(undone, primary.last)
        self._set.invariants.rolled_back(member, common)
        self._keep_what_defects_keep(member, common)
        self._set.replication.quorums.rolled_back(member, common)
        member.last = member.ceiling = common
        member.commit = member.commit_ceiling = older(member.commit, common)
        journal.cut_back(member, common)
        member.role = "SECONDARY"
        member.rollback_count += 1
        member.epoch += 1

    def _keep_what_defects_keep(self, member: Member, common: OplogEntry) -> None:
        if self._defects.retry_record_kept_in_rollback:
            member.kept_sessions = member.last.data
        if self._defects.rollback_keeps_document:
            for namespace, collection in member.last.data.collections.items():
                kept = common.data.collections.get(namespace)
                before = kept.documents if kept is not None else {}
                member.ghosts += tuple(
                    (namespace, key, document) for key, document in collection.documents.items() if key not in before
                )
