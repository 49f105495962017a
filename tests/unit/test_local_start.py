"""Starts that fail: each leaves nothing behind and says why, with the last log lines of the member that ended."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio
from local_sets import open_direct

from harness.backends.local import backend as backend_module
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import Mongod
from harness.backends.local.directories import processes_of
from harness.errors import BackendError

pytestmark = pytest.mark.slow

LOG_TO = """#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = --logpath ]; then log=$2; fi
  shift
done
"""


def local_backend(tmp_path: Path, script: str, members: int = 1) -> LocalBackend:
    """Return a backend whose mongod is a shell script that knows its log as ``$log``."""
    path = tmp_path / "mongod"
    path.write_text(LOG_TO + script)
    path.chmod(0o755)
    mongod = Mongod(path=path, version="6.0.5", source="a test")
    return LocalBackend(mongod=mongod, members=members, directory=tmp_path / "base", open_network=open_direct)


def start_and_fail(tmp_path: Path, script: str) -> BackendError:
    """Start, expect a BackendError and nothing left behind; return the error."""
    with pytest.raises(BackendError) as caught:
        trio.run(local_backend(tmp_path, script).start)
    assert list((tmp_path / "base").iterdir()) == []
    return caught.value


def test_a_member_that_dies_at_start_is_told_with_its_last_log_lines(tmp_path):
    """The message has the member, the exit code and the end of the log in words."""
    line = '{"t":{"$date":"2026-01-01T10:00:00.000Z"},"s":"F","c":"STORAGE","msg":"no good"}'
    error = start_and_fail(tmp_path, f"echo '{line}' >> $log; exit 14\n")
    assert "m1 (mongod 6.0.5" in error.message
    assert "ended at start with code 14" in error.message
    assert "m1: 10:00:00.000 F STORAGE: no good" in error.message


def test_a_member_that_dies_before_it_has_a_log_is_told_with_its_output(tmp_path):
    """What it wrote to standard error is shown instead."""
    assert "m1: no such option" in start_and_fail(tmp_path, "echo no such option >&2; exit 2\n").message


def test_a_member_ended_by_a_signal_is_told_so(tmp_path):
    """A crash is told by its signal."""
    assert "by signal 11" in start_and_fail(tmp_path, "kill -SEGV $$\n").message


def test_a_full_disk_is_recognised(tmp_path):
    """The message names the directory and the next step what to change."""
    error = start_and_fail(tmp_path, "echo 'WiredTiger error (28): No space left on device' >> $log; exit 14\n")
    assert f"the disk of {tmp_path / 'base'}" in error.message
    assert "HARNESS_DIRECTORY" in error.next_step


def test_a_set_that_is_not_ready_in_time_is_told_and_ended(tmp_path, monkeypatch):
    """A member that runs and never answers does not hang the start."""
    monkeypatch.setattr(backend_module, "START_TIMEOUT_S", 1.5)
    error = start_and_fail(tmp_path, "echo waiting for a friend >> $log; exec sleep 60\n")
    assert "not ready within" in error.message
    assert "m1: waiting for a friend" in error.message
    assert processes_of(tmp_path) == []


def test_ports_that_are_taken_are_drawn_anew_a_few_times(tmp_path):
    """A port that another process took in between costs another try; the last failure names it."""
    script = f"echo started >> {tmp_path}/starts; echo 'Address already in use' >> $log; exit 48\n"
    assert "another process does" in start_and_fail(tmp_path, script).message
    assert (tmp_path / "starts").read_text().count("started") == backend_module.PORT_TRIES


def test_a_cancelled_start_leaves_nothing(tmp_path):
    """ctrl-C while the set starts: no process and no directory is left."""
    backend = local_backend(tmp_path, "exec sleep 60\n", members=3)

    async def main():
        with trio.move_on_after(0.2) as scope:
            await backend.start()
        assert scope.cancelled_caught

    trio.run(main)
    assert list((tmp_path / "base").iterdir()) == []
    assert processes_of(tmp_path) == []


def test_a_network_that_does_not_open_leaves_nothing(tmp_path):
    """Where the links cannot be made the error goes through and the directory is gone."""
    backend = local_backend(tmp_path, "exec sleep 60\n")

    async def fail(*_arguments, **_keywords):
        raise BackendError("no proxies today")

    backend._open_network = fail
    with pytest.raises(BackendError, match="no proxies today"):
        trio.run(backend.start)
    assert list((tmp_path / "base").iterdir()) == []


def test_another_server_on_the_port_is_not_taken_for_the_member(tmp_path, monkeypatch):
    """A stranger that answers on the port is never initiated: the member's own end is what counts."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        monkeypatch.setattr(backend_module, "free_ports", lambda _count: (stranger.getsockname()[1],))
        error = start_and_fail(tmp_path, "sleep 0.05; echo 'Address already in use' >> $log; exit 48\n")
    assert "could not listen on port" in error.message
