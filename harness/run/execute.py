"""One run: set up, load under faults, heal, quiet, drain, final reads; and its record.

Whatever ends a run, what was recorded so far is kept, every client is gone and every fault is healed.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from harness import store
from harness.backends.driver import read_oplog
from harness.clock import NANOSECONDS_PER_SECOND, RunClock
from harness.errors import BackendError, HarnessError, HistoryError, first_harness_error
from harness.facts import Phase, RunFacts, RunStatus
from harness.faults.nemesis import run_nemesis
from harness.faults.schedule import as_plain, draw_schedule
from harness.history import build_history
from harness.interfaces.backend import Backend, MemberState, primary_of
from harness.interfaces.fault import Fault, FaultContext
from harness.interfaces.link import Link
from harness.journal import FinalRead, JournalWriter, OplogRead, PhaseStarted, PrimarySeen, read_journal
from harness.run.group import Group, GroupCounts, GroupSpec, LocalGroup
from harness.run.group_process import ProcessGroup
from harness.run.judge import judge_run
from harness.run.log import RunLog
from harness.run.observe import watch_primary
from harness.run.progress import ProgressListener, Snapshot
from harness.run.proof import ProofPlan
from harness.run.scenario_calls import Site, run_final_reads, run_setup
from harness.scenario.load import LoadedScenario
from harness.seed import stream

GRACE_S = 8.0
"""How long operations that are under way at the end of the load may take before they are cancelled."""
HEALTHY_TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 15.0
CLEAN_UP_TIMEOUT_S = 20.0
SNAPSHOT_INTERVAL_S = 0.5
INTERIM_CHECK_INTERVAL_S = 2.0


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What to run and where to keep it; ``facts`` says the rest."""

    loaded: LoadedScenario
    faults: tuple[Fault, ...]
    facts: RunFacts
    root: Path
    """The store."""
    until_violated: bool = False
    proof: ProofPlan | None = None
    """The order of a simulated run, where it is proved."""


@dataclass(kw_only=True)
class Interruption:
    """Set when the user wants to stop: runs end early but clean."""

    event: trio.Event = field(default_factory=trio.Event)

    @property
    def asked(self) -> bool:
        """Whether the user asked."""
        return self.event.is_set()


async def execute_run(
    backend: Backend, request: RunRequest, listener: ProgressListener, interruption: Interruption
) -> RunFacts:
    """Do one run on a healthy backend and store its record; return its final facts.

    Raises the HarnessError that ended it, after the record was closed: ScenarioError for the scenario's own
    mistakes, BackendError where the set did not come back, StoreError where the disk did not take the record.
    """
    run = _Run(backend, request, listener, interruption)
    try:
        await run.do()
    except BaseException as error:
        known = first_harness_error(error)
        if known is None:
            run.close("interrupted", error="the harness was stopped")
            raise
        run.close("error", error=known.message)
        raise known from error
    run.close("interrupted" if interruption.asked else "complete")
    return run.facts


