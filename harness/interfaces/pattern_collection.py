"""The collection of the pattern API, in the shape of PyMongo's asynchronous one.

Every parameter has PyMongo's name, kind and default (a test compares them one by one), so that what is true of
``AsyncCollection`` in PyMongo's documentation is true here.
"""

# ruff: noqa: A002, PLR0917 - names and order of the parameters are PyMongo's

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from harness.interfaces.pattern_cursors import ChangeStream, CommandCursor, Cursor, Document, Hint, Sort

if TYPE_CHECKING:
    from bson import CodecOptions, Timestamp
    from pymongo import IndexModel, WriteConcern
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode as ReadPreference
    from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

    from harness.interfaces.pattern_api import Database, Session

Filter = Mapping[str, Any]
Pipeline = Sequence[Mapping[str, Any]]
Update = Mapping[str, Any] | Pipeline
Projection = Mapping[str, Any] | Iterable[str]


class Collection(Protocol):
    """A collection with its concerns; ``collection["part"]`` and ``collection.part`` name one below it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def full_name(self) -> str:
        """``database.collection``."""
        ...

    @property
    def database(self) -> Database:
        """The database that it is in."""
        ...

    @property
    def codec_options(self) -> CodecOptions[Any]:
        """How documents are decoded."""
        ...

    @property
    def read_preference(self) -> ReadPreference:
        """Which members its reads go to."""
        ...

    @property
    def write_concern(self) -> WriteConcern:
        """What its writes wait for."""
        ...

    @property
    def read_concern(self) -> ReadConcern:
        """What its reads see."""
        ...

    def __getitem__(self, name: str) -> Collection: ...

    def __getattr__(self, name: str) -> Collection: ...

    def __bool__(self) -> NoReturn: ...

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreference | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Collection:
        """Return this collection with other options."""
        ...

    def find(self, *args: Any, **kwargs: Any) -> Cursor:
        """Return a cursor over matching documents; the arguments are those of PyMongo's ``AsyncCursor``."""
        ...

    async def find_one(self, filter: Any | None = None, *args: Any, **kwargs: Any) -> Document | None:
        """Return one matching document, or None."""
        ...

    async def insert_one(
        self,
        document: MutableMapping[str, Any],
        bypass_document_validation: bool | None = None,
        session: Session | None = None,
        comment: Any | None = None,
    ) -> InsertOneResult:
        """Insert a document; an ``_id`` is added to it where it has none."""
        ...

    async def insert_many(
        self,
        documents: Iterable[MutableMapping[str, Any]],
        ordered: bool = True,
        bypass_document_validation: bool | None = None,
        session: Session | None = None,
        comment: Any | None = None,
    ) -> InsertManyResult:
        """Insert documents; ordered stops at the first error."""
        ...

    async def update_one(
        self,
        filter: Filter,
        update: Update,
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: Any | None = None,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Update one matching document."""
        ...

    async def update_many(
        self,
        filter: Filter,
        update: Update,
        upsert: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        bypass_document_validation: bool | None = None,
        collation: Any | None = None,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Update every matching document, each atomically; never retried by the driver."""
        ...

    async def replace_one(
        self,
        filter: Filter,
        replacement: Mapping[str, Any],
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: Any | None = None,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Replace one matching document."""
        ...

    async def delete_one(
        self,
        filter: Filter,
        collation: Any | None = None,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> DeleteResult:
        """Delete one matching document."""
        ...

    async def delete_many(
        self,
        filter: Filter,
        collation: Any | None = None,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> DeleteResult:
        """Delete every matching document; never retried by the driver."""
        ...

    async def find_one_and_update(
        self,
        filter: Filter,
        update: Update,
        projection: Projection | None = None,
        sort: Sort | None = None,
        upsert: bool = False,
        return_document: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> Document | None:
        """Update one document and return it as it was, or as it is with ``ReturnDocument.AFTER``."""
        ...

    async def find_one_and_replace(
        self,
        filter: Filter,
        replacement: Mapping[str, Any],
        projection: Projection | None = None,
        sort: Sort | None = None,
        upsert: bool = False,
        return_document: bool = False,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> Document | None:
        """Replace one document and return it as it was, or as it is with ``ReturnDocument.AFTER``."""
        ...

    async def find_one_and_delete(
        self,
        filter: Filter,
        projection: Projection | None = None,
        sort: Sort | None = None,
        hint: Hint | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> Document | None:
        """Delete one document and return it."""
        ...

    async def bulk_write(
        self,
        requests: Sequence[Any],
        ordered: bool = True,
        bypass_document_validation: bool | None = None,
        session: Session | None = None,
        comment: Any | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> BulkWriteResult:
        """Send PyMongo's operation requests (``InsertOne``, ``UpdateOne``, ...) together."""
        ...

    async def aggregate(
        self,
        pipeline: Pipeline,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> CommandCursor:
        """Run a pipeline."""
        ...

    async def count_documents(
        self,
        filter: Filter,
        session: Session | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> int:
        """Count the matching documents."""
        ...

    async def estimated_document_count(self, comment: Any | None = None, **kwargs: Any) -> int:
        """Return the server's own count of the whole collection."""
        ...

    async def distinct(
        self,
        key: str,
        filter: Filter | None = None,
        session: Session | None = None,
        comment: Any | None = None,
        hint: Hint | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return the distinct values of ``key``."""
        ...

    async def create_index(
        self, keys: Hint, session: Session | None = None, comment: Any | None = None, **kwargs: Any
    ) -> str:
        """Create an index and return its name."""
        ...

    async def create_indexes(
        self, indexes: Sequence[IndexModel], session: Session | None = None, comment: Any | None = None, **kwargs: Any
    ) -> list[str]:
        """Create indexes and return their names."""
        ...

    async def drop_index(
        self, index_or_name: Hint, session: Session | None = None, comment: Any | None = None, **kwargs: Any
    ) -> None:
        """Drop an index."""
        ...

    async def drop_indexes(self, session: Session | None = None, comment: Any | None = None, **kwargs: Any) -> None:
        """Drop every index but the one on ``_id``."""
        ...

    async def list_indexes(self, session: Session | None = None, comment: Any | None = None) -> CommandCursor:
        """Return the index definitions."""
        ...

    async def index_information(
        self, session: Session | None = None, comment: Any | None = None
    ) -> MutableMapping[str, Any]:
        """Return the index definitions by name."""
        ...

    async def drop(
        self,
        session: Session | None = None,
        comment: Any | None = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Drop the collection."""
        ...

    async def watch(
        self,
        pipeline: Pipeline | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: Any | None = None,
        start_at_operation_time: Timestamp | None = None,
        session: Session | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> ChangeStream:
        """Open a change stream on the collection."""
        ...
