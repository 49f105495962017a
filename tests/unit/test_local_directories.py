"""Private directories: they name their owner, and are removed only when it is dead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.backends.local.directories import (
    base_directory,
    create_directory,
    process_start,
    processes_of,
    remove_stale,
    stale_directories,
)
from harness.errors import BackendError


def dead_process_id() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_directory_names_its_owner_and_is_private(tmp_path):
    """The name holds the owner's number and start; nobody else may enter."""
    path = create_directory(tmp_path / "base")
    assert path.name.startswith(f"set-{os.getpid()}-{process_start(os.getpid())}-")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_the_directory_of_a_living_owner_is_never_stale(tmp_path):
    """A running set is left alone."""
    path = create_directory(tmp_path)
    assert stale_directories(tmp_path) == []
    assert remove_stale(tmp_path) == []
    assert path.exists()


def test_the_directory_of_a_dead_owner_is_removed(tmp_path):
    """What a dead owner left is found and removed, and reported."""
    path = tmp_path / f"set-{dead_process_id()}-1-abcd"
    (path / "m1").mkdir(parents=True)
    assert remove_stale(tmp_path) == [path]
    assert not path.exists()


def test_a_reused_process_number_is_not_taken_for_the_owner(tmp_path):
    """The number of a living process with another start time does not protect a directory."""
    path = tmp_path / f"set-{os.getpid()}-1-abcd"
    path.mkdir()
    assert stale_directories(tmp_path) == [path]


def test_foreign_files_in_the_base_are_left_alone(tmp_path):
    """Only directories that look like a set's are touched."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "set-1-1-abcd").write_text("a file")
    assert remove_stale(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "set-1-1-abcd"]


def test_a_missing_base_has_nothing_stale(tmp_path):
    """Cleaning before the first run is no error."""
    assert stale_directories(tmp_path / "nowhere") == []


def test_servers_that_outlived_their_owner_are_ended(tmp_path):
    """A server that still runs from a stale directory is killed before the directory is removed."""
    path = tmp_path / f"set-{dead_process_id()}-1-abcd"
    (path / "m1").mkdir(parents=True)
    program = "import time; print(flush=True); time.sleep(60)"
    server = subprocess.Popen([sys.executable, "-c", program, "--dbpath", str(path / "m1")], stdout=subprocess.PIPE)
    with server:
        assert server.stdout is not None
        server.stdout.readline()
        assert processes_of(path) == [server.pid]
        assert remove_stale(tmp_path) == [path]
        assert server.wait() == -9


def test_a_zombie_counts_as_dead():
    """A process that has ended and was not waited for is not alive."""
    process = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process_start(process.pid) is None


def test_the_base_can_be_set(monkeypatch, tmp_path):
    """$HARNESS_DIRECTORY decides; without it the base is the user's own in the temporary directory."""
    monkeypatch.setenv("HARNESS_DIRECTORY", str(tmp_path))
    assert base_directory() == tmp_path
    monkeypatch.delenv("HARNESS_DIRECTORY")
    assert base_directory().name == f"harness-{os.getuid()}"


def test_a_base_that_cannot_be_made_is_told(tmp_path):
    """A base below a file: an error with a next step."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="Not a directory") as caught:
        create_directory(tmp_path / "file" / "base")
    assert "HARNESS_DIRECTORY" in caught.value.next_step


def test_a_base_that_another_put_there_is_refused(tmp_path):
    """A symbolic link in place of the base could lead the set's files anywhere."""
    (tmp_path / "base").symlink_to(tmp_path / "elsewhere")
    Path(tmp_path / "elsewhere").mkdir()
    with pytest.raises(BackendError, match="does not belong to you"):
        create_directory(tmp_path / "base")
