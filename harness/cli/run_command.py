"""``harness run``: from names on the command line to a campaign."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import trio
from cyclopts import Parameter
from rich.console import Console

from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import Mongod, find_mongod
from harness.cli.cells import plan_cells
from harness.cli.console import ConsoleProgress
from harness.cli.options import RunOptions
from harness.cli.output import show
from harness.cli.simulate_command import simulate
from harness.errors import BackendError
from harness.interfaces.backend import Capability
from harness.report.write import write_report
from harness.result import CellResult
from harness.run.campaign import Campaign, CampaignPlan, check_plan, new_campaign_id
from harness.run.judge import exit_code
from harness.scenario.load import LoadedScenario, load_scenario
from harness.settings import Settings

LOCAL_CAPABILITIES: frozenset[Capability] = frozenset(
    {"links", "kill", "pause", "stepdown", "failpoint", "client-groups", "crash-client"}
)


def run(
    scenarios: Annotated[list[str], Parameter(name="SCENARIO", help="Names, or paths of scenario files.")],
    /,
    *,
    options: RunOptions | None = None,
) -> int:
    """Run patterns under concurrent clients and faults, judge them, and write a report.

    Every combination of scenario, variant, setting and fault is a cell with a verdict of its own.

    For example:

        harness run write_concern --setting w=1 --setting w=majority --fault partition-primary

        harness run optimistic_lock --variant all --duration 10

        harness run my_pattern.py --fault kill-primary --until violated --duration 300

        harness run find_and_modify --fault split-clients --client-groups 2 --network toxiproxy
    """
    chosen = options or RunOptions()
    chosen.check()
    console = Console(stderr=True)
    loaded = [load_scenario(name) for name in scenarios]
    binary, why = choose_backend(chosen)
    if binary is None:
        return simulate(loaded, chosen, console, why=why)
    plan = make_plan(loaded, chosen)
    check_plan(plan, LOCAL_CAPABILITIES)
    console.print(f"backend local: {why}, seed {plan.seed}", highlight=False)
    results = execute_plan(plan, binary, console)
    show(plan.directory, results, console, as_json=chosen.json)
    return exit_code(results, against_expected=chosen.expect) if len(results) == len(plan.cells) else 2


def choose_backend(options: RunOptions) -> tuple[Mongod | None, str]:
    """Return the mongod to run on, None for the simulator, and why; as DESIGN says: local where a mongod is found.

    Raises BackendError where ``--backend local`` was asked for and there is no mongod.
    """
    if options.backend == "sim":
        return None, "as asked"
    try:
        binary = find_mongod(options.mongod or None)
    except BackendError as error:
        if options.backend == "local" or options.mongod:
            raise
        return None, f"no mongod can be had here ({error.message})"
    return binary, f"mongod {binary.version} ({binary.source})"


def make_plan(loaded: Sequence[LoadedScenario], options: RunOptions) -> CampaignPlan:
    """Return the campaign that the options mean. Raises UsageError, with near matches, for unknown names."""
    cells = plan_cells(
        loaded,
        backend="local",
        variants=options.variant,
        settings=options.setting,
        faults=options.fault,
    )
    return CampaignPlan(
        campaign=new_campaign_id(datetime.datetime.now(datetime.UTC)),
        root=options.runs,
        cells=cells,
        seed=secrets.randbits(32) if options.seed is None else options.seed,
        clients=options.clients_on("local"),
        client_groups=options.client_groups,
        members=options.members,
        network=options.network,
        duration_s=options.duration,
        runs=options.repeat,
        jobs=options.jobs,
        until_violated=options.until is not None,
        against_expected=options.expect,
        mongod=options.mongod,
    )


def execute_plan(plan: CampaignPlan, binary: Mongod, console: Console) -> tuple[CellResult, ...]:
    """Run the campaign; whatever ends it, write the report of what was judged."""
    with ConsoleProgress(console) as progress:
        campaign = Campaign(plan, partial(make_local, plan, binary), progress)
        try:
            return trio.run(campaign.run)
        except BaseException:
            if campaign.results:
                report_path = write_report(plan.directory)
                console.print(f"report of what was judged before the error: {report_path}", highlight=False)
            raise


def make_local(plan: CampaignPlan, binary: Mongod, settings: Settings) -> LocalBackend:
    """Return a local backend, not yet started, for cells with these settings."""
    groups = plan.client_groups
    return LocalBackend(
        mongod=binary,
        members=plan.members,
        network=plan.network,
        groups=("clients",) if groups == 1 else tuple(f"clients-{number}" for number in range(groups)),
        journal_default=settings.journal_default,
    )
