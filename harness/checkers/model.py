"""What a sequential model is, and how the operations of a concurrent history meet it.

A model is a record of pure functions. States and values are hashable (see ``frozen.py``).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final


class _Sentinel(enum.Enum):
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


ILLEGAL: Final = _Sentinel.ILLEGAL
"""Returned by a model where an operation cannot have this result in this state."""

UNKNOWN: Final = _Sentinel.UNKNOWN
"""The result of an operation whose outcome nobody knows."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an operation did to the object: its kind, the value that it brought and the result that it got."""

    kind: str
    value: Any = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A step in time: a closed interval, so that equal stamps are concurrent.

    ``required`` is False for an operation whose outcome is unknown: it took effect once after its start, or never.
    """

    index: int
    start_ns: int
    end_ns: int
    step: Step
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """The smallest evidence that a history fits no order: its kind, its entries and the reason in sentences."""

    kind: str
    entries: tuple[Entry, ...]
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An order of entries that fits, or the witness that none does."""

    order: tuple[Entry, ...] = ()
    witness: Witness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A sequential object.

    ``apply(state, step)`` returns the next state, or ILLEGAL where the step cannot have its result there; a result
    of UNKNOWN must be accepted wherever the operation could have taken effect. ``observes(step)`` says that a step
    never changes any state. ``decide``, where there is one, is an exact polynomial algorithm; it returns None for
    histories that it does not cover. ``unexplained``, where there is one, gives those of some entries that saw a value
    which none of them brought, so that a read of it is blamed by itself.
    """

    name: str
    initial: Hashable
    apply: Callable[[Any, Step], Any]
    observes: Callable[[Step], bool]
    describe_state: Callable[[Any], str] = repr
    decide: Callable[[Sequence[Entry], Any], Decision | None] | None = None
    unexplained: Callable[[Sequence[Entry], Any], Sequence[Entry]] | None = None
