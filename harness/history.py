"""The history of a run: what every client saw, immutable, indexed, with the faults and facts of the run.

A checker reads nothing else. It is built from the events of a journal, live or stored, by one function, so that
a verdict given at the end of a run and one given years later rest on the same data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.clock import FOREVER_NS, NANOSECONDS_PER_MILLISECOND
from harness.errors import HistoryError
from harness.facts import FaultWindow, Phase, PrimaryChange, RunFacts
from harness.journal import (
    Completed,
    FaultHealed,
    FaultStarted,
    FinalRead,
    Invoked,
    JournalEvent,
    OplogRead,
    PhaseStarted,
    PrimarySeen,
)
from harness.operation import Operation
from harness.oplog import Oplog

if TYPE_CHECKING:
    import pandas as pd

K = TypeVar("K", bound=Hashable)
E = TypeVar("E", Invoked, Completed)


@dataclass(frozen=True, kw_only=True)
class History:
    """All operations of a run in order of invocation, its final reads, faults and facts.

    ``oplog`` is what the healed set's oplog told of their writes, None where it was not read.
    ``complete`` is False where the record ended before the run did (a crash, ctrl-C): final reads may be missing.
    """

    operations: tuple[Operation, ...]
    final: Mapping[str, Any] = field(default_factory=dict)
    fault_windows: tuple[FaultWindow, ...] = ()
    primary_changes: tuple[PrimaryChange, ...] = ()
    phases: tuple[Phase, ...] = ()
    facts: RunFacts | None = None
    complete: bool = True
    oplog: Oplog | None = None

    @cached_property
    def _by_index(self) -> dict[int, Operation]:
        return {operation.index: operation for operation in self.operations}

    @cached_property
    def by_process(self) -> dict[int, tuple[Operation, ...]]:
        """The operations of each process, in order."""
        return self.by_key(lambda operation: operation.process)

    @cached_property
    def by_function(self) -> dict[str, tuple[Operation, ...]]:
        """The operations of each function name, in order."""
        return self.by_key(lambda operation: operation.function)

    def operation(self, index: int) -> Operation:
        """Return the operation with that index. Raises KeyError if there is none."""
        return self._by_index[index]

    def of(self, *functions: str) -> tuple[Operation, ...]:
        """Return the operations with one of these function names, in order of invocation."""
        if len(functions) == 1:
            return self.by_function.get(functions[0], ())
        wanted = set(functions)
        return tuple(operation for operation in self.operations if operation.function in wanted)

    def by_key(self, key: Callable[[Operation], K]) -> dict[K, tuple[Operation, ...]]:
        """Group the operations by ``key``, each group in order of invocation."""
        groups: defaultdict[K, list[Operation]] = defaultdict(list)
        for operation in self.operations:
            groups[key(operation)].append(operation)
        return {name: tuple(group) for name, group in groups.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return the operations as a pandas frame, a row each in order of invocation, named by their ``index``.

        Columns: process, client, group, function, key and value (the arguments with these names, else None), arguments
        (all of them), start_ns, returned_ns (missing where it never returned), latency_ms, status, outcome, result,
        error (class name, or empty), node, and faults (the windows that it overlaps, joined with ``+``, or empty).
        """
        import pandas as pd

        columns = zip(*map(self._row, self.operations), strict=True) if self.operations else [()] * len(_FRAME_COLUMNS)
        index = pd.Index([operation.index for operation in self.operations], name="index", dtype="int64")
        # Each column by itself, with its type: inference would make floats of whole numbers beside None.
        return pd.DataFrame(
            {
                name: pd.Series(list(column), dtype=kind, index=index)
                for (name, kind), column in zip(_FRAME_COLUMNS.items(), columns, strict=True)
            }
        )

    def _row(self, operation: Operation) -> tuple[Any, ...]:
        returned_ns = operation.returned_ns
        return (
            operation.process,
            operation.client,
            operation.group,
            operation.function,
            operation.arguments.get("key"),
            operation.arguments.get("value"),
            operation.arguments,
            operation.start_ns,
            returned_ns,
            None if returned_ns is None else (returned_ns - operation.start_ns) / NANOSECONDS_PER_MILLISECOND,
            operation.status,
            operation.outcome,
            operation.result,
            operation.error.types[0] if operation.error else "",
            operation.node,
            "+".join(dict.fromkeys(w.fault for w in self.fault_windows if _overlaps(w, operation))),
        )

    def overlapping(self, start_ns: int, end_ns: int) -> tuple[Operation, ...]:
        """Return the operations that were under way at some time between the two (closed interval)."""
        return tuple(o for o in self.operations if o.start_ns <= end_ns and _returned(o) >= start_ns)


