"""One generated run, stored as a real one is: clients, strikes, elections and lost replies."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import store
from harness.clock import NANOSECONDS_PER_SECOND
from harness.facts import Cell, Effect, Phase, PrimaryChange, RunFacts
from harness.journal import (
    Completed,
    FaultHealed,
    FaultStarted,
    FinalRead,
    Invoked,
    JournalEvent,
    JournalWriter,
    PhaseStarted,
    PrimarySeen,
)
from harness.operation import Attempt, DatabaseCall, Failure
from harness.result import Evidence, RunVerdict
from harness.seed import stream
from harness.verdict import Verdict, VerdictStatus

CAMPAIGN = "20261124-231500-demo"
HOSTILE = (
    "</script><script>window.hostile=1</script>",
    "<img src=x onerror=window.hostile=1>",
    '" onmouseover="window.hostile=1" \'',
    "line\u2028separator\u202eoverride\u0000null",
    "{{ 7*7 }} {% raw %} ]]> <!-- */ }",
    "H" * 20_000,
)
ELECTION_S = 1.1


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One planned strike, in seconds of the run."""

    fault: str
    start_s: float
    end_s: float
    effective: bool = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run to be written."""

    cell: Cell
    seed: int = 7
    operations: int = 2_000
    duration_s: float = 30.0
    clients: int = 5
    strikes: tuple[Strike, ...] = ()
    loses_writes: bool = False
    hostile: bool = False
    function: str = "write"

    @property
    def run(self) -> str:
        """The run's id."""
        cell = self.cell
        name = f"{cell.scenario}-{cell.variant}-{cell.setting}-{cell.fault}"
        return f"{self.seed:04x}-{abs(hash_text(name)) % 0xFFFF:04x}"


def hash_text(text: str) -> int:
    """Return a number that is the same in every process."""
    return random.Random(text).getrandbits(32)


def _ns(seconds: float) -> int:
    return int(seconds * NANOSECONDS_PER_SECOND)


def cell(scenario: str, variant: str, setting: str, fault: str) -> Cell:
    """Return a cell of the local backend."""
    return Cell(backend="local", scenario=scenario, variant=variant, setting=setting, fault=fault)


def partitions(fault: str = "partition-primary", *, effective: bool = True) -> tuple[Strike, ...]:
    """Return three strikes in 30 seconds."""
    return tuple(
        Strike(fault=fault, start_s=start, end_s=start + 4.0, effective=effective) for start in (4.0, 13.0, 22.0)
    )


@dataclass
class _Writing:
    """What the generator knows while it draws one run."""

    plan: Plan
    random: random.Random
    events: list[tuple[int, JournalEvent]]
    lost: list[int]
    statuses: dict[str, int]
    during: int = 0
    index: int = 0
    next_process: int = 0


def draw(plan: Plan) -> tuple[list[JournalEvent], _Writing]:
    """Return the journal events of the operations of ``plan``, in order of time."""
    writing = _Writing(
        plan=plan,
        random=stream(plan.seed, "synthetic", plan.run),
        events=[],
        lost=[],
        statuses={"ok": 0, "fail": 0, "info": 0},
        next_process=plan.clients,
    )
    for client in range(plan.clients):
        _draw_client(writing, client)
    writing.events.sort(key=lambda timed: timed[0])
    return [event for _, event in writing.events], writing


def _draw_client(writing: _Writing, client: int) -> None:
    plan = writing.plan
    cycle_s = plan.duration_s * plan.clients / plan.operations
    process, now, sequence = client, 1.0 + writing.random.random() * 0.02, 0
    while now < 1.0 + plan.duration_s:
        strike = next((s for s in plan.strikes if s.effective and s.start_s <= now <= s.end_s), None)
        status, latency_s, _, _ = outcome = _outcome(writing, now, strike, cycle_s)
        _put(writing, client, process, sequence, now=now, outcome=outcome)
        sequence += 1
        if status == "info":
            process, writing.next_process = writing.next_process, writing.next_process + 1
        now += latency_s + cycle_s * (0.4 + 0.2 * writing.random.random())


def _primary(plan: Plan, now: float) -> str:
    elections = sum(s.effective and now >= s.start_s + ELECTION_S for s in plan.strikes)
    return f"m{elections % 3 + 1}"


