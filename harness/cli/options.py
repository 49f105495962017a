"""The options of ``harness run``, with the words that ``--help`` teaches by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from harness.errors import UsageError, unknown_name

BACKENDS = ("local", "sim")
DEFAULT_CLIENTS = {"local": 5, "sim": 3}

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
    backend: Annotated[str, Parameter(show_default=False)] = ""
    """Where to run: `local` (real mongod processes), `sim` (simulated); else `local` where a mongod is found."""
    network: Literal["builtin", "toxiproxy"] = "builtin"
    """What cuts the links."""
    members: Literal[3, 5] = 3
    """Members of the replica set."""
    mongod: Annotated[str, Parameter(show_default=False)] = ""
    """Path of the mongod to use; else $MONGOD, the PATH, the wheel."""
    clients: Annotated[int | None, Parameter(show_default=False)] = None
    """Concurrent client processes; 5 on real servers, 3 in the simulator."""
    client_groups: int = 1
    """Groups that a partition can separate."""
    duration: float = 30.0
    """Seconds of load a run."""
    repeat: int = 1
    """Runs of each cell, each with a seed of its own (on real servers)."""
    seeds: int = 200
    """Simulated runs of each cell, each with a seed of its own."""
    operations: int = 30
    """Calls of the pattern in a simulated run, all clients together."""
    strikes: int = 2
    """How often faults may strike in a simulated run."""
    until: Literal["violated"] | None = None
    """Stop a cell at its first violation."""
    seed: int | None = None
    """Seed of workload, schedule and targets; else drawn."""
    jobs: int = 1
    """Replica sets used at the same time; processes of the simulator."""
    expect: Flag = False
    """Exit 0 when every cell is as its scenario declares, 1 at a surprise."""
    runs: Path = Path("runs")
    """The store."""
    json: Flag = False
    """Print the cells as JSON lines to standard output."""

    def check(self) -> None:
        """Raise UsageError for what makes no sense."""
        if self.backend not in {"", *BACKENDS}:
            raise unknown_name("backend", self.backend, BACKENDS)
        for option in ("clients", "client_groups", "duration", "repeat", "seeds", "operations", "strikes", "jobs"):
            value = getattr(self, option)
            if value is not None and not value > 0:
                raise UsageError(f"--{option.replace('_', '-')} {value:g} must be greater than 0")
        for backend, clients in DEFAULT_CLIENTS.items():
            if self.backend in {"", backend} and self.client_groups > (self.clients or clients):
                raise UsageError(
                    f"{self.client_groups} client groups cannot share {self.clients or clients} clients",
                    next_step="add --clients",
                )

    def clients_on(self, backend: str) -> int:
        """Return how many clients a run on that backend has."""
        return self.clients or DEFAULT_CLIENTS[backend]
