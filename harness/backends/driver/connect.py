"""Opening a client of the set under the cell's settings, with deadlines, recording and name resolution."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError

from harness.backends.driver.client import Client
from harness.backends.driver.recorder import Recorder
from harness.backends.driver.resolver import resolver
from harness.errors import UsageError
from harness.interfaces.backend import Connection
from harness.settings import Settings

HEARTBEAT_MS = 500
"""PyMongo's least; with its default of 10 s a client would not see a new primary for that long."""
SERVER_SELECTION_TIMEOUT_MS = 3_000
"""Longer than an election (1 to 2.5 s), so that an operation outlives one; not so long that a run stalls."""
CONNECT_TIMEOUT_MS = 2_000
SOCKET_TIMEOUT_MS = 5_000
"""A paused or cut member must not hold a client for ever: a majority write without a majority ends as a time-out."""


def open_client(
    connection: Connection,
    settings: Settings,
    *,
    application_name: str,
    recorder: Recorder | None,
) -> Client:
    """Return a client of the set; close it with :meth:`~harness.backends.driver.client.Client.close_now`.

    What ``settings`` leave unset stays at the default of PyMongo and the server. Without a ``recorder`` nothing is
    recorded and nothing cancels. A ``direct`` connection speaks to its one seed alone, whatever its state. Raises
    UsageError where PyMongo refuses the settings (``w=0,j=true``), BackendError where a host name of the connection
    resolves otherwise in this process.
    """
    release = resolver.install(connection.resolve)
    options = {**_connection_options(connection), **_concern_options(settings)}
    try:
        target: MongoClient[Any] = MongoClient(
            appname=application_name,
            heartbeatFrequencyMS=HEARTBEAT_MS,
            serverSelectionTimeoutMS=SERVER_SELECTION_TIMEOUT_MS,
            connectTimeoutMS=CONNECT_TIMEOUT_MS,
            socketTimeoutMS=SOCKET_TIMEOUT_MS,
            event_listeners=[] if recorder is None else [recorder.listener],
            **options,
        )
    except (ConfigurationError, ValueError, TypeError) as error:
        release()
        raise UsageError(
            f"opening a client under the setting {settings.text()!r}: {error}",
            next_step="choose settings that PyMongo accepts together",
        ) from error
    return Client(target, recorder, release)


def _connection_options(connection: Connection) -> dict[str, Any]:
    if connection.direct:
        return {"host": list(connection.seeds[:1]), "directConnection": True}
    options: dict[str, Any] = {"host": list(connection.seeds)}
    if connection.replica_set:
        options["replicaSet"] = connection.replica_set
    return options


def _concern_options(settings: Settings) -> dict[str, Any]:
    given = {
        "w": settings.w,
        "journal": settings.j,
        "wtimeoutMS": settings.wtimeout_ms,
        "readConcernLevel": settings.read_concern_level,
        "readPreference": settings.read_preference,
        "retryWrites": settings.driver_retries_writes,
        "retryReads": settings.driver_retries_reads,
    }
    return {name: value for name, value in given.items() if value is not None}
