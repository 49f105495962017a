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
    ``ignores_real_time`` says that its verdict depends on results and on the order within each process alone, and
    never on which of two processes' operations came first: then a search may take such histories for one.
    """

    name: str
    guarantee: str
    check: Callable[[History], Verdict]
    needs_final: tuple[str, ...] = ()
    ignores_real_time: bool = False
