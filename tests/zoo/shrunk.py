"""What shrinking makes of the zoo: each bug from a run that shows it, held against its optimum."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from bugs import Bug
from optimum import Optimum

from harness.explore.shrink import shrink

ATTEMPTS = 3_000
"""Schedules that are tried for those that show a bug."""
SLACK = 1
"""Operations more than the optimum that a shrunk run may have."""


@dataclass(frozen=True, kw_only=True)
class ShrunkBug:
    """A run that shows a bug, and what shrinking made of it."""

    schedule: int
    """The seed of its schedule."""
    deviations_before: int
    operations: int
    clients: int
    deviations: int
    executions: int
    seconds: float
    """Wall clock."""
    cpu_seconds: float
    minimal: bool
    """Whether the shrinker itself says that nothing smaller shows the bug."""

    @property
    def size(self) -> tuple[int, int, int]:
        """Operations, clients, deviations."""
        return self.operations, self.clients, self.deviations

    def beyond(self, optimum: Optimum) -> int:
        """Return how many operations it has more than the optimum."""
        return self.operations - optimum.operations


def shrink_bug(bug: Bug, optimum: Optimum, runs: int) -> list[ShrunkBug]:
    """Shrink the first ``runs`` runs that show the bug on the workload of its optimum."""
    program = bug.program(optimum.seed)
    workload = program.workload()
    shrunk = []
    for schedule, execution in itertools.islice(bug.violations(optimum.seed, ATTEMPTS), runs):
        began, cpu_began = time.perf_counter(), time.process_time()
        result = shrink(program, workload, execution, anomaly=bug.anomaly)
        operations, clients, deviations = result.size
        shrunk.append(
            ShrunkBug(
                schedule=schedule,
                deviations_before=len(execution.deviations),
                operations=operations,
                clients=clients,
                deviations=deviations,
                executions=result.executions,
                seconds=round(time.perf_counter() - began, 2),
                cpu_seconds=round(time.process_time() - cpu_began, 2),
                minimal=result.minimal,
            )
        )
    return shrunk
