"""Cursors over PyMongo's synchronous ones. Each reply that they fetch is part of the call that made them."""

from __future__ import annotations

from typing import Any, Self

from harness.backends.driver.handle import IteratedHandle, Mirrored, forwarded, itself, plain_forwarded
from harness.backends.driver.recorder import Recorder
from harness.interfaces import pattern_api as api

_END = object()


class _CursorHandle(IteratedHandle):
    __slots__ = ()

    alive: Mirrored[bool] = Mirrored()
    cursor_id: Mirrored[int | None] = Mirrored()

    async def next(self) -> api.Document:
        document = self._call(self._label, next, self._target, _END)
        if document is _END:
            raise StopAsyncIteration
        return document  # type: ignore[no-any-return]


class CommandCursor(_CursorHandle):
    """The result of ``aggregate`` and of the commands that list things."""

    __slots__ = ()

    batch_size = plain_forwarded(api.CommandCursor.batch_size, itself)
    to_list = forwarded(api.CommandCursor.to_list, fetch=True)
    try_next = forwarded(api.CommandCursor.try_next, fetch=True)


class Cursor(_CursorHandle):
    """The result of ``find``."""

    __slots__ = ("_collection",)

    retrieved: Mirrored[int] = Mirrored()

    def __init__(self, target: Any, recorder: Recorder | None, label: str, collection: api.Collection) -> None:
        super().__init__(target, recorder, label)
        self._collection = collection

    @property
    def collection(self) -> api.Collection:
        """The collection that it reads."""
        return self._collection

    def clone(self) -> Self:
        """Return a fresh cursor with the same options."""
        return type(self)(self._target.clone(), self._recorder, self._label, self._collection)

    allow_disk_use = plain_forwarded(api.Cursor.allow_disk_use, itself)
    batch_size = plain_forwarded(api.Cursor.batch_size, itself)
    collation = plain_forwarded(api.Cursor.collation, itself)
    comment = plain_forwarded(api.Cursor.comment, itself)
    hint = plain_forwarded(api.Cursor.hint, itself)
    limit = plain_forwarded(api.Cursor.limit, itself)
    max = plain_forwarded(api.Cursor.max, itself)
    max_await_time_ms = plain_forwarded(api.Cursor.max_await_time_ms, itself)
    max_time_ms = plain_forwarded(api.Cursor.max_time_ms, itself)
    min = plain_forwarded(api.Cursor.min, itself)
    skip = plain_forwarded(api.Cursor.skip, itself)
    sort = plain_forwarded(api.Cursor.sort, itself)

    distinct = forwarded(api.Cursor.distinct, fetch=True)
    explain = forwarded(api.Cursor.explain, fetch=True)
    to_list = forwarded(api.Cursor.to_list, fetch=True)
    rewind = forwarded(api.Cursor.rewind, itself, fetch=True, cleanup=True)
