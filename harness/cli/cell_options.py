"""The options that name one simulated cell and the size of its runs, for the commands of the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from harness.cli.cells import plan_cells
from harness.cli.options import DEFAULT_CLIENTS
from harness.errors import UsageError
from harness.run.simulated.cell import SimulatedCell
from harness.scenario.load import load_scenario


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """Which cell, and how large its runs are."""

    variant: Annotated[str, Parameter(show_default=False)] = ""
    """Variant; else the scenario's default."""
    setting: str = "default"
    """`w=majority,readConcernLevel=majority`."""
    fault: str = "none"
    """`partition-primary`, or several that strike together: `kill-primary+lag`."""
    clients: int = DEFAULT_CLIENTS["sim"]
    """Concurrent client processes."""
    client_groups: int = 1
    """Groups that a partition can separate."""
    operations: int = 30
    """Calls of the pattern in a run, all clients together."""
    members: Literal[3, 5] = 3
    """Members of the replica set."""
    strikes: int = 2
    """How often faults may strike in a run."""
    runs: Path = Path("runs")
    """The store."""

    def cell(self, scenario: str) -> SimulatedCell:
        """Return the cell of a scenario. Raises UsageError, with near matches, for unknown names."""
        for option in ("clients", "client_groups", "operations", "strikes"):
            if getattr(self, option) <= 0:
                raise UsageError(f"--{option.replace('_', '-')} {getattr(self, option)} must be greater than 0")
        loaded = load_scenario(scenario)
        (plan,) = plan_cells(
            [loaded],
            backend="sim",
            variants=[self.variant] if self.variant else None,
            settings=[self.setting],
            faults=[self.fault],
        )
        return SimulatedCell(
            loaded=loaded,
            variant=plan.cell.variant,
            setting=plan.cell.setting,
            faults=tuple(fault.name for fault in plan.faults),
            clients=self.clients,
            client_groups=self.client_groups,
            operations=self.operations,
            members=self.members,
            strikes=self.strikes,
        )
