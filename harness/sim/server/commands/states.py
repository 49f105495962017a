"""What the members hold in memory of sessions, transactions and cursors, as plain values; see ``server/states.py``."""

from __future__ import annotations

from typing import Any

import bson

from harness.sim.server.commands.context import ActiveSession, MemberState, Service
from harness.sim.server.commands.transactions import Transaction
from harness.sim.server.digests import entry_digest
from harness.sim.server.member import Member
from harness.sim.server.records import SessionRecord
from harness.sim.server.states import Plain


def describe_service(service: Service) -> Plain:
    """Return the state of the commands of a set."""
    return (
        service.numbers_given,
        service.fail_points.describe(),
        tuple([_describe_state(member, service) for member in service.replica_set.in_order]),
    )


def _describe_state(member: Member, service: Service) -> Plain:
    """Return what a member has in memory that is still good: nothing outlives its process, cursors alone its role."""
    state = service.states.get(member.name)
    if state is None or state.incarnation != member.incarnation:
        return ()
    cursors = _describe_cursors(state)
    if state.epoch != member.epoch:
        return ((), (), (), cursors) if cursors else ()
    sessions = [
        (session, *_describe_session(active))
        for session, active in state.sessions.items()
        if not _is_as_recorded(active, member.last.data.sessions.get(session))
    ]
    if not (sessions or state.claims or state.exclusive or cursors):
        return ()
    return (
        tuple(sorted(sessions)),
        tuple(sorted([(repr(lock), owner.session, owner.number) for lock, owner in state.claims.items()])),
        tuple(sorted(state.exclusive.items())),
        cursors,
    )


def _is_as_recorded(active: ActiveSession, record: SessionRecord | None) -> bool:
    """Whether a member would know the same of a session from its replicated record."""
    if active.busy or active.awaited or active.transaction is not None:
        return False
    if record is None:
        return active.number < 0 and not active.was_transaction
    return active.number == record.number and active.was_transaction is (record.state == "committed")


def _describe_cursors(state: MemberState) -> Plain:
    return tuple(
        [
            (each.number, each.namespace, each.session, each.transaction_number, each.results.state())
            for each in state.cursors.values()
        ]
    )


def _describe_session(active: ActiveSession) -> Plain:
    transaction = active.transaction
    return (
        active.number,
        active.was_transaction,
        active.busy,
        active.awaited,
        None if transaction is None else _describe_transaction(transaction),
    )


def _describe_transaction(transaction: Transaction) -> Plain:
    data = transaction.data
    written: dict[str, Any] = {
        "changes": [[each.kind, each.namespace, each.key, each.document, each.update] for each in transaction.changes]
    }
    return (
        transaction.number,
        transaction.status,
        transaction.expires_us,
        entry_digest(transaction.snapshot),
        bson.encode(written),
        # What it took over of definitions that came after its snapshot.
        tuple([(name, each.uuid, repr(each.indexes)) for name, each in data.collections.items()]),
        tuple([repr(lock) for lock in transaction.claimed]),
        tuple(transaction.namespaces),
        tuple(transaction.created),
    )
