"""Databases: their collections, and commands of any name."""

# ruff: noqa: A002, PLR0917 - names and order of the parameters are PyMongo's

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_is_mapping
from pymongo.errors import CollectionInvalid, InvalidName

from harness.sim.driver.aggregation import Aggregation
from harness.sim.driver.change_stream import ChangeStream
from harness.sim.driver.collection import Collection
from harness.sim.driver.command_cursor import CommandCursor
from harness.sim.driver.commands import PRIMARY, Command
from harness.sim.driver.errors_mapping import NAMESPACE_NOT_FOUND
from harness.sim.driver.options import DEFAULT_CODEC_OPTIONS, Options, check_part
from harness.sim.driver.recording import recorded
from harness.sim.driver.results import copied, handed_out, taken_in, unsupported, value_taken_in
from harness.sim.driver.retry import read, read_command, write_command

if TYPE_CHECKING:
    from bson import CodecOptions, Timestamp
    from pymongo import WriteConcern
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode

    from harness.sim.driver.client import Client
    from harness.sim.driver.connections import Connection
    from harness.sim.driver.session import Session

_FORBIDDEN: Final = (" ", ".", "$", "/", "\\", "\x00", '"')


class Database(Options):
    """A database with its concerns; ``database["orders"]`` and ``database.orders`` name a collection."""

    __slots__ = ("_client", "_name", "_recorder")

    _label = "database"

    def __init__(
        self,
        client: Client,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: _ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> None:
        super().__init__(
            codec_options or client.codec_options,
            read_preference or client.read_preference,
            write_concern or client.write_concern,
            read_concern or client.read_concern,
        )
        _check_name(name)
        self._client = client
        self._recorder = client.recorder
        self._name = name

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def client(self) -> Client:
        """The client that it came from."""
        return self._client

    def __getitem__(self, name: str) -> Collection:
        return Collection(self, name)

    def __getattr__(self, name: str) -> Collection:
        check_part("Database", name)
        return self[name]

    def __bool__(self) -> NoReturn:
        raise NotImplementedError("a Database has no truth value: compare it with None")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Database):
            return NotImplemented
        return self._client is other._client and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r}, {self._name!r})"

    def get_collection(
        self,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: _ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Collection:
        """Return a collection, with other options where given."""
        return Collection(self, name, codec_options, read_preference, write_concern, read_concern)

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: _ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> Database:
        """Return this database with other options."""
        return Database(
            self._client,
            self._name,
            codec_options or self.codec_options,
            read_preference or self.read_preference,
            write_concern or self.write_concern,
            read_concern or self.read_concern,
        )

    @recorded
    async def command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        check: bool = True,
        allowable_errors: Sequence[str | int] | None = None,
        read_preference: _ServerMode | None = None,
        codec_options: CodecOptions[Any] | None = None,
        session: Session | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run a command and return its reply."""
        if comment is not None:
            kwargs["comment"] = comment
        given = {command: value} if isinstance(command, str) else command
        options = codec_options or DEFAULT_CODEC_OPTIONS
        if read_preference is None:
            read_preference = PRIMARY
            if session is not None and session.in_transaction:
                read_preference = session.transaction.options.read_preference or PRIMARY
        reply = await self._run(
            taken_in({**given, **kwargs}, options),
            session,
            read_preference,
            check=check,
            allowable=tuple(allowable_errors or ()),
        )
        document: dict[str, Any] = handed_out(reply, options)
        return document

    async def _run(
        self,
        head: dict[str, Any],
        session: Session | None,
        read_preference: _ServerMode,
        *,
        check: bool,
        allowable: tuple[str | int, ...],
    ) -> dict[str, Any]:
        command = Command(head, self._name, read_preference=read_preference, check=check, allowable=allowable)
        field = _PAYLOAD_FIELDS.get(command.name, "")
        if field in head:
            # PyMongo sends these as a section of their own, whoever wrote the command.
            command.payload = (field, head.pop(field))
        return await read_command(self._client, command, session, retryable=False)

    @recorded
    async def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], session: Session | None = None, **kwargs: Any
    ) -> CommandCursor:
        """Run a pipeline that starts from no collection."""
        aggregation = Aggregation(self._client, self, self._name, 1, pipeline=pipeline, options=kwargs)
        return await aggregation.run(session, "database.aggregate")

    @recorded
    async def create_collection(
        self,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: _ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        session: Session | None = None,
        check_exists: bool | None = True,
        **kwargs: Any,
    ) -> Collection:
        """Create a collection with options. Raises CollectionInvalid where it exists."""
        if kwargs.get("encryptedFields"):
            raise unsupported("encryptedFields")
        if kwargs.get("clusteredIndex"):
            validate_is_mapping("clusteredIndex", kwargs["clusteredIndex"])
        in_transaction = session is not None and session.in_transaction
        if check_exists and not in_transaction and name in await self._names(session, {"name": name}, None, {}):
            raise CollectionInvalid(f"collection {name} already exists")
        collection = Collection(self, name, codec_options, read_preference, write_concern, read_concern)
        collation = validate_collation_or_none(kwargs.pop("collation", None))
        if "size" in kwargs:
            kwargs["size"] = float(kwargs["size"])
        head = taken_in({"create": name, **kwargs}, self.codec_options)
        command = Command(
            head,
            self._name,
            write_concern=collection.write_concern_for(session),
            collation=collation,
            concern_error=True,
        )
        await write_command(self._client, command, session, retryable=False)
        return collection

    @recorded
    async def drop_collection(
        self,
        name_or_collection: str | Collection,
        session: Session | None = None,
        comment: Any | None = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Drop a collection."""
        return await self.drop_by_name(name_or_collection, session, comment, encrypted_fields)

    async def drop_by_name(
        self,
        name_or_collection: str | Collection,
        session: Session | None,
        comment: Any,
        encrypted_fields: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Do what :meth:`drop_collection` does, as part of another call."""
        name = name_or_collection.name if isinstance(name_or_collection, Collection) else name_or_collection
        if not isinstance(name, str):
            raise TypeError(f"name_or_collection must be an instance of str, not {type(name)}")
        if encrypted_fields:
            raise unsupported("encryptedFields")
        head: dict[str, Any] = {"drop": name}
        if comment is not None:
            head["comment"] = value_taken_in(comment, self.codec_options)
        command = Command(
            head,
            self._name,
            write_concern=self.write_concern_for(session),
            allowable=("ns not found", NAMESPACE_NOT_FOUND),
            concern_error=True,
        )
        return copied(await write_command(self._client, command, session, retryable=False))

    @recorded
    async def list_collection_names(
        self,
        session: Session | None = None,
        filter: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Return the names of its collections."""
        return await self._names(session, filter, comment, kwargs)

    @recorded
    async def list_collections(
        self,
        session: Session | None = None,
        filter: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> CommandCursor:
        """Return its collections and their options."""
        if filter is not None:
            kwargs["filter"] = filter
        if comment is not None:
            kwargs["comment"] = comment
        return await self._list_collections(session, kwargs)

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
        """Open a change stream on the database."""
        stream = ChangeStream(
            self._client,
            self,
            self._name,
            1,
            "database.watch",
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

    async def _names(
        self, session: Session | None, filter: Mapping[str, Any] | None, comment: Any, options: dict[str, Any]
    ) -> list[str]:
        if filter is not None:
            validate_is_mapping("filter", filter)
        if not filter or (len(filter) == 1 and "name" in filter):
            options["nameOnly"] = True
        if filter is not None:
            options["filter"] = filter
        if comment is not None:
            options["comment"] = comment
        cursor = await self._list_collections(session, options)
        return [document["name"] for document in await cursor.read_all()]

    async def _list_collections(self, session: Session | None, options: dict[str, Any]) -> CommandCursor:
        client = self._client
        used = session or client.lend_session()
        preference: _ServerMode = PRIMARY
        if used.transaction.active:
            preference = used.transaction.options.read_preference or PRIMARY
        head = taken_in({"listCollections": 1, "cursor": {}, **options}, self.codec_options)
        command = Command(head, self._name, read_preference=preference)

        async def attempt(session: Session, connection: Connection, _retryable: bool) -> CommandCursor:
            reply = await client.send(command, session, connection)
            return CommandCursor(
                client,
                reply["cursor"],
                label="database.list_collections",
                member=connection.member,
                namespace=f"{self._name}.$cmd",
                codec_options=self.codec_options,
                session=session,
                comment=head.get("comment"),
            )

        try:
            return await read(client, attempt, used, preference)
        finally:
            client.take_back_unless_attached(used)


_PAYLOAD_FIELDS: Final[Mapping[str, str]] = {"insert": "documents", "update": "updates", "delete": "deletes"}


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name must be an instance of str, not {type(name)}")
    if name == "$external":
        return
    if not name:
        raise InvalidName("database name cannot be the empty string")
    for character in _FORBIDDEN:
        if character in name:
            raise InvalidName(f"database names cannot contain the character {character!r}")
