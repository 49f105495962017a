"""A client group in a process of its own, and the handle by which the harness steers it.

The child reads its specification from the first line of its standard input, then commands, one JSON line each; it
writes its counts and, at the end, how it ended. It ends when its input does, so it does not outlive the harness.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import IO

import msgspec
import trio

from harness.errors import BackendError, ScenarioError, first_harness_error
from harness.run.group import GroupCounts, GroupSpec, LocalGroup
from harness.scenario.load import load_scenario

_REPORT_INTERVAL_S = 0.25


class _Command(msgspec.Struct, frozen=True, omit_defaults=True):
    do: str
    client: int = -1


class _Report(msgspec.Struct, frozen=True, omit_defaults=True):
    counts: GroupCounts
    ended: bool = False
    error: str = ""
    next_step: str = ""
    is_scenario_error: bool = False


class ProcessGroup:
    """The handle of a group that runs in a process of its own. Raises BackendError where that does not start."""

    def __init__(self, spec: GroupSpec) -> None:
        self.spec = spec
        self._counts = GroupCounts()
        self._lock = threading.Lock()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "harness.run.group_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise BackendError(f"starting the process of client group {spec.connection.group}: {error}") from error
        self._send(msgspec.json.encode(spec))

    @property
    def name(self) -> str:
        """Its name as a source of links."""
        return self.spec.connection.group

    @property
    def process_id(self) -> int:
        """The child process."""
        return self._child.pid

    @property
    def clients(self) -> tuple[int, ...]:
        """Its client numbers."""
        return self.spec.members

    async def run(self, started: Callable[[], None]) -> None:
        """Let the clients begin and follow them to their end. Raises what ended them, if it was an error."""
        self._command("begin")
        started()
        try:
            report = await trio.to_thread.run_sync(self._follow, abandon_on_cancel=True)
        finally:
            await self._end()
        if report is None:
            raise BackendError(
                f"the process of client group {self.name} ended unexpectedly (exit code {self._child.returncode})",
                next_step="its last words are above; what was recorded before is kept",
            )
        if report.error:
            raise (ScenarioError if report.is_scenario_error else BackendError)(
                report.error, next_step=report.next_step
            )

    def _follow(self) -> _Report | None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            report = msgspec.json.decode(line, type=_Report)
            self._counts = report.counts
            if report.ended:
                return report
        return None

    async def _end(self) -> None:
        with contextlib.suppress(OSError):
            if self._child.stdin is not None:
                self._child.stdin.close()
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(partial(self._child.wait, timeout=5))
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            if self._child.stdout is not None:
                self._child.stdout.close()

    def _send(self, line: bytes) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            assert self._child.stdin is not None
            self._child.stdin.write(line + b"\n")
            self._child.stdin.flush()

    def _command(self, do: str, client: int = -1) -> None:
        self._send(msgspec.json.encode(_Command(do, client)))

    def stop(self) -> None:
        """Let every client end after its current operation."""
        self._command("stop")

    def cancel(self) -> None:
        """End every client at its next database call or sleep."""
        self._command("cancel")

    def arm_crash(self, client: int) -> None:
        """Make one client die at the end of its next database call."""
        self._command("crash", client)

    def counts(self) -> GroupCounts:
        """Return the counts that the child reported last."""
        return self._counts


def _obey(group: LocalGroup, commands: IO[bytes]) -> None:
    for line in commands:
        command = msgspec.json.decode(line, type=_Command)
        if command.do == "stop":
            group.stop()
        elif command.do == "cancel":
            group.cancel()
        elif command.do == "crash":
            group.arm_crash(command.client)
    group.cancel()


def _report(report: _Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


async def _report_counts(group: LocalGroup) -> None:
    while True:
        _report(_Report(counts=group.counts()))
        await trio.sleep(_REPORT_INTERVAL_S)


async def _run(group: LocalGroup) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_report_counts, group)
        await group.run(lambda: None)
        nursery.cancel_scope.cancel()


def main() -> None:
    """Run the group whose specification comes on standard input."""
    commands = sys.stdin.buffer
    spec = msgspec.json.decode(commands.readline(), type=GroupSpec)
    group = LocalGroup(spec, load_scenario(spec.scenario_source))
    if not commands.readline():
        return
    threading.Thread(target=_obey, args=(group, commands), daemon=True).start()
    try:
        trio.run(_run, group)
    except BaseException as error:
        known = first_harness_error(error)
        if known is None:
            raise
        _report(
            _Report(
                counts=group.counts(),
                ended=True,
                error=known.message,
                next_step=known.next_step,
                is_scenario_error=isinstance(known, ScenarioError),
            )
        )
        return
    _report(_Report(counts=group.counts(), ended=True))


if __name__ == "__main__":
    main()
