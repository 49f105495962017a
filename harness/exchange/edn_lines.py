"""The usual line of a history in EDN, read by one regular expression that is made from the first line of the file.

Only what the exact reader would read alike is taken: lines of the shape of the first one, with values made of brackets,
whole numbers, ``nil``, booleans and the keywords of micro-operations. A line that differs goes to the exact reader by
itself; a file of another layout, or with an error, goes there as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from harness.errors import HistoryError
from harness.exchange.edn import Keyword, Reader, Tagged
from harness.exchange.events import KEYS, EventColumns, Events

_NATURAL: Final = rb"0|[1-9][0-9]{0,17}"
_FIELDS: Final = {
    "type": rb":(invoke|ok|fail|info)",
    "f": rb":([a-z][a-z-]*)",
    "value": rb"(-?[0-9]+|nil|true|false|\[[\[\]a-z0-9 ,:-]*\])",
    "process": rb"(:nemesis|" + _NATURAL + rb")",
    "time": rb"(" + _NATURAL + rb")",
    "index": rb"(" + _NATURAL + rb")",
}
_REQUIRED: Final = frozenset({"type", "f", "value", "process"})
_RECORD: Final = "jepsen.history.Op"
_FIRST_LINES: Final = 16
"""Lines among which one of the usual shape is looked for."""

_TO_JSON: Final = (
    (b", ", b","), (b" ", b","), (b"nil", b"null"), (b":append", b'"append"'), (b":r", b'"r"'), (b":w", b'"w"')
)  # fmt: skip
"""What makes JSON of a value that matched; a value of other words becomes text that is no JSON, and is refused."""

_VALUES: Final = msgspec.json.Decoder()
_NATURALS: Final = msgspec.json.Decoder(list[int])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The order of keys of a line, and what matches it; the last group holds a line of any other shape."""

    keys: tuple[str, ...]
    pattern: re.Pattern[bytes]


def read_lines(content: bytes, name: str) -> Events | None:
    """Return the events of a file of one map a line, or None where it has another layout or what is no operation."""
    shape = None if b"\r" in content else _shape_of(content)
    if shape is None:
        return None
    rows = shape.pattern.findall(content.removesuffix(b"\n"))
    columns = dict(zip((*shape.keys, "other"), zip(*rows, strict=True), strict=True))
    others = [position for position, kind in enumerate(columns["type"]) if not kind]
    values = _values(columns["value"])
    if values is None or len(others) * 2 > len(rows):
        return None
    table = EventColumns(
        name,
        types=_translate(columns["type"], bytes.decode),
        functions=_translate(columns["f"], bytes.decode),
        values=values,
        processes=_translate(columns["process"], _process),
        times=_naturals(columns.get("time"), len(rows)),
        indexes=_naturals(columns.get("index"), len(rows)),
        lines=list(range(1, len(rows) + 1)),
    )
    return table.freeze() if _replace(table, others, columns["other"]) else None


def _shape_of(content: bytes) -> _Shape | None:
    end = -1
    for _ in range(_FIRST_LINES):
        start, end = end + 1, content.find(b"\n", end + 1)
        line = content[start : end if end >= 0 else len(content)]
        shape = _shape_of_line(line)
        if shape is not None and not shape.pattern.findall(line)[0][-1]:
            return shape
        if end < 0:
            return None
    return None


def _shape_of_line(line: bytes) -> _Shape | None:
    try:
        record = Reader(line.decode("utf-8"), "").value()
    except (UnicodeDecodeError, HistoryError):
        return None
    prefix = b""
    if isinstance(record, Tagged) and record.tag == _RECORD:
        prefix, record = b"#" + _RECORD.encode(), record.value
    if not isinstance(record, dict) or not all(isinstance(key, Keyword) for key in record):
        return None
    keys = tuple(str(key) for key in record)
    if not _REQUIRED <= frozenset(keys) <= frozenset(KEYS):
        return None
    fields = b",? ".join(b":" + key.encode() + b" " + _FIELDS[key] for key in keys)
    pattern = re.compile(rb"^(?:" + re.escape(prefix) + rb"\{" + fields + rb"\}|(.*))$", re.MULTILINE)
    return _Shape(keys=keys, pattern=pattern)


def _values(column: Sequence[bytes]) -> list[Any] | None:
    # One value a line: no comma can stand between two of them, so that no two broken values make one whole.
    text = b"\n".join([value or b"nil" for value in column])
    for old, new in _TO_JSON:
        text = text.replace(old, new)
    try:
        values = _VALUES.decode_lines(text)
    except msgspec.DecodeError:
        return None
    return values if len(values) == len(column) else None


def _translate(column: Sequence[bytes], convert: Callable[[bytes], Any]) -> list[Any]:
    table = {word: convert(word) for word in set(column)}
    return [table[word] for word in column]


def _process(word: bytes) -> int | str:
    return "nemesis" if word == b":nemesis" else int(word or 0)


def _naturals(column: Sequence[bytes] | None, size: int) -> list[Any]:
    if column is None:
        return [None] * size
    return list(_NATURALS.decode(b"[" + b",".join([word or b"0" for word in column]) + b"]"))


def _replace(table: EventColumns, positions: Sequence[int], lines: Sequence[bytes]) -> bool:
    """Put the events of other shapes at their positions; return False where a line is not one whole operation."""
    for position in positions:
        single = EventColumns(table.name)
        try:
            reader = Reader(lines[position].decode("utf-8"), table.name, first_line=position + 1)
            single.add(reader.value(), position + 1)
            if not reader.at_end():
                return False
        except (UnicodeDecodeError, HistoryError):
            return False
        for name in ("types", "functions", "values", "processes", "times", "indexes"):
            getattr(table, name)[position] = getattr(single, name)[0]
        if single.extras:
            table.extras[position] = single.extras[0]
    return True
