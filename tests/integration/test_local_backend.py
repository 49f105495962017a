"""A replica set of real mongod processes: ready, observed, struck, healed, drained and ended without a trace."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pymongo
import pytest
import trio
from components import mongod_or_skip
from local_sets import DirectNetwork, is_alive, open_direct
from pymongo.errors import PyMongoError

from harness.backends.local import backend as backend_module
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import Mongod
from harness.backends.local.directories import processes_of
from harness.backends.local.wire import CommandFailedError
from harness.errors import BackendError
from harness.interfaces.backend import Connection

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

HEALTHY_TIMEOUT_S = 30.0
FAILOVER_TIMEOUT_S = 5.0
GONE_TIMEOUT_S = 5.0
"""Two seconds are what a user may expect; a machine that runs other tests beside gets more."""


@pytest.fixture(scope="module")
def mongod() -> Mongod:
    """Find the mongod of this machine."""
    return mongod_or_skip()


@pytest.fixture(scope="module")
def shared(mongod, tmp_path_factory) -> Iterator[LocalBackend]:
    """Start one set without proxies for the tests of this module; each test heals what it strikes."""
    backend = LocalBackend(mongod=mongod, directory=tmp_path_factory.mktemp("sets"), open_network=open_direct)
    trio.run(backend.start)
    yield backend
    trio.run(backend.stop)


@pytest.fixture
def backend(shared: LocalBackend) -> LocalBackend:
    """Wait until the shared set is healthy."""
    trio.run(shared.wait_healthy, HEALTHY_TIMEOUT_S)
    return shared


def open_client(connection: Connection, **options) -> pymongo.MongoClient:
    """Open a client as the connection says."""
    return pymongo.MongoClient(
        list(connection.seeds),
        replicaSet=connection.replica_set,
        directConnection=connection.direct,
        serverSelectionTimeoutMS=5000,
        heartbeatFrequencyMS=500,
        **options,
    )


async def wait_for_primary(backend: LocalBackend, *, other_than: str) -> str:
    """Return the next primary."""
    while True:
        for state in await backend.observe():
            if state.role == "PRIMARY" and state.member != other_than:
                return state.member
        await trio.sleep(0.02)


async def primary_of(backend: LocalBackend) -> str:
    """Return the member that is primary now."""
    return await wait_for_primary(backend, other_than="")


def test_a_started_set_takes_majority_writes_and_tells_what_runs(backend, mongod):
    """After start clients write at majority, every member reports a whole state, and versions and logs are there."""
    with open_client(backend.connection(0)) as client:
        collection = client.get_database("started", write_concern=pymongo.WriteConcern("majority")).documents
        assert collection.insert_one({"_id": 1}).acknowledged
    states = trio.run(backend.observe)
    assert [state.member for state in states] == ["m1", "m2", "m3"]
    assert sorted(state.role for state in states) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert all(state.heard_from == ("m1", "m2", "m3") and state.rollback_id and state.applied for state in states)
    assert all(state.process_id and is_alive(state.process_id) for state in states)
    assert backend.versions() == {"mongod": mongod.version}
    assert len(backend.log_tail("m2", 5)) == 5
    assert backend.notes == ("no links in this test",)


def test_the_observers_connection_leads_to_the_primary(backend):
    """Setup and final reads reach the primary itself, also after a failover, and discover nothing over links."""
    connection = backend.observer_connection()
    with open_client(connection) as client:
        assert client.admin.command("hello")["isWritablePrimary"]
    assert connection.direct
    assert connection.members[connection.seeds[0]] == trio.run(primary_of, backend)


def test_a_killed_primary_is_replaced_and_comes_back(backend):
    """Within five seconds of kill -9 another member is primary; restarted, the old one makes the set healthy again."""

    async def main():
        network = backend._network
        assert isinstance(network, DirectNetwork)
        old = await primary_of(backend)
        before = {state.member: state.process_id for state in await backend.observe()}
        await backend.kill(old)
        assert not is_alive(before[old])
        with trio.fail_after(FAILOVER_TIMEOUT_S):
            await wait_for_primary(backend, other_than=old)
        await backend.restart(old)
        after = {state.member: state.process_id for state in await backend.observe()}
        assert after[old] not in (None, before[old])
        assert network.registered[-1] == (old, after[old])
        await backend.restart(old)
        assert {state.member: state.process_id for state in await backend.observe()} == after
        await backend.wait_healthy(HEALTHY_TIMEOUT_S)

    trio.run(main)


def test_dead_and_paused_members_do_not_hold_up_an_observation(backend):
    """With one member dead and one paused an observation takes half a second and says which answered."""

    async def main():
        primary = await primary_of(backend)
        dead, paused = (member for member in backend.members if member != primary)
        await backend.kill(dead)
        await backend.pause(paused)
        began = time.monotonic()
        states = {state.member: state for state in await backend.observe()}
        took_s = time.monotonic() - began
        await backend.resume(paused)
        await backend.restart(dead)
        assert took_s < 1
        assert {member: state.reachable for member, state in states.items()} == {
            primary: True,
            dead: False,
            paused: False,
        }
        assert states[dead].process_id is None
        assert states[paused].process_id is not None
        await backend.wait_healthy(HEALTHY_TIMEOUT_S)

    trio.run(main)


def test_a_set_that_cannot_be_healthy_says_what_is_missing(backend):
    """wait_healthy ends in time and names the member that is missing."""

    async def main():
        await backend.kill("m2")
        try:
            with pytest.raises(BackendError, match="no answer from m2"):
                await backend.wait_healthy(0.3)
        finally:
            await backend.restart("m2")

    trio.run(main)


def test_a_primary_steps_down_when_told(backend):
    """A step-down through admin moves the primary; a refused command carries the server's code."""

    async def main():
        old = await primary_of(backend)
        await backend.admin(old, {"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 2})
        with trio.fail_after(FAILOVER_TIMEOUT_S):
            await wait_for_primary(backend, other_than=old)
        with pytest.raises(CommandFailedError, match=f"{old} refused nonsense") as caught:
            await backend.admin(old, {"nonsense": 1})
        assert caught.value.code == 59
        await backend.admin(old, {"replSetFreeze": 0})

    trio.run(main)


def test_draining_ends_an_operation_that_is_under_way(backend):
    """A client blocked inside the server for half a minute gets an error, and is gone when the drain returns."""
    errors: list[BaseException] = []

    def read_blocked() -> None:
        with open_client(backend.connection(0), appname="run-7-clients", retryReads=False) as client:
            try:
                list(client.drained.documents.find({"$where": "sleep(30000) || true"}))
            except PyMongoError as error:
                errors.append(error)

    async def main() -> None:
        primary = await primary_of(backend)
        running = {"currentOp": 1, "active": True, "ns": "drained.documents", "appName": "run-7-clients"}
        while not (await backend.admin(primary, running))["inprog"]:
            await trio.sleep(0.02)
        await backend.drain("run-7", 10)
        assert not (await backend.admin(primary, {**running, "active": {"$exists": True}}))["inprog"]

    with open_client(backend.connection(0), appname="another") as client:
        client.drained.documents.replace_one({}, {"one": 1}, upsert=True)
    thread = threading.Thread(target=read_blocked)
    thread.start()
    trio.run(main)
    thread.join(10)
    assert len(errors) == 1


def test_draining_ends_transactions_and_waits_for_connections(backend):
    """An open transaction is ended, so that others can write; but while its client is open the drain is not done."""
    with open_client(backend.connection(0), appname="another") as other:
        other.drained.counters.replace_one({"_id": 1}, {"n": 0}, upsert=True)
        with open_client(backend.connection(0), appname="run-7-clients") as client, client.start_session() as session:
            session.start_transaction()
            client.drained.counters.update_one({"_id": 1}, {"$set": {"n": 1}}, session=session)
            with pytest.raises(BackendError, match="run-7-clients"):
                trio.run(backend.drain, "run-7", 0.5)
            other.drained.counters.update_one({"_id": 1}, {"$inc": {"n": 10}})
        trio.run(backend.drain, "run-7", 10)
        assert other.drained.counters.find_one() == {"_id": 1, "n": 10}


def test_draining_passes_over_the_dead_and_never_hangs_on_the_paused(backend):
    """A dead member holds nothing; a paused one cannot be asked, which is an error in time and not a hang."""

    async def main():
        primary = await primary_of(backend)
        dead, paused = (member for member in backend.members if member != primary)
        await backend.kill(dead)
        try:
            await backend.drain("run-8", 5)
            await backend.pause(paused)
            with trio.fail_after(3), pytest.raises(BackendError, match=f"draining {paused}"):
                await backend.drain("run-8", 0.5)
        finally:
            await backend.resume(paused)
            await backend.restart(dead)

    trio.run(main)


def test_a_database_is_dropped_after_a_failover(backend):
    """A run's database goes even when the primary has just changed."""

    async def main():
        await backend.admin(await primary_of(backend), {"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 2})
        await backend.drop_database("dropped")

    with open_client(backend.connection(0)) as client:
        client.get_database("dropped", write_concern=pymongo.WriteConcern("majority")).documents.insert_one({})
        trio.run(main)
        assert "dropped" not in client.list_database_names()


def test_five_members_start_and_stop_without_a_trace(mongod, tmp_path):
    """Five members with another journal default come up; stopping twice leaves no process, no file and no set."""
    backend = LocalBackend(
        mongod=mongod, members=5, journal_default=False, directory=tmp_path, open_network=open_direct
    )

    async def main():
        await backend.start()
        await backend.wait_healthy(HEALTHY_TIMEOUT_S)
        reply = await backend.admin("m5", {"replSetGetConfig": 1})
        assert reply["config"]["writeConcernMajorityJournalDefault"] is False
        with pytest.raises(BackendError, match="running already"):
            await backend.start()
        processes = [state.process_id for state in await backend.observe()]
        network = backend._network
        assert isinstance(network, DirectNetwork)
        await backend.stop()
        await backend.stop()
        assert network.closed == 1
        return processes

    processes = trio.run(main)
    assert len(processes) == 5
    assert not any(is_alive(process_id) for process_id in processes)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BackendError, match="not running"):
        trio.run(backend.kill, "m1")


OWNER = """
import signal, sys, trio
from pathlib import Path
from local_sets import open_direct
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod

async def main():
    backend = LocalBackend(mongod=find_mongod(), directory=Path(sys.argv[1]), open_network=open_direct)
    await backend.start()
    await backend.pause("m3")
    print(*(state.process_id for state in await backend.observe()), flush=True)
    await trio.sleep_forever()

# A shell that starts jobs in the background lets them ignore it, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
trio.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_member_outlives_its_owner(mongod, tmp_path, number):
    """Whichever signal ends the harness, kill -9 included: members and directory are gone soon after."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "MONGOD": str(mongod.path)}
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as owner:
        assert owner.stdout is not None
        try:
            processes = [int(text) for text in owner.stdout.readline().split()]
            assert len(processes) == 3
            assert all(map(is_alive, processes))
            owner.send_signal(number)
            owner.wait(GONE_TIMEOUT_S)
        finally:
            owner.kill()
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while (any(map(is_alive, processes)) or list(tmp_path.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, processes))
    assert list(tmp_path.iterdir()) == []


def test_a_mongod_that_refuses_its_options_is_told_with_its_own_words(mongod, tmp_path):
    """What a real server says at its death reaches the reader."""
    wrapper = tmp_path / "mongod"
    wrapper.write_text(f'#!/bin/sh\nexec "{mongod.path}" "$@" --setParameter nonsense=1\n')
    wrapper.chmod(0o755)
    faulty = Mongod(path=wrapper, version=mongod.version, source="a test")
    backend = LocalBackend(mongod=faulty, directory=tmp_path / "base", open_network=open_direct)
    with pytest.raises(BackendError, match="nonsense"):
        trio.run(backend.start)
    assert processes_of(tmp_path) == []


def test_a_port_that_another_set_listens_on_is_replaced(backend, mongod, tmp_path, monkeypatch):
    """A port that was taken after it was drawn costs a second try; the server that listens there is left alone."""
    draw = backend_module.free_ports
    taken = int(backend.observer_connection().seeds[0].partition(":")[2])
    draws = iter([(taken,), draw(1)])
    monkeypatch.setattr(backend_module, "free_ports", lambda _count: next(draws))
    second = LocalBackend(mongod=mongod, members=1, directory=tmp_path, open_network=open_direct)

    async def main():
        await second.start()
        await second.stop()
        await backend.wait_healthy(HEALTHY_TIMEOUT_S)

    trio.run(main)
    assert next(draws, None) is None


def test_clients_and_observers_reach_a_set_behind_links(mongod, tmp_path):
    """With the built-in links clients write through them, and the observer's connection does not touch them."""
    backend = LocalBackend(mongod=mongod, directory=tmp_path)

    async def main():
        try:
            await backend.start()
            await backend.wait_healthy(HEALTHY_TIMEOUT_S)
            await trio.to_thread.run_sync(write_and_read)
        finally:
            await backend.stop()

    def write_and_read() -> None:
        through_links, direct = backend.connection(0), backend.observer_connection()
        assert not set(through_links.seeds) & set(direct.seeds)
        with open_client(through_links) as client:
            client.get_database("linked", write_concern=pymongo.WriteConcern("majority")).documents.insert_one(
                {"_id": 1}
            )
            assert {f"{host}:{port}" for host, port in client.nodes} <= set(through_links.members)
        with open_client(direct) as client:
            assert client.linked.documents.find_one() == {"_id": 1}

    trio.run(main)
    assert list(tmp_path.iterdir()) == []
