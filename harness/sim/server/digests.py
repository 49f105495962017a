"""Digests of what is replicated: equal for equal content, whoever holds it, in whichever run it was made.

The digest of an entry stands for its whole log. It is made of the digest of the entry before and of what this one
changed, when it is first asked for, and kept on the entry: who never asks, as a sampled run, pays nothing. Runs are
compared that begin with the same data, so the entry that a set begins with says nothing of its documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import bson

from harness.sim.server.records import Change, CollectionData, Data, OplogEntry, SessionRecord

DIGEST_BYTES: Final = 16

_NOTHING: Final = Data()


def digest_of(*parts: bytes) -> bytes:
    """Return a 128-bit digest of these parts, one after the other."""
    return hashlib.blake2b(b"".join(parts), digest_size=DIGEST_BYTES).digest()


def entry_digest(entry: OplogEntry) -> bytes:
    """Return what tells an entry apart, with the log that ends there and the data as it is after it."""
    if entry.digest:
        return entry.digest
    missing = [entry]
    while (previous := missing[-1].previous) is not None and not previous.digest:
        missing.append(previous)
    for each in reversed(missing):
        # Not part of the record's value: what follows from it.
        object.__setattr__(each, "digest", _digest(each))
    return entry.digest


def _digest(entry: OplogEntry) -> bytes:
    previous = entry.previous
    before = _NOTHING if previous is None else previous.data
    told: dict[str, Any] = {
        "term": entry.term,
        "timestamp": entry.timestamp,
        "wall": entry.wall_us,
        "at": entry.at_us,
        "transaction": [entry.session, entry.transaction],
        "changes": [_change(change) for change in entry.changes],
    }
    if entry.data.collections is not before.collections:
        told["collections"] = _definitions(before, entry.data)
    if entry.data.sessions is not before.sessions:
        told["sessions"] = sessions_document(entry.data.sessions, before.sessions)
    return digest_of(b"" if previous is None else previous.digest, bson.encode(told))


def _change(change: Change) -> list[Any]:
    """Return a change without the document before it, which is in the log already."""
    update = change.update
    return [change.kind, change.namespace, change.key, change.document, update, change.target, change.uuid]


def _definitions(before: Data, after: Data) -> list[Any]:
    """Return the collections that are there, with the indexes of those whose definition changed."""
    return [
        [namespace, collection.uuid, *_new_indexes(before.collections.get(namespace), collection)]
        for namespace, collection in after.collections.items()
    ]


def _new_indexes(before: CollectionData | None, after: CollectionData) -> list[str]:
    if before is not None and before.indexes is after.indexes:
        return []
    return [repr(index) for index in after.indexes]


def sessions_document(
    sessions: Mapping[str, SessionRecord], before: Mapping[str, SessionRecord] | None = None
) -> dict[str, Any]:
    """Return the records of sessions as a document, without those that ``before`` has too."""
    known = before or {}
    return {
        session: [record.number, record.state, [[number, told] for number, told in record.statements.items()]]
        for session, record in sessions.items()
        if known.get(session) is not record
    }
