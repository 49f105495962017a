"""Forgetting old oplog entries, with the data as it was then, where ``oplog_limit`` says how many are kept.

Nothing is forgotten that a member may still be at. Members that follow the primary are taken to have everything that is
that old, so a set with a limit leaves a little less open than one without: a linked member is not behind by that much.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from harness.sim.server import journal
from harness.sim.server.member import Member
from harness.sim.server.oplog import newer
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet

_INTERVAL_MIN: Final = 64


class Trimming:
    """Cuts off the beginning of the log from time to time."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        limit = replica_set.configuration.oplog_limit
        self._limit = limit if limit is not None else 0
        self._interval = max(_INTERVAL_MIN, self._limit // 4)
        self.due_at_index = self._limit + self._interval if limit is not None else sys.maxsize
        """The length of a primary's log at which it is to be trimmed."""

    def trim(self, primary: Member) -> None:
        """Forget what is older than the limit."""
        self.due_at_index = primary.last.index + self._interval
        horizon = primary.last.at(primary.last.index - self._limit)
        if horizon is None or self._set.commits.reachable(primary).index < horizon.index:
            return
        self._set.commits.advance(primary, horizon, flushed=True)
        for member in (primary, *primary.followers):
            self._bring_to(member, horizon)
        self._set.replication.quorums.count_flushed()
        self._set.invariants.forget_snapshots()
        lowest = min(_lowest(member) for member in self._set.in_order)
        oldest = horizon if lowest >= horizon.index else primary.last.at(lowest)
        if oldest is not None:
            # The one change that is made to an entry: what it follows is not held any more.
            object.__setattr__(oldest, "previous", None)

    def _bring_to(self, member: Member, horizon: OplogEntry) -> None:
        self._set.replication.raise_floor(member, horizon)
        journal.flush(member, horizon)
        while member.known and member.known[0][1].index < horizon.index:
            member.known.popleft()
        member.ceiling = newer(member.ceiling, horizon)
        member.commit = newer(member.commit, horizon)
        member.commit_ceiling = newer(member.commit_ceiling, horizon)


def _lowest(member: Member) -> int:
    held = (member.last, member.ceiling, member.durable, member.commit, member.commit_ceiling)
    return min(entry.index for entry in held)
