"""Operations per second through the links, against a direct connection and against Toxiproxy, on one replica set.

Five plain PyMongo threads work on the primary: over its real address, over its built-in link (whose process carries
the set's replication at the same time), and over a Toxiproxy in front of the same server. A round ends when all members
have what it wrote, so that updates at w:1 pay for their replication. Target: built-in at least 0.9 of direct.

Not shown: bursts of a quarter second at w:1, without that wait, reach 0.80 to 0.88 of direct through the built-in
links, and 0.65 to 0.70 through Toxiproxy.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio
from pymongo import MongoClient, WriteConcern

from harness.backends.links import open_network
from harness.backends.links.toxiproxy import ToxiproxyNetwork
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod
from harness.interfaces.link import Link

THREADS = 5
DOCUMENTS = 100
MEMBERS = 3
WARM_UP_S = 0.5

Work = Callable[[Any, int], object]


def _read(collection: Any, key: int) -> object:
    return collection.find_one({"_id": key})


def _update(collection: Any, key: int) -> object:
    return collection.update_one({"_id": key}, {"$inc": {"n": 1}})


LOADS: tuple[tuple[str, Work, int | str], ...] = (
    ("reads", _read, 1),
    ("updates w:1", _update, 1),
    ("updates w:majority", _update, "majority"),
)


class Way:
    """Five threads' client at one address."""

    def __init__(self, address: str, acknowledged_by: int | str) -> None:
        self._client: MongoClient[Any] = MongoClient(f"mongodb://{address}/?directConnection=true")
        concern = WriteConcern(acknowledged_by)
        self._collection = self._client.bench.things.with_options(write_concern=concern)
        self._replicated = self._client.bench.ends.with_options(write_concern=WriteConcern(MEMBERS))
        self.operations = 0
        self.took_s = 0.0

    def work(self, work: Work, seconds: float) -> None:
        """Let the threads work, and add up what they manage."""
        counts = [0] * THREADS
        began = time.monotonic()

        def run(number: int) -> None:
            turn = number
            while time.monotonic() < began + seconds:
                work(self._collection, turn % DOCUMENTS)
                turn += 7
                counts[number] += 1

        threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # What w:1 left to be replicated is this way's own work: it must not be done in the next one's time.
        self._replicated.insert_one({})
        self.operations += sum(counts)
        self.took_s += time.monotonic() - began

    def rate(self) -> float:
        """Return the operations per second since the last call."""
        rate = self.operations / self.took_s
        self.operations, self.took_s = 0, 0.0
        return rate

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return the figures of ``rounds`` interleaved rounds of ``seconds`` each: medians, and the median ratio."""
    return trio.run(_measure, rounds, seconds)


async def _measure(rounds: int, seconds: float) -> list[dict[str, Any]]:
    backend = LocalBackend(mongod=find_mongod())
    await backend.start()
    try:
        await backend.wait_healthy(30)
        direct = backend.observer_connection()
        primary = direct.members[direct.seeds[0]]
        advertised = {name: address for address, name in backend.connection(0).members.items()}
        addresses = {"direct": direct.seeds[0], "built-in links": advertised[primary]}
        with tempfile.TemporaryDirectory() as directory:
            port = int(direct.seeds[0].rpartition(":")[2])
            network = await open_network(
                "toxiproxy", ports={"m1": port}, groups=("clients",), directory=Path(directory)
            )
            try:
                if isinstance(network, ToxiproxyNetwork):
                    host, listening = network.address(Link("clients", "m1"))
                    addresses["Toxiproxy"] = f"{host}:{listening}"
                _fill(addresses["direct"])
                return [row for load in LOADS for row in _rows(load, addresses, rounds, seconds)]
            finally:
                await network.close()
    finally:
        await backend.stop()


def _fill(address: str) -> None:
    client: MongoClient[Any] = MongoClient(f"mongodb://{address}/?directConnection=true")
    client.bench.things.insert_many([{"_id": number, "n": 0} for number in range(DOCUMENTS)])
    client.close()


def _rows(
    load: tuple[str, Work, int | str], addresses: Mapping[str, str], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    name, work, acknowledged_by = load
    ways = {way: Way(address, acknowledged_by) for way, address in addresses.items()}
    seen: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways.values():
        way.work(work, WARM_UP_S)
        way.rate()
    turns = [list(order) for order in itertools.permutations(ways.values())]
    for number in range(rounds):
        # Whole rounds: a burst at w:1 outruns its replication and leaves the work for whoever comes next. Every order
        # in turn, so that who comes after whom does not matter.
        for way in turns[number % len(turns)]:
            way.work(work, seconds)
        for name_of_way, way in ways.items():
            seen[name_of_way].append(way.rate())
    for way in ways.values():
        way.close()
    pairs = [("built-in links", "direct"), ("Toxiproxy", "direct"), ("built-in links", "Toxiproxy")]
    return [
        {
            "name": f"{name}, {ours} / {peer}",
            "unit": "operations/s",
            "ours": statistics.median(seen[ours]),
            "peer": statistics.median(seen[peer]),
            "ratio": statistics.median(a / b for a, b in zip(seen[ours], seen[peer], strict=True)),
        }
        for ours, peer in pairs
        if ours in seen and peer in seen
    ]
