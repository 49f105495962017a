"""Cursors and change streams of the pattern API, in the shape of PyMongo's asynchronous ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from harness.interfaces.pattern_collection import Collection

Document = dict[str, Any]
Sort = str | Sequence[Any] | Mapping[str, Any]
Hint = str | Sequence[Any] | Mapping[str, Any]


class CommandCursor(Protocol):
    """The result of ``aggregate`` and of the commands that list things."""

    @property
    def alive(self) -> bool:
        """Whether it may still return documents."""
        ...

    @property
    def cursor_id(self) -> int | None:
        """The server's number for it; 0 when exhausted, None before the first command."""
        ...

    def batch_size(self, batch_size: int) -> Self:
        """Limit the documents of one reply."""
        ...

    async def next(self) -> Document:
        """Return the next document. Raises StopAsyncIteration at the end."""
        ...

    async def try_next(self) -> Document | None:
        """Return the next document after one command at most, or None."""
        ...

    async def to_list(self, length: int | None = None) -> list[Document]:
        """Return what is left, or at most ``length`` documents of it."""
        ...

    async def close(self) -> None:
        """Give the cursor up on the server."""
        ...

    def __aiter__(self) -> AsyncIterator[Document]: ...

    async def __anext__(self) -> Document: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...


class Cursor(Protocol):
    """The result of ``find``; nothing is sent before the first document is asked for."""

    @property
    def alive(self) -> bool:
        """Whether it may still return documents."""
        ...

    @property
    def cursor_id(self) -> int | None:
        """The server's number for it; 0 when exhausted, None before the first command."""
        ...

    @property
    def retrieved(self) -> int:
        """How many documents have arrived."""
        ...

    @property
    def collection(self) -> Collection:
        """The collection that it reads."""
        ...

    def allow_disk_use(self, allow_disk_use: bool) -> Self:
        """Let the server sort on disk."""
        ...

    def batch_size(self, batch_size: int) -> Self:
        """Limit the documents of one reply."""
        ...

    def clone(self) -> Self:
        """Return a fresh cursor with the same options."""
        ...

    def collation(self, collation: Any) -> Self:
        """Compare texts by these rules."""
        ...

    def comment(self, comment: Any) -> Self:
        """Attach a comment that the server's logs show."""
        ...

    def hint(self, index: Hint | None) -> Self:
        """Use this index."""
        ...

    def limit(self, limit: int) -> Self:
        """Return at most so many documents; 0 for all."""
        ...

    def max(self, spec: Sort) -> Self:
        """End before these index keys."""
        ...

    def max_await_time_ms(self, max_await_time_ms: int | None) -> Self:
        """Let the server wait so many milliseconds for new documents (tailable cursors)."""
        ...

    def max_time_ms(self, max_time_ms: int | None) -> Self:
        """Let the server work for so many milliseconds at most."""
        ...

    def min(self, spec: Sort) -> Self:
        """Begin at these index keys."""
        ...

    def skip(self, skip: int) -> Self:
        """Leave out so many documents."""
        ...

    def sort(self, key_or_list: Sort, direction: int | str | None = None) -> Self:
        """Order the documents."""
        ...

    async def distinct(self, key: str) -> list[Any]:
        """Return the distinct values of ``key`` among the matching documents."""
        ...

    async def explain(self) -> Document:
        """Return the server's plan."""
        ...

    async def next(self) -> Document:
        """Return the next document. Raises StopAsyncIteration at the end."""
        ...

    async def to_list(self, length: int | None = None) -> list[Document]:
        """Return what is left, or at most ``length`` documents of it."""
        ...

    async def rewind(self) -> Self:
        """Start over: the query is sent again."""
        ...

    async def close(self) -> None:
        """Give the cursor up on the server."""
        ...

    def __aiter__(self) -> AsyncIterator[Document]: ...

    async def __anext__(self) -> Document: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...


class ChangeStream(Protocol):
    """Majority-committed changes in the order of the oplog; resumed by the driver after resumable errors."""

    @property
    def alive(self) -> bool:
        """Whether it may still return changes."""
        ...

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        """Where a new stream must begin in order to miss nothing and repeat nothing."""
        ...

    async def next(self) -> Document:
        """Wait for the next change. Raises StopAsyncIteration once the stream is closed."""
        ...

    async def try_next(self) -> Document | None:
        """Return the next change after one command at most, or None."""
        ...

    async def close(self) -> None:
        """End the stream."""
        ...

    def __aiter__(self) -> AsyncIterator[Document]: ...

    async def __anext__(self) -> Document: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...
