"""Files of histories: which format one has, read into a history, and written in any of the formats."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import Final, Literal, get_args

from harness import store
from harness.errors import HistoryError, UsageError
from harness.exchange.edn_history import read_edn, write_edn
from harness.exchange.jepsen_log import read_log, write_log
from harness.exchange.journal_file import read_journal_file, write_journal
from harness.exchange.pairing import Imported, Trust, pair
from harness.exchange.unpairing import unpair

Format = Literal["edn", "jepsen-log", "journal"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_GZIP_MAGIC: Final = b"\x1f\x8b"
_SUFFIXES: Final[tuple[tuple[str, Format], ...]] = (
    (".edn", "edn"), (".edn.gz", "edn"), (".log", "jepsen-log"), (".log.gz", "jepsen-log"),
    (".jsonl", "journal"), (".jsonl.gz", "journal"),
)  # fmt: skip
_EDN_BEGINNING: Final = re.compile(rb"(?:[\s,]|;[^\n]*\n)*(?:[\[({]\s*)*(?:\{|#[A-Za-z_]|:)")
_LOG_LINE: Final = re.compile(rb"(?m)(?:^|\s)(?:\d+|:?nemesis)[\t ]+:(?:invoke|ok|fail|info)[\t ]")


def read_history(
    path: Path, *, kind: Format | None = None, trust: Trust = "both", independent: bool = False
) -> Imported:
    """Return the history that a file holds, of the named format or of the one that it looks like.

    Compressed files (gzip) are read as they are. ``trust`` and ``independent`` are those of
    :func:`~harness.exchange.pairing.pair`. Raises HistoryError, with line and operation, for what is no history.
    """
    content = _content(path)
    found = kind or guess_format(content, path.name)
    with store.collector_paused():
        if found == "journal":
            return read_journal_file(path)
        events = read_edn(content, path.name) if found == "edn" else read_log(content, path.name)
        return pair(events, trust=trust, independent=independent)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{path} cannot be read: {error}", next_step="restore the file") from error


def guess_format(content: bytes, name: str) -> Format:
    """Return the format that a file's content has. Raises UsageError where it looks like none."""
    if content.lstrip().startswith(b'{"'):
        return "journal"
    if _EDN_BEGINNING.match(content):
        return "edn"
    if _LOG_LINE.search(content):
        return "jepsen-log"
    raise UsageError(
        f"{name} looks like no history that is known", next_step=f"name its format: --format {'|'.join(FORMATS)}"
    )


def format_of_name(path: Path) -> Format:
    """Return the format that a file's name asks for. Raises UsageError where it asks for none."""
    for suffix, kind in _SUFFIXES:
        if path.name.endswith(suffix):
            return kind
    raise UsageError(
        f"the name of {path} says no format",
        next_step="end it in .edn, .log or .jsonl, with .gz to compress it",
    )


def write_history(path: Path, imported: Imported) -> None:
    """Write a history to a file, in the format that its name asks for.

    EDN keeps the nemesis, errors and times; log lines have no times; a journal has of the nemesis what became windows.
    Raises UsageError for a name without a format, HistoryError for values that it cannot hold, StoreError.
    """
    kind, compressed = format_of_name(path), path.name.endswith(".gz")
    if kind == "journal":
        store.write_bytes(path, write_journal(imported.history, compressed=compressed))
        return
    events = unpair(imported.history, nemesis=imported.nemesis, name=path.name)
    content = write_edn(events) if kind == "edn" else write_log(events)
    store.write_bytes(path, gzip.compress(content, mtime=0) if compressed else content)
