"""From a history back to events, as a file of any format has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import HistoryError
from harness.exchange.edn import Keyword, Reader, Tagged, is_keyword
from harness.exchange.events import INDEPENDENT_TAG, Events
from harness.history import History
from harness.operation import Failure, Operation


def unpair(history: History, *, nemesis: Events | None = None, name: str = "the history") -> Events:
    """Return the events of a history, in order of time; ``name`` is what errors call it.

    Of one moment, invocations come before completions, since what ends and begins at one moment is concurrent; only
    what a process does next comes after what it has done. Without ``nemesis`` the fault windows become its events.
    """
    rows: list[_Row] = []
    returned: dict[int, int | None] = {}
    for operation in history.operations:
        rows += _rows(operation, follows=returned.get(operation.process) == operation.start_ns)
        returned[operation.process] = operation.returned_ns
    rows += _nemesis_rows(history) if nemesis is None else _given_rows(nemesis)
    rows.sort(key=lambda row: row.moment)
    return Events(
        types=[row.type for row in rows],
        functions=[row.function for row in rows],
        values=[row.value for row in rows],
        processes=[row.process for row in rows],
        times=[row.moment[0] for row in rows],
        indexes=list(range(len(rows))),
        lines=list(range(1, len(rows) + 1)),
        extras={position: row.extras for position, row in enumerate(rows) if row.extras},
        name=name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    moment: tuple[int, int, int, int]
    """Time, what comes first of one time, operation, invocation before completion."""
    type: str
    function: str
    value: Any
    process: int | str
    extras: Mapping[str, Any]


def _rows(operation: Operation, *, follows: bool) -> list[_Row]:
    given = _value_of(operation.arguments, operation.arguments.get("value"))
    invocation = _Row(
        moment=(operation.start_ns, int(follows), operation.index, 0),
        type="invoke",
        function=operation.function,
        value=given,
        process=operation.process,
        extras={},
    )
    if operation.returned_ns is None:
        return [invocation]
    completion = _Row(
        moment=(operation.returned_ns, 1, operation.index, 1),
        type=operation.status,
        function=operation.function,
        value=_returned(operation, given),
        process=operation.process,
        extras={"error": _error_value(operation.error)} if operation.error else {},
    )
    return [invocation, completion]


def _returned(operation: Operation, given: Any) -> Any:
    if operation.status != "ok" and operation.result is None:
        return given
    if is_keyed(operation.arguments):
        return Tagged(INDEPENDENT_TAG, [operation.arguments["key"], operation.result])
    return operation.result


def is_keyed(arguments: Mapping[str, Any]) -> bool:
    """Whether arguments are a key and its value, as those of ``jepsen.independent`` are."""
    return "key" in arguments and arguments.keys() <= {"key", "value"}


def _value_of(arguments: Mapping[str, Any], value: Any) -> Any:
    if is_keyed(arguments):
        return Tagged(INDEPENDENT_TAG, [arguments["key"], value])
    if arguments.keys() <= {"value"}:
        return value
    return {Keyword(name) if is_keyword(name) else name: part for name, part in arguments.items()}


def _error_value(error: Failure) -> Any:
    try:
        reader = Reader(error.message, "")
        value = reader.value()
        if reader.at_end():
            return value
    except HistoryError:
        pass
    return [Keyword(error.types[0]) if is_keyword(error.types[0]) else error.types[0], error.message]


def _given_rows(nemesis: Events) -> list[_Row]:
    return [
        _Row(
            moment=(nemesis.times[at] or 0, 0, -1, 0),
            type=nemesis.types[at],
            function=nemesis.functions[at],
            value=nemesis.values[at],
            process=nemesis.processes[at],
            extras=nemesis.extras.get(at, {}),
        )
        for at in range(len(nemesis))
    ]


def _nemesis_rows(history: History) -> list[_Row]:
    rows = []
    for window in history.fault_windows:
        for time_ns, action in ((window.start_ns, "start"), (window.end_ns, "stop")):
            if time_ns is not None:
                function = action if window.fault == "nemesis" else f"{action}-{window.fault}"
                rows.append(
                    _Row(
                        moment=(time_ns, 0, -1, 0),
                        type="info",
                        function=function,
                        value=list(window.targets),
                        process="nemesis",
                        extras={},
                    )
                )
    return rows
