r"""Jepsen's log lines: ``INFO [2026-01-01 12:00:00,000] jepsen worker 3 - jepsen.util 3\t:invoke\t:write\t1``.

The last four words of a line are what counts: process, type, function, value; an error may follow. They are set apart
by tabs or blanks. All other lines of a log are passed over. Such lines have no times: their order is that of events.
"""

from __future__ import annotations

import re
from typing import Final

from harness.errors import HistoryError
from harness.exchange.edn import Keyword, Reader, is_keyword, write_value
from harness.exchange.edn_history import decode
from harness.exchange.events import ABSENT, EventColumns, Events

_EVENT: Final = re.compile(
    r"^(?P<before>.*?)(?<![^\s])(?P<process>[0-9]+|:?nemesis)[\t ]+:(?P<type>invoke|ok|fail|info)[\t ]+"
    r"(?P<f>:\S+)(?:[\t ]+(?P<rest>.*))?$"
)
_LOOKS_LIKE: Final = re.compile(r":(?:invoke|ok|fail)\b|\bjepsen\.util\b")
_PREFIX: Final = "INFO  jepsen.util - "


def read_log(content: bytes, name: str) -> Events:
    """Return the events of a log; ``name`` is what errors call it.

    Raises HistoryError, with the line, for a line of ``jepsen.util`` that is no event, and for a log without any.
    """
    columns = EventColumns(name)
    for number, line in enumerate(decode(content, name).split("\n"), start=1):
        match = _EVENT.match(line.rstrip("\r"))
        if match is not None:
            _add(columns, match, number)
        elif _LOOKS_LIKE.search(line):
            raise HistoryError(
                f"{name}, line {number}: not a process, a type, a function and a value: {line.strip()[:80]!r}",
                next_step="repair that line, or remove it where it is no operation",
            )
    return columns.freeze()


def _add(columns: EventColumns, match: re.Match[str], number: int) -> None:
    reader = Reader(match["rest"] or "", columns.name, first_line=number)
    event = {
        Keyword("process"): Keyword("nemesis") if match["process"].endswith("nemesis") else _process(match["process"]),
        Keyword("type"): Keyword(match["type"]),
        Keyword("f"): _function(match["f"], columns.name, number),
    }
    if not reader.at_end():
        event[Keyword("value")] = reader.value()
    if not reader.at_end():
        event[Keyword("error")] = reader.value()
    if not reader.at_end():
        raise reader.error("more follows the value and the error of an operation")
    columns.add(event, number)


def _process(digits: str) -> int:
    return int(digits[:_MOST_DIGITS])


_MOST_DIGITS: Final = 30


def _function(word: str, name: str, number: int) -> Keyword:
    if not is_keyword(word[1:]):
        raise HistoryError(f"{name}, line {number}: {word!r} is no function", next_step="repair that line")
    return Keyword(word[1:])


def write_log(events: Events) -> bytes:
    """Return events as log lines, in their order. Times and further keys have no place there.

    Raises HistoryError for values and names that EDN cannot hold.
    """
    lines = []
    for at in range(len(events)):
        value = events.values[at]
        words = [
            str(events.processes[at]),
            f":{events.types[at]}",
            write_value(Keyword(events.functions[at])),
            "nil" if value is ABSENT else write_value(value),
        ]
        if "error" in events.extras.get(at, {}):
            words.append(write_value(events.extras[at]["error"]))
        lines.append(_PREFIX + "\t".join(words) + "\n")
    return "".join(lines).encode()
