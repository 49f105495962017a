"""What speaks the pattern API: the driver model on the simulator, PyMongo on the wire front, PyMongo on mongod."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import probe_concerns
import probe_crud
import probe_streams
import probe_transactions
from components import mongod_or_skip
from probe_registry import PROBES, disarm, outcome
from pymongo import AsyncMongoClient, MongoClient

from harness.settings import Settings
from harness.sim.driver.connect import open_client
from harness.sim.kernel import Kernel
from harness.sim.server.commands.dispatch import Dispatcher
from harness.sim.server.configuration import Configuration
from harness.sim.server.network import Network
from harness.sim.server.replica_set import ReplicaSet

PROBE_MODULES = (probe_crud, probe_concerns, probe_streams, probe_transactions)
START_TIMEOUT_S = 60.0
START_US = 1_790_000_000_000_000
PROBE_TIMEOUT_S = 40.0


def on_simulator(name: str) -> Any:
    """Run a probe through the driver model on a simulated set of its own; return its outcome."""
    kernel = Kernel(start_us=START_US)
    replica_set = ReplicaSet(kernel, Configuration())
    network = Network(replica_set, Dispatcher(replica_set))
    client = open_client(network, kernel, Settings(), group="clients", random=random.Random(1))
    task = kernel.spawn("client 1", outcome(PROBES[name], client[database_name(name)], client))
    try:
        kernel.run()
    finally:
        kernel.close()
    return task.result


def through_pymongo(connection_string: str, name: str) -> Any:
    """Run a probe through PyMongo on a database of its own; return its outcome."""
    return asyncio.run(_through_pymongo(connection_string, name))


async def _through_pymongo(connection_string: str, name: str) -> Any:
    options: dict[str, Any] = {"heartbeatFrequencyMS": 500, "serverSelectionTimeoutMS": 5000}
    async with AsyncMongoClient(connection_string, **options) as client:
        await client.drop_database(database_name(name))
        try:
            return await asyncio.wait_for(
                outcome(PROBES[name], client[database_name(name)], client), timeout=PROBE_TIMEOUT_S
            )
        finally:
            await disarm(client)


def database_name(probe: str) -> str:
    """Return the name of a probe's database, short enough for one."""
    return f"p_{probe[:50]}"


@contextlib.contextmanager
def harness_serve(*options: str) -> Iterator[ServedProcess]:
    """Run ``harness serve`` on free ports, as a user does, and end it with ctrl-C."""
    harness = Path(sys.executable).with_name("harness")
    process = subprocess.Popen(
        [str(harness), "serve", "--port", "0", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    served = ServedProcess(process)
    try:
        served.wait_ready()
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


class ServedProcess:
    """A running ``harness serve``: what it told, and the orders that it takes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.connection_string = ""

    def wait_ready(self) -> None:
        """Wait for the connection string."""
        assert self.process.stdout is not None
        self.connection_string = self.process.stdout.readline().strip()
        assert self.connection_string.startswith("mongodb://"), self.process.communicate()[1]
        assert self.process.stderr is not None
        while "ctrl-C" not in self.process.stderr.readline():
            pass

    @property
    def addresses(self) -> dict[str, str]:
        """Member to ``host:port``."""
        hosts = self.connection_string.removeprefix("mongodb://").partition("/")[0].split(",")
        return {f"m{number}": host for number, host in enumerate(hosts, start=1)}

    def order(self, line: str, lines: int = 1) -> str:
        """Type a line and return the answer, which has so many lines."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return "".join(self.process.stderr.readline() for _ in range(lines)).rstrip()

    def status(self) -> dict[str, str]:
        """Return what ``status`` tells, by member."""
        told = self.order("status", len(self.addresses)).splitlines()
        return {member: words for member, _, words in (line.partition("  ") for line in told)}

    def wait_for_primary(self, *, but: str = "", timeout_s: float = 10.0) -> str:
        """Wait until a member other than ``but`` is primary and return it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for member, words in self.status().items():
                if words.startswith("PRIMARY") and member != but:
                    return member
            time.sleep(0.05)
        raise AssertionError(f"no new primary: {self.status()}")


@contextlib.contextmanager
def mongod_set(directory: Path, members: int = 3) -> Iterator[str]:
    """Start a real set with test commands and yield its connection string. Skips where there is no mongod."""
    mongod = mongod_or_skip()
    ports = _free_ports(members)
    processes = []
    try:
        for port in ports:
            path = directory / str(port)
            path.mkdir()
            arguments = ["--dbpath", path, "--port", port, "--logpath", path / "log", "--replSet", "rs"]
            options = ["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]
            parameters = ["--setParameter", "enableTestCommands=1", "--networkMessageCompressors", "disabled"]
            command = [str(part) for part in (mongod.path, *arguments, *options, *parameters)]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        _initiate(ports)
        yield f"mongodb://{','.join(f'127.0.0.1:{port}' for port in ports)}/?replicaSet=rs"
    finally:
        for process in processes:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _initiate(ports: list[int]) -> None:
    members = [{"_id": number, "host": f"127.0.0.1:{port}"} for number, port in enumerate(ports)]
    settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}
    deadline = time.monotonic() + START_TIMEOUT_S
    for port in ports[1:]:
        # The set is refused while one of its members does not answer.
        other = f"127.0.0.1:{port}"
        with MongoClient[Any](
            other, directConnection=True, serverSelectionTimeoutMS=int(START_TIMEOUT_S * 1000)
        ) as one:
            one.admin.command("ping")
    address = f"127.0.0.1:{ports[0]}"
    with MongoClient[Any](address, directConnection=True, serverSelectionTimeoutMS=int(START_TIMEOUT_S * 1000)) as one:
        one.admin.command("replSetInitiate", {"_id": "rs", "members": members, "settings": settings})
    seeds = f"mongodb://{','.join(each['host'] for each in members)}/?replicaSet=rs"
    with MongoClient[Any](seeds, serverSelectionTimeoutMS=int(START_TIMEOUT_S * 1000)) as client:
        client.admin["ready"].insert_one({})
        while len(client.secondaries) < len(ports) - 1:
            assert time.monotonic() < deadline, "the members did not become secondaries"
            time.sleep(0.05)
