"""Raw commands as PyMongo sends them, for sequences of them.

A step of a sequence is a command, or a function of the replies so far that returns one. ``A`` and ``B`` are sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson.binary import Binary
from bson.int64 import Int64

Command = dict[str, Any]
Step = Command | Callable[[list[Any]], Command]

A = {"id": Binary(bytes(range(16)), 4)}
B = {"id": Binary(bytes(range(16, 32)), 4)}
MAJORITY = {"w": "majority"}


def write(number: int, session: Any = A) -> Command:
    """Return the fields of a retryable write."""
    return {"lsid": session, "txnNumber": Int64(number)}


def begin(number: int, session: Any = A) -> Command:
    """Return the fields of the first statement of a transaction."""
    return {**within(number, session), "startTransaction": True}


def within(number: int, session: Any = A) -> Command:
    """Return the fields of a statement of a transaction."""
    return {"lsid": session, "txnNumber": Int64(number), "autocommit": False}


def commit(number: int, session: Any = A, **more: Any) -> Command:
    """Return a commit."""
    return {"commitTransaction": 1, **within(number, session), "$db": "admin", **more}


def abort(number: int, session: Any = A) -> Command:
    """Return an abort."""
    return {"abortTransaction": 1, **within(number, session), "$db": "admin"}


def insert(*documents: Any, **more: Any) -> Command:
    """Return an insert into ``c``."""
    return {"insert": "c", "documents": list(documents), "ordered": True, **more}


def update(query: Any, change: Any, *, more: Command | None = None, **statement: Any) -> Command:
    """Return an update of ``c`` with one statement."""
    return {"update": "c", "updates": [{"q": query, "u": change, **statement}], "ordered": True, **(more or {})}


def updates(*statements: Command, **more: Any) -> Command:
    """Return an update of ``c`` with these statements."""
    return {"update": "c", "updates": list(statements), **more}


def delete(query: Any, limit: int = 1, **more: Any) -> Command:
    """Return a delete from ``c`` with one statement."""
    return {"delete": "c", "deletes": [{"q": query, "limit": limit}], "ordered": True, **more}


def find(query: Any = None, **more: Any) -> Command:
    """Return a find in ``c``."""
    return {"find": "c", "filter": query or {}, **more}


def modify(query: Any, change: Any = None, **more: Any) -> Command:
    """Return a findAndModify in ``c``."""
    changing = {} if change is None else {"update": change}
    return {"findAndModify": "c", "query": query, **changing, **more}


def index(keys: Command, name: str, **options: Any) -> Command:
    """Return a createIndexes on ``c``."""
    return {"createIndexes": "c", "indexes": [{"key": keys, "name": name, **options}]}


def get_more(step: int, collection: str = "c", **more: Any) -> Step:
    """Return the getMore on the cursor that a step opened."""
    return lambda replies: {"getMore": replies[step]["cursor"]["id"], "collection": collection, **more}


def aggregate(*stages: Command, **more: Any) -> Command:
    """Return an aggregate on ``c``."""
    return {"aggregate": "c", "pipeline": list(stages), "cursor": {}, **more}


def watch(*stages: Command, **options: Any) -> Command:
    """Return the command that opens a change stream on ``c``."""
    return aggregate({"$changeStream": options}, *stages)


def resumed(step: int, event: int, how: str = "resumeAfter", **options: Any) -> Step:
    """Return the command that resumes after an event that a step returned."""

    def resume(replies: list[Any]) -> Command:
        cursor = replies[step]["cursor"]
        events = cursor.get("nextBatch", cursor.get("firstBatch"))
        return watch(**{how: events[event]["_id"]}, **options)

    return resume


def until(times: int, step: Step) -> list[Step]:
    """Return a step several times over."""
    return [step] * times


INC = {"$inc": {"a": 1}}
SET = {"$set": {"a": 5}}
