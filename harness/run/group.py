"""A client group: the clients that share an operating-system process, and so one view of the network.

With one group its clients run in the harness's own process; with more, each group is a process of its own
(``group_process.py``), so that a partition can leave clients on both of its sides.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import trio

from harness.clock import RunClock
from harness.interfaces.backend import Connection
from harness.journal import JournalWriter
from harness.run.client import ClientPlan, ClientProcess, Control
from harness.run.turns import Order
from harness.scenario.load import LoadedScenario
from harness.settings import parse_settings


class GroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a group needs to know; it is sent to another process as JSON."""

    scenario_source: str
    variant: str
    setting: str
    connection: Connection
    group: int
    members: tuple[int, ...]
    """Its client numbers."""
    clients: int
    """Clients of the whole run."""
    seed: int
    think_ms: float
    database: str
    application_name: str
    journal_path: str
    origin_ns: int


class GroupCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients of a group have done so far."""

    ok: int = 0
    fail: int = 0
    info: int = 0
    crashes: int = 0

    def plus(self, other: GroupCounts) -> GroupCounts:
        """Return the sum of two groups."""
        return GroupCounts(
            ok=self.ok + other.ok,
            fail=self.fail + other.fail,
            info=self.info + other.info,
            crashes=self.crashes + other.crashes,
        )


class Group(Protocol):
    """The clients of one group, wherever they run."""

    @property
    def name(self) -> str:
        """Its name as a source of links."""
        ...

    @property
    def process_id(self) -> int:
        """The process that its connections belong to."""
        ...

    @property
    def clients(self) -> tuple[int, ...]:
        """Its client numbers."""
        ...

    async def run(self, started: Callable[[], None]) -> None:
        """Run the clients until they have ended; call ``started`` once they are under way."""
        ...

    def stop(self) -> None:
        """Let every client end after its current operation."""
        ...

    def cancel(self) -> None:
        """End every client at its next database call or sleep."""
        ...

    def arm_crash(self, client: int) -> None:
        """Make one client die."""
        ...

    def counts(self) -> GroupCounts:
        """Return what was done so far."""
        ...


class LocalGroup:
    """A group whose clients are threads of this process."""

    def __init__(self, spec: GroupSpec, loaded: LoadedScenario, order: Order | None = None) -> None:
        self.spec = spec
        self.control = Control()
        self._journal = JournalWriter(Path(spec.journal_path))
        plan = ClientPlan(
            scenario=loaded.scenario,
            variant=spec.variant,
            settings=parse_settings(spec.setting),
            connection=spec.connection,
            group=spec.group,
            clients=spec.clients,
            seed=spec.seed,
            think_ms=spec.think_ms,
            database=spec.database,
            application_name=spec.application_name,
            clock=RunClock(spec.origin_ns),
            journal=self._journal,
            order=order,
        )
        self._processes = {client: ClientProcess(plan, client, self.control) for client in spec.members}

    @property
    def name(self) -> str:
        """Its name as a source of links."""
        return self.spec.connection.group

    @property
    def process_id(self) -> int:
        """Return the harness itself."""
        return os.getpid()

    @property
    def clients(self) -> tuple[int, ...]:
        """Its client numbers."""
        return self.spec.members

    async def run(self, started: Callable[[], None]) -> None:
        """Run one thread a client; the first error of one stops the others and is raised."""
        limiter = trio.CapacityLimiter(max(1, len(self._processes)))
        try:
            async with trio.open_nursery() as nursery:
                for process in self._processes.values():
                    nursery.start_soon(self._run_client, process, limiter)
                started()
        finally:
            self._journal.detach()

    async def _run_client(self, process: ClientProcess, limiter: trio.CapacityLimiter) -> None:
        try:
            await trio.to_thread.run_sync(process.run, limiter=limiter)
        except BaseException:
            self.cancel()
            raise

    def stop(self) -> None:
        """Let every client end after its current operation."""
        self.control.stopping.set()

    def cancel(self) -> None:
        """End every client at its next database call or sleep."""
        self.control.stopping.set()
        self.control.cancel.set()

    def arm_crash(self, client: int) -> None:
        """Make one client die at the end of its next database call."""
        self._processes[client].arm_crash()

    def counts(self) -> GroupCounts:
        """Return what the clients have done so far."""
        tallies = [process.tally for process in self._processes.values()]
        return GroupCounts(
            ok=sum(tally.ok for tally in tallies),
            fail=sum(tally.fail for tally in tallies),
            info=sum(tally.info for tally in tallies),
            crashes=sum(tally.crashes for tally in tallies),
        )
