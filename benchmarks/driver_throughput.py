"""Operations per second through the harness, recording included, against plain PyMongo threads on the same set.

Ours does per operation what a run does: a line for the invocation, the pattern's coroutine stepped, the calls recorded,
the status rule, a line for the completion. The peer is one thread a client around PyMongo, with nothing recorded.
Targets: at least 0.9 for majority updates, 0.8 for w:1 updates, 0.6 for reads.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from harness.backends.driver import CancelFlag, Recorder, open_client, run_coroutine
from harness.backends.driver.connect import HEARTBEAT_MS
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod
from harness.clock import RunClock
from harness.interfaces.backend import Connection
from harness.journal import Completed, Invoked, JournalWriter
from harness.settings import Settings
from harness.status import classify

CLIENTS = 5
WARM_UP_SHARE = 0.2
TRIES = 4
ELECTION_S = 3.0
DATABASE = "throughput"


async def _update(collection: Any, key: int) -> Any:
    result = await collection.update_one({"_id": key}, {"$inc": {"n": 1}, "$set": {"by": key}})
    return result.modified_count


async def _read(collection: Any, key: int) -> Any:
    return await collection.find_one({"_id": key})


def _plain_update(collection: Any, key: int) -> Any:
    return collection.update_one({"_id": key}, {"$inc": {"n": 1}, "$set": {"by": key}}).modified_count


def _plain_read(collection: Any, key: int) -> Any:
    return collection.find_one({"_id": key})


Figure = tuple[str, Settings, Callable[..., Awaitable[Any]], Callable[..., Any]]

FIGURES: tuple[Figure, ...] = (
    ("update, w:majority", Settings(w="majority"), _update, _plain_update),
    ("update, w:1", Settings(w=1), _update, _plain_update),
    ("find_one", Settings(), _read, _plain_read),
)


class _Plain:
    """A client of the peer."""

    def __init__(self, connection: Connection, settings: Settings, client: int, call: Callable[..., Any]) -> None:
        options: dict[str, Any] = {} if settings.w is None else {"w": settings.w}
        self._target: MongoClient[Any] = MongoClient(
            list(connection.seeds), replicaSet=connection.replica_set, heartbeatFrequencyMS=HEARTBEAT_MS, **options
        )
        self._collection = self._target[DATABASE]["rows"]
        self._key = client
        self._call = call

    def step(self) -> None:
        self._call(self._collection, self._key)

    def close(self) -> None:
        self._target.close()


class _Ours:
    """A client process of the harness."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        client: int,
        call: Callable[..., Any],
        journal: JournalWriter,
    ) -> None:
        self._clock = RunClock.start()
        self._recorder = Recorder(self._clock, CancelFlag(), connection.members)
        self._handle = open_client(connection, settings, application_name="throughput", recorder=self._recorder)
        self._collection = self._handle[DATABASE]["rows"]
        self._client = client
        self._call = call
        self._journal = journal
        self._index = 0

    def step(self) -> None:
        self._index += 1
        self._journal.append(
            Invoked(
                index=self._index,
                process=self._client,
                client=self._client,
                function="step",
                arguments={"key": self._client},
                start_ns=self._clock.now_ns(),
            )
        )
        self._recorder.begin()
        result = run_coroutine(self._call(self._collection, self._client))
        returned_ns = self._clock.now_ns()
        calls = self._recorder.end()
        self._journal.append(
            Completed(
                index=self._index,
                returned_ns=returned_ns,
                status=classify(calls, "returned"),
                outcome="returned",
                result=result,
                calls=calls,
            )
        )

    def close(self) -> None:
        self._handle.close_now()


def operations_per_second(clients: list[Any], seconds: float) -> float:
    """Return how many operations all clients together complete in a second, after warming up.

    Raises what the first operation that failed raised: a rate with failures in it says nothing.
    """
    counts = [0] * len(clients)
    errors: list[PyMongoError] = []
    starting, ending = threading.Event(), threading.Event()

    def work(number: int) -> None:
        step = clients[number].step
        try:
            while not starting.is_set():
                step()
            while not ending.is_set():
                step()
                counts[number] += 1
        except PyMongoError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    time.sleep(seconds * WARM_UP_SHARE)
    began = time.monotonic()
    starting.set()
    time.sleep(seconds)
    ending.set()
    total, took_s = sum(counts), time.monotonic() - began
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return total / took_s


def _undisturbed(clients: list[Any], seconds: float) -> float:
    # On a crowded machine a set may elect anew; such a slice is taken again.
    for _ in range(TRIES - 1):
        try:
            return operations_per_second(clients, seconds)
        except PyMongoError:
            time.sleep(ELECTION_S)
    return operations_per_second(clients, seconds)


def _measure_figure(
    connection: Connection, journal: JournalWriter, figure: Figure, rounds: int, seconds: float
) -> dict[str, Any]:
    name, settings, call, plain_call = figure
    ours = [_Ours(connection, settings, number, call, journal) for number in range(CLIENTS)]
    peer = [_Plain(connection, settings, number, plain_call) for number in range(CLIENTS)]
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    try:
        for number in range(rounds):
            sides: list[tuple[str, list[Any]]] = [("ours", list(ours)), ("peer", list(peer))]
            for side, clients in sides if number % 2 == 0 else reversed(sides):
                rates[side].append(_undisturbed(clients, seconds))
    finally:
        for harness_client in ours:
            harness_client.close()
        for plain_client in peer:
            plain_client.close()
    median = {side: statistics.median(values) for side, values in rates.items()}
    return {
        "name": f"{name}, {CLIENTS} clients (peer: PyMongo threads)",
        "unit": "operations/s",
        "ours": round(median["ours"], 1),
        "peer": round(median["peer"], 1),
        "ratio": round(median["ours"] / median["peer"], 3),
    }


def _measure_on(connection: Connection, rounds: int, seconds: float) -> list[dict[str, Any]]:
    handle = open_client(connection, Settings(), application_name="throughput-setup", recorder=None)
    run_coroutine(handle[DATABASE]["rows"].insert_many([{"_id": number, "n": 0} for number in range(CLIENTS)]))
    handle.close_now()
    with tempfile.TemporaryDirectory() as directory:
        journal = JournalWriter(Path(directory) / "journal.jsonl")
        try:
            return [_measure_figure(connection, journal, figure, rounds, seconds) for figure in FIGURES]
        finally:
            journal.detach()


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return the medians of ``rounds`` interleaved rounds of ``seconds`` each, on one three-member set."""

    async def on_a_set() -> list[dict[str, Any]]:
        backend = LocalBackend(mongod=find_mongod(None), members=3)
        try:
            await backend.start()
            connection = backend.connection(0)
            return await trio.to_thread.run_sync(_measure_on, connection, rounds, seconds)
        finally:
            await backend.stop()

    return trio.run(on_a_set)
