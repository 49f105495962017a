"""Cluster time: a hybrid logical clock that every message carries, ticked by each oplog entry of a primary.

A time is an integer, seconds since the epoch << 32 | increment. A primary whose wall clock is ahead pushes the cluster
time ahead, and it stays there. Source: the manual's page on causal consistency; measured with a skewed member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.sim.server.member import Member

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet


class Clocks:
    """The clocks of the members."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._set = replica_set
        self._kernel = replica_set.kernel

    def wall_us(self, member: Member) -> int:
        """Return the member's wall clock, in microseconds since the epoch."""
        return self._kernel.now_us + member.skew_us

    def now(self, member: Member) -> int:
        """Return the cluster time that the member knows."""
        return max(member.clock, member.last.timestamp)

    def note(self, member: Member, timestamp: int) -> None:
        """Let a member know of a cluster time that it was told."""
        member.clock = max(member.clock, timestamp)

    def tick(self, member: Member) -> int:
        """Return the time of the next oplog entry of a primary."""
        clock = max(member.clock, member.last.timestamp)
        seconds = (self._kernel.now_us + member.skew_us) // 1_000_000
        ticked = clock + 1 if clock >> 32 >= seconds else (seconds << 32) + 1
        member.clock = ticked
        return ticked

    def spread(self) -> None:
        """Let members that reach each other have the newest time among them."""
        members = self._set.in_order
        for one in members:
            for other in members:
                if one is not other and self._set.linked(one, other):
                    one.clock = other.clock = max(self.now(one), self.now(other))
