"""The client over PyMongo's synchronous one."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient

from harness.backends.driver.change_stream import ChangeStream
from harness.backends.driver.database import Database
from harness.backends.driver.handle import NamespaceHandle, forwarded, plain_forwarded
from harness.backends.driver.recorder import Recorder
from harness.backends.driver.session import Session
from harness.interfaces import pattern_api as api


def _database(self: Client, target: Any) -> Database:
    return Database(target, self)


def _session(self: Client, target: Any) -> Session:
    return Session(target, self._recorder, self)


def _change_stream(self: Client, target: Any) -> ChangeStream:
    return ChangeStream(target, self._recorder, "client.watch")


class Client(NamespaceHandle):
    """A client of a replica set, made by :func:`~harness.backends.driver.connect.open_client`."""

    __slots__ = ("_release",)

    _target: MongoClient[Any]

    def __init__(self, target: MongoClient[Any], recorder: Recorder | None, release: Callable[[], None]) -> None:
        super().__init__(target, recorder, "client")
        self._release = release

    def __getitem__(self, name: str) -> Database:
        return Database(self._target[name], self)

    def __getattr__(self, name: str) -> Database:
        self._check_part(name)
        return self[name]

    get_database = plain_forwarded(api.Client.get_database, _database)
    start_session = plain_forwarded(api.Client.start_session, _session)

    list_database_names = forwarded(api.Client.list_database_names)
    drop_database = forwarded(api.Client.drop_database)
    watch = forwarded(api.Client.watch, _change_stream)

    async def close(self) -> None:
        """Close its connections and end its sessions, whatever was cancelled or died before."""
        self.close_now()

    def close_now(self) -> None:
        """Do what :meth:`close` does, from plain code; may be repeated."""
        self._target.close()
        self._release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.close_now()
