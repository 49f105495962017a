"""The lazy result of ``find``: a query and its options until the first document is asked for."""

# ruff: noqa: A002, PLR0917 - names and order of the parameters are PyMongo's

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_is_document_type, validate_is_mapping
from pymongo.cursor_shared import CursorType
from pymongo.errors import InvalidOperation
from pymongo.write_concern import validate_boolean

from harness.sim.driver.commands import Command
from harness.sim.driver.cursor_base import CursorBase
from harness.sim.driver.find import check_batch_size, check_int, check_int_or_none, cursor_flags, find_head
from harness.sim.driver.keys import hint_document, index_document, index_list, projection_document
from harness.sim.driver.recording import recorded

if TYPE_CHECKING:
    from harness.sim.driver.collection_reads import CollectionReads
    from harness.sim.driver.session import Session


class Cursor(CursorBase):
    """The result of ``find``; nothing is sent before the first document is asked for."""

    __slots__ = (
        "_allow_disk_use",
        "_collation",
        "_collection",
        "_cursor_type",
        "_explain",
        "_filter",
        "_flags",
        "_hint",
        "_let",
        "_limit",
        "_max",
        "_max_scan",
        "_max_time_ms",
        "_min",
        "_ordering",
        "_projection",
        "_retrieved",
        "_return_key",
        "_show_record_id",
        "_skip",
        "_snapshot",
    )

    def __init__(
        self,
        collection: CollectionReads,
        filter: Mapping[str, Any] | None = None,
        projection: Any = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        cursor_type: int = CursorType.NON_TAILABLE,
        sort: Any = None,
        allow_partial_results: bool = False,
        oplog_replay: bool = False,
        batch_size: int = 0,
        collation: Any = None,
        hint: Any = None,
        max_scan: int | None = None,
        max_time_ms: int | None = None,
        max: Any = None,
        min: Any = None,
        return_key: bool | None = None,
        show_record_id: bool | None = None,
        snapshot: bool | None = None,
        comment: Any = None,
        session: Session | None = None,
        allow_disk_use: bool | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            collection.database.client,
            label=f"{collection.name}.find",
            namespace=collection.full_name,
            codec_options=collection.codec_options,
            session=session or None,
            comment=comment,
        )
        self._collection = collection
        self._filter: Mapping[str, Any] = filter or {}
        validate_is_mapping("filter", self._filter)
        check_int("skip", skip)
        check_int("limit", limit)
        validate_boolean("no_cursor_timeout", no_cursor_timeout)
        validate_boolean("allow_partial_results", allow_partial_results)
        validate_boolean("oplog_replay", oplog_replay)
        check_batch_size(batch_size)
        if allow_disk_use is not None:
            validate_boolean("allow_disk_use", allow_disk_use)
        if let is not None:
            validate_is_document_type("let", let)
        self._projection = None if projection is None else projection_document(projection, "projection")
        self._skip = skip
        self._limit = limit
        self._batch_size = batch_size
        self._ordering = index_document(sort) if sort else None
        self._explain = False
        self._let = let
        self._max_scan = max_scan
        self._max_time_ms = max_time_ms
        self._max: Any = max
        self._min: Any = min
        self._collation = validate_collation_or_none(collation)
        self._return_key = return_key
        self._show_record_id = show_record_id
        self._snapshot = snapshot
        self._allow_disk_use = allow_disk_use
        self._hint: Any = hint_document(hint)
        self._retrieved = 0
        self._cursor_type = cursor_type
        self._flags = cursor_flags(cursor_type, no_cursor_timeout, allow_partial_results, oplog_replay)

    @property
    def retrieved(self) -> int:
        """How many documents have arrived."""
        return self._retrieved

    @property
    def collection(self) -> CollectionReads:
        """The collection that it reads."""
        return self._collection

    # -- options

    def clone(self) -> Self:
        """Return a fresh cursor with the same options."""
        fresh = type(self)(self._collection, session=self._explicit_session)
        for name in Cursor.__slots__:
            if name not in {"_collection", "_retrieved"}:
                value = getattr(self, name)
                setattr(fresh, name, copy.deepcopy(value) if isinstance(value, dict | list) else value)
        fresh._comment = self._comment
        fresh._batch_size = self._batch_size
        fresh._max_await_time_ms = self._max_await_time_ms
        return fresh

    def allow_disk_use(self, allow_disk_use: bool) -> Self:
        """Let the server sort on disk."""
        if not isinstance(allow_disk_use, bool):
            raise TypeError(f"allow_disk_use must be a bool, not {type(allow_disk_use)}")
        self._check_unsent()
        self._allow_disk_use = allow_disk_use
        return self

    def batch_size(self, batch_size: int) -> Self:
        """Limit the documents of one reply."""
        check_batch_size(batch_size)
        self._check_unsent()
        self._batch_size = batch_size
        return self

    def collation(self, collation: Any) -> Self:
        """Compare texts by these rules."""
        self._check_unsent()
        self._collation = validate_collation_or_none(collation)
        return self

    def comment(self, comment: Any) -> Self:
        """Attach a comment that the server's logs show."""
        self._check_unsent()
        self._comment = comment
        return self

    def hint(self, index: Any) -> Self:
        """Use this index."""
        self._check_unsent()
        self._hint = hint_document(index)
        return self

    def limit(self, limit: int) -> Self:
        """Return at most so many documents; 0 for all."""
        if not isinstance(limit, int):
            raise TypeError(f"limit must be an integer, not {type(limit)}")
        self._check_unsent()
        self._limit = limit
        return self

    def max(self, spec: Any) -> Self:
        """End before these index keys."""
        self._max = self._bound(spec)
        return self

    def min(self, spec: Any) -> Self:
        """Begin at these index keys."""
        self._min = self._bound(spec)
        return self

    def max_await_time_ms(self, max_await_time_ms: int | None) -> Self:
        """Let the server wait so many milliseconds for new documents (tailable cursors)."""
        check_int_or_none("max_await_time_ms", max_await_time_ms)
        self._check_unsent()
        if self._flags & CursorType.TAILABLE_AWAIT:
            self._max_await_time_ms = max_await_time_ms
        return self

    def max_time_ms(self, max_time_ms: int | None) -> Self:
        """Let the server work for so many milliseconds at most."""
        check_int_or_none("max_time_ms", max_time_ms)
        self._check_unsent()
        self._max_time_ms = max_time_ms
        return self

    def skip(self, skip: int) -> Self:
        """Leave out so many documents."""
        if not isinstance(skip, int):
            raise TypeError(f"skip must be an integer, not {type(skip)}")
        if skip < 0:
            raise ValueError("skip must be >= 0")
        self._check_unsent()
        self._skip = skip
        return self

    def sort(self, key_or_list: Any, direction: int | str | None = None) -> Self:
        """Order the documents."""
        self._check_unsent()
        self._ordering = index_document(index_list(key_or_list, direction))
        return self

    # -- reading

    @recorded(fetch=True)
    async def distinct(self, key: str) -> list[Any]:
        """Return the distinct values of ``key`` among the matching documents."""
        options: dict[str, Any] = {}
        if self._filter:
            options["query"] = self._filter
        if self._max_time_ms is not None:
            options["maxTimeMS"] = self._max_time_ms
        if self._comment:
            options["comment"] = self._comment
        if self._collation is not None:
            options["collation"] = self._collation
        return await self._collection.distinct_values(key, None, self._session, None, None, options)

    @recorded(fetch=True)
    async def explain(self) -> Any:
        """Return the server's plan."""
        fresh = self.clone()
        fresh._explain = True
        fresh._limit = -abs(fresh._limit)
        await fresh._refresh()
        return fresh._pop()

    @recorded(fetch=True, cleanup=True)
    async def rewind(self) -> Self:
        """Start over: the query is sent again."""
        await self.give_up()
        self._batch.clear()
        self._identifier = None
        self._member = ""
        self._namespace = self._collection.full_name
        self._retrieved = 0
        self._killed = False
        return self

    async def _refresh(self) -> None:
        if self._killed:
            return
        if self._identifier is None and (self._min or self._max) and not self._hint:
            raise InvalidOperation(
                "Passing a 'hint' is required when using the min/max query"
                " option to ensure the query utilizes the correct index"
            )
        if self._session is None:
            self._session = self._client.lend_session()
        if self._identifier is None:
            await self._find()
        elif self._identifier:
            limit = self._batch_size
            if self._limit:
                left = self._limit - self._retrieved
                limit = min(left, limit) if limit else left
            cursor = await self._get_more(limit)
            await self._take(cursor["id"], cursor["nextBatch"])

    async def _find(self) -> None:
        command = self._command()
        reply = await self._fetch(command, retryable=True)
        if self._explain:
            await self._take(0, [reply])
            return
        cursor = reply["cursor"]
        self._namespace = cursor["ns"]
        await self._take(cursor["id"], cursor["firstBatch"])

    async def _take(self, identifier: int, documents: list[Any]) -> None:
        self._identifier = identifier
        self._batch.extend(documents)
        self._retrieved += len(documents)
        if identifier == 0 or (self._limit and self._limit <= self._retrieved):
            await self.give_up()

    def _command(self) -> Command:
        collection = self._collection
        head = find_head(
            collection,
            self._filter,
            self._session,
            operators=self._operators(),
            projection=self._projection,
            skip=self._skip,
            limit=self._limit,
            batch_size=self._batch_size,
            collation=self._collation,
            allow_disk_use=self._allow_disk_use,
            flags=self._flags,
        )
        preference = collection.read_preference_for(self._explicit_session)
        if self._explain:
            return Command({"explain": head}, collection.database.name, read_preference=preference, from_cursor=True)
        return Command(head, collection.database.name, read_preference=preference, reads=True, from_cursor=True)

    def _operators(self) -> dict[str, Any]:
        given = {
            "sort": self._ordering or None,
            "hint": self._hint or None,
            "let": self._let or None,
            "comment": self._comment or None,
            "maxScan": self._max_scan or None,
            "maxTimeMS": self._max_time_ms,
            "max": self._max or None,
            "min": self._min or None,
            "returnKey": self._return_key,
            "showRecordId": self._show_record_id,
            "snapshot": self._snapshot,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _bound(self, spec: Any) -> dict[str, Any]:
        if not isinstance(spec, list | tuple):
            raise TypeError(f"spec must be an instance of list or tuple, not {type(spec)}")
        self._check_unsent()
        return dict(spec)

    def _check_unsent(self) -> None:
        if self._retrieved or self._identifier is not None:
            raise InvalidOperation("cannot set options after executing query")
