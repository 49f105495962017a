"""Our own journal as a format of exchange: one file, read with every defect named by its line, and written closed."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from harness import store
from harness.errors import HistoryError
from harness.exchange.pairing import Imported
from harness.history import History, build_history, completion_of, fault_events, invocation_of
from harness.journal import (
    COMPRESSED_SUFFIX,
    Completed,
    Invoked,
    JournalEvent,
    encode_journal,
    read_journal,
)
from harness.operation import Operation

_LARGEST_INTEGER: Final = 2**63


def read_journal_file(path: Path) -> Imported:
    """Return the history of a journal, with the faults of the journal of faults where one lies beside it.

    A journal whose writer died is read up to its last whole line, and the notes say so. Raises HistoryError, with the
    line, for a journal that was cut or edited, for a completion without an invocation, for a second open operation of
    a process and for one that ends before it begins.
    """
    journal = read_journal(path)
    invoked, ended = _verify(journal.events, path.name)
    faults = _faults_beside(path)
    history = build_history((*journal.events, *faults), complete=journal.closed)
    if not history.operations:
        raise HistoryError(f"{path.name} has no operations", next_step="name a file that holds a history")
    notes = () if journal.closed else ("The journal was never closed: what came after its last line is not judged.",)
    return Imported(
        history=history,
        indexes=list(invoked),
        invoked=list(invoked.values()),
        ended=[ended.get(index, 0) for index in invoked],
        notes=notes,
        name=path.name,
    )


def _faults_beside(path: Path) -> Sequence[JournalEvent]:
    if not path.name.startswith(store.HISTORY):
        return ()
    for name in (store.FAULTS + COMPRESSED_SUFFIX, store.FAULTS):
        if (path.parent / name).exists():
            return read_journal(path.parent / name).events
    return ()


def _verify(events: Sequence[JournalEvent], name: str) -> tuple[dict[int, int], dict[int, int]]:
    """Return the lines of invocations and of completions, by index. Raises HistoryError for what is no history."""
    invoked: dict[int, tuple[int, Invoked]] = {}
    under_way: dict[int, int] = {}
    ended: dict[int, int] = {}
    for line, event in enumerate(events, start=1):
        match event:
            case Invoked():
                if event.index in invoked:
                    raise _error(name, line, f"operation {event.index} is invoked again")
                if event.process in under_way:
                    opened = under_way[event.process]
                    raise _error(name, line, f"process {event.process} still has operation {opened} open")
                invoked[event.index] = (line, event)
                under_way[event.process] = event.index
            case Completed():
                _verify_completion(name, line, event, invoked, under_way)
                ended[event.index] = line
    return {index: line for index, (line, _) in invoked.items()}, ended


def _verify_completion(
    name: str, line: int, event: Completed, invoked: dict[int, tuple[int, Invoked]], under_way: dict[int, int]
) -> None:
    if event.index not in invoked:
        raise _error(name, line, f"operation {event.index} is completed and was never invoked")
    start = invoked[event.index][1]
    if under_way.get(start.process) != event.index:
        raise _error(name, line, f"operation {event.index} is completed again")
    if event.returned_ns is not None and event.returned_ns < start.start_ns:
        raise _error(name, line, f"operation {event.index} ends before it begins: the clock went backwards")
    del under_way[start.process]


def _error(name: str, line: int, problem: str) -> HistoryError:
    return HistoryError(f"{name}, line {line}: {problem}", next_step="the file was edited or damaged; restore it")


def write_journal(history: History, *, compressed: bool) -> bytes:
    """Return the journal of a history, closed: operations in order of time, then faults.

    Sets become lists there, and keywords strings. Raises HistoryError for values that JSON does not have: tagged ones,
    maps with keys that are no strings, infinite numbers, whole numbers beyond 64 bits.
    """
    content = encode_journal((*_operation_events(history), *fault_events(history.fault_windows)))
    return gzip.compress(content, mtime=0) if compressed else content


def _operation_events(history: History) -> Iterator[JournalEvent]:
    for operation in history.operations:
        arguments = {name: _plain(value, operation) for name, value in operation.arguments.items()}
        plain = msgspec.structs.replace(operation, arguments=arguments, result=_plain(operation.result, operation))
        yield invocation_of(plain)
        if operation.returned_ns is not None:
            yield completion_of(plain)


def _plain(value: Any, operation: Operation) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int() if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
            return value
        case float() if math.isfinite(value):
            return value
        case dict() if all(isinstance(key, str) for key in value):
            return {str(key): _plain(part, operation) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part, operation) for part in value]
        case _:
            raise HistoryError(
                f"operation {operation.index} ({operation.function}) has a value that a journal cannot hold: {value!r}",
                next_step="export to EDN instead: --export OUT.edn",
            )
