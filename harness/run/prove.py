"""Proving: attempts at a finding of the simulator on real servers, until its anomaly shows or the budget ends."""

from __future__ import annotations

import datetime
import platform
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pymongo
import trio

import harness
from harness import store
from harness.facts import RunFacts, WorkloadCall
from harness.faults.catalogue import parse_faults
from harness.interfaces.backend import Backend
from harness.result import RunVerdict
from harness.run.campaign import judge_stored
from harness.run.execute import Interruption, RunRequest, execute_run
from harness.run.judge import kinds_of
from harness.run.progress import ProgressListener
from harness.run.proof import plan_proof, with_calls
from harness.scenario.describe import describe_scenario
from harness.scenario.load import LoadedScenario

LONGEST_ATTEMPT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is to be proved: a stored simulated run, its calls, and the kinds of anomaly that it shows."""

    directory: Path
    facts: RunFacts
    calls: tuple[WorkloadCall, ...]
    kinds: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the attempts came to; ``shown`` is the run in which an anomaly of the finding showed, or None."""

    attempts: int
    shown: RunFacts | None
    verdict: RunVerdict | None
    kinds: tuple[tuple[str, int], ...]
    """Kinds of anomaly over all attempts."""
    left_order: str
    """Where the last attempt left the order of the simulated run, in words; empty where it kept it."""


@dataclass(frozen=True, kw_only=True)
class Prover:
    """Attempts a finding on a started ``backend``; the set is used again from attempt to attempt."""

    finding: Finding
    loaded: LoadedScenario
    backend: Backend
    root: Path
    campaign: str
    listener: ProgressListener
    interruption: Interruption

    async def prove(self, budget_s: float) -> Proof:
        """Attempt it until its anomaly shows, at least once, for ``budget_s`` seconds."""
        scenario = self.loaded.scenario
        directory = self.root / self.campaign
        store.write_bytes(directory / store.SCENARIOS / f"{scenario.name}.py", self.loaded.path.read_bytes())
        store.write_scenario(directory, describe_scenario(scenario))
        began = time.monotonic()
        seen: Counter[str] = Counter()
        attempts, left_order = 0, ""
        while attempts == 0 or (time.monotonic() - began < budget_s and not self.interruption.asked):
            attempts += 1
            facts, verdict, left_order = await self._attempt(attempts)
            kinds = kinds_of(verdict)
            seen.update(kinds)
            if verdict.status == "violated" and self.finding.kinds & set(kinds):
                return _proof(attempts, facts, verdict, seen, left_order)
        return _proof(attempts, None, None, seen, left_order)

    async def _attempt(self, number: int) -> tuple[RunFacts, RunVerdict, str]:
        finding = self.finding
        fault = finding.facts.cell.fault
        plan = plan_proof(store.load_history(finding.directory), finding.calls, fault)
        loaded = with_calls(self.loaded, finding.calls)
        request = RunRequest(
            loaded=loaded,
            faults=parse_faults(fault),
            facts=_facts(finding, self.backend, f"{self.campaign}-{number:03d}", self.campaign),
            root=self.root,
            proof=plan,
        )
        facts = await execute_run(self.backend, request, self.listener, self.interruption)
        verdict = await trio.to_thread.run_sync(judge_stored, store.run_directory(self.root, facts), loaded)
        missed = plan.order.turns.missed
        return facts, verdict, f"{missed[0].what} of {missed[0].subject} never came" if missed else ""


def _proof(
    attempts: int, facts: RunFacts | None, verdict: RunVerdict | None, seen: Counter[str], left_order: str
) -> Proof:
    return Proof(
        attempts=attempts, shown=facts, verdict=verdict, kinds=tuple(seen.most_common()), left_order=left_order
    )


def _facts(finding: Finding, backend: Backend, run: str, campaign: str) -> RunFacts:
    simulated = finding.facts
    return RunFacts(
        run=run,
        campaign=campaign,
        cell=msgspec.structs.replace(simulated.cell, backend="local"),
        seed=simulated.seed,
        clients=simulated.clients,
        client_groups=simulated.client_groups,
        members=simulated.members,
        network=backend.links.name,
        duration_s=LONGEST_ATTEMPT_S,
        scenario_source=simulated.scenario_source,
        replay=f"harness prove {simulated.run}",
        versions={
            "harness": harness.__version__,
            "pymongo": pymongo.version,
            "python": platform.python_version(),
        },
        host={"system": platform.system(), "machine": platform.machine(), "kernel": platform.release()},
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        notes=(f"proves the simulated run {simulated.run}: its calls, in its order of commands and strikes",),
    )
