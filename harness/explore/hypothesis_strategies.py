"""Hypothesis strategies, so that ``@given`` draws workloads and fault schedules and a program executes them.

Hypothesis is not a dependency of the harness: whoever imports this module has it. It is good at data, not at schedules:
let it draw what clients do and where a few faults strike, and let ``explore`` search schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
_LARGEST = 255


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
    return _places(most_strikes).map(lambda places: _strikes(workload, faults, places))


def schedules(workload: Workload, *, most_turns: int = 4) -> st.SearchStrategy[tuple[Deviation, ...]]:
    """Return a strategy for which client is held up when and who runs then, or time that passes.

    It shrinks towards clients that run one after the other.
    """
    return _places(most_turns).map(lambda places: _turns(workload, places))


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

    def case(workload: Workload, turns: Sequence[_Place], strikes: Sequence[_Place]) -> Case:
        return Case(workload=workload, deviations=(*_turns(workload, turns), *_strikes(workload, faults, strikes)))

    return st.builds(
        case,
        workloads(operations, clients=clients, most_operations=most_operations),
        _places(most_turns),
        _places(most_strikes if faults else 0),
    )


def task_name(client: int) -> str:
    """Return the name of a client's task."""
    return f"client {client}"


_Place = tuple[int, int, int]
"""Numbers that stand for an operation, a choice in it, and a label, whatever there are of each.

Numbers, and not the things themselves: so a place outlives the shrinking of the workload.
"""


def _places(most: int) -> st.SearchStrategy[list[_Place]]:
    number = st.integers(0, _LARGEST)
    return st.lists(st.tuples(number, st.integers(0, _CHOICES - 1), number), max_size=most)


def _turns(workload: Workload, places: Sequence[_Place]) -> tuple[Deviation, ...]:
    def labels(client: int) -> list[str]:
        return [*(task_name(other) for other in workload.clients if other != client), TIME]

    return _deviations(workload, RUN, labels, places)


def _strikes(workload: Workload, faults: Sequence[str], places: Sequence[_Place]) -> tuple[Deviation, ...]:
    return _deviations(workload, FAULT, lambda _client: faults, places)


def _deviations(
    workload: Workload, kind: str, labels: Callable[[int], Sequence[str]], places: Sequence[_Place]
) -> tuple[Deviation, ...]:
    found: dict[Site, str] = {}
    for operation, choice, label in places:
        item = workload.items[operation % len(workload)]
        options = labels(item.client)
        found.setdefault(Site(task_name(item.client), item.id, kind, choice), options[label % len(options)])
    return tuple(Deviation(site, label) for site, label in found.items())
