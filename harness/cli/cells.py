"""From names on the command line to the cells that they mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from harness.errors import unknown_name
from harness.facts import Cell
from harness.faults.catalogue import parse_faults
from harness.run.campaign import CellPlan
from harness.scenario.load import LoadedScenario
from harness.settings import parse_settings

ALL = "all"
NONE = "none"


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
