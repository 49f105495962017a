"""The harness's side of the guardian: starting, signalling and looking at the servers of one set."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from harness.errors import BackendError

REQUEST_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 15.0
STOPPED_TIMEOUT_S = 5.0
_POLL_S = 0.005
_ANSWER_BYTES = 65536
_GUARDIAN = Path(__file__).with_name("guardian.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """A server process; ``exit_code`` is None while it runs and negative where a signal ended it."""

    process_id: int
    exit_code: int | None


class Guardian:
    """Owns the server processes of one set through a helper process that outlives even a kill -9 of the harness.

    Requests are answered one at a time and cannot be cancelled half-way; each takes milliseconds.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = trio.Lock()
        self._socket: trio.socket.SocketType | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Start the helper process. Raises BackendError."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", str(_GUARDIAN), str(os.getpid()), str(self._directory)]
        try:
            with theirs, (self._directory / "guardian.log").open("ab") as output:
                # A session of its own: ctrl-C at the terminal reaches the harness alone, which then ends the set.
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a file of the harness
                    command, stdin=theirs.fileno(), stdout=output, stderr=output, start_new_session=True
                )
        except OSError as error:
            ours.close()
            raise BackendError(f"starting the guardian of the set: {error}") from error
        self._socket = trio.socket.from_stdlib_socket(ours)

    async def start(self, member: str, arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
        """Start a member's process and return its number; its standard output and error go to ``output``.

        Raises BackendError where it cannot be executed or is running already.
        """
        reply = await self._request(
            {
                "do": "start",
                "member": member,
                "arguments": list(arguments),
                "environment": dict(environment),
                "output": str(output),
            }
        )
        return int(reply["process_id"])

    async def states(self) -> dict[str, ProcessState]:
        """Return the state of every member that was ever started."""
        reply = await self._request({"do": "state"})
        return {
            name: ProcessState(process_id=process_id, exit_code=exit_code)
            for name, (process_id, exit_code) in reply["members"].items()
        }

    async def kill(self, member: str) -> None:
        """Kill (SIGKILL) and return when the process is gone; nothing where it is gone already."""
        await self._request({"do": "signal", "member": member, "number": int(signal.SIGKILL)})

    async def pause(self, member: str) -> None:
        """Stop (SIGSTOP) and return when every thread has stopped. Raises BackendError where it is dead."""
        state = (await self.states())[member]
        if state.exit_code is not None:
            raise BackendError(f"pausing {member}: its process {state.process_id} has ended")
        await self._request({"do": "signal", "member": member, "number": int(signal.SIGSTOP)})
        await _wait_stopped(state.process_id, stopped=True)

    async def resume(self, member: str) -> None:
        """Continue (SIGCONT) and return when it runs again; nothing where it is dead or was not paused."""
        state = (await self.states())[member]
        if state.exit_code is None:
            await self._request({"do": "signal", "member": member, "number": int(signal.SIGCONT)})
            await _wait_stopped(state.process_id, stopped=False)

    async def close(self) -> None:
        """End every server, remove the directory, end the helper. Safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is None:
            return
        with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            while process.poll() is None:
                await trio.sleep(_POLL_S)
        if process.poll() is None:
            process.kill()
            process.wait()

    async def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        what = f"{request['do']} {request.get('member', '')}".strip()
        async with self._lock:
            if self._socket is None:
                raise BackendError(f"the set is not running (asked to {what})")
            with trio.move_on_after(REQUEST_TIMEOUT_S, shield=True):
                reply = await _exchange(self._socket, json.dumps(request).encode() + b"\n")
                if reply is not None:
                    return _checked(reply, what)
            # An answer that comes later would be taken for the next one's: the channel is of no use any more.
            self._socket.close()
            self._socket = None
        raise BackendError(
            f"the guardian of the set did not answer (asked to {what})",
            next_step=f"see whether it was killed; its output is in {self._directory / 'guardian.log'}",
        )


async def _exchange(connection: trio.socket.SocketType, line: bytes) -> dict[str, Any] | None:
    answer = b""
    try:
        while line:
            line = line[await connection.send(line) :]
        while not answer.endswith(b"\n"):
            data = await connection.recv(_ANSWER_BYTES)
            if not data:
                return None
            answer += data
    except OSError:
        return None
    reply: dict[str, Any] = json.loads(answer)
    return reply


def _checked(reply: dict[str, Any], what: str) -> dict[str, Any]:
    if "error" in reply:
        raise BackendError(f"the guardian could not {what}: {reply['error']}")
    return reply


async def _wait_stopped(process_id: int, *, stopped: bool) -> None:
    with trio.move_on_after(STOPPED_TIMEOUT_S):
        while _is_stopped(process_id) != stopped:
            await trio.sleep(_POLL_S)


def _is_stopped(process_id: int) -> bool:
    # Each thread stops on its own: the process's state is its first thread's, which may be ahead of the others.
    try:
        states = [_state_of(entry / "stat") for entry in Path(f"/proc/{process_id}/task").iterdir()]
    except OSError:
        return False
    return all(state in "TtZX" for state in states)


def _state_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "X"
