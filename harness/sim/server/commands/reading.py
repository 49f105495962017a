"""Reading: at which entry a command reads, and the scan that walks a collection while others write.

A scan outside of a transaction may yield and go on with newer data, so it has no point-in-time view; a snapshot read
and a transaction have one. Source: the manual's page "Read Isolation, Consistency, and Recency".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from harness.errors import BackendError
from harness.sim.documents.order import hashable_key
from harness.sim.documents.sort import sort_documents
from harness.sim.server.commands.codes import SNAPSHOT_UNAVAILABLE, failure
from harness.sim.server.commands.read_concerns import DEFAULT, MAJORITY, SNAPSHOT
from harness.sim.server.commands.selecting import Selection
from harness.sim.server.commands.transactions import lock_namespace
from harness.sim.server.records import CollectionData, Document, IdKey, OplogEntry

if TYPE_CHECKING:
    from harness.sim.server.commands.context import Request
    from harness.sim.server.member import Member

_SCAN_PAUSES_MAX: Final = 3
"""A scan lets others run at its second document, half-way, and at its last: enough for every split of what it sees."""


Source = Callable[[], CollectionData | None]
"""Returns the collection as a reader sees it now: the same each time for a snapshot, newer each time else."""


async def open_collection(request: Request, namespace: str) -> Source:
    """Return the source of a collection under the request's read concern.

    Raises CommandError where the concern cannot be satisfied: 50 at the deadline, 246 for a snapshot that is gone.
    """
    transaction = request.transaction
    if transaction is not None:
        await lock_namespace(request, namespace)
        return lambda: transaction.visible_data().collections.get(namespace)
    service, member, concern = request.service, request.member, request.read_concern
    if concern is DEFAULT:
        if member.role != "PRIMARY":
            request.read_timestamp = service.replica_set.applied(member).timestamp
        return lambda: service.replica_set.applied(member).data.collections.get(namespace)
    entry = await service.replica_set.read_entry(
        member,
        level=concern.level,
        after_cluster_time=concern.after_cluster_time,
        at_cluster_time=concern.at_cluster_time,
        deadline_us=request.deadline_us,
    )
    if concern.level in (MAJORITY, SNAPSHOT):
        entry = await _with_collection(request, namespace, entry)
    request.read_timestamp = entry.timestamp
    if concern.level == SNAPSHOT:
        collection = _unless_dropped(member, namespace, entry)
        return lambda: collection
    if concern.level == MAJORITY:
        return lambda: _unless_dropped(member, namespace, service.replica_set.committed(member))
    return lambda: service.replica_set.applied(member).data.collections.get(namespace)


async def _with_collection(request: Request, namespace: str, entry: OplogEntry) -> OplogEntry:
    """Return the entry at which a majority or snapshot read sees the collection that there is now.

    As measured, one that is newer than what is majority-committed is waited for, and refused to a snapshot (246).
    """
    present = request.member.last.data.collections.get(namespace)
    if present is None or _has(entry, namespace, present):
        return entry
    if request.read_concern.level == SNAPSHOT:
        raise failure(SNAPSHOT_UNAVAILABLE, "Unable to read from a snapshot due to pending collection catalog changes")
    made = request.member.last
    while made.previous is not None and _has(made.previous, namespace, present):
        made = made.previous
    return await request.service.replica_set.read_entry(
        request.member, level=MAJORITY, after_cluster_time=made.timestamp, deadline_us=request.deadline_us
    )


def _has(entry: OplogEntry, namespace: str, collection: CollectionData) -> bool:
    found = entry.data.collections.get(namespace)
    return found is not None and found.uuid == collection.uuid


def _unless_dropped(member: Member, namespace: str, entry: OplogEntry) -> CollectionData | None:
    """Return a collection as it is at ``entry``, nothing where the member has dropped it since."""
    present = member.last.data.collections.get(namespace)
    return None if present is None else entry.data.collections.get(namespace)


class ReadScan:
    """Walks a collection for a reader, in the order of the filter's plan.

    Each document is looked at as it is when the scan comes by. Arguments: ``sort`` is the order of an index to walk;
    without it, what is inserted meanwhile comes at the end.
    """

    __slots__ = ("_examined", "_last", "_pauses", "_queue", "_selection", "_sort", "_source", "exhausted")

    def __init__(self, source: Source, selection: Selection, sort: Document | None = None) -> None:
        self._source = source
        self._selection = selection
        self._sort = sort
        self._last: Document | None = None
        self._queue = self._ahead()
        self._examined: dict[IdKey, None] = {}
        length = len(self._queue)
        self._pauses = (1, length // 2, length - 1)[:_SCAN_PAUSES_MAX] if length > 1 else ()
        self.exhausted = False

    async def take(self, request: Request, count: int | None) -> list[Document]:
        """Return the next ``count`` matches, all that are left for None; sets ``exhausted`` at the end."""
        found: list[Document] = []
        while count is None or len(found) < count:
            document = await self._next(request)
            if document is None:
                self.exhausted = True
                break
            found.append(document)
        if self._selection.pinned:
            self.exhausted = True
        return found

    async def _next(self, request: Request) -> Document | None:
        while True:
            if not self._queue:
                self._queue = [key for key in self._ahead() if key not in self._examined]
                if not self._queue:
                    return None
            if self._pauses and len(self._examined) in self._pauses and request.transaction is None:
                await request.let_others_run(((f"{request.namespace}:*", False),))
            key = self._queue.pop()
            self._examined[key] = None
            found = self._selection.again(self._source(), key)
            if found is not None:
                self._last = found[1]
                return found[1]

    def state(self) -> tuple[Any, ...]:
        """Return where it stands as plain values."""
        return self._queue, list(self._examined), self._last, self.exhausted

    def _ahead(self) -> list[IdKey]:
        """Return the keys that lie ahead, the next one last; with a sort only those behind where the scan stands."""
        collection = self._source()
        if self._sort is None or collection is None:
            order = self._selection.order(collection)
            order.reverse()
            return order
        last = self._last
        others = [document for document in collection.documents.values() if document is not last]
        ordered = sort_documents(others if last is None else [last, *others], self._sort)
        if last is not None:
            ordered = ordered[next(place for place, item in enumerate(ordered) if item is last) + 1 :]
        return [hashable_key(document["_id"]) for document in reversed(ordered)]


def unsupported(what: str) -> BackendError:
    """Return the error for something that mongod knows and the simulated server does not."""
    return BackendError(
        f"the simulated server does not model {what}", next_step="run this scenario on a real server: --backend local"
    )