def _outcome(writing: _Writing, now: float, strike: Strike | None, cycle_s: float) -> tuple[str, float, str, bool]:
    plan, draw_random = writing.plan, writing.random
    latency_s = cycle_s * 0.5 * draw_random.lognormvariate(0, 0.35)
    server = _primary(plan, now)
    if strike is None:
        return "ok", latency_s, server, False
    in_election = now < strike.start_s + ELECTION_S
    if not in_election:
        return "ok", latency_s, server, False
    if plan.loses_writes:
        return "ok", latency_s, server, True
    if draw_random.random() < 0.5:
        return "info", 0.35 + draw_random.random() * 0.2, server, False
    return "fail", 0.2 + draw_random.random() * 0.1, server, False


def _put(
    writing: _Writing, client: int, process: int, sequence: int, *, now: float, outcome: tuple[str, float, str, bool]
) -> None:
    plan, index = writing.plan, writing.index
    status, latency_s, server, lost = outcome
    writing.index += 1
    key = f"c{client}-{sequence}"
    arguments: dict[str, Any] = {"key": key, "value": sequence * plan.clients + client}
    if plan.hostile:
        arguments["note"] = HOSTILE[index % len(HOSTILE)]
    start_ns, end_ns = _ns(now), _ns(now + latency_s)
    invoked = Invoked(
        index=index, process=process, client=client, function=plan.function, arguments=arguments, start_ns=start_ns
    )
    writing.events.append((start_ns, invoked))
    writing.events.append((end_ns, _completed(plan, invoked, status, server, end_ns)))
    writing.statuses[status] += 1
    writing.during += any(s.effective and s.start_s <= now + latency_s and now <= s.end_s for s in plan.strikes)
    if lost:
        writing.lost.append(index)


def _completed(plan: Plan, invoked: Invoked, status: str, server: str, end_ns: int) -> Completed:
    failure = None
    if status == "fail":
        failure = Failure(types=("NotPrimaryError", "AutoReconnect"), message="not primary", code=10107)
    if status == "info":
        failure = Failure(types=("NetworkTimeout", "AutoReconnect"), message=f"{server}: timed out", answered=False)
    if failure is not None and plan.hostile:
        failure = Failure(types=(HOSTILE[1],), message=HOSTILE[0], code=1)
    write_concern = {"w": plan.cell.setting.partition("w=")[2] or "majority"}
    request = {
        "insert": "items",
        "ordered": True,
        "txnNumber": invoked.index,
        "lsid": {"id": {"$binary": "5f0c"}},
        "writeConcern": write_concern,
        "documents": [{"_id": invoked.arguments["key"], **invoked.arguments}],
    }
    reply = {"n": 1, "electionId": {"$oid": "7fffffff0000000000000001"}, "ok": 1.0}
    attempt = Attempt(
        command="insert",
        request=request,
        server=server,
        start_ns=invoked.start_ns + 90_000,
        end_ns=end_ns - 60_000,
        reply=reply if status == "ok" else {"ok": 0.0, "code": 10107} if status == "fail" else None,
        failure=failure,
    )
    call = DatabaseCall(
        name="items.insert_one",
        start_ns=invoked.start_ns + 20_000,
        end_ns=end_ns - 10_000,
        attempts=(attempt,),
        error=failure.types[0] if failure else "",
    )
    return Completed(
        index=invoked.index,
        returned_ns=end_ns,
        status=status,  # type: ignore[arg-type]
        outcome="returned" if status == "ok" else "raised",
        result={"key": invoked.arguments["key"], "acknowledged": True} if status == "ok" else None,
        error=failure,
        calls=(call,),
    )


def _fault_events(plan: Plan) -> list[JournalEvent]:
    end_s = 1.0 + plan.duration_s
    phases = (("setup", 0.1), ("load", 1.0), ("heal", end_s), ("quiet", end_s + 0.4), ("drain", end_s + 1.4))
    events: list[JournalEvent] = [PhaseStarted(phase=Phase(name=name, time_ns=_ns(at))) for name, at in phases]
    events.append(PhaseStarted(phase=Phase(name="final", time_ns=_ns(end_s + 1.8))))
    events.append(PrimarySeen(change=PrimaryChange(time_ns=_ns(0.2), member="m1", term=1)))
    for number, strike in enumerate(plan.strikes):
        events.extend(_strike_events(plan, number, strike))
    events.append(PhaseStarted(phase=Phase(name="end", time_ns=_ns(end_s + 2.2))))
    return events


