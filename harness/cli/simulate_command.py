"""``harness run --backend sim``: cells simulated, many seeds each."""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.cli.cells import plan_cells
from harness.cli.console import PLAIN_INTERVAL_S, cell_line
from harness.cli.options import RunOptions
from harness.cli.output import show
from harness.errors import UsageError
from harness.result import CellResult
from harness.run.campaign import new_campaign_id
from harness.run.judge import CellTally, exit_code
from harness.run.simulated.campaign import SimulatedCampaign, SimulatedPlan
from harness.run.simulated.cell import SimulatedCell
from harness.scenario.load import LoadedScenario


def simulate(loaded: Sequence[LoadedScenario], options: RunOptions, console: Console, *, why: str) -> int:
    """Simulate what the options mean, show it, and return the exit code; ``why`` says why not on real servers."""
    plan = make_plan(loaded, options)
    console.print(f"backend sim: a simulated replica set, {why}, seed {plan.seed}", highlight=False, soft_wrap=True)
    with Progress(console, len(plan.cells)) as progress:
        campaign = SimulatedCampaign(plan=plan, finished=progress.finished, progress=progress.seeds)
        results = campaign.run()
    if campaign.interrupted:
        console.print("stopped; the cells that were finished are kept", highlight=False)
    show(plan.directory, results, console, as_json=options.json)
    line = f"these verdicts rest on a simulated replica set, {why}; `harness prove RUN` takes a finding to real servers"
    console.print(line, highlight=False, soft_wrap=True)
    return exit_code(results, against_expected=options.expect) if len(results) == len(plan.cells) else 2


def make_plan(loaded: Sequence[LoadedScenario], options: RunOptions) -> SimulatedPlan:
    """Return the simulated campaign that the options mean. Raises UsageError, with near matches, for unknown names."""
    cells = plan_cells(loaded, backend="sim", variants=options.variant, settings=options.setting, faults=options.fault)
    for cell in cells:
        if options.expect and cell.expected is None:
            raise UsageError(
                f"--expect: the scenario declares no verdict for the cell {cell.cell.label()}",
                next_step="leave --expect out, or add an Expected(...) entry to the scenario",
            )
    return SimulatedPlan(
        campaign=new_campaign_id(datetime.datetime.now(datetime.UTC)),
        root=options.runs,
        cells=tuple(
            (
                SimulatedCell(
                    loaded=cell.loaded,
                    variant=cell.cell.variant,
                    setting=cell.cell.setting,
                    faults=tuple(fault.name for fault in cell.faults),
                    clients=options.clients_on("sim"),
                    client_groups=options.client_groups,
                    operations=options.operations,
                    members=options.members,
                    strikes=options.strikes,
                ),
                cell.expected,
            )
            for cell in cells
        ),
        seed=secrets.randbits(32) if options.seed is None else options.seed,
        seeds=options.seeds,
        jobs=options.jobs,
        until_violated=options.until is not None,
        against_expected=options.expect,
    )


class Progress:
    """What a simulated campaign tells while it runs: one live line on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._last = time.monotonic()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def seeds(self, cell: SimulatedCell, done: int, total: int, tally: CellTally) -> None:
        """Show how far a cell is."""
        now = time.monotonic()
        interval_s = 0.2 if self._live else PLAIN_INTERVAL_S
        if now - self._last < interval_s:
            return
        self._last = now
        line = (
            f"{cell.name.label()}: seed {done:,} of {total:,}, {tally.violated:,} violated, "
            f"{tally.evidence.ok:,} ok operations, {tally.evidence.runs_with_effect:,} runs with an effective fault"
        )
        if self._live:
            self._live.update(Text(line), refresh=True)
        else:
            self._console.print(Text(line), soft_wrap=True)

    def finished(self, result: CellResult, number: int) -> None:
        """Print the verdict on a cell, and for a violation the command that replays it."""
        self._console.print(Text(f"[{number}/{self._total}] {cell_line(result)}"), soft_wrap=True)
        if result.status == "violated" and result.replay:
            self._console.print(Text(f"          replay: {result.replay}"), soft_wrap=True)
