"""A process of its own that starts the servers of one set and ends them when the harness is gone.

Run as ``python -I -S guardian.py OWNER DIRECTORY`` with a socket as standard input; needs the standard library alone,
so that it is up in 20 ms. Three ways lead to the same end (servers killed, directory removed): the socket is closed,
the owner's process ends (kill -9 included: the kernel tells through a process descriptor, even where a forked child
of the harness still holds the socket), or this process dies itself, after which the kernel kills its children. That
last promise is tied to the *thread* that forked: this process has one thread, which the harness does not.

One request a line, one answer a line, both JSON objects; see :class:`harness.backends.local.process.Guardian`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

KILL_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1
_REQUEST_BYTES = 65536

_LIBC = ctypes.CDLL(None)


def _die_with_parent(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the kernel was told to watch it.
    if os.getppid() != parent:
        os._exit(1)


class _Servers:
    """The children, by member name."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        present = self._processes.get(request["member"])
        if present is not None and present.poll() is None:
            return {"error": f"{request['member']} is running already, as process {present.pid}"}
        parent = os.getpid()
        with Path(request["output"]).open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - the arguments are the harness's own
                request["arguments"],
                env={**os.environ, **request["environment"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: _die_with_parent(parent),  # noqa: PLW1509 - safe: there is no other thread
            )
        self._processes[request["member"]] = process
        return {"process_id": process.pid}

    def signal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a signal; after a SIGKILL return when the process is gone."""
        process = self._processes[request["member"]]
        process.send_signal(request["number"])
        if request["number"] == signal.SIGKILL:
            process.wait(KILL_TIMEOUT_S)
        return {}

    def state(self, _request: dict[str, Any]) -> dict[str, Any]:
        states = {name: [process.pid, process.poll()] for name, process in self._processes.items()}
        return {"members": states}

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(KILL_TIMEOUT_S)


def _answer(servers: _Servers, line: bytes) -> bytes:
    request = json.loads(line)
    actions = {"start": servers.start, "signal": servers.signal, "state": servers.state}
    try:
        reply = actions[request["do"]](request)
    except (OSError, subprocess.SubprocessError, KeyError) as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    return json.dumps(reply).encode() + b"\n"


def _serve(control: socket.socket, owner_descriptor: int | None, servers: _Servers) -> None:
    """Answer requests until the socket or the owner is gone."""
    watched: list[Any] = [control] if owner_descriptor is None else [control, owner_descriptor]
    pending = b""
    while True:
        ready, _, _ = select.select(watched, [], [])
        if owner_descriptor in ready:
            return
        data = control.recv(_REQUEST_BYTES)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            control.sendall(_answer(servers, line))


def main() -> None:
    """Serve one set until its owner is gone."""
    owner, directory = int(sys.argv[1]), sys.argv[2]
    # A socket of the harness must not be inherited by the servers, or its end would go unnoticed.
    control = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    try:
        owner_descriptor: int | None = os.pidfd_open(owner)
    except OSError:
        owner_descriptor = None
    servers = _Servers()
    try:
        if os.getppid() == owner:
            _serve(control, owner_descriptor, servers)
    except OSError:
        pass
    finally:
        servers.end()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