def _strike_events(plan: Plan, number: int, strike: Strike) -> list[JournalEvent]:
    target = _primary(plan, strike.start_s)
    started = FaultStarted(fault=strike.fault, strike=number, start_ns=_ns(strike.start_s), targets=(target,))
    if not strike.effective:
        return [started, FaultHealed(fault=strike.fault, strike=number, end_ns=_ns(strike.end_s))]
    elected_s = strike.start_s + ELECTION_S
    successor = _primary(plan, elected_s)
    effects = (
        Effect(
            observer="member states",
            description=f"{target} lost its primary role; {successor} was elected in term {number + 2}",
            time_ns=_ns(elected_s),
        ),
        Effect(
            observer="link counters",
            description=f"41 connections from {target} were refused",
            time_ns=_ns(strike.end_s),
            details={"refused": 41},
        ),
    )
    return [
        started,
        PrimarySeen(change=PrimaryChange(time_ns=_ns(strike.start_s + 0.9), member=None)),
        PrimarySeen(change=PrimaryChange(time_ns=_ns(elected_s), member=successor, term=number + 2)),
        FaultHealed(fault=strike.fault, strike=number, end_ns=_ns(strike.end_s), effects=effects),
    ]


def _evidence(plan: Plan, writing: _Writing) -> Evidence:
    effective = [strike for strike in plan.strikes if strike.effective]
    without = len(plan.strikes) - len(effective)
    return Evidence(
        operations=writing.index,
        ok=writing.statuses["ok"],
        fail=writing.statuses["fail"],
        info=writing.statuses["info"],
        during_faults=writing.during,
        strikes=len(plan.strikes),
        effective_strikes=len(effective),
        strikes_without_effect={plan.strikes[0].fault: without} if without else {},
        effective_faults=tuple(sorted({strike.fault for strike in effective})),
        load_s=plan.duration_s,
    )


def facts_of(plan: Plan) -> RunFacts:
    cell_ = plan.cell
    return RunFacts(
        run=plan.run,
        campaign=CAMPAIGN,
        cell=cell_,
        seed=plan.seed,
        clients=plan.clients,
        duration_s=plan.duration_s,
        scenario_source=cell_.scenario,
        replay=(
            f"harness run {cell_.scenario} --variant {cell_.variant} --setting {cell_.setting} "
            f"--fault {cell_.fault} --backend local --duration {plan.duration_s:g} --seed {plan.seed}"
        ),
        schedule=tuple(
            {"fault": strike.fault, "at_s": strike.start_s, "hold_s": strike.end_s - strike.start_s}
            for strike in plan.strikes
        ),
        status="complete",
        versions={"mongod": "6.0.5", "pymongo": "4.20.1", "harness": "0.1.0", "python": "3.11.2"},
        host={"system": "Linux 6.1 x86_64", "cpus": 2, "memory_mb": 7_900},
        started_at="2026-11-24T23:15:00+00:00",
        timings_s={"start": 2.4, "load": plan.duration_s, "drain": 0.4},
        notes=("the links are the built-in ones: no Toxiproxy server was found",) if plan.strikes else (),
    )


def write_run(root: Path, plan: Plan, verdicts: tuple[Verdict, ...], *, not_applicable: str = "") -> RunVerdict:
    """Write one run below ``root`` and return its verdict."""
    facts = facts_of(plan)
    directory = store.run_directory(root, facts)
    events, writing = draw(plan)
    store.write_facts(directory, facts)
    history = JournalWriter(directory / store.HISTORY)
    for event in events:
        history.append(event)
    history.append(FinalRead(name="items", value=["c0-0", "c0-1"]))
    history.close()
    faults = JournalWriter(directory / store.FAULTS)
    for event in _fault_events(plan):
        faults.append(event)
    faults.close()
    statuses: list[VerdictStatus] = [verdict.status for verdict in verdicts]
    status: VerdictStatus = "violated" if "violated" in statuses else "unknown" if "unknown" in statuses else "holds"
    run_verdict = RunVerdict(
        status=status, verdicts=verdicts, evidence=_evidence(plan, writing), not_applicable=not_applicable
    )
    store.write_verdict(directory, run_verdict)
    return run_verdict
