"""The end of a mongod's log: for messages to the reader, and for what it says about a failed start."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

_BLOCK_BYTES = 65_536
_SHOWN_CHARACTERS = 240


def last_lines(path: Path, count: int, *, after: int = 0) -> tuple[str, ...]:
    """Return the last lines of a file that stand ``after`` that many bytes; none where it cannot be read."""
    data = b""
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            while position > after and data.count(b"\n") <= count:
                start = max(position - _BLOCK_BYTES, after)
                file.seek(start)
                data = file.read(position - start) + data
                position = start
    except OSError:
        return ()
    lines = data.decode("utf-8", errors="replace").splitlines()
    return tuple(lines[-count:]) if count > 0 else ()


def in_words(line: str) -> str:
    """Return a structured log line as ``time severity component: message {attributes}``; other lines as they are."""
    try:
        entry = json.loads(line)
        time, severity, component, message = entry["t"]["$date"], entry["s"], entry["c"], entry["msg"]
    except (ValueError, KeyError, TypeError):
        return line[:_SHOWN_CHARACTERS]
    attributes = json.dumps(entry["attr"]) if "attr" in entry else ""
    text = f"{str(time)[11:23]} {severity} {component}: {message} {attributes}".rstrip()
    return text[:_SHOWN_CHARACTERS]


def for_reader(lines: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the last ``count`` lines in words, without the stack frames that a crash writes after its reason."""
    told = [line for line in lines if '"msg":"  Frame' not in line and '"msg":"BACKTRACE"' not in line]
    return tuple(in_words(line) for line in told[-count:])


def says_port_taken(lines: Sequence[str]) -> bool:
    """Whether the server could not listen because another process does."""
    return any("Address already in use" in line for line in lines)


def says_disk_full(lines: Sequence[str]) -> bool:
    """Whether the server ended because its disk is full."""
    return any("No space left on device" in line for line in lines)
