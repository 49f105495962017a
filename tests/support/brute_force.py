"""Holding a checker against brute force: counting disagreements, and misreading histories on purpose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
from checker_histories import history

from harness.history import History
from harness.interfaces.checker import Checker

HISTORIES = 10_000
MUTANT_HISTORIES = 3_000


def disagreements(
    checker: Checker, histories: Iterable[History], expected: Callable[[History], bool]
) -> tuple[int, Counter[str]]:
    """Return how often checker and oracle differ (``unknown`` counts as holds: nothing was found), and the verdicts."""
    wrong, seen = 0, Counter[str]()
    for one in histories:
        status = checker.check(one).status
        seen[status] += 1
        wrong += (status != "violated") is not expected(one)
    return wrong, seen


def without_info(one: History) -> History:
    """Drop what is uncertain."""
    return history(*(o for o in one.operations if o.status != "info"), **one.final)


def info_as_ok(one: History) -> History:
    """Take what is uncertain for certain."""
    return history(
        *(msgspec.structs.replace(o, status="ok" if o.status == "info" else o.status) for o in one.operations),
        **one.final,
    )


def fail_as_info(one: History) -> History:
    """Let what failed have happened."""
    return history(
        *(msgspec.structs.replace(o, status="info" if o.status == "fail" else o.status) for o in one.operations),
        **one.final,
    )


def open_intervals(one: History) -> History:
    """Order an operation that ends when another starts before it, as if stamps were never equal."""
    return history(
        *(
            msgspec.structs.replace(
                o, start_ns=2 * o.start_ns, returned_ns=None if o.returned_ns is None else 2 * o.returned_ns - 1
            )
            for o in one.operations
        ),
        **one.final,
    )


def is_noticed(checker: Checker, histories: Iterable[History], expected: Callable[[History], bool]) -> bool:
    """Whether a mutant's verdict differs from the oracle's on some history, or it breaks down on one."""

    def differs(one: History) -> bool:
        try:
            status = checker.check(one).status
        except Exception:  # noqa: BLE001 - a mutant may break in any way; what counts is that it shows
            return True
        return (status != "violated") is not expected(one)

    return any(differs(one) for one in histories)


def misreading(checker: Checker, mutation: Callable[[History], History]) -> Checker:
    """Return the checker that sees every history through ``mutation``."""
    return Checker(name="mutant", guarantee="", check=lambda one: checker.check(mutation(one)))
