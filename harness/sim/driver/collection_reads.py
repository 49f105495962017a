"""What a collection is read by, and its indexes; the methods that write are in ``collection.py``."""

# ruff: noqa: A002, PLR0917 - names and order of the parameters are PyMongo's

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pymongo import IndexModel
from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_list
from pymongo.errors import ConfigurationError, InvalidName, OperationFailure

from harness.sim.driver.command_cursor import CommandCursor
from harness.sim.driver.commands import PRIMARY, Command
from harness.sim.driver.cursor import Cursor
from harness.sim.driver.errors_mapping import NAMESPACE_NOT_FOUND
from harness.sim.driver.find import find_head
from harness.sim.driver.keys import hint_document, index_name
from harness.sim.driver.options import DEFAULT_CODEC_OPTIONS, Options
from harness.sim.driver.recording import recorded
from harness.sim.driver.results import handed_out, value_taken_in, values_handed_out
from harness.sim.driver.retry import read, read_command, write_command

if TYPE_CHECKING:
    from bson import CodecOptions
    from pymongo import WriteConcern
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode

    from harness.sim.driver.connections import Connection
    from harness.sim.driver.database import Database
    from harness.sim.driver.session import Session

_NO_NAMESPACE: Final = ("ns not found", NAMESPACE_NOT_FOUND)


