"""Transactions of many statements: their snapshot, what they claim, and how they end.

Snapshot isolation with first updater wins: a write of something that was written after the snapshot, or that another
open transaction has written, fails at once. A transaction lives in the memory of one primary until its commit makes it
one oplog entry. Source: the specification of transactions, and measurements on mongod 6.0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.sim.server.commands import storage
from harness.sim.server.commands.codes import (
    LOCK_TIMEOUT,
    NO_SUCH_TRANSACTION,
    SNAPSHOT_UNAVAILABLE,
    TRANSACTION_COMMITTED,
    WRITE_CONFLICT,
    failure,
)
from harness.sim.server.commands.storage import LockKey
from harness.sim.server.errors import CommandError
from harness.sim.server.records import Change, CollectionData, Data, OplogEntry, SessionRecord

if TYPE_CHECKING:
    from harness.sim.server.commands.context import MemberState, Request

OPEN: Final = "open"
COMMITTED: Final = "committed"
ABORTED: Final = "aborted"

WRITE_CONFLICT_MESSAGE: Final = (
    "WriteConflict error: this operation conflicted with another operation. Please retry your operation or "
    "multi-document transaction."
)


class Transaction:
    """A transaction in the memory of a primary. ``snapshot`` is the entry whose data it reads."""

    __slots__ = (
        "changes",
        "claimed",
        "created",
        "data",
        "expires_us",
        "member",
        "namespaces",
        "number",
        "service",
        "session",
        "snapshot",
        "state",
        "status",
    )

    def __init__(self, request: Request, snapshot: OplogEntry) -> None:
        self.service = request.service
        self.member = request.member
        self.state: MemberState = request.state
        self.session = request.session
        self.number = request.number
        self.snapshot = snapshot
        self.data: Data = snapshot.data
        self.changes: list[Change] = []
        self.claimed: dict[LockKey, None] = {}
        self.namespaces: dict[str, None] = {}
        """Collections that it has locked, and so keeps from being dropped."""
        self.created: dict[str, None] = {}
        self.status = OPEN
        self.expires_us = request.kernel.now_us + request.service.configuration.transaction_lifetime_us

    def read_at(self, snapshot: OplogEntry) -> None:
        """Fix the snapshot, before the first statement."""
        self.snapshot = snapshot
        self.data = snapshot.data

    @property
    def expired(self) -> bool:
        """Whether it has reached the end of its lifetime."""
        return self.service.kernel.now_us >= self.expires_us

    def visible_data(self) -> Data:
        """Return what its statements see."""
        if self.service.defects.transaction_reads_past_snapshot:
            return self._rebased(self.member.last.data)
        return self.data

    def enter(self, namespace: str) -> None:
        """Lock a collection for the first time. Raises CommandError 246 for one that was made after the snapshot."""
        if namespace in self.namespaces:
            return
        self.namespaces[namespace] = None
        present = self.member.last.data.collections.get(namespace)
        seen = self.data.collections.get(namespace)
        if present is seen:
            return
        if present is None:
            self.data = storage.without_collections(self.data, [namespace])
        elif seen is None or seen.uuid != present.uuid:
            raise failure(
                SNAPSHOT_UNAVAILABLE,
                "Unable to read from a snapshot due to pending collection catalog changes; please retry the operation.",
            )
        elif seen.indexes != present.indexes:
            adopted = CollectionData(uuid=seen.uuid, documents=seen.documents)
            for index in present.indexes:
                adopted = storage.add_index(namespace, adopted, index)
            self.data = storage.with_collection(self.data, namespace, adopted)

    def write(
        self, namespace: str, collection: CollectionData, changes: Sequence[Change], locks: Sequence[LockKey]
    ) -> None:
        """Take a write in. Raises CommandError 112 where something was written since, or is claimed by another."""
        if not self.service.defects.transaction_ignores_conflicts:
            for lock in locks:
                self._check_conflict(lock)
        claims = self.state.claims
        for lock in locks:
            self.claimed[lock] = None
            claims[lock] = self
        self.data = storage.with_collection(self.data, namespace, collection)
        self.changes += changes

    def _check_conflict(self, lock: LockKey) -> None:
        owner = self.state.claims.get(lock)
        if owner is not None and owner is not self and not expire(owner):
            raise failure(WRITE_CONFLICT, WRITE_CONFLICT_MESSAGE)
        namespace, index, key = lock
        if namespace in self.created:
            return
        present = self.member.last.data.collections.get(namespace)
        seen = self.snapshot.data.collections.get(namespace)
        if present is seen:
            return
        if present is None or seen is None:
            raise failure(WRITE_CONFLICT, WRITE_CONFLICT_MESSAGE)
        if index:
            changed = present.unique_keys.get(index, {}).get(key) != seen.unique_keys.get(index, {}).get(key)
        else:
            changed = present.documents.get(key) is not seen.documents.get(key)
        if changed:
            raise failure(WRITE_CONFLICT, WRITE_CONFLICT_MESSAGE)

    def committed_data(self, tip: OplogEntry) -> Data:
        """Return the data of ``tip`` with this transaction's writes.

        Raises CommandError 112 where a collection that it made was made by another too.
        """
        for namespace in self.created:
            if namespace in tip.data.collections:
                raise failure(WRITE_CONFLICT, WRITE_CONFLICT_MESSAGE)
        data = self.data if tip.data is self.snapshot.data else self._rebased(tip.data)
        record = SessionRecord(number=self.number, state="committed")
        return Data(collections=data.collections, sessions={**tip.data.sessions, self.session: record})

    def _rebased(self, base: Data) -> Data:
        collections = dict(base.collections)
        for namespace in self.created:
            collections[namespace] = self.data.collections[namespace]
        for namespace, index, key in self.claimed:
            if index or namespace in self.created:
                continue
            collection, written = collections[namespace], self.data.collections[namespace].documents.get(key)
            if written is None:
                if key in collection.documents:
                    collections[namespace] = storage.remove(collection, key)
            elif key in collection.documents:
                collections[namespace] = storage.replace(namespace, collection, key, written, unique=False)
            else:
                collections[namespace] = storage.insert(namespace, collection, key, written, unique=False)
        return Data(collections=collections, sessions=base.sessions)

    def end(self, status: str) -> None:
        """Let go of everything, and let those that waited for it go on."""
        if self.status != OPEN:
            return
        self.status = status
        for lock in self.claimed:
            if self.state.claims.get(lock) is self:
                del self.state.claims[lock]
        self.namespaces = {}
        self.service.kernel.signal(self.service.replica_set.changed)

    def check_open(self, *, ends: bool) -> None:
        """Raise CommandError (251, 256) where a statement comes after the end; commits may be repeated."""
        expire(self)
        if self.status == ABORTED:
            raise failure(NO_SUCH_TRANSACTION, f"Transaction with {{ txnNumber: {self.number} }} has been aborted.")
        if self.status == COMMITTED and not ends:
            raise committed(self.number)


def committed(number: int) -> CommandError:
    """Return the error for a statement of a transaction that was committed."""
    return failure(TRANSACTION_COMMITTED, f"Transaction with {{ txnNumber: {number} }} has been committed.")


def expire(transaction: Transaction) -> bool:
    """Abort a transaction whose lifetime is over; return whether it is not open any more."""
    if transaction.status == OPEN and transaction.expired:
        transaction.end(ABORTED)
    return transaction.status != OPEN


async def lock_namespace(request: Request, namespace: str) -> None:
    """Wait for a collection that a drop or an index build wants for itself.

    Raises CommandError 24 in a transaction after its lock timeout, else 50 at the deadline.
    """
    exclusive = request.state.exclusive
    transaction = request.transaction
    if transaction is None:
        while namespace in exclusive:
            await request.wait()
        return
    if namespace in transaction.namespaces:
        return
    deadline_us = request.kernel.now_us + request.service.configuration.lock_timeout_us
    while namespace in exclusive:
        happened = await request.service.replica_set.wait(request.member, deadline_us)
        await request.come_back()
        if not happened and namespace in exclusive:
            raise failure(LOCK_TIMEOUT, "Unable to acquire lock within 5ms.")
    transaction.check_open(ends=False)
    transaction.enter(namespace)


async def commit(request: Request) -> dict[str, Any]:
    """``commitTransaction``: make the transaction one oplog entry; may be repeated after success."""
    transaction = request.transaction
    if transaction is None:
        return await _commit_again(request)
    transaction.check_open(ends=True)
    request.wrote = True
    if transaction.status == COMMITTED:
        return {}
    try:
        _commit_open(request, transaction)
    except CommandError:
        transaction.end(ABORTED)
        raise
    transaction.end(COMMITTED)
    return {}


def _commit_open(request: Request, transaction: Transaction) -> None:
    if not transaction.changes:
        append_noop(request)
        return
    if request.service.fail_points.any_armed and request.name == "commitTransaction":
        request.service.fail_points.before_write(request)
    replica_set = request.service.replica_set
    data = transaction.committed_data(request.member.last)
    request.entry = replica_set.append(
        request.member, data, tuple(transaction.changes), session=transaction.session, transaction=transaction.number
    )


async def _commit_again(request: Request) -> dict[str, Any]:
    record = request.member.last.data.sessions.get(request.session)
    if record is None or record.number != request.number or record.state != "committed":
        raise failure(NO_SUCH_TRANSACTION, f"Transaction with {{ txnNumber: {request.number} }} has been aborted.")
    request.wrote = True
    return {}


async def abort(request: Request) -> dict[str, Any]:
    """``abortTransaction``: undo what was written.

    Raises CommandError 251 where there is nothing to abort, 256 after a commit.
    """
    transaction = request.transaction
    if transaction is None:
        raise committed(request.number)
    transaction.check_open(ends=False)
    abort_open(request, transaction)
    return {}


def abort_open(request: Request, transaction: Transaction) -> None:
    """End an open transaction without its writes."""
    if request.service.defects.aborted_transaction_leaves_write and transaction.status == OPEN and transaction.changes:
        _commit_open(request, transaction)
    transaction.end(ABORTED)


def append_noop(request: Request) -> None:
    """Write an entry that changes nothing, so that the write concern has something of this primary's to wait for."""
    request.entry = request.service.replica_set.append(request.member, request.member.last.data, ())
