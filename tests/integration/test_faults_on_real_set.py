"""Every fault on a real replica set under load: each shows its effect, and their mutants show none."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
import trio
from fault_strikes import Mutant

from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod
from harness.clock import RunClock
from harness.errors import HarnessError
from harness.facts import Effect
from harness.faults.catalogue import FAULTS, parse_faults
from harness.faults.nemesis import run_nemesis
from harness.faults.schedule import Strike
from harness.history import build_history
from harness.interfaces.fault import Fault, FaultContext

pytestmark = [pytest.mark.mongod, pytest.mark.slow, pytest.mark.timeout(300)]

APPLICATION = "strikes"
GROUPS = ("clients-1", "clients-2")
FAILPOINTS = (
    "failpoint:update:NotWritablePrimary",
    "failpoint:update:close",
    "failpoint:update:write-concern:64",
    "failpoint:update:lost-reply",
)
NAMES = (*(name for name in FAULTS if name != "crash-client"), *FAILPOINTS)
HEALTHY_TIMEOUT_S = 30.0
AT_A_TIME = 9
"""Mutants that strike together: more observers than that hide what they look for."""


def mongod() -> Any:
    """Return the server to test with; where there is none, CI fails and a user's machine skips."""
    try:
        return find_mongod()
    except HarnessError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(error.message)


@contextlib.contextmanager
def load(backend: LocalBackend) -> Iterator[None]:
    """Keep two clients of the first group writing, whatever errors they meet."""
    connection = backend.connection(0)
    stop = threading.Event()

    def write(w: int | str) -> None:
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(
            list(connection.seeds),
            replicaSet=connection.replica_set,
            appname=APPLICATION,
            heartbeatFrequencyMS=500,
            serverSelectionTimeoutMS=500,
            connectTimeoutMS=1000,
            socketTimeoutMS=1500,
        )
        counters = client["strikes"].get_collection("counters", write_concern=pymongo.WriteConcern(w, wtimeout=1000))
        with client:
            while not stop.is_set():
                with contextlib.suppress(pymongo.errors.PyMongoError):
                    counters.update_one({"_id": str(w)}, {"$inc": {"n": 1}}, upsert=True)
                time.sleep(0.005)

    threads = [threading.Thread(target=write, args=(w,)) for w in (1, "majority")]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def context_of(backend: LocalBackend, seed: int) -> FaultContext:
    """Return the context of a strike on the real set."""
    return FaultContext(
        backend=backend,
        random=random.Random(seed),
        now_ns=time.monotonic_ns,
        groups=GROUPS,
        application_name=APPLICATION,
    )


async def strike(fault: Fault, context: FaultContext, hold_s: float | None = None) -> Effect | None:
    """Carry out one strike; end it as soon as an effect is seen, unless ``hold_s`` is given. Heal in any case."""
    injection = await fault.aim(context)
    effect = None
    try:
        await fault.inject(context, injection)
        with trio.move_on_after(fault.hold_s if hold_s is None else hold_s):
            while effect is None:
                effect = await fault.observe(context, injection)
                await trio.sleep(0.1)
    finally:
        with trio.CancelScope(shield=True):
            late = await heal(fault, context, injection)
    return effect or late


async def heal(fault: Fault, context: FaultContext, injection: Any) -> Effect | None:
    """Heal as the nemesis does: again where a member does not answer yet."""
    while True:
        try:
            return await fault.heal(context, injection)
        except HarnessError:
            await trio.sleep(0.2)


async def on_a_set(network: str, work: Any) -> Any:
    """Do ``work(backend)`` on a set of three under load."""
    backend = LocalBackend(mongod=mongod(), members=3, network=network, groups=GROUPS)
    await backend.start()
    try:
        if backend.links.name != network:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("; ".join(backend.notes))
        await backend.register_group(GROUPS[0], os.getpid())
        with load(backend):
            return await work(backend)
    finally:
        with trio.CancelScope(shield=True):
            await backend.stop()


@pytest.mark.parametrize("network", ["builtin", pytest.param("toxiproxy", marks=pytest.mark.toxiproxy)])
def test_every_fault_takes_effect_on_a_real_set(network: str) -> None:
    """Each fault's effect is seen within its strike, and the set is healthy again after it."""
    table: dict[str, str] = {}
    faults = [(name, *parse_faults(name)) for name in NAMES]
    if network == "toxiproxy":
        faults = [(name, fault) for name, fault in faults if "links" in fault.needs]

    async def work(backend: LocalBackend) -> None:
        for number, (name, fault) in enumerate(faults):
            await backend.wait_healthy(HEALTHY_TIMEOUT_S)
            started = time.monotonic()
            effect = await strike(fault, context_of(backend, number))
            struck_s = time.monotonic() - started
            await backend.wait_healthy(HEALTHY_TIMEOUT_S)
            recovered_s = time.monotonic() - started - struck_s
            seen = f"{effect.observer}: {effect.description}" if effect else ""
            table[name] = seen
            print(f"{name:36} {struck_s:4.1f} s + {recovered_s:4.1f} s  {seen or 'NO EFFECT'}", flush=True)

    trio.run(on_a_set, network, work)
    assert [name for name, seen in table.items() if not seen] == []


def test_mutants_that_inject_nothing_show_no_effect_on_a_real_set() -> None:
    """Injectors that touch nothing, some at a time: a healthy set under load shows none of their faults."""

    async def work(backend: LocalBackend) -> dict[str, Effect | None]:
        found: dict[str, Effect | None] = {}

        async def one(name: str, number: int) -> None:
            (fault,) = parse_faults(name)
            found[name] = await strike(Mutant(fault), context_of(backend, number), hold_s=3.0)

        await backend.wait_healthy(HEALTHY_TIMEOUT_S)
        for start in range(0, len(NAMES), AT_A_TIME):
            async with trio.open_nursery() as nursery:
                for number, name in enumerate(NAMES[start : start + AT_A_TIME]):
                    nursery.start_soon(one, name, number)
        return found

    found = trio.run(on_a_set, "builtin", work)
    assert len(found) == len(NAMES)
    assert {name: effect.description for name, effect in found.items() if effect} == {}


def test_a_nemesis_that_is_cancelled_leaves_a_healthy_set() -> None:
    """Several faults at once, stopped in the middle: everything is healed, on record, and no failpoint is on."""
    faults = parse_faults("failpoint:update:91+latency+lag+partition-primary+pause-primary")
    events: list[Any] = []

    async def work(backend: LocalBackend) -> None:
        await backend.wait_healthy(HEALTHY_TIMEOUT_S)
        strikes = [
            Strike(fault=fault, index=0, at_s=0.3 * number, hold_s=fault.hold_s) for number, fault in enumerate(faults)
        ]
        with trio.move_on_after(3.0):
            await run_nemesis(
                strikes,
                lambda fault: context_of(backend, len(fault.name)),
                events.append,
                RunClock.start(),
                lambda _: None,
            )
        await backend.wait_healthy(HEALTHY_TIMEOUT_S)
        for member in backend.members:
            for failpoint in ("failCommand", "stopReplProducer"):
                reply = await backend.admin(member, {"getParameter": 1, f"failpoint.{failpoint}": 1})
                assert reply[f"failpoint.{failpoint}"]["mode"] == 0

    trio.run(on_a_set, "builtin", work)
    windows = build_history(events).fault_windows
    assert len(windows) == len(faults)
    assert all(window.end_ns is not None and not window.error for window in windows)
