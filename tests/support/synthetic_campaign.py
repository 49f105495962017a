"""Stored campaigns that look like real ones, written through the store's own writers, without a server.

The runs are drawn from a seed: clients that write, a primary that is cut off, writes that it acknowledges and loses.
"""

from __future__ import annotations

import dataclasses
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
from harness.result import CellResult, DeclaredCell, Evidence, RunVerdict, ScenarioText
from harness.seed import stream
from harness.verdict import Anomaly, Cost, Verdict, VerdictStatus

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


def _facts(plan: Plan) -> RunFacts:
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
    facts = _facts(plan)
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


def holds(*checkers: str) -> tuple[Verdict, ...]:
    """Return verdicts that hold."""
    return tuple(Verdict(checker=name, status="holds", cost=Cost(operations=1_000)) for name in checkers)


def lost_writes(plan: Plan, *, listed: int = 12) -> tuple[Verdict, ...]:
    """Return the verdicts of a run that lost what it acknowledged during its partitions."""
    _, writing = draw(plan)
    keys = [f"write {index}" for index in writing.lost]
    anomalies = tuple(
        Anomaly(
            kind="lost-write",
            guarantee="Every acknowledged write is there after the faults are healed.",
            story=(
                f"Operation {index} was acknowledged with w=1 by the member that had just been cut off.",
                "The other members elected a new primary, whose history does not have the write.",
                "After healing, the old primary rolled its own history back to the common point.",
                f"The final read does not have the document of operation {index}: the acknowledged write is gone.",
            ),
            operations=(index,),
            details={"rollback_files": 1},
        )
        for index in writing.lost[:listed]
    )
    lost = Verdict(
        checker="durability",
        status="violated",
        anomalies=anomalies,
        truncated=max(0, len(keys) - listed),
        model_broken="durability of acknowledged writes",
        cost=Cost(operations=writing.index),
    )
    return (lost, *holds("unexpected-errors"))


def lost_updates(operations: tuple[int, ...]) -> tuple[Verdict, ...]:
    """Return verdicts that name a lost update between two operations."""
    first, second = operations[:2]
    anomaly = Anomaly(
        kind="lost-update",
        guarantee="No acknowledged update is lost.",
        story=(
            f"Operation {first} and operation {second} both read version 17 of counter 3.",
            f"Operation {first} was acknowledged: it wrote version 18.",
            f"Operation {second} was acknowledged 4 ms later and overwrote version 18 with a value computed from 17.",
            f"The increment of operation {first} is gone.",
        ),
        operations=operations,
    )
    broken = Verdict(checker="no-lost-update", status="violated", anomalies=(anomaly,), truncated=53)
    return (broken, *holds("unexpected-errors"))


def hostile_verdicts(operations: tuple[int, ...]) -> tuple[Verdict, ...]:
    """Return verdicts whose every text tries to break out of the page."""
    anomaly = Anomaly(
        kind=HOSTILE[1],
        guarantee=HOSTILE[0],
        story=HOSTILE,
        operations=operations,
        details={HOSTILE[0]: HOSTILE[2]},
    )
    return (Verdict(checker=HOSTILE[2], status="violated", anomalies=(anomaly,)),)


def cell_result(plan: Plan, verdict: RunVerdict, **changes: Any) -> CellResult:
    """Return the line of ``cells.jsonl`` of a cell with one run."""
    anomalies: dict[str, int] = {}
    for checked in verdict.verdicts:
        for anomaly in checked.anomalies:
            anomalies[anomaly.kind] = anomalies.get(anomaly.kind, 0) + 1
        if checked.truncated and checked.anomalies:
            anomalies[checked.anomalies[0].kind] += checked.truncated
    fields: dict[str, Any] = {
        "cell": plan.cell,
        "status": verdict.status,
        "runs": (plan.run,),
        "violated_runs": int(verdict.status == "violated"),
        "anomalies": anomalies,
        "evidence": verdict.evidence,
        "replay": _facts(plan).replay,
        "expected": verdict.status if verdict.status != "unknown" else "",
    }
    return CellResult(**{**fields, **changes})


