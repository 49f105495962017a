"""The pattern API: the part of PyMongo's asynchronous API that patterns are written against.

A pattern takes a :class:`Database` and is otherwise plain PyMongo: the same names, arguments, results, exceptions
(``pymongo.errors``), sessions and options. The same class therefore runs on every backend of the harness and, in
production, on ``pymongo.AsyncMongoClient``. This module does not import PyMongo; start reading here, then see
``pattern_collection.py`` and ``pattern_cursors.py``.
"""

# ruff: noqa: A002, PLR0917 - names and order of the parameters are PyMongo's

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, TypeVar

from harness.interfaces.pattern_collection import Collection, Filter, Pipeline
from harness.interfaces.pattern_cursors import ChangeStream, CommandCursor, Cursor, Document

if TYPE_CHECKING:
    from bson import CodecOptions, Timestamp
    from pymongo import WriteConcern
    from pymongo.client_session_shared import SessionOptions, TransactionOptions
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode as ReadPreference

__all__ = ["ChangeStream", "Client", "Collection", "CommandCursor", "Cursor", "Database", "Document", "Session"]

T = TypeVar("T")


class Session(Protocol):
    """A client session; ends with ``async with``. Not for several tasks at once."""

    @property
    def client(self) -> Client:
        """The client that started it."""
        ...

    @property
    def options(self) -> SessionOptions:
        """The options that it was started with."""
        ...

    @property
    def session_id(self) -> Mapping[str, Any]:
        """The server's id for it."""
        ...

    @property
    def cluster_time(self) -> Any:
        """The highest cluster time that it has seen, or None."""
        ...

    @property
    def operation_time(self) -> Timestamp | None:
        """The time of its last operation, or None."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open in it."""
        ...

    def advance_cluster_time(self, cluster_time: Mapping[str, Any]) -> None:
        """Take over the cluster time of another session."""
        ...

    def advance_operation_time(self, operation_time: Timestamp) -> None:
        """Take over the operation time of another session: reads wait until they see as much."""
        ...

    async def with_transaction(
        self,
        callback: Callable[[Session], Awaitable[T]],
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ReadPreference | None = None,
        max_commit_time_ms: int | None = None,
    ) -> T:
        """Run ``callback`` in a transaction, again after transient errors, and commit it; return its result."""
        ...

    async def start_transaction(
        self,
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ReadPreference | None = None,
        max_commit_time_ms: int | None = None,
    ) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction; the context that it returns commits it, or aborts it on an exception."""
        ...

    async def commit_transaction(self) -> None:
        """Commit; may be repeated while the result is unknown."""
        ...

    async def abort_transaction(self) -> None:
        """Abort."""
        ...

    async def end_session(self) -> None:
        """End it; an open transaction is aborted."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...


class Database(Protocol):
    """A database with its concerns; ``database["orders"]`` and ``database.orders`` name a collection."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def client(self) -> Client:
        """The client that it came from."""
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

    def get_collection(
        self,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreference | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Collection:
        """Return a collection, with other options where given."""
        ...

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreference | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Database:
        """Return this database with other options."""
        ...

    async def command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        check: bool = True,
        allowable_errors: Sequence[str | int] | None = None,
        read_preference: ReadPreference | None = None,
        codec_options: CodecOptions[Any] | None = None,
        session: Session | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> Document:
        """Run a command and return its reply."""
        ...

    async def aggregate(self, pipeline: Pipeline, session: Session | None = None, **kwargs: Any) -> CommandCursor:
        """Run a pipeline that starts from no collection."""
        ...

    async def create_collection(
        self,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreference | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        session: Session | None = None,
        check_exists: bool | None = True,
        **kwargs: Any,
    ) -> Collection:
        """Create a collection with options. Raises CollectionInvalid where it exists."""
        ...

    async def drop_collection(
        self,
        name_or_collection: str | Collection,
        session: Session | None = None,
        comment: Any | None = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> Document:
        """Drop a collection."""
        ...

    async def list_collection_names(
        self,
        session: Session | None = None,
        filter: Filter | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Return the names of its collections."""
        ...

    async def list_collections(
        self,
        session: Session | None = None,
        filter: Filter | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> CommandCursor:
        """Return its collections and their options."""
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
        """Open a change stream on the database."""
        ...


class Client(Protocol):
    """A client of a replica set; ``client["name"]`` and ``client.name`` name a database."""

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

    def __getitem__(self, name: str) -> Database: ...

    def __getattr__(self, name: str) -> Database: ...

    def get_database(
        self,
        name: str | None = None,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ReadPreference | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Database:
        """Return a database, with other options where given."""
        ...

    def start_session(
        self,
        causal_consistency: bool | None = None,
        default_transaction_options: TransactionOptions | None = None,
        snapshot: bool | None = False,
    ) -> Session:
        """Start a session."""
        ...

    async def list_database_names(self, session: Session | None = None, comment: Any | None = None) -> list[str]:
        """Return the names of the databases."""
        ...

    async def drop_database(
        self,
        name_or_database: str | Database,
        session: Session | None = None,
        comment: Any | None = None,
    ) -> None:
        """Drop a database."""
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
        """Open a change stream on all databases."""
        ...

    async def close(self) -> None:
        """Close its connections and end its sessions."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...
