"""One simulated run: set up, load with strikes, heal, final reads; and what came out, without a file written.

A run is a function of its cell, its seed, its workload and the strategy that chooses. Setup is the same for all seeds
of a cell, so it is done once, and every run begins where it ended: with its oplog, at its time.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.clock import FOREVER_NS
from harness.errors import ScenarioError
from harness.explore.program import Workload, WorkloadItem
from harness.facts import FaultWindow, Phase, PrimaryChange, RunFacts
from harness.history import History
from harness.operation import Operation
from harness.oplog import Oplog
from harness.run.client import check_call
from harness.run.simulated.cell import START_US, SimulatedCell
from harness.run.simulated.client import ClientProcess, run_own_function
from harness.run.simulated.nemesis import SimulatedNemesis
from harness.run.simulated.states import Keys, RunStates
from harness.run.simulated.strikes import Stage, twins_of
from harness.seed import stream
from harness.sim.kernel import DefaultStrategy, Deviation, Kernel, Strategy
from harness.sim.kernel.guard import guard
from harness.sim.server.commands.dispatch import Dispatcher
from harness.sim.server.network import Network
from harness.sim.server.records import OplogEntry
from harness.sim.server.replica_set import ReplicaSet
from harness.sim.server.surviving import surviving_writes

STEPS_LIMIT = 2_000_000
"""Steps of a run; a load of some thousand operations takes a tenth of that."""


@dataclass(frozen=True, kw_only=True)
class SimulatedRun:
    """What came out of a run: its history, its trace, and the digest over every step."""

    history: History
    deviations: tuple[Deviation, ...]
    digest: int
    decisions: int
    steps: int
    events: tuple[tuple[Any, ...], ...] = ()
    unused_budget: int = 0


def draw_workload(cell: SimulatedCell, seed: int) -> Workload:
    """Return the calls of all clients of a run with that seed: ``cell.operations`` in all, shared out evenly.

    Raises ScenarioError where the workload raises or asks for what the scenario has not.
    """
    scenario = cell.scenario
    items = []
    for client in range(cell.clients):
        calls = iter(scenario.workload(stream(seed, "workload", client), client))
        share = cell.operations // cell.clients + (client < cell.operations % cell.clients)
        for number in range(share):
            try:
                call = next(calls, None)
            except Exception as error:
                raise ScenarioError(
                    f"the workload of scenario {scenario.name!r} raised {type(error).__name__}: {error}",
                    next_step="mend the workload function",
                ) from error
            if call is None:
                break
            check_call(scenario, call)
            items.append(
                WorkloadItem(id=f"{client}.{number}", client=client, index=number * cell.clients + client, call=call)
            )
    return Workload(items=tuple(items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Where setup ended, and every run begins."""

    log: OplogEntry | None = None
    """The last entry of the oplog, which keeps what setup saved of it good: resume tokens, times, snapshots."""
    until_us: int = START_US
    """The virtual time."""
    numbers_given: int = 0
    """How many numbers the servers gave to collections, cursors and ids."""


@dataclass(kw_only=True)
class Simulator:
    """Simulates runs of one cell; keeps what the scenario's setup leaves."""

    cell: SimulatedCell
    _prepared: Prepared | None = field(default=None, init=False)

    def run(
        self,
        seed: int,
        workload: Workload,
        strategy: Strategy,
        *,
        facts: RunFacts | None = None,
        keep_events: bool = False,
        keys: Keys | None = None,
    ) -> SimulatedRun:
        """Simulate one run; with ``keys`` its states can be told apart. Raises ScenarioError for the scenario's own
        mistakes.
        """
        with guard(sys.modules[self.cell.scenario.workload.__module__]):
            if self._prepared is None:
                self._prepared = _prepare(self.cell)
            run = _Run(
                self.cell,
                self._prepared,
                seed,
                workload,
                strategy,
                facts=facts,
                keep_events=keep_events,
                keys=keys,
            )
            return run.do()


def _prepare(cell: SimulatedCell) -> Prepared:
    setup = cell.scenario.setup
    if setup is None:
        return Prepared()
    kernel = Kernel(start_us=START_US)
    replica_set = ReplicaSet(kernel, cell.configuration)
    dispatcher = Dispatcher(replica_set)
    network = Network(replica_set, dispatcher)
    kernel.spawn("setup", run_own_function(cell, kernel, network, "setup", setup))
    try:
        kernel.run()
        kernel.spawn("settle", replica_set.settle())
        kernel.run()
    finally:
        kernel.close()
    primary = replica_set.primary
    assert primary is not None
    return Prepared(log=primary.last, until_us=kernel.now_us, numbers_given=dispatcher.service.numbers_given)


