"""``harness fuzz``: one cell, many seeds, on all cores; findings shrunk and told apart."""

from __future__ import annotations

import hashlib
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness.cli.cell_options import CellOptions
from harness.cli.output import show
from harness.cli.simulate_command import Progress
from harness.errors import UsageError
from harness.explore.spread import parse_shard
from harness.explore.strategies import STRATEGIES
from harness.run.judge import exit_code
from harness.run.simulated.campaign import SimulatedCampaign, SimulatedPlan
from harness.run.simulated.program import arguments_of


def fuzz(
    scenario: Annotated[str, Parameter(name="SCENARIO", help="A name, or the path of a scenario file.")],
    /,
    *,
    options: CellOptions | None = None,
    seeds: Annotated[int, Parameter(help="Runs, each with a seed of its own.")] = 10_000,
    seed: Annotated[int, Parameter(help="The first of them; the others are derived from it.")] = 0,
    jobs: Annotated[int, Parameter(help="Processes.")] = 2,
    shard: Annotated[str, Parameter(help="This machine's part: 3/40 is the third of forty.")] = "1/1",
    strategy: Annotated[str, Parameter(help="How schedules are drawn.")] = next(iter(STRATEGIES)),
) -> int:
    """Simulate many seeds of one cell; shrink what is found, and tell findings apart by what they shrink to.

    The same command goes on where an interrupted one ended. Shards need nothing of each other: give each machine its
    part, and put the files together in one store.

    For example:

        harness fuzz find_and_modify --setting w=1 --fault partition-primary --seeds 10000 --jobs 2

        harness fuzz transfer --variant hardened --fault kill-primary --shard 3/40
    """
    chosen = options or CellOptions()
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value <= 0:
            raise UsageError(f"--{name} {value} must be greater than 0")
    cell = chosen.cell(scenario)
    console = Console(stderr=True)
    identity = repr((sorted(arguments_of(cell).items()), seeds, seed, shard, strategy))
    plan = SimulatedPlan(
        campaign=f"fuzz-{cell.scenario.name}-{hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()}",
        root=chosen.runs,
        cells=((cell, cell.scenario.expectation(cell.variant, cell.settings, cell.fault)),),
        seed=seed,
        seeds=seeds,
        jobs=jobs,
        shard=parse_shard(shard),
        shrink_findings=True,
        strategy=strategy,
    )
    console.print(
        f"backend sim: {seeds:,} seeds from {seed}, shard {plan.shard}, campaign {plan.campaign}", highlight=False
    )
    with Progress(console, 1) as progress:
        campaign = SimulatedCampaign(plan=plan, finished=progress.finished, progress=progress.seeds)
        results = campaign.run()
    if campaign.interrupted:
        console.print("stopped; the same command goes on where this one ended", highlight=False)
        return 2
    if campaign.known:
        still = sum(result.status == "violated" for result in campaign.known)
        console.print(f"seeds known to be bad: {still} of {len(campaign.known)} still are", highlight=False)
    for finding in campaign.findings:
        console.print(
            f"finding {finding.signature.key}: {finding.signature.text} ({finding.operations} operations, "
            f"{finding.deviations} deviations)",
            highlight=False,
            soft_wrap=True,
        )
        console.print(f"          explain: harness shrink {finding.run}", highlight=False, soft_wrap=True)
    show(plan.directory, results, console, as_json=False)
    return exit_code(results, against_expected=False)
