"""What is known of a run beside its operations: its cell, seed, versions, fault windows and primary changes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

FORMAT = 1
"""Version of the stored files. Readers accept every older one."""

RunStatus = Literal["running", "complete", "interrupted", "error"]


class Cell(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What is judged: one variant of one scenario under one setting and one fault on one backend."""

    backend: str
    scenario: str
    variant: str
    setting: str
    """Canonical text of the settings that were asked for; ``default`` for none."""
    fault: str
    """Fault names joined with ``+``; ``none`` for none."""

    def label(self) -> str:
        """Return the cell as a reader writes it."""
        return f"{self.scenario} {self.variant}, {self.setting}, {self.fault} ({self.backend})"


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A choice of a simulated run that was not the default: where it was made, and what was chosen."""

    task: str
    operation: str = ""
    kind: str
    occurrence: int = 0
    label: str | int


class WorkloadCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of the workload of a simulated run, with the id that choices speak of."""

    id: str
    client: int
    index: int
    function: str
    arguments: dict[str, Any] = {}


class SimulationFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a simulated run needs to be done again, event for event."""

    operations: int
    """Calls of the workload, all clients together."""
    strikes: int
    """How often faults may strike."""
    strategy: str = ""
    """The strategy that the seed drew, or ``replay``."""
    digest: str = ""
    """The hash over every step and the history, in hexadecimal."""
    decisions: int = 0
    choices: tuple[Choice, ...] = ()
    """The trace: every deviation from the default."""
    workload: tuple[WorkloadCall, ...] | None = None
    """The calls, where they are not those that the seed draws (a shrunk run)."""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of ``run.json``. Times and host facts stand apart from what is reproducible."""

    format: int = FORMAT
    run: str
    campaign: str
    cell: Cell
    seed: int
    clients: int
    client_groups: int = 1
    members: int = 3
    network: str = "builtin"
    duration_s: float
    until: str = ""
    scenario_source: str = ""
    """The name or path by which the scenario was loaded."""
    think_ms: float = 0
    replay: str = ""
    """The exact command that does this run again."""
    schedule: tuple[dict[str, Any], ...] = ()
    """The nemesis schedule as it was drawn from the seed."""
    status: RunStatus = "running"
    error: str = ""
    versions: dict[str, str] = {}
    host: dict[str, Any] = {}
    started_at: str = ""
    timings_s: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    """What this run could not do (links that fell back, capabilities that were missing)."""
    simulation: SimulationFacts | None = None
    """Of a simulated run: its size, trace and digest."""


class Effect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fault's effect as an observer other than its injector saw it."""

    observer: str
    """Who saw it: ``member states``, ``link counters``, ``probe``, ``failpoint counter``, ``journal``, ..."""
    description: str
    time_ns: int
    details: dict[str, Any] = {}


class FaultWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One strike of one fault, from its injection to its healing."""

    fault: str
    strike: int
    start_ns: int
    end_ns: int | None = None
    targets: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    error: str = ""

    @property
    def effective(self) -> bool:
        """Whether an observer saw an effect of it."""
        return bool(self.effects)


class PrimaryChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A member began (or, with ``member`` None, no member went on) to call itself primary."""

    time_ns: int
    member: str | None
    term: int | None = None


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of the run began: ``setup``, ``load``, ``heal``, ``quiet``, ``drain``, ``final``, ``end``."""

    name: str
    time_ns: int
