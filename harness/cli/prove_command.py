"""``harness prove``: a finding of the simulator, driven on real servers."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Literal

import trio
from cyclopts import Parameter
from rich.console import Console

from harness import store
from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import find_mongod
from harness.cli.console import ConsoleProgress
from harness.errors import UsageError
from harness.report.write import write_report
from harness.run.campaign import new_campaign_id
from harness.run.execute import Interruption
from harness.run.judge import judge_cell, kinds_of
from harness.run.prove import Finding, Proof, Prover
from harness.run.simulated.keep import calls_of
from harness.run.simulated.stored import cell_of, read_simulated, workload_of_run
from harness.settings import parse_settings


def prove(
    run: Annotated[str, Parameter(name="RUN", help="A stored simulated run that is violated, best a shrunk one.")],
    /,
    *,
    backend: Annotated[Literal["local"], Parameter(help="Where to prove it.")] = "local",
    budget: Annotated[float, Parameter(help="Seconds to try.")] = 120.0,
    network: Annotated[Literal["builtin", "toxiproxy"], Parameter(help="What cuts the links.")] = "builtin",
    mongod: Annotated[str, Parameter(show_default=False, help="Path of the mongod to use.")] = "",
    runs: Annotated[Path, Parameter(help="The store.")] = Path("runs"),
) -> int:
    """Drive a finding of the simulator on a real replica set, until the same anomaly shows or the budget ends.

    The calls of the simulated run are made by real clients; their commands are let through in its order, and its
    faults strike at their places. Exit 1: it shows on real servers, too; exit 2: it did not show within the budget.

    For example:

        harness prove 20261125-031500-1a2b-3c4d5e-001-shrunk --backend local
    """
    console = Console(stderr=True)
    finding = read_finding(store.find(runs, run))
    binary = find_mongod(mongod or None)
    console.print(f"backend {backend}: mongod {binary.version} ({binary.source})", highlight=False)
    campaign = new_campaign_id(datetime.datetime.now(datetime.UTC))

    async def attempt() -> Proof:
        set_of_members = LocalBackend(
            mongod=binary,
            members=finding.facts.members,
            network=network,
            groups=("clients",),
            journal_default=parse_settings(finding.facts.cell.setting).journal_default,
        )
        with ConsoleProgress(console) as progress:
            prover = Prover(
                finding=finding,
                loaded=cell_of(*read_simulated(finding.directory)).loaded,
                backend=set_of_members,
                root=runs,
                campaign=campaign,
                listener=progress,
                interruption=Interruption(),
            )
            try:
                await set_of_members.start()
                return await prover.prove(budget)
            finally:
                with trio.CancelScope(shield=True):
                    await set_of_members.stop()

    return show_proof(trio.run(attempt), finding, runs / campaign, console)


def read_finding(directory: Path) -> Finding:
    """Return a stored simulated run as what is to be proved. Raises UsageError where it shows nothing."""
    facts, simulation = read_simulated(directory)
    kinds = frozenset(kinds_of(store.read_verdict(directory)))
    if not kinds:
        raise UsageError(f"{facts.run} shows no anomaly", next_step="prove a run that is violated")
    cell = cell_of(facts, simulation)
    calls = calls_of(workload_of_run(cell, facts, simulation))
    return Finding(directory=directory, facts=facts, calls=calls, kinds=kinds)


def show_proof(proof: Proof, finding: Finding, directory: Path, console: Console) -> int:
    """Say what the attempts came to; write the report of the run that shows it."""
    wanted = ", ".join(sorted(finding.kinds))
    if proof.shown is None or proof.verdict is None:
        seen = ", ".join(f"{kind} ({count})" for kind, count in proof.kinds) or "nothing"
        console.print(f"not shown in {proof.attempts} attempts: {wanted}; seen: {seen}", highlight=False)
        if proof.left_order:
            console.print(f"the last attempt left the order of the simulated run: {proof.left_order}", highlight=False)
        return 2
    shown = ", ".join(sorted(kinds_of(proof.verdict)))
    console.print(f"proved on mongod in attempt {proof.attempts}: {shown}", highlight=False)
    for verdict in proof.verdict.verdicts:
        for anomaly in verdict.anomalies[:1]:
            for line in anomaly.story:
                console.print(f"  {line}", highlight=False, soft_wrap=True)
    store.write_cells(directory, [judge_cell(proof.shown.cell, [(proof.shown, proof.verdict)], None)])
    console.print(f"report: {write_report(directory)}", highlight=False, soft_wrap=True)
    return 1
