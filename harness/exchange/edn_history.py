"""Histories in EDN, as Jepsen writes them: one map a line, or one vector of maps; records are maps with a tag."""

from __future__ import annotations

from typing import Any, Final

from harness.errors import HistoryError
from harness.exchange.edn import Reader, is_keyword, write_value
from harness.exchange.edn_lines import read_lines
from harness.exchange.events import EventColumns, Events, event_maps

_BRACKETS: Final = "[("


def read_edn(content: bytes, name: str) -> Events:
    """Return the events of a history in EDN; ``name`` is what errors call it.

    Files of one map a line in the usual order of keys are read about ten times as fast as others, with the same
    result. Raises HistoryError, with the line, for text that is no EDN or was cut, and for what is no operation.
    """
    quick = read_lines(content, name)
    return quick if quick is not None else read_any_edn(content, name)


def read_any_edn(content: bytes, name: str) -> Events:
    """Return the events of a history in EDN of any layout, value by value. Raises HistoryError."""
    reader = Reader(decode(content, name), name)
    columns = _Positions(EventColumns(name), reader)
    while not reader.at_end():
        if reader.text[reader.position] in _BRACKETS:
            for position, record in reader.each_item(reader.text[reader.position], 0):
                columns.add(record, position)
        else:
            position = reader.position
            columns.add(reader.value(), position)
    return columns.columns.freeze()


def decode(content: bytes, name: str) -> str:
    """Return the text of a file. Raises HistoryError, with the line, where it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise HistoryError(
            f"{name}, line {line}: not UTF-8 text ({error.reason})", next_step="name a file that holds a history"
        ) from error


class _Positions:
    """Adds records by their position in the text, counting lines once."""

    __slots__ = ("_counted", "_line", "_reader", "columns")

    def __init__(self, columns: EventColumns, reader: Reader) -> None:
        self.columns = columns
        self._reader = reader
        self._counted = 0
        self._line = 1

    def add(self, record: Any, position: int) -> None:
        self._line += self._reader.text.count("\n", self._counted, position)
        self._counted = position
        self.columns.add(record, self._line)


def write_edn(events: Events) -> bytes:
    """Return events as EDN, one map a line. Raises HistoryError for values and names that EDN cannot hold."""
    for function in set(events.functions):
        if not is_keyword(function):
            raise HistoryError(f"{events.name}: {function!r} cannot be the name of a function in EDN")
    return "".join(f"{write_value(event)}\n" for event in event_maps(events)).encode()
