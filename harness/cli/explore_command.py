"""``harness explore``: every run of a small workload within bounds."""

from __future__ import annotations

import datetime
import secrets
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from harness.cli.cell_options import CellOptions
from harness.cli.output import show
from harness.errors import UsageError
from harness.explore.exhaustive import Progress
from harness.run.campaign import new_campaign_id
from harness.run.judge import exit_code
from harness.run.simulated.exhaustive import Scope, explore_cell


def explore(
    scenario: Annotated[str, Parameter(name="SCENARIO", help="A name, or the path of a scenario file.")],
    /,
    *,
    options: CellOptions | None = None,
    preemptions: Annotated[int, Parameter(help="Times that a client is held up where it could go on.")] = 2,
    faults: Annotated[int, Parameter(help="Strikes of the fault.")] = 1,
    failovers: Annotated[int, Parameter(help="Times that time passes while clients could go on.")] = 1,
    others: Annotated[int, Parameter(help="Other deviations: lag, lost journal, another winner of an election.")] = 0,
    seed: Annotated[int, Parameter(help="Draws the calls of the clients.")] = 0,
    budget: Annotated[float, Parameter(help="Seconds to search.")] = 600.0,
) -> int:
    """Execute every run of a small workload within bounds, and say whether it was complete.

    `--clients 2 --operations 4` are four calls in all, shared out between two clients. A search that completes needs no
    further evidence for `holds`; one that does not says how far it got.

    For example:

        harness explore optimistic_lock --variant hardened --clients 2 --operations 4 --preemptions 2

        harness explore write_concern --setting w=majority --fault kill-primary --clients 2 --operations 4 --faults 1
    """
    chosen = options or CellOptions(clients=2, operations=4)
    if min(preemptions, faults, failovers, others) < 0 or budget <= 0:
        raise UsageError("bounds must not be negative, and the budget must be greater than 0")
    cell = chosen.cell(scenario)
    console = Console(stderr=True)
    campaign = new_campaign_id(datetime.datetime.now(datetime.UTC)) + f"-{secrets.token_hex(1)}"

    def progress(state: Progress) -> None:
        line = (
            f"{state.executions:,} runs, {state.states:,} states, {state.deviations} deviations, "
            f"{state.waiting:,} waiting, about {state.seconds_left:,.0f} s left"
        )
        console.print(Text(line), soft_wrap=True)

    scope = Scope(
        preemptions=preemptions, faults=faults if cell.faults else 0, failovers=failovers, others=others, seconds=budget
    )
    explored = explore_cell(chosen.runs, campaign, cell, seed=seed, scope=scope, on_progress=progress)
    console.print(explored.search.describe(), highlight=False, soft_wrap=True)
    show(chosen.runs / campaign, [explored.result], console, as_json=False)
    return exit_code([explored.result], against_expected=False)
