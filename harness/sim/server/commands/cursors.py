"""Cursors: what ``find`` and ``aggregate`` leave open, and the commands ``getMore`` and ``killCursors``."""

from __future__ import annotations

from typing import Any, Final, Protocol

import bson
from bson.int64 import Int64

from harness.sim.server.commands import arguments
from harness.sim.server.commands.arguments import fields
from harness.sim.server.commands.codes import BAD_VALUE, CURSOR_NOT_FOUND, UNAUTHORIZED, failure
from harness.sim.server.commands.context import Request
from harness.sim.server.commands.session_ids import session_text
from harness.sim.server.records import Document

GET_MORE_FIELDS: Final = fields(
    "getMore", {"getMore": "long", "collection": "string"}, required=("collection",), others=("batchSize", "term")
)
KILL_CURSORS_FIELDS: Final = fields("killCursors", {"cursors": "array"}, required=("cursors",))

FIRST_BATCH: Final = 101
"""Documents in a first batch of which the command does not give the size."""

NO_CURSOR: Final = Int64(0)
"""The id in a reply that leaves no cursor open."""

_CURSOR_BASE: Final = 1 << 40


class Results(Protocol):
    """Where a cursor's documents come from."""

    exhausted: bool
    awaits_data: bool

    async def take(self, request: Request, count: int | None) -> list[Document]:
        """Return the next documents, at most ``count``."""
        ...

    def describe(self, cursor: dict[str, Any]) -> None:
        """Add to the ``cursor`` of a reply what only this kind of results has."""
        ...

    def state(self) -> bytes:
        """Return what tells apart what is still to come."""
        ...


class Cursor:
    """An open cursor. ``session`` and ``transaction_number`` are those that it was made in."""

    __slots__ = ("namespace", "number", "results", "session", "transaction_number")

    def __init__(self, number: int, request: Request, namespace: str, results: Results) -> None:
        self.number = number
        self.namespace = namespace
        self.results = results
        self.session = request.session
        self.transaction_number = request.transaction.number if request.transaction is not None else -1


class ListResults:
    """Documents that are all known already."""

    __slots__ = ("_documents", "_next", "awaits_data", "exhausted")

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents
        self._next = 0
        self.exhausted = not documents
        self.awaits_data = False

    async def take(self, request: Request, count: int | None) -> list[Document]:  # noqa: ARG002 - as other results
        """Return the next documents."""
        end = len(self._documents) if count is None else self._next + count
        batch = self._documents[self._next : end]
        self._next += len(batch)
        self.exhausted = self._next >= len(self._documents)
        return batch

    def describe(self, cursor: dict[str, Any]) -> None:
        """Add nothing."""

    def state(self) -> bytes:
        """Return the documents that are left."""
        return bson.encode({"left": self._documents[self._next :]})


async def first_batch(
    request: Request, namespace: str, results: Results, *, batch_size: int | None, single: bool = False
) -> dict[str, Any]:
    """Return the reply of a command that opens a cursor over ``results``, which stays open if some are left."""
    documents = await results.take(request, FIRST_BATCH if batch_size is None else batch_size)
    number = 0
    if not results.exhausted and not single:
        number = _CURSOR_BASE + request.service.next_number()
        request.state.cursors[number] = Cursor(number, request, namespace, results)
    cursor: dict[str, Any] = {"firstBatch": documents}
    results.describe(cursor)
    cursor["id"] = Int64(number)
    cursor["ns"] = namespace
    return {"cursor": cursor}


async def get_more(request: Request) -> dict[str, Any]:
    """Return the next batch. Raises CommandError 43 for a cursor that is not there (any more)."""
    command = request.command
    number = int(command["getMore"])
    cursor = request.state.cursors.get(number)
    if cursor is None:
        raise failure(CURSOR_NOT_FOUND, f"cursor id {number} not found")
    _check(request, cursor)
    batch_size = arguments.natural(command, "batchSize") or None
    try:
        documents = await cursor.results.take(request, batch_size)
    except Exception:
        request.state.cursors.pop(number, None)
        raise
    if cursor.results.exhausted:
        request.state.cursors.pop(number, None)
    reply: dict[str, Any] = {"nextBatch": documents}
    cursor.results.describe(reply)
    reply["id"] = Int64(0 if cursor.results.exhausted else number)
    reply["ns"] = cursor.namespace
    return {"cursor": reply}


def _check(request: Request, cursor: Cursor) -> None:
    command = request.command
    namespace = f"{request.database}.{command['collection']}"
    if namespace != cursor.namespace:
        message = (
            f"Requested getMore on namespace '{namespace}', but cursor belongs to a different namespace "
            f"{cursor.namespace}"
        )
        raise failure(UNAUTHORIZED, message)
    if "maxTimeMS" in command and not cursor.results.awaits_data:
        raise failure(BAD_VALUE, "cannot set maxTimeMS on getMore command for a non-awaitData cursor")
    _check_session(request, cursor)


def _check_session(request: Request, cursor: Cursor) -> None:
    """Raise CommandError where a cursor is not used in the session, or the transaction, that it was opened in."""
    about = f"Cannot run getMore on cursor {cursor.number}, which was"
    session = request.session
    if cursor.session != session:
        made = f"created in session {session_text(cursor.session)}"
        if not cursor.session:
            raise failure(50736, f"{about} not created in a session, in session {session_text(session)}")
        if not session:
            raise failure(50737, f"{about} {made}, without an lsid")
        raise failure(50738, f"{about} {made}, in session {session_text(session)}")
    number = request.transaction.number if request.transaction is not None else -1
    made_in = cursor.transaction_number
    if made_in != number:
        if made_in < 0:
            raise failure(50739, f"{about} not created in a transaction, in transaction {number}")
        if number < 0:
            raise failure(50740, f"{about} created in transaction {made_in}, without a txnNumber")
        raise failure(50741, f"{about} created in transaction {made_in}, in transaction {number}")


async def kill_cursors(request: Request) -> dict[str, Any]:
    """``killCursors``: close cursors."""
    killed: list[Int64] = []
    missing: list[Int64] = []
    for number in request.command["cursors"]:
        present = request.state.cursors.pop(int(number), None) is not None
        (killed if present else missing).append(Int64(number))
    return {"cursorsKilled": killed, "cursorsNotFound": missing, "cursorsAlive": [], "cursorsUnknown": []}
