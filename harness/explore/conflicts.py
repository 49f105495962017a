"""Conflicts: operations of different clients that touched one document, at least one of them writing.

Read from the commands on the wire and their answers. Where a command selects by something else than ``_id`` and its
answer does not name the documents, any of the collection may have been meant, and the conflict is called possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.history import History
from harness.operation import Attempt, Operation

WRITING: Final = frozenset({"insert", "update", "delete", "findAndModify", "bulkWrite"})
READING: Final = frozenset({"find", "aggregate", "count", "distinct"})

_STATEMENTS: Final = {"insert": "documents", "update": "updates", "delete": "deletes"}
_VALUE_KEYS: Final = ("$oid", "$numberLong", "$numberInt", "$numberDecimal", "$date", "$uuid", "$binary", "$timestamp")
_MOST_CONFLICTS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One command of an operation on one document, or on any of a collection where ``document`` is empty."""

    operation: int
    """Index of the operation in the history."""
    client: int
    time_ns: int
    command: str
    collection: str
    document: str
    """The ``_id`` as text."""
    writes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two touches that do not commute, in the order of the run."""

    first: Touch
    second: Touch

    @property
    def certain(self) -> bool:
        """Whether both are known to have touched that very document."""
        return bool(self.first.document and self.second.document)

    @property
    def document(self) -> str:
        """The document in words: ``orders 7``."""
        collection = self.first.collection
        name = self.first.document or self.second.document
        return f"{collection} {name}" if name else f"documents of {collection}"


def conflicts_of(history: History) -> tuple[Conflict, ...]:
    """Return the conflicts of a history in order of their second touch, each ordered pair once per document."""
    touches = sorted(touches_of(history.operations), key=lambda touch: (touch.time_ns, touch.operation))
    found: dict[tuple[int, int, str, str], Conflict] = {}
    for position, second in enumerate(touches):
        for first in touches[:position]:
            if not _conflict(first, second):
                continue
            key = (first.operation, second.operation, second.collection, first.document or second.document)
            known = found.get(key)
            # Of several between the same two, a write over a write says most.
            if known is None or (first.writes and second.writes and not (known.first.writes and known.second.writes)):
                found[key] = Conflict(first=first, second=second)
            if len(found) == _MOST_CONFLICTS:
                return tuple(found.values())
    return tuple(found.values())


def _conflict(first: Touch, second: Touch) -> bool:
    return (
        first.client != second.client
        and (first.writes or second.writes)
        and first.collection == second.collection
        and (first.document == second.document or not first.document or not second.document)
    )


def touches_of(operations: Iterable[Operation]) -> Iterator[Touch]:
    """Yield what every command of the operations touched."""
    for operation in operations:
        for attempt in operation.attempts:
            if attempt.command in WRITING or attempt.command in READING:
                yield from _touches_of_attempt(operation, attempt)


def _touches_of_attempt(operation: Operation, attempt: Attempt) -> Iterator[Touch]:
    writes = attempt.command in WRITING and not _changed_nothing(attempt)
    for document in documents_of(attempt):
        yield Touch(
            operation=operation.index,
            client=operation.client,
            time_ns=attempt.start_ns,
            command=attempt.command,
            collection=str(attempt.request.get(attempt.command, "")),
            document=document,
            writes=writes,
        )


def _changed_nothing(attempt: Attempt) -> bool:
    """Whether the answer says that nothing matched: such a write is a read."""
    reply = attempt.reply
    if reply is None:
        return False
    counted = reply.get("lastErrorObject") if attempt.command == "findAndModify" else reply
    return isinstance(counted, Mapping) and counted.get("n") == 0


def documents_of(attempt: Attempt) -> tuple[str, ...]:
    """Return the ids of the documents that a command touched, as text; an empty one stands for any."""
    named = tuple(dict.fromkeys(_ids_in_request(attempt)))
    if named and "" not in named:
        return named
    answered = tuple(dict.fromkeys(_ids_in_reply(attempt)))
    return answered or named


def _ids_in_request(attempt: Attempt) -> Iterator[str]:
    request = attempt.request
    statements = request.get(_STATEMENTS.get(attempt.command, ""))
    if isinstance(statements, list):
        for statement in statements:
            yield from _ids_of(statement if attempt.command == "insert" else statement.get("q"))
        return
    if attempt.command == "aggregate":
        pipeline = request.get("pipeline") or [{}]
        yield from _ids_of(pipeline[0].get("$match"))
        return
    yield from _ids_of(request.get("query", request.get("filter")))


def _ids_of(selector: Any) -> Iterator[str]:
    if not isinstance(selector, Mapping) or "_id" not in selector:
        yield ""
        return
    value = selector["_id"]
    if isinstance(value, Mapping) and isinstance(value.get("$in"), list):
        yield from map(_text, value["$in"])
    elif isinstance(value, Mapping) and any(str(key).startswith("$") and key not in _VALUE_KEYS for key in value):
        yield ""
    else:
        yield _text(value)


def _ids_in_reply(attempt: Attempt) -> Iterator[str]:
    reply = attempt.reply or {}
    cursor = reply.get("cursor")
    rows = cursor.get("firstBatch", ()) if isinstance(cursor, Mapping) else ()
    for document in (*rows, reply.get("value")):
        if isinstance(document, Mapping) and "_id" in document:
            yield _text(document["_id"])
    for upserted in reply.get("upserted", ()) or ():
        if isinstance(upserted, Mapping):
            yield _text(upserted.get("_id"))


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and len(value) == 1:
        return _text(next(iter(value.values())))
    return value if isinstance(value, str) else repr(value)
