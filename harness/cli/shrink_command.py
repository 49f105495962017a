"""``harness shrink``: a finding of the simulator at its smallest, explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from harness import store
from harness.cli.output import show_explanation
from harness.cli.stored_commands import campaign_of
from harness.explore.explain import explain
from harness.explore.shrink import DEFAULT_BUDGET, ShrinkResult
from harness.report.write import write_report
from harness.run.simulated.program import program_source
from harness.run.simulated.shrinking import shrink_stored


def shrink(
    run: Annotated[str, Parameter(name="RUN", help="A stored simulated run that is violated.")],
    /,
    *,
    anomaly: Annotated[str, Parameter(show_default=False, help="The kind to keep; else the first that it has.")] = "",
    budget: Annotated[int, Parameter(help="Simulated runs that shrinking may cost.")] = DEFAULT_BUDGET,
    runs: Annotated[Path, Parameter(help="The store.")] = Path("runs"),
) -> int:
    """Find the smallest workload and schedule that still show a finding, and explain it.

    What comes out is kept as a run of its own, with the suffix -shrunk, and drawn in the report of its campaign;
    `harness prove` takes it to real servers.

    For example:

        harness shrink 20261125-031500-1a2b-3c4d5e-001
    """
    console = Console(stderr=True)

    def progress(result: ShrinkResult) -> None:
        operations, clients, deviations = result.size
        line = f"{operations} operations of {clients} clients, {deviations} deviations ({result.executions:,} runs)"
        console.print(Text(line), soft_wrap=True)

    shrunk = shrink_stored(runs, store.find(runs, run), anomaly=anomaly, budget=budget, on_progress=progress)
    result = shrunk.result
    explanation = explain(
        shrunk.program,
        result.workload,
        result.execution,
        anomaly=result.anomaly,
        program_source=program_source(shrunk.program),
    )
    show_explanation(shrunk, explanation, console)
    campaign = campaign_of(shrunk.directory)
    if (campaign / store.CELLS).exists():
        console.print(Text(f"report: {write_report(campaign)}"), soft_wrap=True)
    return 1
