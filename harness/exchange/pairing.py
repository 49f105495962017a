"""From events to a history: invocations meet their completions, and every defect of the record is named.

A process has one open operation at most. What it invoked and never completed, or completed as ``:info``, may have
happened at any time after its call. Lines are in the order in which things happened, and so are times; where the two
disagree, whoever reads the file says which of them counts. Nemesis events stand apart, as fault windows where they
come as pairs. Sources: jepsen.history and knossos.history, whose rules these are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import gt
from typing import Any, Final, Literal, cast

from harness.errors import HistoryError
from harness.exchange.edn import Keyword, Tagged, write_value
from harness.exchange.events import ABSENT, EXTRA_KEYS, INDEPENDENT_TAG, Events
from harness.exchange.nemesis import fault_windows
from harness.history import History
from harness.operation import Failure, Operation, Outcome, Status

Trust = Literal["both", "lines", "times"]
"""What tells the order of events: lines and times where they agree, else the lines, or the times."""

WITHOUT_RESULT: Final = frozenset(
    {"acquire", "release", "renew", "write", "add", "remove", "enqueue", "push", "insert"}
)
"""Functions whose completion may leave out ``:value``: the value is that of the invocation."""

_OUTCOMES: Final[Mapping[str, Outcome]] = {"ok": "returned", "fail": "rejected", "info": "crashed"}
_PAIR: Final = 2


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A history from a file: its operations and faults, and where they come from.

    ``indexes``, ``invoked`` and ``ended`` are columns: an operation, the line of its invocation and that of its
    completion (0: none). ``nemesis`` are the events of whoever is no client. ``notes`` say in sentences what was
    repaired or is not judged.
    """

    history: History
    indexes: Sequence[int]
    invoked: Sequence[int]
    ended: Sequence[int]
    nemesis: Events | None = None
    notes: tuple[str, ...] = ()
    name: str = "the history"

    @cached_property
    def lines(self) -> Mapping[int, int]:
        """The line of each operation's invocation, by its index."""
        return dict(zip(self.indexes, self.invoked, strict=True))

    def error(self, operation: Operation, problem: str) -> HistoryError:
        """Return the error that names an operation by its line and says what it is."""
        return self._error(self.lines[operation.index], operation, problem)

    def completion_error(self, operation: Operation, problem: str) -> HistoryError:
        """Return the error that names an operation by the line on which it ended."""
        line = dict(zip(self.indexes, self.ended, strict=True))[operation.index]
        return self._error(line or self.lines[operation.index], operation, problem)

    def _error(self, line: int, operation: Operation, problem: str) -> HistoryError:
        return HistoryError(
            f"{self.name}, line {line}: {problem} (operation {operation.index}: {operation.describe()})",
            next_step="repair the file, or name the model or workload that it is of",
        )


def pair(events: Events, *, trust: Trust = "both", independent: bool = False) -> Imported:
    """Return the history that events tell.

    With ``independent`` every value is a pair of a key and a value, as ``jepsen.independent`` writes them; values
    that carry its tag are understood without. Raises HistoryError, with line and operation, for a completion without
    an invocation, a second open operation of a process, a completion of another function, indexes that do not grow,
    and for times that go backwards where ``trust`` is ``both``.
    """
    indexes = _indexes(events)
    times = _times(events, trust)
    clients, others = _parties(events)
    order = sorted(clients, key=times.__getitem__) if trust == "times" else clients
    invoked, ended = _pairs(events, order, times)
    operations = _operations(events, invoked, ended, indexes, times, independent=independent)
    if trust == "times":
        operations.sort(key=lambda operation: (operation.start_ns, operation.index))
    return Imported(
        history=History(
            operations=tuple(operations),
            fault_windows=fault_windows([(events.functions[at], times[at]) for at in others]),
        ),
        indexes=[indexes[start] for start in invoked],
        invoked=[events.lines[start] for start in invoked],
        ended=[events.lines[end] if end >= 0 else 0 for end in ended],
        nemesis=_only(events, others, times) if others else None,
        notes=(*_notes_on_keys(events), *_notes_on_open(events, invoked, ended)),
        name=events.name,
    )


