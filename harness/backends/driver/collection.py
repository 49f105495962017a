"""Collections over PyMongo's synchronous ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.collection import Collection as SynchronousCollection

from harness.backends.driver.change_stream import ChangeStream
from harness.backends.driver.cursor import CommandCursor, Cursor
from harness.backends.driver.handle import Mirrored, TruthlessHandle, forwarded, plain_forwarded
from harness.interfaces import pattern_api as api

if TYPE_CHECKING:
    from harness.backends.driver.database import Database


def _collection(self: Collection, target: Any) -> Collection:
    return Collection(target, self._database)


def _cursor(self: Collection, target: Any) -> Cursor:
    return Cursor(target, self._recorder, f"{self._label}.find", self)


def _aggregate_cursor(self: Collection, target: Any) -> CommandCursor:
    return CommandCursor(target, self._recorder, f"{self._label}.aggregate")


def _index_cursor(self: Collection, target: Any) -> CommandCursor:
    return CommandCursor(target, self._recorder, f"{self._label}.list_indexes")


def _change_stream(self: Collection, target: Any) -> ChangeStream:
    return ChangeStream(target, self._recorder, f"{self._label}.watch")


class Collection(TruthlessHandle):
    """A collection with its concerns."""

    __slots__ = ("_database",)

    _target: SynchronousCollection[Any]

    def __init__(self, target: SynchronousCollection[Any], database: Database) -> None:
        super().__init__(target, database._recorder, target.name)
        self._database = database

    name: Mirrored[str] = Mirrored()
    full_name: Mirrored[str] = Mirrored()

    @property
    def database(self) -> api.Database:
        """The database that it is in."""
        return self._database

    def __getitem__(self, name: str) -> Collection:
        return Collection(self._target[name], self._database)

    def __getattr__(self, name: str) -> Collection:
        self._check_part(name)
        return self[name]

    with_options = plain_forwarded(api.Collection.with_options, _collection)
    find = plain_forwarded(api.Collection.find, _cursor)

    find_one = forwarded(api.Collection.find_one)
    insert_one = forwarded(api.Collection.insert_one)
    insert_many = forwarded(api.Collection.insert_many)
    update_one = forwarded(api.Collection.update_one)
    update_many = forwarded(api.Collection.update_many)
    replace_one = forwarded(api.Collection.replace_one)
    delete_one = forwarded(api.Collection.delete_one)
    delete_many = forwarded(api.Collection.delete_many)
    find_one_and_update = forwarded(api.Collection.find_one_and_update)
    find_one_and_replace = forwarded(api.Collection.find_one_and_replace)
    find_one_and_delete = forwarded(api.Collection.find_one_and_delete)
    bulk_write = forwarded(api.Collection.bulk_write)
    aggregate = forwarded(api.Collection.aggregate, _aggregate_cursor)
    count_documents = forwarded(api.Collection.count_documents)
    estimated_document_count = forwarded(api.Collection.estimated_document_count)
    distinct = forwarded(api.Collection.distinct)
    create_index = forwarded(api.Collection.create_index)
    create_indexes = forwarded(api.Collection.create_indexes)
    drop_index = forwarded(api.Collection.drop_index)
    drop_indexes = forwarded(api.Collection.drop_indexes)
    list_indexes = forwarded(api.Collection.list_indexes, _index_cursor)
    index_information = forwarded(api.Collection.index_information)
    drop = forwarded(api.Collection.drop)
    watch = forwarded(api.Collection.watch, _change_stream)