def scenario_texts() -> tuple[ScenarioText, ...]:
    """Return the texts of the scenarios that appear in the campaign."""
    write_concern = ScenarioText(
        name="write_concern",
        contract="Every acknowledged write is there after the faults are healed, whatever the level.",
        section="Write concerns: levels",
        variants={
            "published": "Writes with the concern that the caller asks for.",
            "hardened": "The same, but a w below majority is raised to majority.",
        },
        advice={
            "published": "Write with w=majority wherever a write must survive a failover; w=1 keeps only speed.",
            "hardened": "Use it where callers cannot be trusted to ask for majority.",
        },
        guarantees={
            "durability": "Every acknowledged write is found by the final read.",
            "unexpected-errors": "No caller sees an error that the contract does not provide for.",
        },
        matrix=tuple(
            DeclaredCell(variant=variant, setting=setting, fault=fault, expected=expected, why=why)
            for variant in ("published", "hardened")
            for setting, expected, why in (
                ("w=1", "violated" if variant == "published" else "holds", "an old primary acknowledges alone"),
                ("w=majority", "holds", ""),
                ("w=0", "not-applicable", "w=0 acknowledges nothing"),
            )
            for fault in ("none", "partition-primary", "kill-primary")
        ),
    )
    optimistic_lock = ScenarioText(
        name="optimistic_lock",
        contract="No acknowledged update is lost.",
        section="FindAndModify: optimistic locking",
        variants={
            "published": "Re-reads the version itself and replaces the document.",
            "hardened": "Compares the version that the caller's update was computed from.",
        },
        advice={
            "published": "Do not use it: it never compares the version that the update was computed from.",
            "hardened": "Safe with the server's default concern; retry on a version conflict.",
        },
        shortened={"lock duration": "5 min -> 2 s"},
        guarantees={"no-lost-update": "Every acknowledged increment is in the final counter."},
    )
    return write_concern, optimistic_lock


def _store_texts(campaign: Path, texts: tuple[ScenarioText, ...]) -> None:
    for text in texts:
        store.write_scenario(campaign, text)


def write_campaign(root: Path, *, operations: int = 2_000, hostile: bool = True) -> Path:
    """Write a campaign of many kinds of cells below ``root``; its first run has ``operations`` operations."""
    campaign = root / CAMPAIGN
    results = [*_write_concern_cells(root, operations), *_optimistic_lock_cells(root)]
    if hostile:
        results.append(_hostile_cell(root))
    store.write_cells(campaign, results)
    _store_texts(campaign, scenario_texts())
    return campaign


def _write_concern_cells(root: Path, operations: int) -> list[CellResult]:
    losing = Plan(
        cell=cell("write_concern", "published", "w=1", "partition-primary"),
        operations=operations,
        strikes=partitions(),
        loses_writes=True,
    )
    results = [cell_result(losing, write_run(root, losing, lost_writes(losing)))]
    for variant, setting, fault in (
        ("published", "w=majority", "partition-primary"),
        ("published", "w=majority", "none"),
        ("published", "w=1", "none"),
        ("hardened", "w=1", "partition-primary"),
    ):
        plan = Plan(
            cell=cell("write_concern", variant, setting, fault),
            operations=operations,
            strikes=partitions() if fault != "none" else (),
        )
        results.append(cell_result(plan, write_run(root, plan, holds("durability", "unexpected-errors"))))
    silent = Plan(cell=cell("write_concern", "published", "w=0", "none"), operations=300, duration_s=5)
    why = "w=0 acknowledges nothing, so there is no promise to keep"
    verdict = write_run(root, silent, holds("durability"), not_applicable=why)
    results.append(
        cell_result(
            silent,
            verdict,
            status="unknown",
            reasons=(f"not applicable: {why}",),
            not_applicable=True,
            expected="not-applicable",
            expected_why="w=0 acknowledges nothing",
        )
    )
    return results


def _optimistic_lock_cells(root: Path) -> list[CellResult]:
    broken = Plan(cell=cell("optimistic_lock", "published", "default", "none"), function="increment")
    results = [cell_result(broken, write_run(root, broken, lost_updates((412, 413))))]
    weak = Plan(
        cell=cell("optimistic_lock", "hardened", "default", "kill-primary"),
        function="increment",
        operations=240,
        duration_s=10,
        strikes=(Strike(fault="kill-primary", start_s=3.0, end_s=6.0),),
    )
    results.append(cell_result(weak, write_run(root, weak, holds("no-lost-update"))))
    idle = Plan(
        cell=cell("optimistic_lock", "hardened", "default", "pause-primary"),
        function="increment",
        strikes=partitions("pause-primary", effective=False),
    )
    results.append(
        cell_result(
            idle,
            write_run(root, idle, holds("no-lost-update")),
            status="unknown",
            expected="holds",
            surprise=False,
            reasons=("the fault pause-primary never took effect in 3 strikes",),
        )
    )
    return results


def _hostile_cell(root: Path) -> CellResult:
    plan = Plan(
        cell=cell("hostile", "published", "default", "kill-primary"),
        operations=400,
        strikes=partitions("kill-primary"),
        hostile=True,
        function=HOSTILE[1],
    )
    return cell_result(
        plan,
        write_run(root, plan, hostile_verdicts(tuple(range(6)))),
        surprise=True,
        expected="holds",
        expected_why=HOSTILE[0],
    )


def resized(plan: Plan, operations: int) -> Plan:
    """Return the same plan with another number of operations."""
    return dataclasses.replace(plan, operations=operations)
