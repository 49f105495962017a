"""The private directories of running sets, and those that a set left behind when its owner died.

A set's directory is named ``set-PID-STARTTIME-TOKEN`` after the process that owns it, so that anybody can tell
whether the owner still lives: a process number alone may have been given to another process since.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

from harness.errors import BackendError

ENVIRONMENT_VARIABLE = "HARNESS_DIRECTORY"
END_TIMEOUT_S = 5.0

_NAME = re.compile(r"set-(?P<owner>\d+)-(?P<start>\d+)-[0-9a-f]+")


def base_directory() -> Path:
    """Return ``$HARNESS_DIRECTORY``, or ``harness-UID`` in the system's directory for temporary files."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(given).resolve() if given else Path(tempfile.gettempdir()) / f"harness-{os.getuid()}"


def create_directory(base: Path | None = None) -> Path:
    """Make and return an empty directory that names this process as its owner; only the user may enter it.

    Raises BackendError where it cannot be made, or where the base belongs to another user.
    """
    base = base_directory() if base is None else base
    path = base / f"set-{os.getpid()}-{process_start(os.getpid())}-{secrets.token_hex(4)}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = base.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise BackendError(
                f"{base} does not belong to you", next_step=f"set ${ENVIRONMENT_VARIABLE} to a directory of your own"
            )
        path.mkdir(mode=0o700)
    except OSError as error:
        raise BackendError(
            f"making the directory of the set, {path}: {error.strerror}",
            next_step=f"free space there, or set ${ENVIRONMENT_VARIABLE} to another directory",
        ) from error
    return path


def process_start(process_id: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None where there is none or it is a zombie."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in parentheses and may hold anything, spaces and parentheses too.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def stale_directories(base: Path | None = None) -> list[Path]:
    """Return the directories of sets whose owner is dead, oldest name first."""
    base = base_directory() if base is None else base
    found = []
    with contextlib.suppress(OSError):
        for path in base.iterdir():
            match = _NAME.fullmatch(path.name)
            if match and path.is_dir() and process_start(int(match["owner"])) != int(match["start"]):
                found.append(path)
    return sorted(found)


def remove_stale(base: Path | None = None) -> list[Path]:
    """Remove the directories of dead owners, and end the servers that still run from them; return what was removed."""
    removed = []
    for path in stale_directories(base):
        end_processes(processes_of(path))
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            removed.append(path)
    return removed


def processes_of(directory: Path) -> list[int]:
    """Return the processes whose ``--dbpath`` lies inside the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        with contextlib.suppress(ValueError, IndexError):
            data_path = Path(os.fsdecode(arguments[arguments.index(b"--dbpath") + 1]))
            if data_path.is_relative_to(directory):
                found.append(int(entry.name))
    return found


def end_processes(process_ids: list[int], timeout_s: float = END_TIMEOUT_S) -> None:
    """Kill the processes and wait until they are gone, at most ``timeout_s``."""
    for process_id in process_ids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process_id, signal.SIGKILL)
    deadline = time.monotonic() + timeout_s
    while any(process_start(process_id) is not None for process_id in process_ids) and time.monotonic() < deadline:
        time.sleep(0.01)
