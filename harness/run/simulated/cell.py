"""What is simulated: one cell of a scenario's matrix with the size of its runs. Frozen; the same for all its seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from harness.facts import Cell
from harness.scenario.load import LoadedScenario
from harness.scenario.record import Scenario
from harness.settings import Settings, parse_settings
from harness.sim.kernel.loop import US_PER_SECOND
from harness.sim.server.configuration import Configuration
from harness.sim.server.defects import Defects

START_US = 1_767_225_600 * US_PER_SECOND
"""Virtual time at which every run begins: 2026-01-01T00:00:00Z."""

OWN_SETTINGS = Settings(w="majority", read_concern_level="majority")
"""Set up and read at the end with these, whatever the cell's setting: they are the harness's own words."""


@dataclass(frozen=True, kw_only=True)
class SimulatedCell:
    """A cell and the size of its runs.

    ``operations`` are calls of the workload a run, shared out among the clients; ``strikes`` is how often the faults
    may strike in a run, all together.
    """

    loaded: LoadedScenario
    variant: str
    setting: str
    faults: tuple[str, ...] = ()
    clients: int = 3
    client_groups: int = 1
    operations: int = 30
    members: int = 3
    strikes: int = 2
    defects: Defects = field(default_factory=Defects)
    check_invariants: bool = True
    """Off only where a wrong server is to be caught by what its clients see."""

    @property
    def scenario(self) -> Scenario:
        """The scenario's record."""
        return self.loaded.scenario

    @cached_property
    def settings(self) -> Settings:
        """The setting, parsed."""
        return parse_settings(self.setting)

    @property
    def fault(self) -> str:
        """The fault names as a cell has them."""
        return "+".join(self.faults) or "none"

    @property
    def name(self) -> Cell:
        """The cell's key in reports."""
        return Cell(
            backend="sim",
            scenario=self.scenario.name,
            variant=self.variant,
            setting=self.settings.text(),
            fault=self.fault,
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the client groups."""
        if self.client_groups == 1:
            return ("clients",)
        return tuple(f"clients-{number}" for number in range(self.client_groups))

    @property
    def database(self) -> str:
        """The database of every run."""
        return "run"

    @property
    def application_name(self) -> str:
        """The application name of every client."""
        return "simulated"

    @property
    def setup_seed(self) -> int:
        """The seed of setup and final reads: the same for all seeds of a cell, so that setup is done once."""
        return 0

    @property
    def own_settings(self) -> Settings:
        """The settings of setup and final reads."""
        return OWN_SETTINGS

    @cached_property
    def configuration(self) -> Configuration:
        """The simulated set."""
        return Configuration(
            members=tuple(f"m{number}" for number in range(1, self.members + 1)),
            groups=self.groups,
            journal_default=self.settings.journal_default is not False,
            defects=self.defects,
            check_invariants=self.check_invariants,
        )

    @staticmethod
    def time_ns(now_us: int) -> int:
        """Return a virtual time as nanoseconds since the run's origin."""
        return (now_us - START_US) * 1000
