"""Choices: what a simulated run leaves open, where it was decided, and who decides.

Every nondeterminism goes through :meth:`~harness.sim.kernel.loop.Kernel.choose`. A run's trace is the sparse list of
its deviations from the default, which is "run the current task on, no fault, no delay"; hence a trace is short,
readable, and can be replayed as far as it goes on a changed workload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from harness.sim.kernel.loop import Kernel

Label = str | int
"""The name of an option: the same option has the same label in every run."""

RUN = "run"
"""The kind of choice that says which task goes on; :data:`TIME` among its options lets time pass instead."""

TIME = "time"


class Site(NamedTuple):
    """Where a choice was made; stable when other operations are taken out of the workload."""

    task: str
    """The task that was current: ``client 1``."""
    operation: str
    """The operation that it was in, as its owner named it (``1.3``); empty outside of operations."""
    kind: str
    occurrence: int
    """How many choices of this kind the operation had made before."""


class Deviation(NamedTuple):
    """A choice that was not the default."""

    site: Site
    label: Label


class StateKeys(NamedTuple):
    """Keys of the states of a run, asked for between two steps. States of one key go on alike under like choices.

    A state is what decides how the run goes on and is judged: the database, what every client got so far, armed timers
    and faults, what is left of budgets. Keys have 128 bits, so that two states do not share one by chance.
    """

    key: Callable[[str], int]
    """``key(task)`` tells the states apart by the current task too; ``key("")`` does not."""
    keeps: frozenset[str] = frozenset()
    """What of the past the key tells apart beyond results, as ``real-time-order``."""
    was_silent: Callable[[], bool] = bool
    """Whether the last step of a task touched nothing that is told apart but its own place: then others' steps before
    it come to the same as after it. By default none is."""


class Strategy(Protocol):
    """Decides. It may keep state, and must be a function of its seed and of what it was asked."""

    def begin(self, kernel: Kernel) -> None:
        """Take notice of the kernel of a run that begins; ``kernel.site(kind)`` tells where a choice is made."""
        ...

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        """Return the index of one of ``options``, at least two of them.

        ``footprints`` has for each option what it touches, where that is known: tuples of (resource, is_write).
        """
        ...


class DefaultStrategy:
    """Takes the default everywhere."""

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:  # noqa: ARG002 - a Strategy
        """Return the default."""
        return default
