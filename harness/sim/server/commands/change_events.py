"""Change events: how a change stream tells of one operation of an oplog entry."""

from __future__ import annotations

import datetime
from typing import Final

from bson.binary import Binary
from bson.int64 import Int64
from bson.timestamp import Timestamp

from harness.sim.documents.order import hashable_key
from harness.sim.server.commands.session_ids import ANONYMOUS
from harness.sim.server.commands.update_descriptions import describe_update
from harness.sim.server.records import Change, Data, Document, OplogEntry

TOLD: Final = frozenset({"insert", "update", "replace", "delete", "drop", "rename", "dropDatabase"})
"""Kinds of changes that a stream without ``showExpandedEvents`` tells of."""

_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - dates in documents are naive UTC


def event(entry: OplogEntry, change: Change) -> Document:
    """Return the event of a change, without its ``_id``."""
    told: Document = {"operationType": change.kind, **_times(entry)}
    if entry.transaction >= 0:
        session = Binary(bytes.fromhex(entry.session), 4)
        told["txnNumber"] = Int64(entry.transaction)
        told["lsid"] = {"id": session, "uid": ANONYMOUS}
    if change.kind in ("insert", "replace"):
        told["fullDocument"] = change.document
    told["ns"] = _namespace(change.namespace)
    if change.target:
        told["to"] = _namespace(change.target)
    if change.key:
        told["documentKey"] = change.key
    if change.kind == "update":
        assert change.before is not None
        assert change.document is not None
        description = describe_update(change.before, change.document, change.update)
        if description is None:
            return {**told, "operationType": "replace", "fullDocument": change.document}
        told["updateDescription"] = description
    return told


def invalidation(entry: OplogEntry) -> Document:
    """Return the event that ends a stream, without its ``_id``."""
    return {"operationType": "invalidate", **_times(entry)}


def current_document(data: Data, told: Document) -> Document | None:
    """Return the document of an event as ``data`` has it now, None where it is gone."""
    namespace = f"{told['ns']['db']}.{told['ns']['coll']}"
    collection = data.collections.get(namespace)
    if collection is None:
        return None
    return collection.documents.get(hashable_key(told["documentKey"]["_id"]))


def _times(entry: OplogEntry) -> Document:
    return {
        "clusterTime": Timestamp(entry.timestamp >> 32, entry.timestamp & 0xFFFFFFFF),
        "wallTime": _EPOCH + datetime.timedelta(milliseconds=entry.wall_us // 1_000),
    }


def _namespace(name: str) -> Document:
    database, _, collection = name.partition(".")
    return {"db": database, "coll": collection} if collection else {"db": database}
