"""The events of a history as its file has them: one column each, nemesis and clients together, in order of the file.

An event is an invocation, or the completion that says how it ended. Columns, since a file has millions of them.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harness.errors import HistoryError
from harness.exchange.edn import Keyword, Symbol, Tagged

TYPES: Final = frozenset({"invoke", "ok", "fail", "info"})
KEYS: Final = ("type", "f", "value", "process", "time", "index")
"""The keys of an event that are read; others are kept and not judged."""

EXTRA_KEYS: Final = frozenset(
    {"error", "exception", "node", "debug", "final?", "link", "clock-offsets", "via", "end", "start"}
)
INDEPENDENT_TAG: Final = "jepsen.independent/tuple"
LARGEST_TIME_NS: Final = 2**62
_OPERATION_TAGS: Final = frozenset({"jepsen.history.Op", "knossos.op.Op"})
_SIMILARITY: Final = 0.75


class Absent(enum.Enum):
    """What stands for a value that a file does not give at all (``nil`` is a value)."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The events of one file; all columns are of one length.

    ``processes`` holds numbers for clients and names for whoever else acts on the system (``nemesis``). ``times``
    are nanoseconds; ``times`` and ``indexes`` are None where the file has none. ``lines`` are numbers of lines, from
    1. ``extras`` has the other keys of those events that have some, by position.
    """

    types: Sequence[str]
    functions: Sequence[str]
    values: Sequence[Any]
    processes: Sequence[int | str]
    times: Sequence[int | None]
    indexes: Sequence[int | None]
    lines: Sequence[int] = field(compare=False)
    extras: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    name: str = field(default="the history", compare=False)
    """What errors call the file."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.types)

    def error(self, position: int, problem: str, *, next_step: str = "") -> HistoryError:
        """Return the error that names an event by its line and says what it is."""
        return HistoryError(
            f"{self.name}, line {self.lines[position]}: {problem} (process {self.processes[position]}, "
            f"{self.types[position]} {self.functions[position]})",
            next_step=next_step or "repair that line, or export the history again",
        )


@dataclass(slots=True)
class EventColumns:
    """Columns of events that grow event by event."""

    name: str
    types: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    processes: list[int | str] = field(default_factory=list)
    times: list[int | None] = field(default_factory=list)
    indexes: list[int | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    extras: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, record: Any, line: int) -> None:
        """Add an event that was read as a map. Raises HistoryError for what is none."""
        event = _as_map(record, self._where(line))
        extras = {str(key): event[key] for key in event if key not in KEYS}
        if extras:
            _refuse_misspelt(extras, self._where(line))
            self.extras[len(self.types)] = extras
        self.types.append(_type(event, self._where(line)))
        self.functions.append(_function(event, self._where(line)))
        self.values.append(event.get("value", ABSENT))
        self.processes.append(_process(event, self._where(line)))
        self.times.append(_natural(event, "time", self._where(line)))
        self.indexes.append(_natural(event, "index", self._where(line)))
        self.lines.append(line)

    def freeze(self) -> Events:
        """Return the events. Raises HistoryError where there are none."""
        if not self.types:
            raise HistoryError(f"{self.name} has no operations", next_step="name a file that holds a history")
        return Events(
            types=self.types,
            functions=self.functions,
            values=self.values,
            processes=self.processes,
            times=self.times,
            indexes=self.indexes,
            lines=self.lines,
            extras=self.extras,
            name=self.name,
        )

    def _where(self, line: int) -> str:
        return f"{self.name}, line {line}"


def _as_map(record: Any, where: str) -> Mapping[Any, Any]:
    value = record.value if isinstance(record, Tagged) and record.tag in _OPERATION_TAGS else record
    if not isinstance(value, dict) or not all(isinstance(key, Keyword) for key in value):
        raise _error(where, f"an operation is a map with keywords as keys, not {_shown(record)}")
    return value


def _refuse_misspelt(extras: Iterable[str], where: str) -> None:
    for key in extras:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=_SIMILARITY)
        if key not in EXTRA_KEYS and near:
            raise _error(where, f"unknown key :{key}; did you mean :{near[0]}?")


def _type(event: Mapping[Any, Any], where: str) -> str:
    kind = event.get("type", ABSENT)
    if not isinstance(kind, Keyword) or kind not in TYPES:
        raise _error(where, f":type is one of :invoke, :ok, :fail and :info, not {_shown(kind)}")
    return str(kind)


def _function(event: Mapping[Any, Any], where: str) -> str:
    function = event.get("f", ABSENT)
    if not isinstance(function, str) or not function:
        raise _error(where, f":f is the name of a function, not {_shown(function)}")
    return str(function)


def _process(event: Mapping[Any, Any], where: str) -> int | str:
    process = event.get("process", ABSENT)
    if isinstance(process, Keyword | Symbol):
        return str(process)
    if not isinstance(process, int) or isinstance(process, bool) or not 0 <= process < LARGEST_TIME_NS:
        raise _error(where, f":process is a number from 0, or :nemesis, not {_shown(process)}")
    return process


def _natural(event: Mapping[Any, Any], key: str, where: str) -> int | None:
    number = event.get(key)
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < LARGEST_TIME_NS:
        raise _error(where, f":{key} is a number from 0, below 2^62, not {_shown(number)}")
    return number


def _error(where: str, problem: str) -> HistoryError:
    return HistoryError(f"{where}: {problem}", next_step="repair that line, or export the history again")


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = repr(value)
    return text if len(text) <= len(value.__class__.__name__) + 80 else text[:80] + "..."


def event_map(events: Events, position: int) -> dict[Any, Any]:
    """Return an event as the map that a file has for it."""
    process = events.processes[position]
    event: dict[Any, Any] = {
        Keyword("process"): process if isinstance(process, int) else Keyword(process),
        Keyword("type"): Keyword(events.types[position]),
        Keyword("f"): Keyword(events.functions[position]),
    }
    for key, column in (("value", events.values), ("time", events.times), ("index", events.indexes)):
        part = column[position]
        if part is not ABSENT and (part is not None or key == "value"):
            event[Keyword(key)] = part
    for key, part in events.extras.get(position, {}).items():
        event[Keyword(key)] = part
    return event


def event_maps(events: Events) -> Iterator[dict[Any, Any]]:
    """Yield every event as the map that a file has for it."""
    return (event_map(events, position) for position in range(len(events)))
