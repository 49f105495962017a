"""What the zoo's scenarios share: a checker made of one function that yields what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from harness import Checker, History, Operation, Verdict
from harness.checkers.findings import Findings, missing_final

Found = tuple[str, tuple[Operation, ...]]
"""A sentence, and the operations that it speaks of."""


def rule(
    kind: str, guarantee: str, find: Callable[[History], Iterable[Found]], *, needs_final: tuple[str, ...] = ()
) -> Checker:
    """Return the checker ``kind``: each thing that ``find`` yields of a history is an anomaly of that kind."""

    def check(history: History) -> Verdict:
        reason = missing_final(history, needs_final)
        if reason:
            return Verdict(checker=kind, status="unknown", reason=reason)
        findings = Findings(history, guarantee)
        for sentence, operations in find(history):
            findings.add(kind, (sentence,), operations)
        return findings.conclude(kind, operations=len(history.operations))

    return Checker(name=kind, guarantee=guarantee, check=check, needs_final=needs_final, ignores_durations=True)


def told(history: History, *functions: str) -> Iterator[Operation]:
    """Yield the operations of these functions whose caller got a result."""
    return (operation for operation in history.of(*functions) if operation.outcome == "returned")
