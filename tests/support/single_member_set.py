"""A replica set of one mongod for tests of the driver alone: started in a private directory, ended with the test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components import mongod_or_skip
from pymongo import MongoClient

from harness.interfaces.backend import Connection

MEMBER = "m1"
START_TIMEOUT_S = 60.0


@contextlib.contextmanager
def single_member_set(directory: Path) -> Iterator[Connection]:
    """Start the set, yield the way to it, and end it. Skips where there is no mongod, and fails instead under CI."""
    mongod = mongod_or_skip()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = directory / "mongod.log"
    arguments = ["--dbpath", directory, "--port", port, "--logpath", log, "--replSet", "rs", "--bind_ip", "127.0.0.1"]
    options = ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--setParameter", "enableTestCommands=1"]
    process = subprocess.Popen([str(part) for part in (mongod.path, *arguments, *options)], stdout=subprocess.DEVNULL)
    address = f"127.0.0.1:{port}"
    try:
        _initiate(address)
        yield Connection(group="clients", seeds=(address,), replica_set="rs", members={address: MEMBER})
    finally:
        process.kill()
        process.wait()


def _initiate(address: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with admin_client(address) as client:
        client.admin.command("replSetInitiate", {"_id": "rs", "members": [{"_id": 0, "host": address}]})
        while not client.admin.command("hello")["isWritablePrimary"]:
            assert time.monotonic() < deadline, "no primary was elected"
            time.sleep(0.02)


def admin_client(address: str) -> MongoClient[Any]:
    """Return a plain client of the one member, past every harness code."""
    return MongoClient(address, directConnection=True, serverSelectionTimeoutMS=int(START_TIMEOUT_S * 1000))
