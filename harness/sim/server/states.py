"""What of the servers decides how a run goes on, as plain values: for who asks whether two runs are in one state.

Everything is told that a later step may look at. Left out are copies that are kept for speed, as the cluster time of
the last reply, and what only reports show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from harness.sim.server.defects import Defects
from harness.sim.server.digests import content_digest, entry_digest, sessions_document
from harness.sim.server.member import Member
from harness.sim.server.records import OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.replica_set import ReplicaSet

Plain = tuple[Any, ...]
"""Texts, numbers, bytes, None, and tuples of them."""

Tell = Callable[[OplogEntry], Any]
"""Tells an entry apart."""

_RIGHT: Final = Defects()


def describe_set(replica_set: ReplicaSet, tell: Tell = entry_digest) -> Plain:
    """Return the state of the set: its members, what is proved of them, who reaches whom."""
    kernel = replica_set.kernel
    moment = (kernel.steps, kernel.now_us)
    members = replica_set.in_order
    return (
        tuple([_describe_member(member, moment, tell) for member in members]),
        replica_set.replication.quorums.describe(members, tell),
        replica_set.topology.describe(),
        replica_set.elections.describe(),
        replica_set.invariants.describe(tell),
        replica_set.read_concerns.noop_at_us,
        replica_set.trimming.due_at_index,
        replica_set.reach_changed_us,
    )


def describe_calm_set(replica_set: ReplicaSet) -> Plain:
    """Return the state of a calm set, see :func:`is_calm`: of its log the data at its end, and how long it is.

    How the log came about is left out. It counts for those who look at an older entry: a change stream, a read at a
    cluster time, a transaction, a member of which is chosen that it is behind or lost something. It does not for who
    sees the newest data from here on, whatever strikes the set.
    """
    last = replica_set.in_order[0].last
    return (last.timestamp, content_digest(last), describe_set(replica_set, _index))


def is_calm(replica_set: ReplicaSet) -> bool:
    """Whether the first primary reigns, and nothing has ever struck the set, which is one without defects."""
    first, *others = replica_set.in_order
    return (
        replica_set.reach_version == 0
        and first.is_primary
        and len(first.followers) == len(others)
        and replica_set.configuration.defects == _RIGHT
    )


def _index(entry: OplogEntry) -> int:
    return entry.index


def _describe_member(member: Member, moment: tuple[int, int], tell: Tell) -> Plain:
    source, via, hears = member.source, member.via, member.hears
    return (
        member.role,
        member.term,
        member.up,
        member.paused,
        member.incarnation,
        member.epoch,
        tell(member.last),
        tell(member.ceiling),
        tell(member.durable),
        () if tell is _index else tuple([(at_us, tell(entry)) for at_us, entry in member.known]),
        tell(member.commit),
        tell(member.commit_ceiling),
        # What was observed in this very moment is still exact.
        member.observed_moment == moment,
        member.committed_moment == moment,
        member.clock,
        member.skew_us,
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