class _Run:
    def __init__(
        self, backend: Backend, request: RunRequest, listener: ProgressListener, interruption: Interruption
    ) -> None:
        self.backend = backend
        self.request = request
        self.listener = listener
        self.interruption = interruption
        self.directory = store.run_directory(request.root, request.facts)
        self.clock = RunClock.start()
        self.proof = request.proof
        self.strikes = (
            draw_schedule(request.facts.seed, request.faults, request.facts.duration_s)
            if request.proof is None
            else request.proof.strikes
        )
        self.facts = msgspec.structs.replace(
            request.facts,
            schedule=as_plain(self.strikes),
            versions={**request.facts.versions, **backend.versions()},
            notes=(*request.facts.notes, *backend.notes),
        )
        store.write_facts(self.directory, self.facts)
        self.journal = JournalWriter(self.directory / store.HISTORY)
        self.fault_journal = JournalWriter(self.directory / store.FAULTS)
        self.log = RunLog(self.directory / store.LOG, self.clock)
        self.groups: list[Group] = []
        self.phase = "setup"
        self.primary = ""
        self.striking: dict[str, str] = {}
        self.enough = trio.Event()
        self.timings: dict[str, float] = {}
        self._phase_began = time.monotonic()

    @property
    def database(self) -> str:
        return f"run_{self.facts.run.replace('-', '_')}"

    async def do(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_primary, self.backend, self.clock, self._primary_seen)
            nursery.start_soon(self._report)
            await self._phases()
            nursery.cancel_scope.cancel()

    async def _phases(self) -> None:
        self._enter("setup")
        await run_setup(self._site())
        began = primary_of(await self.backend.observe())
        try:
            await self._load()
            self._enter("quiet")
            await self.backend.wait_healthy(HEALTHY_TIMEOUT_S)
            self._enter("drain")
            await self._drain()
            if not self.interruption.asked:
                self._enter("final")
                await self._final_reads()
                await self._read_oplog(began)
            self._enter("end")
        finally:
            await self._clean_up()

    async def _load(self) -> None:
        self.groups = self._make_groups()
        self._enter("load")
        async with trio.open_nursery() as nursery:
            done = trio.Event()
            nursery.start_soon(self._run_groups, done)
            try:
                await self._strike(done)
                self._enter("heal")
                for group in self.groups:
                    group.stop()
                with trio.move_on_after(GRACE_S):
                    await done.wait()
                if not done.is_set():
                    self.log.write("cancelling operations that did not end in time")
            finally:
                # The nursery waits for the threads of the clients, which only this ends.
                for group in self.groups:
                    group.cancel()

    async def _run_groups(self, done: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            for group in self.groups:
                await self.backend.register_group(group.name, group.process_id)
                nursery.start_soon(group.run, lambda: None)
        done.set()

    async def _strike(self, done: trio.Event) -> None:
        with trio.move_on_after(self.facts.duration_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_when, self.interruption.event, nursery.cancel_scope)
                nursery.start_soon(self._end_when, self.enough, nursery.cancel_scope)
                if self.request.until_violated:
                    nursery.start_soon(self._check_in_between)
                await run_nemesis(
                    self.strikes,
                    self._fault_context,
                    self.fault_journal.append,
                    self.clock,
                    self._fault_status,
                    pacing=self.proof.pacing if self.proof else None,
                )
                if self.proof is None:
                    await trio.sleep_forever()
                await done.wait()
                nursery.cancel_scope.cancel()

    async def _end_when(self, event: trio.Event, scope: trio.CancelScope) -> None:
        await event.wait()
        scope.cancel()

    async def _check_in_between(self) -> None:
        while True:
            await trio.sleep(INTERIM_CHECK_INTERVAL_S)
            if await trio.to_thread.run_sync(self._violated_so_far):
                self.enough.set()
                return

    def _violated_so_far(self) -> bool:
        try:
            events = read_journal(self.directory / store.HISTORY).events
            history = build_history(events, facts=self.facts, complete=False)
        except HistoryError:
            return False
        return judge_run(history, self.request.loaded.scenario).status == "violated"

    def _make_groups(self) -> list[Group]:
        facts = self.facts
        specs = [self._group_spec(number) for number in range(facts.client_groups)]
        if len(specs) == 1:
            return [LocalGroup(specs[0], self.request.loaded, self.proof.order if self.proof else None)]
        return [ProcessGroup(spec) for spec in specs]

    def _group_spec(self, number: int) -> GroupSpec:
        facts = self.facts
        return GroupSpec(
            scenario_source=facts.scenario_source,
            variant=facts.cell.variant,
            setting=facts.cell.setting,
            connection=self.backend.connection(number),
            group=number,
            members=tuple(range(number, facts.clients, facts.client_groups)),
            clients=facts.clients,
            seed=facts.seed,
            think_ms=facts.think_ms,
            database=self.database,
            application_name=facts.run,
            journal_path=str(self.directory / store.HISTORY),
            origin_ns=self.clock.origin_ns,
        )

    def _fault_context(self, fault: Fault) -> FaultContext:
        return FaultContext(
            backend=self.backend,
            random=stream(self.facts.seed, "fault", fault.name),
            now_ns=self.clock.now_ns,
            groups=tuple(group.name for group in self.groups),
            crash_client=self._crash_client,
            client_crashes=lambda: self._counts().crashes,
            clients=self.facts.clients,
            application_name=self.facts.run,
        )

    def _crash_client(self, client: int) -> None:
        for group in self.groups:
            if client in group.clients:
                group.arm_crash(client)

    def _counts(self) -> GroupCounts:
        total = GroupCounts()
        for group in self.groups:
            total = total.plus(group.counts())
        return total

    async def _drain(self) -> None:
        links = [Link(group.name, member) for group in self.groups for member in self.backend.members]
        await self.backend.links.cut(links)
        await self.backend.drain(self.facts.run, DRAIN_TIMEOUT_S)
        await self.backend.links.heal(links)

    def _site(self) -> Site:
        return Site(
            loaded=self.request.loaded,
            facts=self.facts,
            connection=self.backend.observer_connection(),
            database=self.database,
            clock=self.clock,
        )

    async def _final_reads(self) -> None:
        values = await run_final_reads(self._site())
        for name, value in values.items():
            self.journal.append(FinalRead(name=name, value=value))

    async def _read_oplog(self, began: MemberState | None) -> None:
        """Record what the oplog has since ``began``. It is evidence beside the record, and no run fails without it."""
        if began is None or began.applied is None:
            self.log.write("the oplog was not read", error="no primary told where it was when the load began")
            return
        read = functools.partial(
            read_oplog,
            self.backend.observer_connection(),
            self.database,
            began.applied[1:],
            application_name=f"{self.facts.run}-oplog",
        )
        try:
            self.journal.append(OplogRead(oplog=await trio.to_thread.run_sync(read)))
        except BackendError as error:
            self.log.write("the oplog was not read", error=error.message)

    async def _clean_up(self) -> None:
        with trio.move_on_after(CLEAN_UP_TIMEOUT_S, shield=True):
            try:
                await self.backend.links.heal_all()
                await self.backend.drop_database(self.database)
            except HarnessError as error:
                self.log.write("cleaning up", error=error.message)

    async def _report(self) -> None:
        before, before_at = 0, trio.current_time()
        while True:
            await trio.sleep(SNAPSHOT_INTERVAL_S)
            counts = self._counts()
            total, now = counts.ok + counts.fail + counts.info, trio.current_time()
            self.listener.snapshot(
                Snapshot(
                    cell=self.facts.cell,
                    phase=self.phase,
                    elapsed_s=self.clock.now_ns() / NANOSECONDS_PER_SECOND,
                    duration_s=self.facts.duration_s,
                    counts=counts,
                    operations_per_second=(total - before) / max(now - before_at, 1e-6),
                    faults=tuple(self.striking.values()),
                    primary=self.primary,
                )
            )
            before, before_at = total, now

    def _primary_seen(self, event: PrimarySeen) -> None:
        self.primary = event.change.member or ""
        if self.proof is not None:
            self.proof.primary_seen(event.change)
        self.fault_journal.append(event)

    def _fault_status(self, text: str) -> None:
        name, _, state = text.partition(" ")
        if state.startswith("healed"):
            self.striking.pop(name, None)
        else:
            self.striking[name] = text
        self.log.write(text)

    def _enter(self, phase: str) -> None:
        now = time.monotonic()
        self.timings[self.phase] = round(self.timings.get(self.phase, 0.0) + now - self._phase_began, 3)
        self._phase_began = now
        self.phase = phase
        self.fault_journal.append(PhaseStarted(phase=Phase(name=phase, time_ns=self.clock.now_ns())))
        self.log.write(f"phase {phase}")

    def close(self, status: RunStatus, *, error: str = "") -> None:
        """Close the record, whatever state it is in."""
        if error:
            self._attempt(lambda: self.log.write("the run ended early", error=error))
        for journal in (self.journal, self.fault_journal):
            self._attempt(journal.close)
        self._attempt(self.log.close)
        self.facts = msgspec.structs.replace(self.facts, status=status, error=error, timings_s=self.timings)
        self._attempt(lambda: store.write_facts(self.directory, self.facts))

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except HarnessError as error:
            self.listener.message(f"keeping the record of {self.facts.run}: {error.message}")
