"""A checker: a pure function of a history, with the name under which its verdict is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.history import History
from harness.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """``check(history)`` judges one guarantee. It must be pure, and must not change or keep the history.

    ``name`` is unique within a scenario. ``guarantee`` says in one plain sentence what is checked. ``needs_final``
    names the final reads without which it cannot say ``holds``; where one is missing the verdict is ``unknown``.

    An exhaustive search may take histories for one that no checker tells apart. ``ignores_durations`` says that of all
    times the verdict depends at most on which operations had ended when each began; ``ignores_real_time`` that it does
    not depend on that either, unless they are of one process. Times are those of operations, of their calls and of
    faults, and those that servers put into replies. Who declares neither is judged run by run.
    """

    name: str
    guarantee: str
    check: Callable[[History], Verdict]
    needs_final: tuple[str, ...] = ()
    ignores_real_time: bool = False
    ignores_durations: bool = False
