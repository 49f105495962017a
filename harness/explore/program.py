"""What is explored: a program that executes a workload under a strategy, and what one execution gives.

Nothing here knows of databases. The simulator offers its cells as programs; tests offer toys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.errors import UsageError
from harness.scenario.record import Call
from harness.sim.kernel import Deviation, Strategy
from harness.verdict import VerdictStatus

REAL_TIME_ORDER = "real-time-order"
"""What a checker needs that judges by which operation had ended before which began."""

REAL_TIMES = "real-times"
"""What a checker needs that may judge by how long something took, or when it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadItem:
    """One operation that a client is asked for; its ``id`` stays when other operations are left out."""

    id: str
    """Client and position, as in the whole workload: ``1.3`` is the fourth call of client 1."""
    client: int
    index: int
    """Its number in the record of a run; unique within the whole workload."""
    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The operations that the clients of a run perform, each client its own in this order."""

    items: tuple[WorkloadItem, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[WorkloadItem]:
        return iter(self.items)

    @property
    def clients(self) -> tuple[int, ...]:
        """The numbers of the clients that have an operation, in order."""
        return tuple(sorted({item.client for item in self.items}))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the operations."""
        return tuple(item.id for item in self.items)

    def of(self, client: int) -> tuple[WorkloadItem, ...]:
        """Return the operations of one client."""
        return tuple(item for item in self.items if item.client == client)

    def keep(self, ids: Collection[str]) -> Workload:
        """Return the workload with these operations alone."""
        return Workload(items=tuple(item for item in self.items if item.id in ids))

    def without(self, ids: Collection[str]) -> Workload:
        """Return the workload without these operations."""
        return Workload(items=tuple(item for item in self.items if item.id not in ids))


def make_workload(calls: Iterable[Sequence[Call]]) -> Workload:
    """Return the workload in which client 0 performs the first sequence of calls, client 1 the second, and so on."""
    by_client = [tuple(sequence) for sequence in calls]
    clients = len(by_client)
    return Workload(
        items=tuple(
            WorkloadItem(id=f"{client}.{number}", client=client, index=number * clients + client, call=call)
            for client, sequence in enumerate(by_client)
            for number, call in enumerate(sequence)
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What one execution of a workload gave. It is a function of program, workload and the deviations."""

    deviations: tuple[Deviation, ...]
    """Its trace: every choice that was not the default."""
    digest: str
    """A hash over every step, in hexadecimal."""
    decisions: int
    steps: int
    status: VerdictStatus
    anomalies: tuple[str, ...] = ()
    """The kinds of anomaly that the checkers found, sorted, each once."""
    evidence: tuple[str, ...] = ()
    """The ids of the operations that the anomalies name."""
    story: tuple[str, ...] = ()
    """What the checkers tell of the anomalies, a sentence each."""
    reason: str = ""
    """Why the status is ``unknown``."""
    history: Any = None
    """The record of the run, :class:`~harness.history.History`, where the program keeps one."""
    origin_us: int = 0
    """The virtual time of the kernel at which the times of the history begin."""
    facts: Any = None
    """Whatever else the program attaches."""
    events: tuple[tuple[Any, ...], ...] = field(default=(), repr=False)
    """Every choice in order, where asked for: (time in microseconds, task, operation, kind, occurrence, label)."""

    def shows(self, anomaly: str) -> bool:
        """Whether it is violated in that way."""
        return self.status == "violated" and anomaly in self.anomalies


class Program(Protocol):
    """One cell under one seed, as the explorer sees it.

    ``requirements`` are what its checkers need that a reduction of the search may drop (:data:`REAL_TIME_ORDER`,
    :data:`REAL_TIMES`).
    """

    @property
    def requirements(self) -> frozenset[str]:
        """What no reduction may drop."""
        ...

    def workload(self) -> Workload:
        """Return the whole workload of this seed."""
        ...

    def execute(self, workload: Workload, strategy: Strategy, *, keep_events: bool = False) -> Execution:
        """Execute ``workload``, a part of the whole one, under ``strategy``, and judge what happened.

        An exception that the strategy raises comes through; nothing of the run is left behind then. What the program
        has no verdict on, a run without end for one, is an execution of status ``unknown``.
        """
        ...


def check_workload(workload: Workload) -> None:
    """Raise UsageError where two operations have one id or one index."""
    for what, values in (("id", workload.ids), ("index", tuple(item.index for item in workload))):
        if len(set(values)) != len(values):
            raise UsageError(f"two operations of a workload have the same {what}", next_step="number them apart")
