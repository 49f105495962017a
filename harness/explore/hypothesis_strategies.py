"""Hypothesis strategies, so that ``@given`` draws workloads and fault schedules and a program executes them.

Hypothesis is not a dependency of the harness: whoever imports this module has it. It is good at data, not at schedules:
let it draw what clients do and where a few faults strike, and let ``explore`` search schedules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from harness.explore.program import Workload, make_workload
from harness.explore.replay import ReplayStrategy
from harness.explore.strategies import FAULT
from harness.scenario.record import Call
from harness.sim.kernel import Deviation, Site
from harness.sim.kernel.choices import RUN, TIME

_CHOICES = 12
"""Choices of a kind that an operation is assumed to make; deviations beyond the last are not applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A workload with a schedule for it. Deviations that do not apply are passed over."""

    workload: Workload
    deviations: tuple[Deviation, ...]

    def strategy(self) -> ReplayStrategy:
        """Return the strategy under which to execute the workload."""
        return ReplayStrategy(self.deviations)


def calls(operations: Mapping[str, st.SearchStrategy[dict[str, Any]]]) -> st.SearchStrategy[Call]:
    """Return a strategy for one call: ``operations`` has for each function a strategy for its arguments."""
    return st.one_of(
        *(st.builds(Call, function=st.just(name), arguments=arguments) for name, arguments in operations.items())
    )


def workloads(
    operations: Mapping[str, st.SearchStrategy[dict[str, Any]]], *, clients: int = 3, most_operations: int = 5
) -> st.SearchStrategy[Workload]:
    """Return a strategy for workloads of 1 to ``clients`` clients with 1 to ``most_operations`` calls each.

    It shrinks towards one client with one call.
    """
    sequence = st.lists(calls(operations), min_size=1, max_size=most_operations)
    return st.lists(sequence, min_size=1, max_size=clients).map(make_workload)


def fault_schedules(
    workload: Workload, faults: Sequence[str], *, most_strikes: int = 2
) -> st.SearchStrategy[tuple[Deviation, ...]]:
    """Return a strategy for where faults strike: at a message of an operation. It shrinks towards no strike.

    ``faults`` are names as the program's choices of kind ``fault`` have them.
    """
    return _deviations(workload, FAULT, lambda _client: st.sampled_from(list(faults)), most_strikes)


def schedules(workload: Workload, *, most_turns: int = 4) -> st.SearchStrategy[tuple[Deviation, ...]]:
    """Return a strategy for which client is held up when and who runs then, or time that passes.

    It shrinks towards clients that run one after the other.
    """

    def labels(client: int) -> st.SearchStrategy[str]:
        others = [task_name(other) for other in workload.clients if other != client]
        return st.sampled_from([*others, TIME])

    return _deviations(workload, RUN, labels, most_turns)


def cases(
    operations: Mapping[str, st.SearchStrategy[dict[str, Any]]],
    *,
    faults: Sequence[str] = (),
    clients: int = 3,
    most_operations: int = 5,
    most_strikes: int = 2,
    most_turns: int = 4,
) -> st.SearchStrategy[Case]:
    """Return a strategy for workloads together with turns and, where ``faults`` are named, strikes."""

    def case_of(workload: Workload) -> st.SearchStrategy[Case]:
        strikes = fault_schedules(workload, faults, most_strikes=most_strikes) if faults else st.just(())
        both = st.tuples(schedules(workload, most_turns=most_turns), strikes)
        return both.map(lambda parts: Case(workload=workload, deviations=(*parts[0], *parts[1])))

    return workloads(operations, clients=clients, most_operations=most_operations).flatmap(case_of)


def task_name(client: int) -> str:
    """Return the name of a client's task."""
    return f"client {client}"


def _deviations(workload: Workload, kind: str, labels: Any, most: int) -> st.SearchStrategy[tuple[Deviation, ...]]:
    def at(item: Any) -> st.SearchStrategy[Deviation]:
        site = st.builds(
            Site, st.just(task_name(item.client)), st.just(item.id), st.just(kind), st.integers(0, _CHOICES - 1)
        )
        return st.builds(Deviation, site, labels(item.client))

    one = st.sampled_from(list(workload.items)).flatmap(at)
    return st.lists(one, max_size=most, unique_by=lambda deviation: deviation.site).map(tuple)
