"""Links of a simulated set in tests."""

from __future__ import annotations

from harness.interfaces.link import Link
from harness.sim.server.replica_set import ReplicaSet


def isolate(replica_set: ReplicaSet, member: str) -> None:
    """Cut a member from all others, in both directions; clients keep their links."""
    others = [name for name in replica_set.members if name != member]
    replica_set.cut([Link(member, other) for other in others] + [Link(other, member) for other in others])
