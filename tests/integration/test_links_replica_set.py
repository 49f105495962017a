"""Partitions of a real replica set, over both kinds of links: who is cut off, who is not, and what is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
from components import missing

from harness.backends.links.tether import python_environment
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod
from harness.errors import BackendError
from harness.interfaces.backend import Connection
from harness.interfaces.link import Link, Toxic

pytestmark = [
    pytest.mark.mongod,
    pytest.mark.slow,
    pytest.mark.parametrize("network", ["builtin", pytest.param("toxiproxy", marks=pytest.mark.toxiproxy)]),
]

REPLACED_S = 3.0
"""A cut primary has a successor within this: the election timeout is 1 s."""

CLIENT_PROGRAM = r"""
import json, sys
import pymongo, pymongo.errors
from harness.backends.driver.resolver import resolver
names = json.loads(sys.argv[1])
resolver.install(names)
client = pymongo.MongoClient(sys.argv[2].split(","), replicaSet=sys.argv[3], serverSelectionTimeoutMS=300,
    connectTimeoutMS=300, socketTimeoutMS=1000, heartbeatFrequencyMS=500, retryWrites=False, w=1)
for line in sys.stdin:
    request = json.loads(line)
    try:
        if request["do"] == "insert":
            client.test.things.insert_one({"_id": request["id"]})
            answer = {"ok": True}
        else:
            answer = {"ok": True, "server": "%s:%d" % client.primary if client.primary else None,
                      "ids": [d["_id"] for d in client.test.things.find()]}
    except pymongo.errors.PyMongoError as error:
        answer = {"ok": False, "error": type(error).__name__}
    print(json.dumps(answer), flush=True)
"""


class Client:
    """A client group: a process of its own with a PyMongo client in it."""

    def __init__(self, connection: Connection) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, "-c", CLIENT_PROGRAM,
                json.dumps(dict(connection.resolve)), ",".join(connection.seeds), connection.replica_set,
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=python_environment(),
        )  # fmt: skip
        self.process_id = self._process.pid

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def insert(self, identifier: str) -> bool:
        return bool(self.ask("insert", id=identifier)["ok"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def on_replica_set(network: Any, groups: tuple[str, ...], body: Callable[[LocalBackend], Awaitable[None]]) -> None:
    """Run ``body`` on a fresh set of three; skip where this machine cannot have it."""

    async def main() -> None:
        try:
            mongod = find_mongod()
        except BackendError as error:
            missing(error.message)
        backend = LocalBackend(mongod=mongod, network=network, groups=groups)
        with trio.fail_after(100):
            await backend.start()
            try:
                if backend.links.name != network:
                    missing(backend.notes[0])
                await body(backend)
            finally:
                await backend.stop()

    trio.run(main)


@asynccontextmanager
async def client_groups(backend: LocalBackend, groups: tuple[str, ...]) -> AsyncIterator[list[Client]]:
    """Start the processes of the client groups, and register them."""
    with _clients(backend, groups) as clients:
        for group, client in zip(groups, clients, strict=True):
            await backend.register_group(group, client.process_id)
        yield clients


@contextmanager
def _clients(backend: LocalBackend, groups: tuple[str, ...]) -> Iterator[list[Client]]:
    clients = [Client(backend.connection(number)) for number in range(len(groups))]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


async def primary_of(backend: LocalBackend, *, among: tuple[str, ...], timeout_s: float) -> str | None:
    """Return the first of ``among`` that calls itself primary within the time."""
    with trio.move_on_after(timeout_s):
        while True:
            for state in await backend.observe():
                if state.role == "PRIMARY" and state.member in among:
                    return state.member
            await trio.sleep(0.02)
    return None


async def rollback_id(backend: LocalBackend, member: str) -> int:
    """Return how often the member has rolled back, as it counts."""
    while True:
        try:
            return int((await backend.admin(member, {"replSetGetRBID": 1}))["rbid"])
        except BackendError:
            # A member that begins to roll back closes its connections.
            await trio.sleep(0.05)


async def wait_rolled_back(backend: LocalBackend, member: str, before: int) -> None:
    """Wait until the member has rolled back, and the set is whole again."""
    with trio.fail_after(30):
        while await rollback_id(backend, member) == before:
            await trio.sleep(0.05)
    await backend.wait_healthy(30)


def between(one: str, others: tuple[str, ...]) -> list[Link]:
    """Return the links of a member with others, both ways."""
    return [link for other in others for link in (Link(one, other), Link(other, one))]


async def start_point(backend: LocalBackend, *clients: Client) -> tuple[str, tuple[str, ...]]:
    """Return the primary and the others of a healthy set, once what every client has written is with a majority."""
    old = await primary_of(backend, among=backend.members, timeout_s=10)
    assert old is not None
    with trio.fail_after(15):
        for number, client in enumerate(clients):
            while not client.insert(f"before-{number}"):
                await trio.sleep(0.05)
    # A majority write comes after the clients' own, which are acknowledged by the primary alone.
    await backend.wait_healthy(15)
    return old, tuple(member for member in backend.members if member != old)


def test_a_member_cut_from_the_others_keeps_its_clients(network: str) -> None:
    """The cut primary goes on acknowledging w:1 for a while, is replaced within 3 s, and rolls back after healing."""
    groups = ("clients",)

    async def body(backend: LocalBackend) -> None:
        async with client_groups(backend, groups) as (client,):
            old, others = await start_point(backend, client)
            before = await rollback_id(backend, old)
            await backend.links.cut(between(old, others))
            cut_s = time.monotonic()
            assert client.insert("lost")
            new = await primary_of(backend, among=others, timeout_s=REPLACED_S)
            took_s = time.monotonic() - cut_s
            assert new is not None, f"no new primary within {took_s:.1f} s"
            with trio.fail_after(10):
                while not client.insert(f"kept-{time.monotonic_ns()}"):
                    await trio.sleep(0.05)
            await backend.links.heal_all()
            await wait_rolled_back(backend, old, before)
            ids = client.ask("find")["ids"]
            assert "before-0" in ids
            assert "lost" not in ids
            assert any(identifier.startswith("kept") for identifier in ids)
            if backend.links.counts:
                assert (await backend.links.counters(Link(others[0], old))).refused > 0

    on_replica_set(network, groups, body)


def test_one_client_group_on_each_side(network: str) -> None:
    """Only the group on the stale primary's side writes to it; the other follows the new one; both agree later."""
    groups = ("clients-1", "clients-2")

    async def body(backend: LocalBackend) -> None:
        async with client_groups(backend, groups) as (minority, majority):
            old, others = await start_point(backend, minority, majority)
            before = await rollback_id(backend, old)
            split = [Link("clients-2", old), *(Link("clients-1", other) for other in others)]
            await backend.links.cut([*between(old, others), *split])
            assert minority.insert("stale"), "the stale primary's own clients must reach it"
            assert await primary_of(backend, among=others, timeout_s=REPLACED_S) is not None
            with trio.fail_after(10):
                while not majority.insert("fresh"):
                    await trio.sleep(0.05)
            assert majority.ask("find")["ids"].count("stale") == 0
            assert not minority.insert("too late"), "without a majority the stale primary has stepped down by now"
            await backend.links.heal_all()
            await wait_rolled_back(backend, old, before)
            with trio.fail_after(10):
                while "fresh" not in minority.ask("find").get("ids", ()):
                    await trio.sleep(0.05)
            assert "stale" not in minority.ask("find")["ids"]

    on_replica_set(network, groups, body)


