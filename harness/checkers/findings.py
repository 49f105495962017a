"""How a checker gathers anomalies and turns them into its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from harness.history import History
from harness.interfaces.checker import Checker
from harness.journal import plain
from harness.operation import Operation
from harness.verdict import Anomaly, Cost, Verdict

LISTED_PER_KIND = 20
"""How many anomalies of one kind a verdict lists; the others are counted."""


class Findings:
    """The anomalies of one check. Only those that will be listed are told as a story, which is the costly part."""

    def __init__(self, history: History, guarantee: str) -> None:
        self.history = history
        self.guarantee = guarantee
        self.counts: Counter[str] = Counter()
        self._listed: list[Anomaly] = []

    def add(
        self,
        kind: str,
        told: Callable[[], Iterable[str]] | Sequence[str],
        evidence: Iterable[Operation] = (),
        **details: Any,
    ) -> None:
        """Note an anomaly; ``told`` are its sentences, or gives them and is called only if it is listed."""
        self.counts[kind] += 1
        if self.counts[kind] > LISTED_PER_KIND:
            return
        self._listed.append(
            Anomaly(
                kind=kind,
                guarantee=self.guarantee,
                story=tuple(told() if callable(told) else told),
                operations=tuple(dict.fromkeys(operation.index for operation in evidence)),
                details=plain(details),
            )
        )

    @property
    def anomalies(self) -> tuple[Anomaly, ...]:
        """The listed anomalies, kind by kind in order of discovery; each knows how many there are of its kind."""
        return tuple(
            msgspec.structs.replace(
                anomaly, details={**anomaly.details, "found_of_this_kind": self.counts[anomaly.kind]}
            )
            for anomaly in self._listed
        )

    @property
    def truncated(self) -> int:
        """How many were found beyond those listed."""
        return self.counts.total() - len(self._listed)

    def conclude(
        self,
        checker: str,
        *,
        operations: int,
        steps: int = 0,
        unknown: str = "",
        certificate: Mapping[str, Any] | None = None,
        model_broken: str = "",
    ) -> Verdict:
        """Return ``violated`` if anything was found, else ``unknown`` with that reason if there is one."""
        cost = Cost(operations=operations, steps=steps)
        if self._listed:
            return Verdict(
                checker=checker,
                status="violated",
                anomalies=self.anomalies,
                truncated=self.truncated,
                model_broken=model_broken,
                cost=cost,
            )
        if unknown:
            return Verdict(checker=checker, status="unknown", reason=unknown, cost=cost)
        return Verdict(
            checker=checker, status="holds", certificate=plain(certificate) if certificate else None, cost=cost
        )


def missing_final(history: History, names: Iterable[str]) -> str:
    """Return the reason why the final state cannot be judged, or empty where all these final reads are there."""
    missing = [name for name in names if name not in history.final]
    if not missing:
        return ""
    return f"the record has no final read of {', '.join(missing)}: the run did not come to its end"


def final_checker(
    *, name: str, guarantee: str, needs_final: tuple[str, ...], check: Callable[[History], Verdict]
) -> Checker:
    """Return a checker that judges the final state alone: without its final reads it is ``unknown``, not run."""

    def guarded(history: History) -> Verdict:
        reason = missing_final(history, needs_final)
        return Verdict(checker=name, status="unknown", reason=reason) if reason else check(history)

    return Checker(name=name, guarantee=guarantee, check=guarded, needs_final=needs_final, ignores_real_time=True)