def _parties(events: Events) -> tuple[Sequence[int], Sequence[int]]:
    """Return the positions of events of clients, and of others."""
    everyone = range(len(events))
    if str not in set(map(type, events.processes)):
        return everyone, ()
    others = [position for position in everyone if isinstance(events.processes[position], str)]
    nobody = set(others)
    return [position for position in everyone if position not in nobody], others


def _indexes(events: Events) -> Sequence[int]:
    known = [index for index in events.indexes if index is not None]
    if not known:
        return range(len(events))
    if len(known) < len(events):
        raise events.error(events.indexes.index(None), "it has no :index, and others have one")
    if any(map(gt, known, known[1:])) or len(set(known)) < len(known):
        at = next(n for n, (first, second) in enumerate(pairwise(known), start=1) if second <= first)
        raise events.error(
            at,
            f":index {known[at]} follows :index {known[at - 1]}",
            next_step="sort the file by :index, or leave :index out where lines are in order",
        )
    return known


def _times(events: Events, trust: Trust) -> Sequence[int]:
    known = [time for time in events.times if time is not None]
    if not known and trust == "times":
        raise HistoryError(f"{events.name} has no times to trust", next_step="use --trust lines")
    if not known or trust == "lines":
        return range(len(events))
    if len(known) < len(events):
        raise events.error(events.times.index(None), "it has no :time, and others have one")
    if trust == "both" and any(map(gt, known, known[1:])):
        at = next(n for n, (first, second) in enumerate(pairwise(known), start=1) if second < first)
        raise events.error(
            at,
            f"the clock went backwards, from {known[at - 1]:,} ns to {known[at]:,} ns",
            next_step="say what tells the order of events: --trust lines, or --trust times",
        )
    return known


