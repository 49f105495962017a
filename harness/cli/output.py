"""Showing what a campaign came to: the verdict table and the report's path for a reader, JSON lines for a program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness.explore.explain import Explanation, render_explanation
from harness.journal import ENCODER
from harness.report.summary import verdict_table
from harness.report.write import write_report
from harness.result import CellResult
from harness.run.judge import EXIT_CODES
from harness.run.simulated.judged import JudgedRun
from harness.run.simulated.shrinking import ShrunkRun


def show(directory: Path, results: Sequence[CellResult], console: Console, *, as_json: bool) -> None:
    """Print the verdict table and the path of the report; with ``as_json`` the cells to standard output."""
    report_path = write_report(directory) if results else None
    console.print(verdict_table(results), highlight=False, markup=False, soft_wrap=True)
    if as_json:
        for result in results:
            sys.stdout.write(ENCODER.encode(result).decode() + "\n")
    if report_path:
        console.print(f"report: {report_path}", highlight=False, soft_wrap=True)


def show_run(judged: JudgedRun, console: Console, *, events: bool) -> int:
    """Print what a simulated run came to: verdict, stories, trace; return its exit code."""
    run, verdict = judged.run, judged.verdict
    if events:
        for time_us, task, operation, kind, occurrence, label in run.events:
            sys.stdout.write(f"{time_us} {task} {operation or '-'} {kind}#{occurrence} {label}\n")
    for checked in verdict.verdicts:
        for anomaly in checked.anomalies:
            console.print(f"{anomaly.kind}: {anomaly.guarantee}", highlight=False, markup=False, soft_wrap=True)
            for line in anomaly.story:
                console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
        if checked.reason:
            console.print(f"{checked.checker}: {checked.reason}", highlight=False, markup=False, soft_wrap=True)
    for site, label in run.deviations:
        where = f"{site.task}{f', operation {site.operation}' if site.operation else ''}"
        console.print(f"  chose {site.kind} = {label} ({where})", highlight=False, markup=False, soft_wrap=True)
    evidence = verdict.evidence
    console.print(
        f"{verdict.status}: {evidence.ok} ok, {evidence.fail} fail, {evidence.info} info; {run.decisions} decisions, "
        f"{len(run.deviations)} of them not the default; digest {judged.digest}",
        highlight=False,
    )
    return EXIT_CODES[verdict.status]


def show_explanation(shrunk: ShrunkRun, explanation: Explanation, console: Console) -> None:
    """Print what is left of a finding and why it fails; to standard output the text that runs it again."""
    operations, clients, deviations = shrunk.result.size
    size = f"{operations} operations of {clients} clients, {deviations} deviations"
    for line in (
        f"{explanation.anomaly}: {size}",
        *(f"  {claim}" for claim in shrunk.result.claims),
        "",
        render_explanation(explanation, literal=False),
        "",
        f"kept as {shrunk.facts.run}; replay: harness replay {shrunk.facts.run}",
        f"prove it on real servers: harness prove {shrunk.facts.run}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    sys.stdout.write(explanation.literal)
