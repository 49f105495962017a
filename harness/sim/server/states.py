"""What of the servers decides how a run goes on, as plain values: for who asks whether two runs are in one state.

Everything is told that a later step may look at. Left out are copies that are kept for speed, as the cluster time of
the last reply, and what only reports show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.sim.server.digests import entry_digest, sessions_document
from harness.sim.server.member import Member

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet

Plain = tuple[Any, ...]
"""Texts, numbers, bytes, None, and tuples of them."""


def describe_set(replica_set: ReplicaSet) -> Plain:
    """Return the state of the set: its members, what is proved of them, who reaches whom."""
    kernel = replica_set.kernel
    moment = (kernel.steps, kernel.now_us)
    members = replica_set.in_order
    return (
        tuple([_describe_member(member, moment) for member in members]),
        replica_set.replication.quorums.describe(members),
        replica_set.topology.describe(),
        replica_set.elections.describe(),
        replica_set.invariants.describe(),
        replica_set.read_concerns.noop_at_us,
        replica_set.trimming.due_at_index,
        replica_set.reach_changed_us,
    )


def _describe_member(member: Member, moment: tuple[int, int]) -> Plain:
    source, via, hears = member.source, member.via, member.hears
    return (
        member.role,
        member.term,
        member.up,
        member.paused,
        member.incarnation,
        member.epoch,
        entry_digest(member.last),
        entry_digest(member.ceiling),
        entry_digest(member.durable),
        tuple([(at_us, entry_digest(entry)) for at_us, entry in member.known]),
        entry_digest(member.commit),
        entry_digest(member.commit_ceiling),
        # What was observed in this very moment is still exact.
        member.observed_moment == moment,
        member.committed_moment == moment,
        member.clock,
        member.skew_us,
        member.priority,
        None if source is None else source.name,
        None if via is None else via.name,
        None if hears is None else hears.name,
        member.lagged,
        member.deaf,
        member.stepping_down,
        member.election_barred_until_us,
        member.rollback_count,
        member.connection_closures,
        member.step_down_timer is not None,
        member.rollback_timer is not None,
        _kept(member),
    )


def _kept(member: Member) -> str:
    """Defects: return what a rollback left, which no log tells."""
    if not member.ghosts and member.kept_sessions is None:
        return ""
    sessions = {} if member.kept_sessions is None else sessions_document(member.kept_sessions.sessions)
    return repr((member.ghosts, sessions))