_FRAME_COLUMNS: Final = {
    "process": "int64",
    "client": "int64",
    "group": "int64",
    "function": "object",
    "key": "object",
    "value": "object",
    "arguments": "object",
    "start_ns": "int64",
    "returned_ns": "Int64",
    "latency_ms": "float64",
    "status": "object",
    "outcome": "object",
    "result": "object",
    "error": "object",
    "node": "object",
    "faults": "object",
}


def _overlaps(window: FaultWindow, operation: Operation) -> bool:
    ended_before = window.end_ns is not None and window.end_ns < operation.start_ns
    return not ended_before and window.start_ns <= _returned(operation)


def _returned(operation: Operation) -> int:
    return FOREVER_NS if operation.returned_ns is None else operation.returned_ns


def build_history(events: Iterable[JournalEvent], *, facts: RunFacts | None = None, complete: bool = True) -> History:
    """Fold journal events into a history.

    An invocation without completion becomes an ``info`` operation that never ended. Raises HistoryError for a
    completion without an invocation and for two events of one kind for one operation.
    """
    invoked: dict[int, Invoked] = {}
    completed: dict[int, Completed] = {}
    final: dict[str, Any] = {}
    windows: dict[tuple[str, int], FaultWindow] = {}
    changes: list[PrimaryChange] = []
    phases: list[Phase] = []
    events = tuple(events)
    for event in events:
        match event:
            case Invoked():
                _put_once(invoked, event, "invocation")
            case Completed():
                if event.index not in invoked:
                    raise HistoryError(f"operation {event.index} was completed but never invoked")
                _put_once(completed, event, "completion")
            case FinalRead():
                final[event.name] = event.value
            case FaultStarted():
                windows[event.fault, event.strike] = FaultWindow(
                    fault=event.fault, strike=event.strike, start_ns=event.start_ns, targets=event.targets
                )
            case FaultHealed():
                windows[event.fault, event.strike] = _heal(windows, event)
            case PrimarySeen():
                changes.append(event.change)
            case PhaseStarted():
                phases.append(event.phase)
    operations = [_operation(start, completed.get(index)) for index, start in invoked.items()]
    operations.sort(key=lambda operation: (operation.start_ns, operation.index))
    return History(
        operations=tuple(operations),
        final=final,
        fault_windows=tuple(sorted(windows.values(), key=lambda window: (window.start_ns, window.fault))),
        primary_changes=tuple(changes),
        phases=tuple(phases),
        facts=facts,
        complete=complete,
        oplog=next((event.oplog for event in events if isinstance(event, OplogRead)), None),
    )


def invocation_of(operation: Operation) -> Invoked:
    """Return the event with which an operation began."""
    return Invoked(
        index=operation.index,
        process=operation.process,
        client=operation.client,
        group=operation.group,
        function=operation.function,
        arguments=operation.arguments,
        start_ns=operation.start_ns,
    )


def completion_of(operation: Operation) -> Completed:
    """Return the event with which an operation came to its end, or of what is known of it without one."""
    return Completed(
        index=operation.index,
        returned_ns=operation.returned_ns,
        status=operation.status,
        outcome=operation.outcome,
        result=operation.result,
        error=operation.error,
        calls=operation.calls,
    )


def fault_events(windows: Iterable[FaultWindow]) -> Iterator[FaultStarted | FaultHealed]:
    """Yield the events of strikes, each with its healing where it had one."""
    for window in windows:
        yield FaultStarted(fault=window.fault, strike=window.strike, start_ns=window.start_ns, targets=window.targets)
        if window.end_ns is not None:
            yield FaultHealed(
                fault=window.fault,
                strike=window.strike,
                end_ns=window.end_ns,
                effects=window.effects,
                error=window.error,
            )


def _put_once(table: dict[int, E], event: E, kind: str) -> None:
    if event.index in table:
        raise HistoryError(f"operation {event.index} has two events of the kind {kind}")
    table[event.index] = event


def _heal(windows: Mapping[tuple[str, int], FaultWindow], event: FaultHealed) -> FaultWindow:
    window = windows.get((event.fault, event.strike))
    if window is None:
        raise HistoryError(f"strike {event.strike} of {event.fault} was healed but never began")
    return FaultWindow(
        fault=window.fault,
        strike=window.strike,
        start_ns=window.start_ns,
        end_ns=event.end_ns,
        targets=window.targets,
        effects=event.effects,
        error=event.error,
    )


def _operation(start: Invoked, end: Completed | None) -> Operation:
    return Operation(
        index=start.index,
        process=start.process,
        client=start.client,
        group=start.group,
        function=start.function,
        arguments=start.arguments,
        start_ns=start.start_ns,
        returned_ns=end.returned_ns if end else None,
        status=end.status if end else "info",
        outcome=end.outcome if end else "unfinished",
        result=end.result if end else None,
        error=end.error if end else None,
        calls=end.calls if end else (),
    )
