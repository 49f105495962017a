"""Finding a mongod: the order of places, and a message with a next step for each way in which one does not serve."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.backends.local import binary
from harness.backends.local.binary import find_mongod
from harness.errors import BackendError, UsageError


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """No mongod in the environment, on the PATH or in a wheel, unless the test puts one there."""
    monkeypatch.delenv("MONGOD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.delitem(sys.modules, "fiftyone", raising=False)


def fake(path: Path, script: str = 'echo "db version v6.0.5"', *, mode: int = 0o755) -> Path:
    """Write a shell script that plays mongod."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def test_an_explicit_path_wins_and_tells_its_version(tmp_path, monkeypatch):
    """--mongod is used before all other places, and the record says so."""
    monkeypatch.setenv("MONGOD", str(fake(tmp_path / "environment" / "mongod", 'echo "db version v5.0.1"')))
    found = find_mongod(str(fake(tmp_path / "mine")))
    assert (found.path, found.version, found.source) == (tmp_path / "mine", "6.0.5", "--mongod")


def test_the_environment_comes_before_the_path(tmp_path, monkeypatch):
    """$MONGOD is used before a mongod on the PATH."""
    fake(tmp_path / "path" / "mongod")
    monkeypatch.setenv("MONGOD", str(fake(tmp_path / "environment" / "mongod", 'echo "db version v5.0.1-rc0"')))
    found = find_mongod()
    assert (found.version, found.source) == ("5.0.1-rc0", "$MONGOD")


def test_the_path_comes_before_the_wheel(tmp_path):
    """A mongod on the PATH is used before the wheel's."""
    on_path = fake(tmp_path / "path" / "mongod")
    fake(tmp_path / "site" / "fiftyone" / "db" / "bin" / "mongod")
    assert find_mongod().path == on_path


def test_the_wheel_is_found_without_being_imported_and_made_executable(tmp_path):
    """The wheel's binary is found by its place alone, and a missing executable bit is set."""
    in_wheel = fake(tmp_path / "site" / "fiftyone" / "db" / "bin" / "mongod", mode=0o644)
    (tmp_path / "site" / "fiftyone" / "__init__.py").write_text("raise RuntimeError('imported')")
    found = find_mongod()
    assert found.path == in_wheel
    assert "fiftyone" not in sys.modules


def test_no_mongod_at_all_names_the_extra_and_the_simulator():
    """Where there is none, the message says where it was looked for and what to type."""
    with pytest.raises(BackendError, match=r"no mongod found") as caught:
        find_mongod()
    assert 'pip install "mongodb-pattern-harness[mongod]"' in caught.value.next_step
    assert "--backend sim" in caught.value.next_step


@pytest.mark.parametrize("origin", ["--mongod", "$MONGOD"])
def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path, monkeypatch, origin):
    """A path that the user gave is never silently passed over."""
    fake(tmp_path / "path" / "mongod")
    missing = str(tmp_path / "nowhere")
    if origin == "$MONGOD":
        monkeypatch.setenv("MONGOD", missing)
    with pytest.raises(UsageError, match="no mongod at") as caught:
        find_mongod(None if origin == "$MONGOD" else missing)
    assert origin in caught.value.message


def test_a_file_that_is_not_executable_names_chmod(tmp_path):
    """A given file without the executable bit: the message gives the command."""
    path = fake(tmp_path / "mine", mode=0o644)
    with pytest.raises(UsageError, match="not executable") as caught:
        find_mongod(str(path))
    assert caught.value.next_step == f"chmod +x {path}"


def test_a_directory_is_refused(tmp_path):
    """A directory in place of the file: the message guesses the file."""
    with pytest.raises(UsageError, match="is a directory") as caught:
        find_mongod(str(tmp_path))
    assert str(tmp_path / "mongod") in caught.value.next_step


def test_a_missing_library_names_the_package(tmp_path):
    """A missing libcurl: the message gives the command that installs it."""
    message = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    with pytest.raises(BackendError, match=r"libcurl\.so\.4 is missing") as caught:
        find_mongod(str(fake(tmp_path / "mine", f'echo "{message}" >&2; exit 127')))
    assert "apt-get install -y libcurl4" in caught.value.next_step


def test_an_unknown_missing_library_tells_how_to_look_for_it(tmp_path):
    """A library that no package is known for: the message says how to find one."""
    message = "mongod: error while loading shared libraries: libodd.so.1: cannot open shared object file"
    with pytest.raises(BackendError, match=r"libodd\.so\.1 is missing") as caught:
        find_mongod(str(fake(tmp_path / "mine", f'echo "{message}" >&2; exit 127')))
    assert "apt-file search libodd.so.1" in caught.value.next_step


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('echo "mongod: /lib/libc.so.6: version \\`GLIBC_2.34\' not found" >&2; exit 1', "older than it needs"),
        ("kill -ILL $$", "lacks an instruction"),
        ("echo broken >&2; exit 3", r"ended with code 3 \(broken\)"),
        ("echo nonsense", "does not tell its version"),
        ("true", "printed 'nothing'"),
    ],
)
def test_one_that_does_not_run_says_why(tmp_path, script, words):
    """Each way in which --version can go wrong has words of its own."""
    with pytest.raises(BackendError, match=words):
        find_mongod(str(fake(tmp_path / "mine", script)))


@pytest.mark.parametrize("version", ["4.2.24", "3.6.0"])
def test_one_that_is_too_old_says_what_is_needed(tmp_path, version):
    """Servers before 4.4 are refused with both versions."""
    with pytest.raises(BackendError, match=rf"is mongod {version}; 4\.4 or newer"):
        find_mongod(str(fake(tmp_path / "mine", f'echo "db version v{version}"')))


def test_a_binary_for_another_processor_is_refused(tmp_path):
    """A file that the system cannot execute is an error of the harness, not a traceback."""
    path = tmp_path / "mine"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    with pytest.raises(BackendError, match="cannot be executed"):
        find_mongod(str(path))


def test_one_that_hangs_is_given_up(tmp_path, monkeypatch):
    """A binary that never answers --version does not hang the harness."""
    monkeypatch.setattr(binary, "VERSION_TIMEOUT_S", 0.05)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(BackendError, match="did not tell its version"):
        find_mongod(str(fake(tmp_path / "mine", "exec sleep 30")))
