"""The options of ``harness run``, with the words that ``--help`` teaches by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from harness.errors import UsageError

Repeated = Annotated[list[str] | None, Parameter(negative="")]
Flag = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Everything that may be said of a run beside the scenarios."""

    variant: Repeated = None
    """Variant to judge; repeatable; `all`."""
    setting: Repeated = None
    """`w=majority,readConcernLevel=majority`; repeatable; `default`; `all` of the scenario's."""
    fault: Repeated = None
    """`partition-primary`, or several that strike together: `kill-primary+latency`; repeatable; `all`."""
    backend: str = "local"
    """Where to run: `local` (real mongod processes)."""
    network: Literal["builtin", "toxiproxy"] = "builtin"
    """What cuts the links."""
    members: Literal[3, 5] = 3
    """Members of the replica set."""
    mongod: Annotated[str, Parameter(show_default=False)] = ""
    """Path of the mongod to use; else $MONGOD, the PATH, the wheel."""
    clients: int = 5
    """Concurrent client processes."""
    client_groups: int = 1
    """Groups that a partition can separate."""
    duration: float = 30.0
    """Seconds of load a run."""
    repeat: int = 1
    """Runs of each cell, each with a seed of its own."""
    until: Literal["violated"] | None = None
    """Stop a cell at its first violation."""
    seed: int | None = None
    """Seed of workload, schedule and targets; else drawn."""
    jobs: int = 1
    """Replica sets used at the same time."""
    expect: Flag = False
    """Exit 0 when every cell is as its scenario declares, 1 at a surprise."""
    runs: Path = Path("runs")
    """The store."""
    json: Flag = False
    """Print the cells as JSON lines to standard output."""

    def check(self) -> None:
        """Raise UsageError for what makes no sense."""
        if self.backend != "local":
            raise UsageError(
                f"unknown backend {self.backend!r}", next_step="this version has one: --backend local (real mongod)"
            )
        for option in ("clients", "client_groups", "duration", "repeat", "jobs"):
            if not getattr(self, option) > 0:
                raise UsageError(f"--{option.replace('_', '-')} {getattr(self, option):g} must be greater than 0")
        if self.client_groups > self.clients:
            raise UsageError(
                f"{self.client_groups} client groups cannot share {self.clients} clients", next_step="add --clients"
            )