class CollectionReads(Options):
    """A collection as its reads and its indexes see it."""

    __slots__ = ("_client", "_database", "_full_name", "_label", "_name", "_recorder")

    def __init__(
        self,
        database: Database,
        name: str,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: _ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> None:
        super().__init__(
            codec_options or database.codec_options,
            read_preference or database.read_preference,
            write_concern or database.write_concern,
            read_concern or database.read_concern,
        )
        _check_name(name)
        self._client = database.client
        self._recorder = self._client.recorder
        self._database = database
        self._name = name
        self._full_name = f"{database.name}.{name}"
        self._label = name

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def full_name(self) -> str:
        """``database.collection``."""
        return self._full_name

    @property
    def database(self) -> Database:
        """The database that it is in."""
        return self._database

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CollectionReads):
            return NotImplemented
        return self._database == other._database and self._name == other._name

    def __hash__(self) -> int:
        return hash((self._database, self._name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database!r}, {self._name!r})"

    def find(self, *args: Any, **kwargs: Any) -> Cursor:
        """Return a cursor over matching documents; the arguments are those of PyMongo's ``AsyncCursor``."""
        return Cursor(self, *args, **kwargs)

    @recorded
    async def find_one(self, filter: Any | None = None, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Return one matching document, or None."""
        is_value = type(filter) is not dict and filter is not None and not isinstance(filter, Mapping)
        condition = {"_id": filter} if is_value else filter
        if args or (kwargs and any(name != "session" for name in kwargs)):
            cursor = self.find(condition, *args, **kwargs)
            documents = await cursor.limit(-1).read_all()
            return documents[0] if documents else None
        session: Session | None = kwargs.get("session")
        head = find_head(self, condition or {}, session, limit=-1)
        command = Command(
            head, self._database.name, read_preference=self.read_preference_for(session), reads=True, from_cursor=True
        )
        reply = await read_command(self._client, command, session)
        batch = reply["cursor"]["firstBatch"]
        return handed_out(batch[0], self._codec_options) if batch else None

    @recorded
    async def count_documents(
        self,
        filter: Mapping[str, Any],
        session: Session | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> int:
        """Count the matching documents."""
        pipeline: list[dict[str, Any]] = [{"$match": filter}]
        pipeline.extend({f"${name}": kwargs.pop(name)} for name in ("skip", "limit") if name in kwargs)
        pipeline.append({"$group": {"_id": 1, "n": {"$sum": 1}}})
        if comment is not None:
            kwargs["comment"] = comment
        if "hint" in kwargs:
            kwargs["hint"] = hint_document(kwargs["hint"])
        collation = validate_collation_or_none(kwargs.pop("collation", None))
        head = self._head({"aggregate": self._name, "pipeline": pipeline, "cursor": {}, **kwargs})
        reply = await self._read(head, session, collation, allowable=(NAMESPACE_NOT_FOUND,))
        batch = reply["cursor"]["firstBatch"] if "cursor" in reply else ()
        return int(batch[0]["n"]) if batch else 0

    @recorded
    async def estimated_document_count(self, comment: Any | None = None, **kwargs: Any) -> int:
        """Return the server's own count of the whole collection."""
        if "session" in kwargs:
            raise ConfigurationError("estimated_document_count does not support sessions")
        if comment is not None:
            kwargs["comment"] = comment
        reply = await self._read(self._head({"count": self._name, **kwargs}), None, None)
        return int(reply["n"])

    @recorded
    async def distinct(
        self,
        key: str,
        filter: Mapping[str, Any] | None = None,
        session: Session | None = None,
        comment: Any | None = None,
        hint: Any | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return the distinct values of ``key``."""
        return await self.distinct_values(key, filter, session, comment, hint, kwargs)

    async def distinct_values(
        self,
        key: str,
        filter: Mapping[str, Any] | None,
        session: Session | None,
        comment: Any,
        hint: Any,
        options: dict[str, Any],
    ) -> list[Any]:
        """Do what :meth:`distinct` does, as part of another call."""
        if not isinstance(key, str):
            raise TypeError(f"key must be an instance of str, not {type(key)}")
        if filter is not None:
            if "query" in options:
                raise ConfigurationError("can't pass both filter and query")
            options["query"] = filter
        collation = validate_collation_or_none(options.pop("collation", None))
        head = {"distinct": self._name, "key": key, **options}
        if comment is not None:
            head["comment"] = comment
        if hint is not None:
            head["hint"] = hint_document(hint)
        reply = await self._read(self._head(head), session, collation)
        return values_handed_out(reply["values"], self._codec_options)

    # -- indexes

    @recorded
    async def create_index(
        self, keys: Any, session: Session | None = None, comment: Any | None = None, **kwargs: Any
    ) -> str:
        """Create an index and return its name."""
        options = {"maxTimeMS": kwargs.pop("maxTimeMS")} if "maxTimeMS" in kwargs else {}
        if comment is not None:
            options["comment"] = comment
        names = await self._create_indexes([IndexModel(keys, **kwargs)], session, options)
        return names[0]

    @recorded
    async def create_indexes(
        self, indexes: Sequence[IndexModel], session: Session | None = None, comment: Any | None = None, **kwargs: Any
    ) -> list[str]:
        """Create indexes and return their names."""
        validate_list("indexes", indexes)
        if comment is not None:
            kwargs["comment"] = comment
        return await self._create_indexes(indexes, session, kwargs)

    async def _create_indexes(
        self, indexes: Sequence[IndexModel], session: Session | None, options: dict[str, Any]
    ) -> list[str]:
        for index in indexes:
            if not isinstance(index, IndexModel):
                raise TypeError(f"{index!r} is not an instance of pymongo.operations.IndexModel")
        documents = [index.document for index in indexes]
        await self._define({"createIndexes": self._name, "indexes": documents, **options}, session)
        return [document["name"] for document in documents]

    @recorded
    async def drop_index(
        self, index_or_name: Any, session: Session | None = None, comment: Any | None = None, **kwargs: Any
    ) -> None:
        """Drop an index."""
        await self._drop_index(index_or_name, session, comment, kwargs)

    @recorded
    async def drop_indexes(self, session: Session | None = None, comment: Any | None = None, **kwargs: Any) -> None:
        """Drop every index but the one on ``_id``."""
        await self._drop_index("*", session, comment, kwargs)

    async def _drop_index(
        self, index_or_name: Any, session: Session | None, comment: Any, options: dict[str, Any]
    ) -> None:
        name = index_name(index_or_name) if isinstance(index_or_name, list) else index_or_name
        if not isinstance(name, str):
            raise TypeError(f"index_or_name must be an instance of str or list, not {type(name)}")
        head = {"dropIndexes": self._name, "index": name, **options}
        if comment is not None:
            head["comment"] = comment
        await self._define(head, session, allowable=_NO_NAMESPACE)

    @recorded
    async def list_indexes(self, session: Session | None = None, comment: Any | None = None) -> CommandCursor:
        """Return the index definitions."""
        return await self._list_indexes(session, comment)

    @recorded
    async def index_information(
        self, session: Session | None = None, comment: Any | None = None
    ) -> MutableMapping[str, Any]:
        """Return the index definitions by name."""
        cursor = await self._list_indexes(session, comment)
        information = {}
        for index in await cursor.read_all():
            index["key"] = list(index["key"].items())
            information[index.pop("name")] = index
        return information

    async def _list_indexes(self, session: Session | None, comment: Any) -> CommandCursor:
        client = self._client
        head: dict[str, Any] = {"listIndexes": self._name, "cursor": {}}
        if comment is not None:
            head["comment"] = comment
        used = session or client.lend_session()
        preference: _ServerMode = PRIMARY
        if used.transaction.active:
            preference = used.transaction.options.read_preference or PRIMARY
        command = Command(self._head(head), self._database.name, read_preference=preference, concern_error=True)

        async def attempt(session: Session, connection: Connection, _retryable: bool) -> CommandCursor:
            try:
                cursor = (await client.send(command, session, connection))["cursor"]
            except OperationFailure as error:
                if error.code != NAMESPACE_NOT_FOUND:
                    raise
                cursor = {"id": 0, "firstBatch": []}
            return CommandCursor(
                client,
                cursor,
                label=f"{self._label}.list_indexes",
                member=connection.member,
                namespace=self._full_name,
                codec_options=DEFAULT_CODEC_OPTIONS,
                session=session,
                comment=comment,
            )

        try:
            return await read(client, attempt, used, preference)
        finally:
            client.take_back_unless_attached(used)

    # -- for the driver itself

    def _head(self, head: dict[str, Any]) -> dict[str, Any]:
        return {name: value_taken_in(value, self._codec_options) for name, value in head.items()}

    async def _read(
        self, head: dict[str, Any], session: Session | None, collation: Any, *, allowable: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        command = Command(
            head,
            self._database.name,
            read_preference=self.read_preference_for(session),
            read_concern=self._read_concern,
            reads=True,
            collation=collation,
            allowable=allowable,
            concern_error=True,
        )
        return await read_command(self._client, command, session)

    async def _define(
        self, head: dict[str, Any], session: Session | None, *, allowable: tuple[int | str, ...] = ()
    ) -> dict[str, Any]:
        command = Command(
            self._head(head),
            self._database.name,
            write_concern=self.write_concern_for(session),
            allowable=allowable,
            concern_error=True,
        )
        return await write_command(self._client, command, session, retryable=False)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name must be an instance of str, not {type(name)}")
    if not name or ".." in name:
        raise InvalidName("collection names cannot be empty")
    if "$" in name and not name.startswith(("oplog.$main", "$cmd")):
        raise InvalidName(f"collection names must not contain '$': {name!r}")
    if name[0] == "." or name[-1] == ".":
        raise InvalidName(f"collection names must not start or end with '.': {name!r}")
    if "\x00" in name:
        raise InvalidName("collection names must not contain the null character")
