"""A campaign: many cells, each judged by one or more runs, on replica sets that are reused from run to run."""

from __future__ import annotations

import contextlib
import datetime
import platform
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pymongo
import trio

import harness
from harness import store
from harness.errors import HarnessError, UsageError
from harness.facts import Cell, RunFacts
from harness.faults.catalogue import refuse_impossible
from harness.interfaces.backend import Backend, Capability
from harness.interfaces.fault import Fault
from harness.result import CellResult, Evidence, RunVerdict
from harness.run.execute import Interruption, RunRequest, execute_run
from harness.run.judge import judge_cell, judge_run
from harness.run.progress import ProgressListener
from harness.scenario.describe import describe_scenario
from harness.scenario.load import LoadedScenario
from harness.scenario.record import Expected
from harness.seed import derive
from harness.settings import Settings

CHUNK_S = 10.0
"""Length of the runs that a search with ``until violated`` is cut into, so that final reads come often."""


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """A cell that is to be judged."""

    loaded: LoadedScenario
    cell: Cell
    settings: Settings
    faults: tuple[Fault, ...]
    expected: Expected | None


@dataclass(frozen=True, kw_only=True)
class CampaignPlan:
    """What to judge, how long, how often, and where to keep it."""

    campaign: str
    root: Path
    cells: tuple[CellPlan, ...]
    seed: int
    clients: int
    client_groups: int
    members: int
    network: Literal["builtin", "toxiproxy"]
    duration_s: float
    runs: int = 1
    """Runs of each cell; the first has the campaign's seed, the others are derived from it."""
    jobs: int = 1
    until_violated: bool = False
    against_expected: bool = False
    mongod: str = ""
    """As given on the command line, for the replay command."""

    @property
    def directory(self) -> Path:
        """The campaign's directory in the store."""
        return self.root / self.campaign


BackendFactory = Callable[[Settings], Backend]
"""Makes a backend that is not yet started, for cells with these settings."""


