"""What a simulated member holds: documents, oplog entries, and the records of sessions. Immutable by convention.

The oplog is a tree of entries, each with the data as it is after it: a member's log is one entry, its last. So a
snapshot read takes the data of an older entry, a rollback moves a member to another branch, and two members share what
they share. Documents, and the maps that hold them, are never changed in place: who writes copies what it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, dataclass_transform

from harness.sim.documents.unique import IndexDefinition

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(*, eq: bool = True) -> Callable[[type[T]], type[T]]:
    """Make a dataclass that is frozen to the type checker alone: making a really frozen one takes four times as long.

    Every write makes five of these records, and they are most of what it costs.
    """
    return dataclass(slots=True, kw_only=True, eq=eq)


Document = dict[str, Any]
IdKey = Hashable
"""The ``_id`` of a document in a form in which equal ids are equal keys (1 and 1.0, but not True)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index as ``createIndexes`` defined it."""

    name: str
    keys: tuple[tuple[str, Any], ...]
    unique: bool = False
    sparse: bool = False
    partial_filter: Document | None = None
    expire_after_seconds: int | None = None
    definition: IndexDefinition = field(init=False, repr=False, compare=False)
    """The same for the document engine."""

    def __post_init__(self) -> None:
        definition = IndexDefinition(self.name, dict(self.keys), self.unique, self.sparse, self.partial_filter)
        object.__setattr__(self, "definition", definition)

    @property
    def is_full(self) -> bool:
        """Whether every document of the collection is in it."""
        return self.partial_filter is None and not self.sparse


@record()
class CollectionData:
    """A collection: its documents in natural order, its indexes, and the keys of its unique indexes."""

    uuid: int
    documents: Mapping[IdKey, Document] = field(default_factory=dict)
    indexes: tuple[Index, ...] = ()
    """Without the one on ``_id``, which every collection has."""
    unique_keys: Mapping[str, Mapping[Hashable, IdKey]] = field(default_factory=dict)
    """Index name to key to the document that has it."""


@record()
class SessionRecord:
    """What the set remembers of a session's last retryable write or transaction; replicated, rolled back with it."""

    number: int
    """``txnNumber``."""
    statements: Mapping[int, Document] = field(default_factory=dict)
    """Statement id to what its repetition is answered (for findAndModify with the stored image)."""
    state: Literal["retryable", "committed"] = "retryable"


@record()
class Data:
    """Everything that is replicated, as it is after an oplog entry."""

    collections: Mapping[str, CollectionData] = field(default_factory=dict)
    """``database.collection`` to collection."""
    sessions: Mapping[str, SessionRecord] = field(default_factory=dict)
    """Session id, in hexadecimal, to its record."""


@record()
class Change:
    """One operation of an oplog entry, with what a change stream tells of it."""

    kind: Literal["insert", "update", "replace", "delete", "create", "drop", "dropDatabase", "rename", "createIndexes"]
    namespace: str
    key: Document = field(default_factory=dict)
    """``{"_id": ...}`` of the document."""
    document: Document | None = None
    """As it is after the change."""
    before: Document | None = None
    """As it was before an update: with ``update`` a change stream tells from it which fields were updated."""
    update: Any = None
    """The operators of an update, or its pipeline, as the command gave them."""
    target: str = ""
    """The new namespace of a renamed collection."""
    uuid: int = 0
    """The collection's."""


@record(eq=False)
class OplogEntry:
    """One entry; entries are compared by identity. ``changes`` is empty for a no-op."""

    index: int
    """Length of the log that ends here; 0 for the entry that every set begins with."""
    term: int
    timestamp: int
    """Cluster time: seconds since the epoch << 32 | increment."""
    wall_us: int
    """The primary's wall clock."""
    data: Data = field(repr=False)
    changes: tuple[Change, ...] = ()
    previous: OplogEntry | None = field(default=None, repr=False)
    session: str = ""
    transaction: int = -1
    """``txnNumber`` of the transaction that it commits, or -1."""
    at_us: int = 0
    """The virtual time at which the primary made it; what is older than the journal's interval is on disk."""
    digest: bytes = field(default=b"", repr=False)
    """What stands for the log that ends here; empty until it is asked for, see ``digests.py``."""

    @property
    def position(self) -> tuple[int, int]:
        """What elections compare: (term, timestamp)."""
        return (self.term, self.timestamp)

    def holds(self, other: OplogEntry) -> bool:
        """Whether ``other`` is in the log that ends here."""
        return self.at(other.index) is other

    def at(self, index: int) -> OplogEntry | None:
        """Return the entry of this log with that index, or None beyond its end."""
        entry: OplogEntry | None = self
        while entry is not None and entry.index > index:
            entry = entry.previous
        return entry if entry is not None and entry.index == index else None
