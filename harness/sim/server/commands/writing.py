"""From a write statement to its effect: an oplog entry of its own, or a part of the transaction that it runs in.

A statement is a function of the data that says what it would do. Outside of transactions it is tried on the primary's
last data; where it would write what an open transaction has written, it waits for that one and is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.sim.server.commands import storage
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.storage import LockKey
from harness.sim.server.commands.transactions import Transaction, expire, lock_namespace
from harness.sim.server.document_map import put
from harness.sim.server.records import Change, CollectionData, Data, Document, SessionRecord


class Effect(NamedTuple):
    """What a statement would do.

    Arguments: ``collection`` after it, ``changes`` to log (none where nothing changes), ``locks`` that it claims, and
    the ``answer`` that the statement's repetition gets too.
    """

    collection: CollectionData | None
    changes: tuple[Change, ...]
    locks: tuple[LockKey, ...]
    answer: Document


Statement = Callable[[CollectionData | None], Effect]


async def perform(
    request: Request, namespace: str, statement: Statement, number: int, *, interruptible: bool = True
) -> Effect:
    """Run a statement; ``number`` is its statement id.

    Raises what the statement raises, CommandError 112 in a transaction and 50 at the deadline outside of one. Where it
    is not ``interruptible``, it waits for a transaction beyond its deadline, as the insert of an upsert does.
    """
    request.wrote = True
    transaction = request.transaction
    if transaction is not None:
        return await _perform_inside(request, transaction, namespace, statement)
    state = request.state
    while True:
        if state.exclusive:
            await lock_namespace(request, namespace)
        data = request.member.last.data
        effect = statement(data.collections.get(namespace))
        collection, changes, locks, answer = effect
        if not changes or collection is None:
            return effect
        if state.claims and (blocker := _blocker(request, locks)) is not None:
            await _wait_for(request, blocker, interruptible=interruptible)
            continue
        collections = {**data.collections, namespace: collection}
        if request.number < 0:
            after = Data(collections=collections, sessions=data.sessions)
            request.entry = request.service.replica_set.append(request.member, after, changes)
            return effect
        if request.service.fail_points.any_armed:
            request.service.fail_points.before_write(request)
        after = Data(collections=collections, sessions=_remembering(request, data, number, answer))
        request.entry = request.service.replica_set.append(request.member, after, changes)
        return effect


async def _perform_inside(request: Request, transaction: Transaction, namespace: str, statement: Statement) -> Effect:
    await lock_namespace(request, namespace)
    effect = statement(transaction.visible_data().collections.get(namespace))
    if effect.changes:
        assert effect.collection is not None
        transaction.write(namespace, effect.collection, effect.changes, effect.locks)
    return effect


def remembered(request: Request, number: int) -> Document | None:
    """Return the answer of a retryable statement that was executed before, else None."""
    if request.number < 0 or request.transaction is not None or request.service.defects.retry_applies_twice:
        return None
    record = request.data.sessions.get(request.session)
    if record is None or record.number != request.number:
        return None
    return record.statements.get(number)


def _remembering(request: Request, data: Data, number: int, answer: Document) -> Mapping[str, SessionRecord]:
    record = data.sessions.get(request.session)
    statements: Mapping[int, Document] = {number: answer}
    if record is not None and record.number == request.number:
        statements = put(record.statements, number, answer)
    return put(data.sessions, request.session, SessionRecord(number=request.number, statements=statements))


def _blocker(request: Request, locks: Sequence[LockKey]) -> Transaction | None:
    claims = request.state.claims
    for lock in locks:
        owner = claims.get(lock)
        if owner is not None and lock[0] not in owner.created and not expire(owner):
            return owner
    return None


async def _wait_for(request: Request, transaction: Transaction, *, interruptible: bool) -> None:
    """Wait until a transaction has ended, by its client or by its lifetime."""
    deadline_us = request.deadline_us if interruptible else None
    while not expire(transaction):
        until_us = transaction.expires_us if deadline_us is None else min(deadline_us, transaction.expires_us)
        await request.service.replica_set.wait(request.member, until_us)
        await request.come_back()
        if interruptible:
            request.check_deadline()


async def ensure_collection(request: Request, namespace: str) -> None:
    """Make the collection where there is none, as the first insert does."""
    request.wrote = True
    if namespace in request.data.collections and (
        request.transaction is None or namespace in request.transaction.namespaces
    ):
        return
    transaction = request.transaction
    if transaction is not None:
        await lock_namespace(request, namespace)
        if namespace not in transaction.data.collections:
            transaction.created[namespace] = None
            transaction.write(namespace, *_created(request, namespace), ())
        return
    if namespace not in request.data.collections:
        collection, changes = _created(request, namespace)
        data = storage.with_collection(request.data, namespace, collection)
        request.entry = request.service.replica_set.append(request.member, data, changes)


def _created(request: Request, namespace: str) -> tuple[CollectionData, tuple[Change, ...]]:
    collection = CollectionData(uuid=request.service.next_number())
    return collection, (Change(kind="create", namespace=namespace, uuid=collection.uuid),)


def statement_numbers(command: dict[str, Any], count: int) -> Sequence[int]:
    """Return the statement ids of a batch: ``stmtIds``, or counted from ``stmtId``."""
    given = command.get("stmtIds")
    if given is not None:
        return list(given)
    first = command.get("stmtId", 0)
    return range(first, first + count)