def new_campaign_id(now: datetime.datetime) -> str:
    """Return a name for a campaign that begins now; names sort by time."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


class Campaign:
    """One execution of a plan; :meth:`run` may be called once."""

    def __init__(self, plan: CampaignPlan, make_backend: BackendFactory, listener: ProgressListener) -> None:
        self.plan = plan
        self.listener = listener
        self.interruption = Interruption()
        self._make_backend = make_backend
        self._results: dict[int, CellResult] = {}
        self._numbers = iter(range(1, sys.maxsize))

    async def run(self) -> tuple[CellResult, ...]:
        """Judge every cell and return the results in the order of the plan. Raises the error that ended it."""
        plan = self.plan
        for cell_plan in plan.cells:
            self._keep_scenario(cell_plan.loaded)
        todo = [(number, cell) for number, cell in enumerate(plan.cells) if not self._listed_only(number, cell)]
        send, receive = trio.open_memory_channel[tuple[int, CellPlan]](len(todo) or 1)
        async with send:
            for item in todo:
                await send.send(item)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen_for_signals, nursery.cancel_scope)
            async with trio.open_nursery() as workers:
                for _ in range(min(plan.jobs, len(todo))):
                    workers.start_soon(self._work, receive.clone())
                receive.close()
            nursery.cancel_scope.cancel()
        return self.results

    @property
    def results(self) -> tuple[CellResult, ...]:
        """The cells judged so far, in the order of the plan."""
        return tuple(self._results[number] for number in sorted(self._results))

    def _keep_scenario(self, loaded: LoadedScenario) -> None:
        copy = self.plan.directory / store.SCENARIOS / f"{loaded.scenario.name}.py"
        store.write_bytes(copy, loaded.path.read_bytes())
        store.write_scenario(self.plan.directory, describe_scenario(loaded.scenario))

    def _listed_only(self, number: int, cell_plan: CellPlan) -> bool:
        expected = cell_plan.expected
        if not (self.plan.against_expected and expected and expected.verdict == "not-applicable"):
            return False
        self._finish(
            number,
            CellResult(
                cell=cell_plan.cell,
                status="unknown",
                reasons=(f"not applicable: {expected.why or 'declared so by the scenario'}",),
                not_applicable=True,
                expected=expected.verdict,
                expected_why=expected.why,
                runs=(),
                evidence=Evidence(),
            ),
        )
        return True

    async def _listen_for_signals(self, hard_stop: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if self.interruption.asked:
                    hard_stop.cancel()
                    return
                self.listener.message("stopping: healing faults and keeping the record (again to stop at once)")
                self.interruption.event.set()

    async def _work(self, queue: trio.MemoryReceiveChannel[tuple[int, CellPlan]]) -> None:
        holder = _BackendHolder(self._make_backend, self.listener)
        async with queue:
            try:
                async for number, cell_plan in queue:
                    if self.interruption.asked:
                        return
                    await self._do_cell(holder, number, cell_plan)
            finally:
                with trio.CancelScope(shield=True):
                    await holder.stop()

    async def _do_cell(self, holder: _BackendHolder, number: int, cell_plan: CellPlan) -> None:
        runs: list[tuple[RunFacts, RunVerdict]] = []
        for repeat, duration_s in self._run_lengths():
            backend = await holder.healthy(cell_plan.settings, self.interruption)
            if backend is None:
                return
            facts = self._facts(cell_plan, repeat, duration_s)
            runs.append(await self._do_run(holder, backend, cell_plan, facts))
            if self.interruption.asked or (self.plan.until_violated and runs[-1][1].status == "violated"):
                break
        self._finish(number, judge_cell(cell_plan.cell, runs, cell_plan.expected))

    def _run_lengths(self) -> list[tuple[int, float]]:
        plan = self.plan
        if not plan.until_violated:
            return [(repeat, plan.duration_s) for repeat in range(plan.runs)]
        lengths: list[tuple[int, float]] = []
        left = plan.duration_s * plan.runs
        while left > 0:
            lengths.append((len(lengths), min(CHUNK_S, left)))
            left -= CHUNK_S
        return lengths

    async def _do_run(
        self, holder: _BackendHolder, backend: Backend, cell_plan: CellPlan, facts: RunFacts
    ) -> tuple[RunFacts, RunVerdict]:
        request = RunRequest(
            loaded=cell_plan.loaded,
            faults=cell_plan.faults,
            facts=facts,
            root=self.plan.root,
            until_violated=self.plan.until_violated,
        )
        try:
            facts = await execute_run(backend, request, self.listener, self.interruption)
        except BaseException:
            holder.distrust()
            with contextlib.suppress(HarnessError):
                judge_stored(store.run_directory(self.plan.root, facts), cell_plan.loaded)
            raise
        verdict = await trio.to_thread.run_sync(
            judge_stored, store.run_directory(self.plan.root, facts), cell_plan.loaded
        )
        return facts, verdict

    def _facts(self, cell_plan: CellPlan, repeat: int, duration_s: float) -> RunFacts:
        plan = self.plan
        seed = plan.seed if repeat == 0 else derive(plan.seed, "run", repeat)
        facts = RunFacts(
            run=f"{plan.campaign}-{next(self._numbers):03d}",
            campaign=plan.campaign,
            cell=cell_plan.cell,
            seed=seed,
            clients=plan.clients,
            client_groups=plan.client_groups,
            members=plan.members,
            network=plan.network,
            duration_s=duration_s,
            until="violated" if plan.until_violated else "",
            scenario_source=cell_plan.loaded.source,
            think_ms=cell_plan.loaded.scenario.think_ms,
            versions={
                "harness": harness.__version__,
                "pymongo": pymongo.version,
                "python": platform.python_version(),
            },
            host={"system": platform.system(), "machine": platform.machine(), "kernel": platform.release()},
            started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        return msgspec.structs.replace(facts, replay=replay_command(facts, mongod=plan.mongod))

    def _finish(self, number: int, result: CellResult) -> None:
        self._results[number] = result
        store.write_cells(self.plan.directory, self.results)
        self.listener.cell_finished(result, finished=len(self._results), total=len(self.plan.cells))


class _BackendHolder:
    """Keeps one started backend for a worker, and makes another where the settings or a failure ask for it."""

    def __init__(self, make: BackendFactory, listener: ProgressListener) -> None:
        self._make = make
        self._listener = listener
        self._backend: Backend | None = None
        self._journal_default: bool | None = None
        self._trusted = False

    def distrust(self) -> None:
        """Do not use the present set again: a run on it ended with an error."""
        self._trusted = False

    async def healthy(self, settings: Settings, interruption: Interruption) -> Backend | None:
        """Return a started backend for these settings; None where the user interrupted its start."""
        if self._backend is not None and self._trusted and self._journal_default == settings.journal_default:
            return self._backend
        await self.stop()
        began = time.monotonic()
        self._backend = self._make(settings)
        self._journal_default = settings.journal_default
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when, interruption.event, nursery.cancel_scope)
            await self._backend.start()
            self._trusted = True
            nursery.cancel_scope.cancel()
        if not self._trusted:
            return None
        for note in self._backend.notes:
            self._listener.message(f"note: {note}")
        members = ", ".join(self._backend.members)
        self._listener.message(f"replica set of {members} ready in {time.monotonic() - began:.1f} s")
        return self._backend

    async def _cancel_when(self, event: trio.Event, scope: trio.CancelScope) -> None:
        await event.wait()
        scope.cancel()

    async def stop(self) -> None:
        """Stop the backend, if there is one."""
        backend, self._backend, self._trusted = self._backend, None, False
        if backend is not None:
            await backend.stop()


def judge_stored(directory: Path, loaded: LoadedScenario) -> RunVerdict:
    """Judge a stored run anew and write its ``verdict.json``."""
    verdict = judge_run(store.load_history(directory), loaded.scenario)
    store.write_verdict(directory, verdict)
    return verdict


def replay_command(facts: RunFacts, *, mongod: str = "") -> str:
    """Return the command that does this run again."""
    cell = facts.cell
    words = ["harness", "run", facts.scenario_source, "--variant", cell.variant]
    if cell.setting != "default":
        words += ["--setting", cell.setting]
    if cell.fault != "none":
        words += ["--fault", cell.fault]
    words += ["--backend", cell.backend, "--network", facts.network, "--members", str(facts.members)]
    words += ["--clients", str(facts.clients)]
    if facts.client_groups > 1:
        words += ["--client-groups", str(facts.client_groups)]
    if mongod:
        words += ["--mongod", mongod]
    words += ["--duration", f"{facts.duration_s:g}", "--seed", str(facts.seed)]
    return shlex.join(words)


def check_plan(plan: CampaignPlan, capabilities: frozenset[Capability]) -> None:
    """Raise UsageError where a cell asks for what cannot be: before anything is started."""
    for cell_plan in plan.cells:
        refuse_impossible(
            cell_plan.faults,
            backend=cell_plan.cell.backend,
            capabilities=capabilities,
            client_groups=plan.client_groups,
        )
        if plan.against_expected and cell_plan.expected is None:
            raise UsageError(
                f"--expect: the scenario declares no verdict for the cell {cell_plan.cell.label()}",
                next_step="leave --expect out, or add an Expected(...) entry to the scenario",
            )