def test_a_member_comes_back_after_kill_9_under_its_own_links(network: str) -> None:
    """The restarted process has a new id; its links still carry it, and still cut it off."""
    groups = ("clients",)

    async def body(backend: LocalBackend) -> None:
        old = await primary_of(backend, among=backend.members, timeout_s=10)
        assert old is not None
        others = tuple(member for member in backend.members if member != old)
        await backend.kill(old)
        assert await primary_of(backend, among=others, timeout_s=10) is not None
        await backend.restart(old)
        await backend.wait_healthy(30)
        await backend.links.cut(between(old, others))
        with trio.fail_after(15):
            while any(old in state.heard_from for state in await backend.observe() if state.member in others):
                await trio.sleep(0.05)

    on_replica_set(network, groups, body)


def test_a_black_hole_in_one_direction_replaces_the_primary_too(network: str) -> None:
    """Where the primary's answers vanish and connections stay open, the others elect one of themselves."""
    groups = ("clients",)

    async def body(backend: LocalBackend) -> None:
        old = await primary_of(backend, among=backend.members, timeout_s=10)
        assert old is not None
        others = tuple(member for member in backend.members if member != old)
        silent = Toxic(kind="timeout", direction="downstream", attributes={"timeout": 0})
        lost = Toxic(kind="timeout", direction="upstream", attributes={"timeout": 0})
        await backend.links.add_toxic([Link(other, old) for other in others], silent)
        await backend.links.add_toxic([Link(old, other) for other in others], lost)
        assert await primary_of(backend, among=others, timeout_s=10) is not None
        await backend.links.heal_all()
        await backend.wait_healthy(30)

    on_replica_set(network, groups, body)
