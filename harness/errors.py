"""The errors that the harness raises, one tree by phase, and the one exception that belongs to patterns.

Every message says what was being done, to what, and what to do next. An indeterminate write is never an
exception of this module: it is data, an :class:`~harness.operation.Operation` with the status ``info``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """Something kept the harness from doing its work; the process exits with :attr:`exit_code`.

    Arguments: ``message`` says what was being done, to what, and what went wrong; ``next_step`` is what the
    reader can do about it (a command to type, a setting to change), or empty.
    """

    exit_code = 4

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message


class UsageError(HarnessError):
    """The command line or an argument names something that does not exist or does not fit (exit code 3)."""

    exit_code = 3


class ScenarioError(HarnessError):
    """A scenario file does not load, or its own setup, workload or final reads raised."""


class BackendError(HarnessError):
    """A server, a link or a client could not be started, reached or stopped."""


class FaultError(HarnessError):
    """A fault could not be injected or healed on this backend."""


class HistoryError(HarnessError):
    """A stored journal cannot be read: truncated in its middle, doctored, or of an unknown format."""


class StoreError(HarnessError):
    """The store under ``runs/`` cannot be read or written (missing run, disk full, no permission)."""


class CheckError(HarnessError):
    """A checker was given a history that it cannot be applied to."""


class Rejected(Exception):  # noqa: N818 - a word to the caller, not a malfunction
    """Raised by a pattern: its word to the caller that the operation had no effect.

    The record is held against that word: if an effect shows, the anomaly is ``rejected-yet-applied``.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown ``name`` of a ``kind`` ("scenario", "fault"), with its near matches."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
    return UsageError(f"unknown {kind} {name!r}", next_step=hint)


def first_harness_error(error: BaseException) -> HarnessError | None:
    """Return ``error`` if it is a HarnessError, the first one inside a group of exceptions, or None."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for child in error.exceptions if (found := first_harness_error(child))), None)
    return error if isinstance(error, HarnessError) else None
