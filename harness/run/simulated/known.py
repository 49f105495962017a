"""Seeds that are known to be bad: a line each in the store, tried first by the next campaign of the cell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from harness.errors import StoreError
from harness.journal import ENCODER
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.program import arguments_of

KNOWN_BAD = "known-bad.jsonl"


class KnownBad(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that was violated, with the cell and strategy that it is bad in."""

    cell: dict[str, object]
    strategy: str
    seed: int
    kinds: tuple[str, ...]
    signature: str = ""


def known_bad(root: Path, cell: SimulatedCell, strategy: str) -> tuple[KnownBad, ...]:
    """Return the seeds that are known to be bad in a cell. Raises StoreError for a damaged file."""
    wanted = dict(arguments_of(cell))
    return tuple(each for each in _read(root / KNOWN_BAD) if each.cell == wanted and each.strategy == strategy)


def remember(root: Path, bad: Iterable[KnownBad]) -> None:
    """Add seeds that are not there yet. Raises StoreError if the disk does not take them."""
    path = root / KNOWN_BAD
    there = {(repr(each.cell), each.strategy, each.seed) for each in _read(path)}
    lines = [ENCODER.encode(each) for each in bad if (repr(each.cell), each.strategy, each.seed) not in there]
    if not lines:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"\n".join(lines) + b"\n")
    except OSError as error:
        raise StoreError(
            f"writing {path}: {error.strerror or error}",
            next_step="check free space and permissions there, or choose another place with --runs DIR",
        ) from error


def _read(path: Path) -> tuple[KnownBad, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(msgspec.json.decode(line, type=KnownBad) for line in path.read_bytes().splitlines())
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}", next_step="mend its last line, or remove it: seeds are found again"
        ) from error
