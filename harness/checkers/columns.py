"""The entries of one object as columns, for what works on hundreds of thousands of them at once.

Imports numpy, so that only what needs columns imports this module, and inside a function.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from harness.checkers.model import UNKNOWN, Entry, Step

UNKNOWN_CODE: Final = -1
"""Stands in ``result`` where nobody knows what an operation returned."""

ABSENT_CODE: Final = -2
"""What :func:`code_of` gives for a value that no entry has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Entries as arrays of one length, in order of (start, end, index).

    ``kind[i]`` is a position in ``kinds``. ``value[i]`` and ``result[i]`` are positions in ``values``: equal values
    have equal codes (as in Python, True equals 1); None is a value like others, and a result that is unknown is
    UNKNOWN_CODE. ``end_ns`` is FOREVER_NS where the outcome is unknown.
    """

    index: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    kind: NDArray[np.int16]
    kinds: tuple[str, ...]
    value: NDArray[np.int64]
    result: NDArray[np.int64]
    values: Sequence[Hashable]
    required: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True)
class IntegerValues(Sequence[Hashable]):
    """Values that are integers from ``lowest`` on or None, of which no list is needed.

    Code 0 is None; an integer has the code ``integer - lowest + 1``. ``size`` is the number of integers.
    """

    lowest: int
    size: int

    def __len__(self) -> int:
        return self.size + 1

    @overload
    def __getitem__(self, code: int) -> Hashable: ...
    @overload
    def __getitem__(self, code: slice) -> Sequence[Hashable]: ...
    def __getitem__(self, code: int | slice) -> Hashable | Sequence[Hashable]:
        if isinstance(code, slice):
            return [self[each] for each in range(*code.indices(len(self)))]
        if not 0 <= code < len(self):
            raise IndexError(f"no value has the code {code}")
        return None if code == 0 else self.lowest + int(code) - 1

    def __contains__(self, value: object) -> bool:
        return self.code(value) != ABSENT_CODE

    def code(self, value: object) -> int:
        """Return the code of a value, ABSENT_CODE where it has none."""
        if value is None:
            return 0
        if not isinstance(value, int):
            return ABSENT_CODE
        position = value - self.lowest
        return position + 1 if 0 <= position < self.size else ABSENT_CODE


def code_of(columns: Columns, value: Hashable) -> int:
    """Return the code of ``value`` in these columns; ABSENT_CODE where no entry has it."""
    if isinstance(columns.values, IntegerValues):
        return columns.values.code(value)
    return next((code for code, known in enumerate(columns.values) if known == value), ABSENT_CODE)


def columns_of(entries: Sequence[Entry]) -> Columns:
    """Return entries as columns, sorted by (start, end, index)."""
    codes: dict[Hashable, int] = {}
    kinds: dict[str, int] = {}
    steps = [entry.step for entry in entries]
    kind = np.array([kinds.setdefault(step.kind, len(kinds)) for step in steps], np.int16)
    value = np.array([codes.setdefault(step.value, len(codes)) for step in steps], np.int64)
    result = np.array([_result_code(step.result, codes) for step in steps], np.int64)
    index = _integers(entry.index for entry in entries)
    start_ns = _integers(entry.start_ns for entry in entries)
    end_ns = _integers(entry.end_ns for entry in entries)
    order = np.lexsort((index, end_ns, start_ns))
    return Columns(
        index=index[order],
        start_ns=start_ns[order],
        end_ns=end_ns[order],
        kind=kind[order],
        kinds=tuple(kinds),
        value=value[order],
        result=result[order],
        values=tuple(codes),
        required=np.array([entry.required for entry in entries], np.bool_)[order],
    )


def _result_code(result: Hashable, codes: dict[Hashable, int]) -> int:
    return UNKNOWN_CODE if result is UNKNOWN else codes.setdefault(result, len(codes))


def _integers(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)


def entry_at(columns: Columns, position: int) -> Entry:
    """Return the entry in one row."""
    result = int(columns.result[position])
    value: Any = columns.values[int(columns.value[position])]
    return Entry(
        index=int(columns.index[position]),
        start_ns=int(columns.start_ns[position]),
        end_ns=int(columns.end_ns[position]),
        step=Step(
            columns.kinds[int(columns.kind[position])],
            value,
            UNKNOWN if result == UNKNOWN_CODE else columns.values[result],
        ),
        required=bool(columns.required[position]),
    )


def entries_from(columns: Columns, positions: Iterable[int]) -> tuple[Entry, ...]:
    """Return the entries in these rows, in the order in which the rows are given."""
    return tuple(entry_at(columns, int(position)) for position in positions)
