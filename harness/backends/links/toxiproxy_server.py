"""Where a Toxiproxy server comes from: the one that was named, the PATH, an earlier build, or a build with Go.

Nothing here speaks to a server; that is ``toxiproxy``'s.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import trio

from harness.errors import BackendError

VERSION = "2.12.0"
"""The version that is built; any server from :data:`OLDEST` on is taken."""
OLDEST = (2, 1)
_MODULE = "github.com/Shopify/toxiproxy/v2"
_OLDEST_GO = (1, 22)
_NAMES = ("toxiproxy-server", "toxiproxy")
_BUILD_S = 600
_TAIL_CHARACTERS = 600
_HOW = "install Go 1.22 or newer, or put a toxiproxy-server on the PATH"


class ToxiproxyMissingError(BackendError):
    """Toxiproxy links cannot be had here: no server and no way to build one, or no ``nss_wrapper``."""


def named(server: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the server that was asked for by argument or ``$TOXIPROXY_SERVER``; None where none was.

    Raises BackendError where it is a path without a program.
    """
    wish = server or environment.get("TOXIPROXY_SERVER")
    if not wish or is_url(wish):
        return wish or None
    found = shutil.which(wish)
    if found is None:
        origin = "the Toxiproxy server asked for" if server else "$TOXIPROXY_SERVER"
        raise BackendError(f"{origin}: no program at {wish}", next_step="name a toxiproxy-server, or leave it out")
    return found


def is_url(server: str) -> bool:
    """Tell whether the server is one that runs already."""
    return server.startswith("http://")


async def find_or_build(progress: Callable[[str], None]) -> str:
    """Return the path of a server from the PATH, from an earlier build, or built now. Raises ToxiproxyMissingError."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    built = cache_directory() / f"toxiproxy-server-{VERSION}"
    if not built.is_file():
        await _build(_go(), built, progress)
    return str(built)


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of this user for what was built once."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mongodb-pattern-harness" / "bin"


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise ToxiproxyMissingError("there is neither a Toxiproxy server nor a Go to build it", next_step=_HOW)
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - the Go that was found
    if go_version(said) < _OLDEST_GO:
        raise ToxiproxyMissingError(
            f"there is no Toxiproxy server, and this Go is too old to build it: {said}", next_step=_HOW
        )
    return go


def go_version(said: str) -> tuple[int, int]:
    """Return major and minor version out of what ``go version`` says; (0, 0) where it says none."""
    match = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


async def _build(go: str, built: Path, progress: Callable[[str], None]) -> None:
    try:
        built.parent.mkdir(parents=True, exist_ok=True)
        # Of its own, on the same file system: two builds at once must not see each other's half-written program.
        private = Path(tempfile.mkdtemp(prefix="build-", dir=built.parent))
    except OSError as error:
        raise ToxiproxyMissingError(f"the Toxiproxy server cannot be built into {built.parent}: {error}") from error
    progress(f"building the Toxiproxy server {VERSION} with {go}, once for this user (about a minute) ...")
    try:
        await _install(go, private)
        (private / "server").replace(built)
    finally:
        shutil.rmtree(private, ignore_errors=True)


async def _install(go: str, private: Path) -> None:
    command = [go, "install", "-ldflags", f"-X {_MODULE}.Version={VERSION}", f"{_MODULE}/cmd/server@v{VERSION}"]
    with trio.move_on_after(_BUILD_S) as limit:
        done = await trio.run_process(
            command,
            env={**os.environ, "GOBIN": str(private), "CGO_ENABLED": "0"},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    if limit.cancelled_caught:
        raise ToxiproxyMissingError(f"building the Toxiproxy server took longer than {_BUILD_S} s", next_step=_HOW)
    if done.returncode or not (private / "server").is_file():
        tail = done.stderr.decode(errors="replace")[-_TAIL_CHARACTERS:].strip()
        raise ToxiproxyMissingError(f"building the Toxiproxy server failed: {tail}", next_step=_HOW)


def checked_version(said: str) -> str:
    """Return the version that a server names. Raises BackendError where it is too old, or none that can be read.

    A server that was built from its sources names itself ``git``.
    """
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:[.\-+].*)?", said)
    if said != "git" and (match is None or (int(match[1]), int(match[2])) < OLDEST):
        oldest = ".".join(map(str, OLDEST))
        raise BackendError(
            f"the Toxiproxy server says its version is {said!r}; {oldest} or newer is needed",
            next_step=f"update it, or leave --network at builtin; {VERSION} is known to work",
        )
    return said