def _pairs(events: Events, order: Sequence[int], times: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the positions of invocations in order, and of their completions (-1: none)."""
    invoked: list[int] = []
    ended: list[int] = []
    under_way: dict[int | str, int] = {}
    types, processes, functions = events.types, events.processes, events.functions
    for position in order:
        process = processes[position]
        if types[position] == "invoke":
            if process in under_way:
                raise _still_open(events, position, invoked[under_way[process]])
            under_way[process] = len(invoked)
            invoked.append(position)
            ended.append(-1)
        else:
            number = under_way.pop(process, -1)
            if number < 0:
                raise events.error(position, "it completes what was never invoked")
            if functions[invoked[number]] != functions[position] or times[position] < times[invoked[number]]:
                raise _no_pair(events, position, invoked[number])
            ended[number] = position
    return invoked, ended


def _still_open(events: Events, position: int, opened: int) -> HistoryError:
    return events.error(
        position,
        f"the process still has the operation open that it invoked on line {events.lines[opened]}",
        next_step="a process does one thing at a time: give concurrent operations different processes",
    )


def _no_pair(events: Events, position: int, opened: int) -> HistoryError:
    function, line = events.functions[opened], events.lines[opened]
    if function != events.functions[position]:
        return events.error(position, f"it completes {function!r}, which was invoked on line {line}")
    return events.error(position, f"it ends before it was invoked on line {line}")


def _operations(
    events: Events,
    invoked: Sequence[int],
    ended: Sequence[int],
    indexes: Sequence[int],
    times: Sequence[int],
    *,
    independent: bool,
) -> list[Operation]:
    types, values, functions = events.types, events.values, events.functions
    # Only what clients did is paired, and those are numbers.
    processes = cast("Sequence[int]", events.processes)
    operations: list[Operation] = []
    for start, end in zip(invoked, ended, strict=True):
        value = values[start]
        if end < 0 or types[end] != "ok" or independent or type(value) not in _PLAIN or values[end] is ABSENT:
            operations.append(_unusual(events, start, end, indexes, times, independent=independent))
            continue
        process = processes[start]
        operations.append(
            Operation(
                index=indexes[start],
                process=process,
                client=process,
                function=functions[start],
                arguments={} if value is None else {"value": value},
                start_ns=times[start],
                returned_ns=times[end],
                status="ok",
                outcome="returned",
                result=values[end],
            )
        )
    return operations


_PLAIN: Final = frozenset({int, str, type(None), bool, list})


def _unusual(
    events: Events, start: int, end: int, indexes: Sequence[int], times: Sequence[int], *, independent: bool
) -> Operation:
    """Return an operation that was not simply completed ``:ok``, or whose value has a key or names."""
    keyed = independent or is_independent(events.values[start])
    value = events.values[start]
    arguments = _with_key(events, start, value) if keyed else _named(value)
    status = "info" if end < 0 else cast("Status", events.types[end])
    outcome: Outcome = "unfinished" if end < 0 else _OUTCOMES[status]
    error = None if end < 0 else _failure(events.extras.get(end, {}))
    process = events.processes[start]
    assert isinstance(process, int)
    return Operation(
        index=indexes[start],
        process=process,
        client=process,
        function=events.functions[start],
        arguments=arguments,
        start_ns=times[start],
        returned_ns=None if end < 0 else times[end],
        status=status,
        outcome="raised" if error is not None else outcome,
        result=None if end < 0 else _result(events, start, end, arguments, keyed=keyed),
        error=error,
    )


def _with_key(events: Events, position: int, value: Any) -> dict[str, Any]:
    inner = value.value if is_independent(value) else value
    if not isinstance(inner, list | tuple) or len(inner) != _PAIR:
        raise events.error(position, f"its value is no pair of a key and a value: {inner!r}")
    return {"key": inner[0]} if inner[1] is None else {"key": inner[0], "value": inner[1]}


def is_independent(value: Any) -> bool:
    """Whether a value carries the tag of ``jepsen.independent``."""
    return isinstance(value, Tagged) and value.tag == INDEPENDENT_TAG


def _named(value: Any) -> dict[str, Any]:
    """Return the arguments that a value stands for: a map with keywords as keys names them."""
    if value is ABSENT or value is None:
        return {}
    if isinstance(value, dict) and value and all(isinstance(name, Keyword) for name in value):
        names = {str(name) for name in value}
        if not names <= {"key", "value"}:
            return {str(name): part for name, part in value.items()}
    return {"value": value}


def _result(events: Events, start: int, end: int, arguments: Mapping[str, Any], *, keyed: bool) -> Any:
    """Return what an operation returned; of one that did not, nothing where its completion repeats its value."""
    value, completed = events.values[end], events.types[end] == "ok"
    if value is ABSENT:
        given = arguments.get("value")
        if completed and given is None and events.functions[end] not in WITHOUT_RESULT:
            raise events.error(end, "it has no :value, so that nothing is known of what it returned")
        return given if completed else None
    if not completed and value == events.values[start]:
        return None
    if not keyed:
        return value
    pair_of_end = _with_key(events, end, value)
    if pair_of_end["key"] != arguments["key"]:
        raise events.error(end, f"it completes for key {pair_of_end['key']!r}, invoked for {arguments['key']!r}")
    return pair_of_end.get("value")


def _failure(extras: Mapping[str, Any]) -> Failure | None:
    error = extras.get("error")
    if error is None:
        return None
    first = error[0] if isinstance(error, list | tuple) and error else error
    return Failure(types=(str(first)[:_NAME_LENGTH],), message=write_value(error))


_NAME_LENGTH: Final = 60


def _only(events: Events, positions: Sequence[int], times: Sequence[int]) -> Events:
    return Events(
        types=[events.types[at] for at in positions],
        functions=[events.functions[at] for at in positions],
        values=[events.values[at] for at in positions],
        processes=[events.processes[at] for at in positions],
        times=[times[at] for at in positions],
        indexes=[events.indexes[at] for at in positions],
        lines=[events.lines[at] for at in positions],
        extras={new: events.extras[old] for new, old in enumerate(positions) if old in events.extras},
        name=events.name,
    )


def _notes_on_keys(events: Events) -> list[str]:
    counts: dict[str, int] = {}
    for extras in events.extras.values():
        for key in extras:
            counts[key] = counts.get(key, 0) + 1
    return [
        f"The key :{key} of {count:,} events is kept in EDN and not judged."
        for key, count in sorted(counts.items())
        if key not in EXTRA_KEYS
    ]


def _notes_on_open(events: Events, invoked: Sequence[int], ended: Sequence[int]) -> list[str]:
    unfinished = sum(end < 0 for end in ended)
    if not unfinished:
        return []
    first = next(start for start, end in zip(invoked, ended, strict=True) if end < 0)
    line = events.lines[first]
    return [
        f"{unfinished:,} of {len(ended):,} operations never ended (the first on line {line}): each may have happened."
    ]
