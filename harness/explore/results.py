"""The file of a campaign's results: a header, then a line for every chunk that is done. It resumes and merges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import StoreError, UsageError

FORMAT: Final = 1


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the results are of. Files with another identity do not go together."""

    format: int = FORMAT
    identity: dict[str, Any] = {}
    """Plain JSON: the cell, strategy, first seed; whatever a result is a function of beside its index."""
    total: int
    """Indexes of the whole campaign, all shards together."""
    shard: str = "1/1"


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Indexes that are done, with the result of each."""

    indexes: list[int]
    results: list[Any]


class ResultFile:
    """One shard's results at ``path``. Opened again with the same header it goes on where it ended."""

    def __init__(self, path: Path, header: Header, result_type: Any = Any) -> None:
        self.path = path
        self.header = header
        self._result_type = result_type

    def read(self) -> Iterator[Chunk]:
        """Yield the chunks that the file has; make it where it is not there.

        A last line that is cut short, by a crash, is taken away. Raises UsageError where the header is another.
        """
        if not self.path.exists():
            self._create()
            return
        whole = _whole_lines(self.path)
        if not whole:
            self._create()
            return
        found = msgspec.json.decode(whole[0], type=Header)
        if found != self.header:
            raise UsageError(
                f"{self.path} has the results of another campaign, or of other code: {_difference(found, self.header)}",
                next_step="name another campaign, or remove the file to begin anew",
            )
        yield from map(self._decode, whole[1:])

    def append(self, chunk: Chunk) -> None:
        """Add a chunk. Raises StoreError if the disk does not take it."""
        self._write(chunk, "ab")

    def _create(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write(self.header, "wb")

    def _write(self, record: msgspec.Struct, mode: str) -> None:
        try:
            with self.path.open(mode) as stream:
                stream.write(msgspec.json.encode(record) + b"\n")
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written: {error}", next_step="make room, then start again"
            ) from error

    def _decode(self, line: bytes) -> Chunk:
        chunk = msgspec.json.decode(line, type=Chunk)
        if self._result_type is Any:
            return chunk
        results = [msgspec.convert(result, self._result_type) for result in chunk.results]
        return Chunk(indexes=chunk.indexes, results=results)


def _difference(found: Header, wanted: Header) -> str:
    """Say in which parts of its identity a header is another."""
    old, new = (
        {**header.identity, "format": header.format, "total": header.total, "shard": header.shard}
        for header in (found, wanted)
    )
    parts = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return "; ".join(f"{name} {old.get(name)!r}, not {new.get(name)!r}" for name in parts)


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file; what follows the last line end was cut short and is removed."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end != len(content):
        with path.open("r+b") as stream:
            stream.truncate(end)
    return content[:end].splitlines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The results of several shards together."""

    identity: dict[str, Any]
    total: int
    results: dict[int, Any]

    @property
    def missing(self) -> int:
        """How many indexes of the campaign no file has."""
        return self.total - len(self.results)


def merge(paths: Sequence[Path], result_type: Any = Any) -> Merged:
    """Return the results of files of one campaign, by index.

    Raises UsageError for none, for files of several campaigns, and for two results of one index that differ: a run is
    a function of its index.
    """
    if not paths:
        raise UsageError("there is no file of results to merge", next_step="name the files of all shards")
    headers = [_header_of(path) for path in paths]
    results: dict[int, Any] = {}
    for path, header in zip(paths, headers, strict=True):
        if (header.identity, header.total) != (headers[0].identity, headers[0].total):
            raise UsageError(
                f"{path} and {paths[0]} are of different campaigns", next_step="merge the files of one campaign"
            )
        for chunk in ResultFile(path, header, result_type).read():
            for index, result in zip(chunk.indexes, chunk.results, strict=True):
                if results.setdefault(index, result) != result:
                    raise UsageError(
                        f"index {index} has two results, one of them in {path}",
                        next_step="audit the determinism of the program",
                    )
    return Merged(identity=headers[0].identity, total=headers[0].total, results=dict(sorted(results.items())))


def _header_of(path: Path) -> Header:
    try:
        first = _whole_lines(path)[0]
        return msgspec.json.decode(first, type=Header)
    except (OSError, IndexError, msgspec.MsgspecError) as error:
        raise StoreError(f"{path} is no file of results: {error}", next_step="name a file of a campaign") from error
