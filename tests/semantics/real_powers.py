"""A script on mongod: the harness's own set with links, PyMongo under the pattern API, powers through the backend."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import trio
from components import missing, mongod_or_skip
from probe_registry import plain
from pymongo import client_session_shared
from semantic_registry import NO_ANSWER, RULES, primaries_of, primary_of

from harness.backends.driver import CancelFlag, ThreadEnv, open_client, run_coroutine
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import Mongod
from harness.backends.local.wire import CommandFailedError
from harness.errors import BackendError
from harness.faults.failpoints import turn_off, turn_on
from harness.interfaces.link import Link
from harness.settings import parse_settings

GROUP = "clients"
APPLICATION = "semantics"
HEALTHY_TIMEOUT_S = 60.0
ANSWER_S = 40.0
ENGAGE_TIMEOUT_MS = 5_000
LAG = "stopReplProducer"
YIELDS = "internalQueryExecYieldIterations"
LIFETIME = "transactionLifetimeLimitSeconds"
SHORT_LIFETIME_S = 2
HISTORY = "minSnapshotHistoryWindowInSeconds"
SHORT_HISTORY_S = 1
SHORT_WITH_TRANSACTION_S = 2
USUAL_WITH_TRANSACTION_S = client_session_shared._WITH_TRANSACTION_RETRY_TIME_LIMIT


FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
SCRIPT = """\
#!/bin/sh
[ "$1" = --dbpath ] || exec {mongod} "$@"
skew="${{0%/*}}/$(basename "$(dirname "$2")")"
[ -e "$skew" ] || exec {mongod} "$@"
export FAKETIME="$(cat "$skew")" FAKETIME_DONT_FAKE_MONOTONIC=1
LD_PRELOAD="${{LD_PRELOAD:+$LD_PRELOAD:}}"{library} exec {mongod} "$@"
"""
"""Its first arguments name the directory of a member's data, which lies in the member's own."""


class RealSet:
    """A running set, and the thread on which its backend lives."""

    def __init__(self, backend: LocalBackend, clocks: Path, token: Any) -> None:
        self.backend = backend
        self.clocks = clocks
        self._token = token

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Await a function of the backend there, and return what it returns."""
        return trio.from_thread.run(function, *arguments, trio_token=self._token)

    def run(self, name: str) -> Any:
        """Run a script and return its outcome; the set is healthy before and after."""
        self.do(self.backend.wait_healthy, HEALTHY_TIMEOUT_S)
        powers = RealPowers(self)
        client = powers.client("")
        database = client[f"s_{name}"[:60]]
        try:
            return plain(run_coroutine(RULES[name].script(database, client, powers)))
        finally:
            powers.close()


