"""The append-only journal: JSON lines, written as things happen, compressed at close.

An operation is two lines, its invocation and its completion, so that a record cut short by a crash still names
the operations that were under way. Each line is one ``write`` to a file opened for appending, hence several
threads and processes may share a journal, and what was written survives the death of the harness. The last line
of a closed journal counts and hashes the others: a journal that was truncated or edited afterwards is refused.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import HistoryError, StoreError
from harness.facts import Effect, Phase, PrimaryChange
from harness.operation import DatabaseCall, Failure, Outcome, Status
from harness.oplog import Oplog

COMPRESSED_SUFFIX = ".gz"
_COMPRESSION_LEVEL = 6
_DIGEST_BYTES = 16


class Invoked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="invoke"):
    """A client began an operation."""

    index: int
    process: int
    client: int
    group: int = 0
    function: str
    arguments: dict[str, Any] = {}
    start_ns: int


class Completed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="complete"):
    """The operation with this ``index`` came to its end as its caller saw it."""

    index: int
    returned_ns: int | None
    status: Status
    outcome: Outcome
    result: Any = None
    error: Failure | None = None
    calls: tuple[DatabaseCall, ...] = ()


class FinalRead(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="final"):
    """What the scenario read from the healed, quiet database under ``name``."""

    name: str
    value: Any


class OplogRead(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="oplog"):
    """What the healed set's oplog told of the run's writes."""

    oplog: Oplog


class FaultStarted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="fault"):
    """A strike of a fault was injected."""

    fault: str
    strike: int
    start_ns: int
    targets: tuple[str, ...] = ()


class FaultHealed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="healed"):
    """A strike was healed; ``effects`` are what the observers had seen of it."""

    fault: str
    strike: int
    end_ns: int
    effects: tuple[Effect, ...] = ()
    error: str = ""


class PrimarySeen(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="primary"):
    """The observer saw another primary than before, or none."""

    change: PrimaryChange


class PhaseStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="phase"):
    """A phase of the run began."""

    phase: Phase


class JournalEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="end"):
    """The last line of a closed journal: number and digest of the lines before it."""

    lines: int
    digest: str


JournalEvent = (
    Invoked | Completed | FinalRead | OplogRead | FaultStarted | FaultHealed | PrimarySeen | PhaseStarted | JournalEnd
)


def to_plain(value: Any) -> Any:
    """Return the JSON twin of a value that JSON does not know (msgspec's ``enc_hook``).

    BSON types are told by their class name, since this layer must not import bson.
    """
    name = type(value).__name__
    if name == "ObjectId":
        return {"$oid": str(value)}
    if name == "Timestamp":
        return {"$timestamp": {"t": value.time, "i": value.inc}}
    if name == "Decimal128":
        return {"$numberDecimal": str(value)}
    if name == "DatetimeMS":
        return {"$date": int(value)}
    if name in {"MinKey", "MaxKey"}:
        return {f"${name[0].lower()}{name[1:]}": 1}
    return _subclass_to_plain(value)


def _subclass_to_plain(value: Any) -> Any:
    for kind, convert in _SUBCLASSES:
        if isinstance(value, kind):
            return convert(value)
    return repr(value)


_SUBCLASSES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (int, int),
    (str, str),
    ((bytes, bytearray), lambda value: {"$binary": bytes(value).hex()}),
    (dict, dict),
    (datetime.datetime, datetime.datetime.isoformat),
)

ENCODER = msgspec.json.Encoder(enc_hook=to_plain)
_DECODER: msgspec.json.Decoder[JournalEvent] = msgspec.json.Decoder(JournalEvent)


def plain(value: Any) -> Any:
    """Return ``value`` as it will read after a round trip through the journal."""
    return msgspec.json.decode(ENCODER.encode(value))


class JournalWriter:
    """Appends events to one journal file; safe for many threads, and for many processes with a writer each."""

    def __init__(self, path: Path) -> None:
        """Open ``path`` for appending. Raises StoreError if that is not possible."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _store_error("opening the journal", path, error) from error

    def append(self, event: JournalEvent) -> None:
        """Write ``event`` as one line. Raises StoreError if it was not written whole (disk full)."""
        line = ENCODER.encode(event) + b"\n"
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise _store_error("writing the journal", self.path, error) from error
        if written != len(line):
            raise StoreError(
                f"writing the journal {self.path}: only {written} of {len(line)} bytes were taken (disk full?)",
                next_step="free space on that disk; what was recorded before is kept and readable",
            )

    def detach(self) -> None:
        """Close the file without the closing line: another process goes on writing it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def close(self) -> Path:
        """Write the closing line, compress the journal and return the path of the compressed file."""
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        lines = 0
        with self.path.open("rb") as source:
            for line in source:
                digest.update(line)
                lines += 1
        self.append(JournalEnd(lines=lines, digest=digest.hexdigest()))
        self.detach()
        return _compress(self.path)


def encode_journal(events: Iterable[JournalEvent]) -> bytes:
    """Return the content of a journal that holds these events and is closed."""
    lines = [ENCODER.encode(event) + b"\n" for event in events]
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for line in lines:
        digest.update(line)
    return b"".join([*lines, ENCODER.encode(JournalEnd(lines=len(lines), digest=digest.hexdigest())), b"\n"])


def _compress(path: Path) -> Path:
    target = path.with_name(path.name + COMPRESSED_SUFFIX)
    partial = target.with_name(target.name + ".partial")
    try:
        with path.open("rb") as source, gzip.open(partial, "wb", compresslevel=_COMPRESSION_LEVEL) as sink:
            while block := source.read(1 << 20):
                sink.write(block)
        partial.replace(target)
        path.unlink()
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _store_error("compressing the journal", path, error) from error
    return target


def _store_error(doing: str, path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{doing} {path}: {error.strerror or error}",
        next_step="check free space and permissions there, or choose another place with --runs DIR",
    )


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal file holds; ``closed`` is False where its writer died before the closing line."""

    events: tuple[JournalEvent, ...]
    closed: bool


def find_journal(directory: Path, name: str) -> Path:
    """Return the path of journal ``name`` in ``directory``, compressed or not. Raises HistoryError if absent."""
    compressed = directory / (name + COMPRESSED_SUFFIX)
    for candidate in (compressed, directory / name):
        if candidate.exists():
            return candidate
    raise HistoryError(
        f"no journal {name} in {directory}", next_step="name the directory of one run, see `harness runs`"
    )


def read_journal(path: Path) -> Journal:
    """Read a journal, compressed or not.

    A plain file whose writer died is read up to its last whole line. Raises HistoryError, with the line number,
    where a line does not parse, where the closing line does not fit the others, or where a compressed file is cut.
    """
    events: list[JournalEvent] = []
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for number, line in enumerate(_lines(path), start=1):
        event = _decode(path, number, line)
        if isinstance(event, JournalEnd):
            _verify_end(path, event, number - 1, digest.hexdigest())
            return Journal(events=tuple(events), closed=True)
        digest.update(line)
        events.append(event)
    if path.name.endswith(COMPRESSED_SUFFIX):
        raise HistoryError(
            f"{path} was closed, but its closing line is missing: it was truncated",
            next_step="restore the file; its verdict cannot be trusted as it is",
        )
    return Journal(events=tuple(events), closed=False)


def _lines(path: Path) -> Iterator[bytes]:
    compressed = path.name.endswith(COMPRESSED_SUFFIX)
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as source:
            for line in source:
                if line.endswith(b"\n"):
                    yield line
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(
            f"{path} cannot be read: {error}", next_step="restore the file, or run the cell again"
        ) from error


def _decode(path: Path, number: int, line: bytes) -> JournalEvent:
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(
            f"{path}, line {number}: not a journal event ({error})",
            next_step="the file was edited or damaged; restore it, or run the cell again",
        ) from error


def _verify_end(path: Path, end: JournalEnd, lines: int, digest: str) -> None:
    if end.lines != lines or end.digest != digest:
        raise HistoryError(
            f"{path} does not fit its closing line ({lines} lines, {end.lines} when it was closed): it was edited",
            next_step="restore the file; its verdict cannot be trusted as it is",
        )