class _Run:
    def __init__(
        self,
        cell: SimulatedCell,
        prepared: Prepared,
        seed: int,
        workload: Workload,
        strategy: Strategy,
        *,
        facts: RunFacts | None,
        keep_events: bool,
        keys: Keys | None,
    ) -> None:
        self.cell = cell
        self.facts = facts
        self.kernel = kernel = Kernel(
            DefaultStrategy(), start_us=prepared.until_us, steps_limit=STEPS_LIMIT, keep_events=keep_events
        )
        self.replica_set = ReplicaSet(kernel, cell.configuration, prepared.log)
        self.began_at = self.replica_set.in_order[0].last
        dispatcher = Dispatcher(self.replica_set)
        self.service = dispatcher.service
        self.service.numbers_given = prepared.numbers_given
        self.network = Network(self.replica_set, dispatcher)
        self.operations: list[Operation] = []
        connection_numbers = itertools.count(1)
        self.clients = [
            ClientProcess(
                cell=cell,
                seed=seed,
                client=client,
                items=workload.of(client),
                kernel=kernel,
                network=self.network,
                operations=self.operations,
                connection_numbers=connection_numbers,
            )
            for client in workload.clients
        ]
        self.stage = Stage(
            kernel=kernel,
            replica_set=self.replica_set,
            network=self.network,
            dispatch=dispatcher,
            groups=cell.groups,
            now_ns=lambda: cell.time_ns(kernel.now_us),
            arm_crash=self._arm_crash,
            crashes=lambda: sum(client.crashes for client in self.clients),
        )
        self.nemesis = SimulatedNemesis(twins_of(cell.fault), self.stage, cell.strikes)
        self.states = None if keys is None else self._states(keys)
        self.phases: list[Phase] = []
        self.primaries: list[PrimaryChange] = []
        self.strategy = strategy

    def _states(self, keys: Keys) -> RunStates:
        keep_order = not self.cell.scenario.ignores_real_time
        states = RunStates(self.kernel, self.network, self.service, self.nemesis, keys, keep_order=keep_order)
        for client in self.clients:
            client.trail = states.trail_of(client.client)
        return states

    def do(self) -> SimulatedRun:
        try:
            return self._do()
        finally:
            self._let_go()

    def _do(self) -> SimulatedRun:
        try:
            self._load()
            final = self._final_reads()
        finally:
            self.kernel.close()
        return SimulatedRun(
            history=self._history(final),
            deviations=tuple(self.kernel.deviations),
            digest=self.kernel.digest,
            decisions=self.kernel.decisions,
            steps=self.kernel.steps,
            events=tuple(self.kernel.events or ()),
            unused_budget=self.nemesis.left,
        )

    def _let_go(self) -> None:
        """Cut what refers to each other: left to the garbage collector, a run's memory costs a tenth of its time."""
        self.replica_set.close()
        for part in (*self.clients, self.nemesis, self.service, self.stage, self.network, self):
            vars(part).clear()

    def _load(self) -> None:
        kernel = self.kernel
        self._enter("load")
        self._note_primary()
        self.replica_set.observers.append(self._note_primary)
        for client in self.clients:
            kernel.spawn(task_name(client.client), client.run())
        self.nemesis.begin()
        if self.states is not None:
            self.states.begin()
        kernel.use(self.strategy)
        kernel.run()
        kernel.use(DefaultStrategy())
        if self.states is not None:
            self.states.end()

    def _final_reads(self) -> Mapping[str, Any]:
        kernel = self.kernel
        self._enter("heal")
        final_reads = self.cell.scenario.final_reads
        task = kernel.spawn("end", self._end(final_reads))
        kernel.run()
        self._enter("end")
        values = task.result
        if not isinstance(values, Mapping):
            raise ScenarioError(
                f"final_reads of scenario {self.cell.scenario.name!r} returned {type(values).__name__}",
                next_step="return a map of names to what was read",
            )
        return values

    async def _end(self, final_reads: Callable[..., Any] | None) -> Any:
        await self.nemesis.finish()
        self._enter("quiet")
        await self.replica_set.settle()
        self._enter("final")
        if final_reads is None:
            return {}
        return await run_own_function(self.cell, self.kernel, self.network, "final_reads", final_reads)

    def _history(self, final: Mapping[str, Any]) -> History:
        windows: list[FaultWindow] = self.nemesis.windows
        return History(
            operations=tuple(sorted(self.operations, key=lambda operation: (operation.start_ns, operation.index))),
            final=final,
            fault_windows=tuple(sorted(windows, key=lambda window: (window.start_ns, window.fault))),
            primary_changes=tuple(self.primaries),
            phases=tuple(self.phases),
            facts=self.facts,
            oplog=self._oplog() if any(operation.status == "info" for operation in self.operations) else None,
        )

    def _oplog(self) -> Oplog | None:
        """Return what survived of the writes; asked for only where an outcome is unknown, since it takes time."""
        primary = self.replica_set.primary
        return None if primary is None else surviving_writes(primary.last, self.began_at)

    def _arm_crash(self, task: str) -> int | None:
        for client in self.clients:
            if task_name(client.client) == task:
                client.recorder.arm_crash()
                return client.client
        return None

    def _enter(self, phase: str) -> None:
        self.phases.append(Phase(name=phase, time_ns=self.cell.time_ns(self.kernel.now_us)))

    def _note_primary(self) -> None:
        believers = [member for member in self.replica_set.in_order if member.running and member.role == "PRIMARY"]
        primary = max(believers, key=lambda member: member.term, default=None)
        change = (primary.name, primary.term) if primary else (None, None)
        last = self.primaries[-1] if self.primaries else None
        if last is None or (last.member, last.term) != change:
            now_ns = self.cell.time_ns(self.kernel.now_us)
            self.primaries.append(PrimaryChange(time_ns=min(now_ns, FOREVER_NS), member=change[0], term=change[1]))


def task_name(client: int) -> str:
    """Return the name of a client's task, under which choices speak of it."""
    return f"client {client}"