class RealPowers:
    """Powers over a real set. What has to be awaited on the backend's thread blocks this one."""

    def __init__(self, real: RealSet) -> None:
        self._real = real
        self._backend = real.backend
        self._paused: set[str] = set()
        self._killed: set[str] = set()
        self._lagged: set[str] = set()
        self._clients: list[Any] = []
        self._skewed: set[str] = set()
        self._preferred: set[str] = set()
        self._usual: dict[tuple[str, str], int] = {}
        self.env: Any = ThreadEnv(CancelFlag(), random.Random(1), 0, None)

    def client(self, settings: str) -> Any:
        connection = self._backend.connection(0)
        opened = open_client(connection, parse_settings(settings), application_name=APPLICATION, recorder=None)
        self._clients.append(opened)
        return opened

    async def roles(self) -> dict[str, str]:
        return {state.member: state.role for state in self._observe() if state.reachable}

    async def terms(self) -> dict[str, int]:
        return {state.member: state.term or 0 for state in self._observe() if state.reachable}

    async def primaries(self) -> list[tuple[str, int]]:
        return primaries_of(self._observe())

    async def sync_sources(self) -> dict[str, str]:
        return {state.member: state.sync_source for state in self._observe() if state.reachable}

    async def rollback_id(self, member: str) -> int | None:
        return next(state.rollback_id for state in self._observe() if state.member == member)

    def _observe(self) -> Any:
        return self._real.do(self._backend.observe)

    async def command(self, member: str, database: str, command: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._backend._members[member].channel

        async def send() -> dict[str, Any]:
            return await channel.command(database, command, timeout_s=ANSWER_S)

        try:
            return self._real.do(send)  # type: ignore[no-any-return]
        except CommandFailedError as error:
            return error.reply
        except BackendError:
            return {"ok": 0, "code": NO_ANSWER}

    async def kill(self, member: str) -> None:
        self._killed.add(member)
        self._real.do(self._backend.kill, member)

    async def restart(self, member: str) -> None:
        self._real.do(self._backend.restart, member)
        self._killed.discard(member)

    async def pause(self, member: str) -> None:
        self._paused.add(member)
        self._real.do(self._backend.pause, member)

    async def resume(self, member: str) -> None:
        self._real.do(self._backend.resume, member)
        self._paused.discard(member)

    async def lag(self, member: str, *, on: bool) -> None:
        if not on:
            self._real.do(turn_off, self._backend, (member,), LAG)
            self._lagged.discard(member)
            return
        self._lagged.add(member)
        times = self._real.do(turn_on, self._backend, member, LAG, {})
        wait = {"waitForFailPoint": LAG, "timesEntered": times + 1, "maxTimeMS": ENGAGE_TIMEOUT_MS}
        self._real.do(self._backend.admin, member, wait)

    async def cut(self, member: str, *others: str) -> None:
        links = [link for other in others for link in (Link(member, other), Link(other, member))]
        self._real.do(self._backend.links.cut, links)

    async def heal(self) -> None:
        self._real.do(self._backend.links.heal_all)

    async def settle(self) -> None:
        await self.heal()
        for member in tuple(self._paused):
            await self.resume(member)
        for member in tuple(self._killed):
            await self.restart(member)
        for member in tuple(self._lagged):
            await self.lag(member, on=False)
        self._real.do(self._backend.wait_healthy, HEALTHY_TIMEOUT_S)

    async def set_clock(self, member: str, ahead_s: float) -> None:
        if FAKETIME is None:
            missing("no libfaketime, which moves the clock of a real server (package libfaketime)")
        self._skewed.add(member)
        self._skew_file(member).write_text(f"{ahead_s:+g}s")
        await self._restart_with_clock(member)

    def _skew_file(self, member: str) -> Path:
        return self._real.clocks / member

    async def _restart_with_clock(self, member: str) -> None:
        await self.kill(member)
        await self.restart(member)
        self._real.do(self._backend.wait_healthy, HEALTHY_TIMEOUT_S)

    async def set_priority(self, member: str, priority: int) -> None:
        self._preferred.add(member)
        primary = await primary_of(self)
        config = self._real.do(self._backend.admin, primary, {"replSetGetConfig": 1})["config"]
        config["version"] += 1
        config["members"][self._backend.members.index(member)]["priority"] = priority
        self._real.do(self._backend.admin, primary, {"replSetReconfig": config})

    async def yield_often(self) -> None:
        self._set_everywhere(YIELDS, 1)

    async def shorten_transactions(self) -> float:
        self._set_everywhere(LIFETIME, SHORT_LIFETIME_S)
        return SHORT_LIFETIME_S * 2.0

    async def shorten_with_transaction(self) -> None:
        client_session_shared._WITH_TRANSACTION_RETRY_TIME_LIMIT = SHORT_WITH_TRANSACTION_S

    async def shorten_history(self) -> float:
        self._set_everywhere(HISTORY, SHORT_HISTORY_S)
        return SHORT_HISTORY_S + 3.0

    def _set_everywhere(self, parameter: str, value: int) -> None:
        for member in self._backend.members:
            reply = self._set_parameter(member, parameter, value)
            self._usual.setdefault((member, parameter), reply["was"])

    def _set_parameter(self, member: str, parameter: str, value: int) -> Any:
        return self._real.do(self._backend.admin, member, {"setParameter": 1, parameter: value})

    def close(self) -> None:
        """Undo what a script left."""
        client_session_shared._WITH_TRANSACTION_RETRY_TIME_LIMIT = USUAL_WITH_TRANSACTION_S
        run_coroutine(self.settle())
        for member in tuple(self._preferred):
            run_coroutine(self.set_priority(member, 1))
        for member in self._skewed:
            self._skew_file(member).unlink()
            run_coroutine(self._restart_with_clock(member))
        for (member, parameter), value in self._usual.items():
            self._set_parameter(member, parameter, value)
        self.env.close()
        for opened in self._clients:
            opened.close_now()


def _with_movable_clock(mongod: Mongod, clocks: Path) -> Mongod:
    """Return a mongod that starts with a clock of its own where a file beside it, named as the member, says how."""
    clocks.mkdir()
    script = clocks / "mongod"
    script.write_text(SCRIPT.format(mongod=shlex.quote(str(mongod.path)), library=shlex.quote(str(FAKETIME))))
    script.chmod(0o755)
    return dataclasses.replace(mongod, path=script)


@contextlib.contextmanager
def real_set(directory: Any) -> Iterator[RealSet]:
    """Start a set of three on a thread of its own. Skips where there is no mongod or no links."""
    mongod = _with_movable_clock(mongod_or_skip(), directory / "clocks")
    backend = LocalBackend(mongod=mongod, groups=(GROUP,), directory=directory)
    started: list[Any] = []
    ready, ended = threading.Event(), trio.Event()

    async def live() -> None:
        try:
            await backend.start()
            await backend.register_group(GROUP, os.getpid())
            started.append(trio.lowlevel.current_trio_token())
            ready.set()
            await ended.wait()
        finally:
            ready.set()
            with trio.CancelScope(shield=True):
                await backend.stop()

    failures: list[BaseException] = []

    def run() -> None:
        try:
            trio.run(live)
        except BaseException as error:  # noqa: BLE001 - raised again on the thread that waits
            failures.append(error)

    thread = threading.Thread(target=run, name="real set")
    thread.start()
    try:
        ready.wait()
        if not started:
            thread.join()
            raise failures[0]
        yield RealSet(backend, mongod.path.parent, started[0])
    finally:
        if started:
            trio.from_thread.run_sync(ended.set, trio_token=started[0])
        thread.join()
