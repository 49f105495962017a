"""Databases over PyMongo's synchronous ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.database import Database as SynchronousDatabase

from harness.backends.driver.change_stream import ChangeStream
from harness.backends.driver.collection import Collection
from harness.backends.driver.cursor import CommandCursor
from harness.backends.driver.handle import Mirrored, TruthlessHandle, forwarded, plain_forwarded
from harness.interfaces import pattern_api as api

if TYPE_CHECKING:
    from harness.backends.driver.client import Client


def _database(self: Database, target: Any) -> Database:
    return Database(target, self._client)


def _collection(self: Database, target: Any) -> Collection:
    return Collection(target, self)


def _aggregate_cursor(self: Database, target: Any) -> CommandCursor:
    return CommandCursor(target, self._recorder, "database.aggregate")


def _collections_cursor(self: Database, target: Any) -> CommandCursor:
    return CommandCursor(target, self._recorder, "database.list_collections")


def _change_stream(self: Database, target: Any) -> ChangeStream:
    return ChangeStream(target, self._recorder, "database.watch")


class Database(TruthlessHandle):
    """A database with its concerns."""

    __slots__ = ("_client",)

    _target: SynchronousDatabase[Any]

    def __init__(self, target: SynchronousDatabase[Any], client: Client) -> None:
        super().__init__(target, client._recorder, "database")
        self._client = client

    name: Mirrored[str] = Mirrored()

    @property
    def client(self) -> api.Client:
        """The client that it came from."""
        return self._client

    def __getitem__(self, name: str) -> Collection:
        return Collection(self._target[name], self)

    def __getattr__(self, name: str) -> Collection:
        self._check_part(name)
        return self[name]

    get_collection = plain_forwarded(api.Database.get_collection, _collection)
    with_options = plain_forwarded(api.Database.with_options, _database)

    command = forwarded(api.Database.command)
    aggregate = forwarded(api.Database.aggregate, _aggregate_cursor)
    create_collection = forwarded(api.Database.create_collection, _collection)
    drop_collection = forwarded(api.Database.drop_collection)
    list_collection_names = forwarded(api.Database.list_collection_names)
    list_collections = forwarded(api.Database.list_collections, _collections_cursor)
    watch = forwarded(api.Database.watch, _change_stream)
