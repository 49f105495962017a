"""Collections: each method builds PyMongo's command, sends it by the rules of retries, and returns PyMongo's result."""

# ruff: noqa: A002, PLR0917 - names and order of the parameters are PyMongo's

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pymongo.common import (
    validate_is_document_type,
    validate_list,
    validate_ok_for_replace,
)
from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult
from pymongo.write_concern import WriteConcern

from harness.sim.driver.aggregation import Aggregation
from harness.sim.driver.bulk import Bulk
from harness.sim.driver.change_stream import ChangeStream
from harness.sim.driver.collection_reads import CollectionReads
from harness.sim.driver.command_cursor import CommandCursor
from harness.sim.driver.options import check_part
from harness.sim.driver.recording import recorded
from harness.sim.driver.results import copied, handed_out
from harness.sim.driver.retry import write_command
from harness.sim.driver.statements import (
    check_filter,
    check_update,
    delete_command,
    find_and_modify_command,
    insert_command,
    update_command,
)

if TYPE_CHECKING:
    from bson import CodecOptions, Timestamp
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode

    from harness.sim.driver.commands import Command
    from harness.sim.driver.session import Session


class Collection(CollectionReads):
    """A collection with its concerns; ``collection["part"]`` and ``collection.part`` name one below it."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Collection:
        return Collection(
            self.database,
            f"{self.name}.{name}",
            self.codec_options,
            self.read_preference,
            self.write_concern,
            self.read_concern,
        )

    def __getattr__(self, name: str) -> Collection:
        check_part("Collection", name)
        return self[name]

    def __bool__(self) -> NoReturn:
        raise NotImplementedError("a Collection has no truth value: compare it with None")

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: _ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Collection:
        """Return this collection with other options."""
        return Collection(
            self.database,
            self.name,
            codec_options or self.codec_options,
            read_preference or self.read_preference,
            write_concern or self.write_concern,
            read_concern or self.read_concern,
        )

    @recorded
    async def insert_one(
        self,
        document: MutableMapping[str, Any],
        bypass_document_validation: bool | None = None,
        session: Session | None = None,
        comment: Any | None = None,
    ) -> InsertOneResult:
        """Insert a document; an ``_id`` is added to it where it has none."""
        if type(document) is not dict:
            validate_is_document_type("document", document)
        if "_id" not in document:
            document["_id"] = self._client.object_ids.next()
        concern = self.write_concern_for(session)
        command = insert_command(self, document, concern, bypass_document_validation, comment)
        await write_command(self._client, command, session, retryable=concern.acknowledged)
        return InsertOneResult(document.get("_id"), concern.acknowledged)

    @recorded
    async def insert_many(
        self,
        documents: Iterable[MutableMapping[str, Any]],
        ordered: bool = True,
        bypass_document_validation: bool | None = None,
        session: Session | None = None,
        comment: Any | None = None,
    ) -> InsertManyResult:
        """Insert documents; ordered stops at the first error."""
        if not isinstance(documents, Iterable) or isinstance(documents, Mapping) or not documents:
            raise TypeError("documents must be a non-empty list")
        bulk = Bulk(self, ordered=ordered, bypass_document_validation=bypass_document_validation, comment=comment)
        inserted_ids = []
        for document in documents:
            bulk.add_insert(document)
            inserted_ids.append(document["_id"])
        concern = self.write_concern_for(session)
        await bulk.execute(concern, session)
        return InsertManyResult(inserted_ids, concern.acknowledged)

    @recorded
    async def update_one(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: Any | None = None,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Update one matching document."""
        check_filter(filter)
        check_update(update)
        extras = _given(bypass_document_validation, collation, array_filters, hint, let, sort, comment)
        concern = self.write_concern_for(session)
        command = update_command(self, filter, update, concern, False, upsert, extras)
        return await self._update(command, session, concern, concern.acknowledged)

    @recorded
    async def update_many(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        upsert: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        bypass_document_validation: bool | None = None,
        collation: Any | None = None,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Update every matching document, each atomically; never retried by the driver."""
        check_filter(filter)
        check_update(update)
        extras = _given(bypass_document_validation, collation, array_filters, hint, let, None, comment)
        concern = self.write_concern_for(session)
        command = update_command(self, filter, update, concern, True, upsert, extras)
        return await self._update(command, session, concern, False)

    @recorded
    async def replace_one(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: Any | None = None,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Replace one matching document."""
        check_filter(filter)
        validate_ok_for_replace(replacement)
        extras = _given(bypass_document_validation, collation, None, hint, let, sort, comment)
        concern = self.write_concern_for(session)
        command = update_command(self, filter, replacement, concern, False, upsert, extras)
        return await self._update(command, session, concern, concern.acknowledged)

    @recorded
    async def delete_one(
        self,
        filter: Mapping[str, Any],
        collation: Any | None = None,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> DeleteResult:
        """Delete one matching document."""
        concern = self.write_concern_for(session)
        extras = _given(None, collation, None, hint, let, None, comment)
        command = delete_command(self, filter, concern, False, extras)
        return await self._delete(command, session, concern, concern.acknowledged)

    @recorded
    async def delete_many(
        self,
        filter: Mapping[str, Any],
        collation: Any | None = None,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> DeleteResult:
        """Delete every matching document; never retried by the driver."""
        concern = self.write_concern_for(session)
        extras = _given(None, collation, None, hint, let, None, comment)
        command = delete_command(self, filter, concern, True, extras)
        return await self._delete(command, session, concern, False)

    @recorded
    async def find_one_and_update(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: Any | None = None,
        upsert: bool = False,
        return_document: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """Update one document and return it as it was, or as it is with ``ReturnDocument.AFTER``."""
        check_update(update)
        extras = _given(None, None, array_filters, hint, let, sort, None, projection)
        action = {**kwargs, "update": update}
        return await self._find_and_modify(filter, action, session, comment, return_document, upsert, extras)

    @recorded
    async def find_one_and_replace(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: Any | None = None,
        upsert: bool = False,
        return_document: bool = False,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """Replace one document and return it as it was, or as it is with ``ReturnDocument.AFTER``."""
        validate_ok_for_replace(replacement)
        extras = _given(None, None, None, hint, let, sort, None, projection)
        action = {**kwargs, "update": replacement}
        return await self._find_and_modify(filter, action, session, comment, return_document, upsert, extras)

    @recorded
    async def find_one_and_delete(
        self,
        filter: Mapping[str, Any],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: Any | None = None,
        hint: Any | None = None,
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """Delete one document and return it."""
        extras = _given(None, None, None, hint, let, sort, None, projection)
        return await self._find_and_modify(filter, {**kwargs, "remove": True}, session, comment, False, None, extras)

    @recorded
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
        validate_list("requests", requests)
        bulk = Bulk(
            self, ordered=ordered, bypass_document_validation=bypass_document_validation, comment=comment, let=let
        )
        for request in requests:
            if not hasattr(request, "_add_to_bulk"):
                raise TypeError(f"{request!r} is not a valid request")
            request._add_to_bulk(bulk)
        result = await bulk.execute(self.write_concern_for(session), session)
        return BulkWriteResult(result or {}, result is not None)

    @recorded
    async def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        session: Session | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> CommandCursor:
        """Run a pipeline."""
        if comment is not None:
            kwargs["comment"] = comment
        aggregation = Aggregation(
            self._client, self, self.database.name, self.name, pipeline=pipeline, options=kwargs, let=let
        )
        return await aggregation.run(session, f"{self._label}.aggregate")

    @recorded
    async def drop(
        self,
        session: Session | None = None,
        comment: Any | None = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Drop the collection."""
        database = self.database.with_options(
            self.codec_options, self.read_preference, self.write_concern, self.read_concern
        )
        await database.drop_by_name(self.name, session, comment, encrypted_fields)

    @recorded
    async def watch(
        self,
        pipeline: Sequence[Mapping[str, Any]] | None = None,
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
        stream = ChangeStream(
            self._client,
            self,
            self.database.name,
            self.name,
            f"{self._label}.watch",
            pipeline=pipeline,
            full_document=full_document,
            resume_after=resume_after,
            max_await_time_ms=max_await_time_ms,
            batch_size=batch_size,
            collation=collation,
            start_at_operation_time=start_at_operation_time,
            session=session,
            start_after=start_after,
            comment=comment,
            full_document_before_change=full_document_before_change,
            show_expanded_events=show_expanded_events,
        )
        return await stream.open()

    async def _update(
        self, command: Command, session: Session | None, concern: WriteConcern, retryable: bool
    ) -> UpdateResult:
        reply = await write_command(self._client, command, session, retryable=retryable)
        if not concern.acknowledged:
            return UpdateResult(None, False)
        result = copied(reply)
        if "upserted" in result:
            result["updatedExisting"] = False
            result["upserted"] = handed_out(reply["upserted"][0], self.codec_options)["_id"]
        else:
            result["updatedExisting"] = bool(result.get("n"))
        return UpdateResult(result, True)

    async def _delete(
        self, command: Command, session: Session | None, concern: WriteConcern, retryable: bool
    ) -> DeleteResult:
        reply = await write_command(self._client, command, session, retryable=retryable)
        return DeleteResult(copied(reply), concern.acknowledged)

    async def _find_and_modify(
        self,
        filter: Mapping[str, Any],
        action: dict[str, Any],
        session: Session | None,
        comment: Any,
        return_document: bool,
        upsert: bool | None,
        extras: dict[str, Any] | None,
    ) -> dict[str, Any] | None:
        if comment is not None:
            action["comment"] = comment
        own = action.get("writeConcern")
        concern = self.write_concern_for(session) if own is None else WriteConcern(**own)
        command = find_and_modify_command(self, filter, concern, action, return_document, upsert, extras)
        reply = await write_command(self._client, command, session, retryable=concern.acknowledged)
        value = reply.get("value")
        return None if value is None else handed_out(value, self.codec_options)


def _given(
    bypass_document_validation: bool | None,
    collation: Any,
    array_filters: Any,
    hint: Any,
    let: Any,
    sort: Any,
    comment: Any,
    projection: Any = None,
) -> dict[str, Any] | None:
    """Return those arguments by name, or None where none is given, as in most calls."""
    given = (bypass_document_validation, collation, array_filters, hint, let, sort, comment, projection)
    if given == _NONE_GIVEN:
        return None
    return dict(zip(_EXTRAS, given, strict=True))


_EXTRAS: Final = (
    "bypass_document_validation",
    "collation",
    "array_filters",
    "hint",
    "let",
    "sort",
    "comment",
    "projection",
)
_NONE_GIVEN: Final = (None,) * len(_EXTRAS)
