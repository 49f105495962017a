"""One member: its process, files, ports and the words for its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import trio

from harness.backends.local.binary import Mongod
from harness.backends.local.directories import ENVIRONMENT_VARIABLE, process_start
from harness.backends.local.log import for_reader, last_lines, says_disk_full, says_port_taken
from harness.backends.local.process import Guardian
from harness.backends.local.tasks import run_beside
from harness.backends.local.wire import LOOPBACK, CommandFailedError, MemberChannel, UnreachableError
from harness.errors import BackendError
from harness.interfaces.link import Network

CACHE_GB = 0.5
"""At 0.25 the server refuses to insert one document of 16 MB: it is too large a part of the cache."""

OPLOG_MB = 1024
JOURNAL_FILE_MB = 32
"""Three files are made at once: the server's own 100 MB each would take 0.9 GB for an empty set of three."""

RESTART_TIMEOUT_S = 30.0
RESTART_TRIES = 5
SHOWN_LOG_LINES = 12

_POLL_S = 0.01
_DEATH_POLL_S = 0.05
_PORT_TAKEN_PAUSE_S = 0.5
_ASK_TIMEOUT_S = 1.0
_SEARCHED_LOG_LINES = 400


class PortTakenError(BackendError):
    """Another process listens on the member's port."""


@dataclass(slots=True, kw_only=True)
class Member:
    """One mongod of the set; ``address`` is what it advertises, ``port`` what it really listens on."""

    name: str
    port: int
    address: str
    directory: Path
    set_name: str
    mongod: Mongod
    guardian: Guardian
    channel: MemberChannel = field(init=False)
    _process_id: int = field(init=False, default=0)
    _process_start: int | None = field(init=False, default=None)
    _log_start: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.channel = MemberChannel(self.name, self.port)

    @property
    def real_address(self) -> str:
        """``host:port`` of the process itself, which no link carries."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log_path(self) -> Path:
        """Where mongod writes its log."""
        return self.directory / "mongod.log"

    @property
    def data_path(self) -> Path:
        """Where mongod keeps its data."""
        return self.directory / "data"

    def live_process_id(self) -> int | None:
        """Return the number of the member's process; None where it has ended."""
        start = process_start(self._process_id) if self._process_id else None
        return self._process_id if start is not None and start == self._process_start else None

    def arguments(self) -> list[str]:
        """Return the command line."""
        options = {
            "--dbpath": str(self.data_path),
            "--logpath": str(self.log_path),
            "--port": str(self.port),
            "--bind_ip": LOOPBACK,
            "--replSet": self.set_name,
            "--oplogSize": str(OPLOG_MB),
            "--wiredTigerCacheSizeGB": str(CACHE_GB),
            "--wiredTigerEngineConfigString": f"log=(file_max={JOURNAL_FILE_MB}MB)",
        }
        words = [word for option in options.items() for word in option]
        # Diagnostic data is sampled each second and written to disk; nobody reads it here.
        parameters = ("enableTestCommands=1", "diagnosticDataCollectionEnabled=false")
        words += [word for parameter in parameters for word in ("--setParameter", parameter)]
        return [str(self.mongod.path), *words, "--logappend", "--nounixsocket"]

    async def launch(self, network: Network) -> None:
        """Start the process and tell the network. Raises BackendError where it cannot be executed."""
        self.data_path.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._process_id = await self.guardian.start(
            self.name, self.arguments(), network.member_environment(self.name), self.directory / "output.log"
        )
        self._process_start = process_start(self._process_id)
        await network.register(self.name, self._process_id)

    async def kill(self) -> None:
        """End the process at once and return when it is gone."""
        await self.guardian.kill(self.name)
        self.channel.drop_idle()

    async def restart(self, network: Network) -> None:
        """Start an ended process again on its old files and return when it answers; nothing where it still runs."""
        if self.live_process_id() is not None:
            return
        self.channel.drop_idle()
        for remaining in reversed(range(RESTART_TRIES)):
            await self.launch(network)
            try:
                with trio.fail_after(RESTART_TIMEOUT_S):
                    await run_beside(self.wait_answering, self.wait_death)
                return
            except PortTakenError:
                if not remaining:
                    raise
                await trio.sleep(_PORT_TAKEN_PAUSE_S)
            except trio.TooSlowError:
                raise BackendError(
                    f"{self.name} did not answer within {RESTART_TIMEOUT_S:.0f} s of its restart; "
                    f"its last log lines:\n{self.last_words(SHOWN_LOG_LINES)}"
                ) from None

    async def wait_answering(self) -> None:
        """Wait until this very process answers: another server may have taken the port."""
        while True:
            try:
                reply = await self.channel.command("admin", {"getCmdLineOpts": 1}, timeout_s=_ASK_TIMEOUT_S)
                if str(self.data_path) in reply["argv"]:
                    return
            except (UnreachableError, CommandFailedError):
                pass
            await trio.sleep(_POLL_S)

    async def wait_death(self) -> None:
        """Wait until the process has ended, and raise the BackendError that tells why it did."""
        while self.live_process_id() is not None:
            await trio.sleep(_DEATH_POLL_S)
        exit_code = (await self.guardian.states())[self.name].exit_code
        raise self._death(exit_code, self._lines_since_launch())

    def last_words(self, count: int) -> str:
        """Return the last log lines in words, one a line, after the member's name."""
        lines = for_reader(self._lines_since_launch(), count) or ("(no log)",)
        return "\n".join(f"    {self.name}: {line}" for line in lines)

    def _lines_since_launch(self) -> tuple[str, ...]:
        # What stops a process before it opens its log (a missing library) is in its output.
        return last_lines(self.log_path, _SEARCHED_LOG_LINES, after=self._log_start) or last_lines(
            self.directory / "output.log", _SEARCHED_LOG_LINES
        )

    def _death(self, exit_code: int | None, lines: tuple[str, ...]) -> BackendError:
        what = f"{self.name} (mongod {self.mongod.version}, {self.mongod.path})"
        told = self.last_words(SHOWN_LOG_LINES)
        if says_port_taken(lines):
            return PortTakenError(
                f"{what} could not listen on port {self.port}: another process does; its last log lines:\n{told}",
                next_step="start again: other ports are drawn",
            )
        if says_disk_full(lines):
            return BackendError(
                f"{what} ended since the disk of {self.directory.parent} is full; its last log lines:\n{told}",
                next_step=f"free space there, or set ${ENVIRONMENT_VARIABLE} to a directory on another disk",
            )
        ended = f"with code {exit_code}" if exit_code is None or exit_code >= 0 else f"by signal {-exit_code}"
        return BackendError(
            f"{what} ended at start {ended}; its last log lines:\n{told}",
            next_step="its last lines say why; harness doctor checks the mongod that was found",
        )
