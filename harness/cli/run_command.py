"""``harness run``: from names on the command line to a campaign."""

from __future__ import annotations

import datetime
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Annotated

import trio
from cyclopts import Parameter
from rich.console import Console

from harness.backends.local.backend import LocalBackend
from harness.backends.local.binary import Mongod, find_mongod
from harness.cli.console import ConsoleProgress
from harness.cli.options import RunOptions
from harness.errors import unknown_name
from harness.facts import Cell
from harness.faults.catalogue import parse_faults
from harness.interfaces.backend import Capability
from harness.journal import ENCODER
from harness.report.summary import verdict_table
from harness.report.write import write_report
from harness.result import CellResult
from harness.run.campaign import Campaign, CampaignPlan, CellPlan, check_plan, new_campaign_id
from harness.run.judge import exit_code
from harness.scenario.load import LoadedScenario, load_scenario
from harness.settings import Settings, parse_settings

ALL = "all"
NONE = "none"
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
    plan = make_plan([load_scenario(name) for name in scenarios], chosen)
    check_plan(plan, LOCAL_CAPABILITIES)
    binary = find_mongod(chosen.mongod or None)
    console = Console(stderr=True)
    console.print(f"backend local: mongod {binary.version} ({binary.source}), seed {plan.seed}", highlight=False)
    results = execute_plan(plan, binary, console)
    show(plan, results, console, as_json=chosen.json)
    return exit_code(results, against_expected=chosen.expect) if len(results) == len(plan.cells) else 2


def make_plan(loaded: Sequence[LoadedScenario], options: RunOptions) -> CampaignPlan:
    """Return the campaign that the options mean. Raises UsageError, with near matches, for unknown names."""
    cells = plan_cells(
        loaded,
        backend=options.backend,
        variants=options.variant,
        settings=options.setting,
        faults=options.fault,
    )
    return CampaignPlan(
        campaign=new_campaign_id(datetime.datetime.now(datetime.UTC)),
        root=options.runs,
        cells=cells,
        seed=secrets.randbits(32) if options.seed is None else options.seed,
        clients=options.clients,
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


def show(plan: CampaignPlan, results: Sequence[CellResult], console: Console, *, as_json: bool) -> None:
    """Print the verdict table and the path of the report; with ``as_json`` the cells to standard output."""
    report_path = write_report(plan.directory) if results else None
    console.print(verdict_table(results), highlight=False, markup=False, soft_wrap=True)
    if as_json:
        for result in results:
            sys.stdout.write(ENCODER.encode(result).decode() + "\n")
    if report_path:
        console.print(f"report: {report_path}", highlight=False, soft_wrap=True)


def plan_cells(
    loaded: Sequence[LoadedScenario],
    *,
    backend: str,
    variants: Sequence[str] | None,
    settings: Sequence[str] | None,
    faults: Sequence[str] | None,
) -> tuple[CellPlan, ...]:
    """Return the cells that the names mean, each once. Raises UsageError, with near matches, for unknown names."""
    cells: dict[Cell, CellPlan] = {}
    for one in loaded:
        scenario = one.scenario
        chosen = (
            choose_variants(one, variants),
            scenario.settings if settings and ALL in settings else tuple(settings or ("default",)),
            scenario.faults if faults and ALL in faults else tuple(faults or (NONE,)),
        )
        for variant, setting_text, fault_text in product(*chosen):
            parsed = parse_settings(setting_text)
            strikes = parse_faults(fault_text)
            cell = Cell(
                backend=backend,
                scenario=scenario.name,
                variant=variant,
                setting=parsed.text(),
                fault="+".join(fault.name for fault in strikes) or NONE,
            )
            cells[cell] = CellPlan(
                loaded=one,
                cell=cell,
                settings=parsed,
                faults=strikes,
                expected=scenario.expectation(variant, parsed, cell.fault),
            )
    return tuple(cells.values())


def choose_variants(loaded: LoadedScenario, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the variants that ``names`` mean in this scenario."""
    scenario = loaded.scenario
    if not names:
        return (scenario.default_variant,)
    if ALL in names:
        return tuple(scenario.variants)
    for name in names:
        if name not in scenario.variants:
            raise unknown_name(f"variant of {scenario.name}", name, scenario.variants)
    return tuple(names)
