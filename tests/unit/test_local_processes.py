"""The guardian: servers are started, signalled and looked at through it, and none outlives the harness."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from local_sets import is_alive

from harness.backends.local.process import Guardian
from harness.errors import BackendError

GONE_TIMEOUT_S = 5.0

OWNER = """
import os, sys, time, trio
from pathlib import Path
from harness.backends.local.process import Guardian

async def main():
    guardian = Guardian(Path(sys.argv[1]))
    guardian.open()
    server = await guardian.start("m1", ["sleep", "60"], {}, Path(sys.argv[1]) / "output")
    fork = 0
    if sys.argv[2] == "fork":
        fork = os.fork()
        if not fork:
            time.sleep(60)
    print(guardian._process.pid, server, fork, flush=True)
    await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture
def directory(tmp_path):
    """Make the private directory of a set."""
    path = tmp_path / "set"
    path.mkdir()
    return path


def wait_gone(process_ids: list[int], directory: Path) -> bool:
    """Whether the processes and the directory are gone in time."""
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while time.monotonic() < deadline:
        if not any(map(is_alive, process_ids)) and not directory.exists():
            return True
        time.sleep(0.01)
    return False


def test_a_server_is_started_seen_and_ended(directory):
    """A server runs with the environment given, its output is kept, and closing ends it and removes the directory."""

    async def main():
        guardian = Guardian(directory)
        guardian.open()
        script = ["/bin/sh", "-c", "echo $GREETING; exec sleep 60"]
        server = await guardian.start("m1", script, {"GREETING": "hello"}, directory / "output")
        while (directory / "output").read_text() != "hello\n":
            await trio.sleep(0.005)
        states = await guardian.states()
        assert (states["m1"].process_id, states["m1"].exit_code) == (server, None)
        with pytest.raises(BackendError, match="running already"):
            await guardian.start("m1", script, {}, directory / "output")
        await guardian.close()
        await guardian.close()
        return server

    assert wait_gone([trio.run(main)], directory)


def test_a_kill_returns_when_the_process_is_gone(directory):
    """kill, even of a paused process, is over when the process is; it can be started again."""

    async def main():
        guardian = Guardian(directory)
        guardian.open()
        server = await guardian.start("m1", ["sleep", "60"], {}, directory / "output")
        await guardian.pause("m1")
        assert Path(f"/proc/{server}/stat").read_text().split()[2] == "T"
        await guardian.kill("m1")
        assert not is_alive(server)
        assert (await guardian.states())["m1"].exit_code == -signal.SIGKILL
        with pytest.raises(BackendError, match="has ended"):
            await guardian.pause("m1")
        await guardian.kill("m1")
        await guardian.resume("m1")
        assert await guardian.start("m1", ["sleep", "60"], {}, directory / "output") != server
        await guardian.close()

    trio.run(main)


def test_a_program_that_cannot_be_executed_is_told(directory):
    """A missing program is an error of the request; the guardian goes on."""

    async def main():
        guardian = Guardian(directory)
        guardian.open()
        with pytest.raises(BackendError, match="No such file"):
            await guardian.start("m1", [str(directory / "nothing")], {}, directory / "output")
        assert await guardian.states() == {}
        await guardian.close()

    trio.run(main)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["plain", "fork"])
def test_servers_end_when_the_owner_is_killed(directory, how):
    """After kill -9 of the owner nothing is left, even where a forked child still holds its socket."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(directory), how], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        guardian, server, fork = map(int, owner.stdout.readline().split())
        assert is_alive(server)
        owner.kill()
        try:
            assert wait_gone([guardian, server], directory)
        finally:
            if fork:
                os.kill(fork, signal.SIGKILL)


@pytest.mark.slow
def test_servers_end_when_the_guardian_is_killed(directory):
    """After kill -9 of the guardian itself its servers are gone, and the next request says what happened."""

    async def main():
        guardian = Guardian(directory)
        guardian.open()
        server = await guardian.start("m1", ["sleep", "60"], {}, directory / "output")
        assert guardian._process is not None
        guardian._process.kill()
        with trio.fail_after(GONE_TIMEOUT_S):
            while is_alive(server):
                await trio.sleep(0.005)
        with pytest.raises(BackendError, match="guardian of the set did not answer"):
            await guardian.states()
        await guardian.close()

    trio.run(main)
