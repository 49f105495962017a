"""Stored campaigns that look like real ones, written through the store's own writers, without a server.

The runs are drawn from a seed: clients that write, a primary that is cut off, writes that it acknowledges and loses.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from synthetic_run import CAMPAIGN, HOSTILE, Plan, Strike, cell, draw, facts_of, partitions, write_run

from harness import store
from harness.result import CellResult, DeclaredCell, RunVerdict, ScenarioText
from harness.verdict import Anomaly, Cost, Verdict


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
        "replay": facts_of(plan).replay,
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
