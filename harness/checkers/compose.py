"""Running checkers: one that crashes or lacks its final reads says ``unknown``, and never brings down the others."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable

from harness.checkers.findings import missing_final
from harness.errors import CheckError
from harness.history import History
from harness.interfaces.checker import Checker
from harness.verdict import Verdict


def run_checkers(history: History, checkers: Iterable[Checker]) -> tuple[Verdict, ...]:
    """Return the verdict of each checker, in order.

    A checker whose final reads are missing may still find a violation in the operations; otherwise it says
    ``unknown`` with what is missing. One that raises says ``unknown`` with the error, its file and line. Raises
    CheckError where two checkers have one name, since their verdicts could not be told apart.
    """
    judges = tuple(checkers)
    repeated = [name for name, count in Counter(judge.name for judge in judges).items() if count > 1]
    if repeated:
        raise CheckError(
            f"the scenario has several checkers named {', '.join(repeated)}",
            next_step="give each its own name=",
        )
    return tuple(_run(history, judge) for judge in judges)


def _run(history: History, checker: Checker) -> Verdict:
    missing = missing_final(history, checker.needs_final)
    try:
        verdict = checker.check(history)
    except Exception as error:  # noqa: BLE001 - whatever a checker raises, the others must still be heard
        return Verdict(checker=checker.name, status="unknown", reason=missing or _crash(error))
    if missing and verdict.status != "violated":
        return Verdict(checker=checker.name, status="unknown", reason=missing, cost=verdict.cost)
    return verdict


def _crash(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"the checker raised {type(error).__name__}: {error}{where}"
