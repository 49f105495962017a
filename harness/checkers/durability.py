"""Durability: what was acknowledged is there at the end, and nothing is there that must not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.checkers import story
from harness.checkers.findings import Findings, final_checker
from harness.checkers.frozen import freeze
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.verdict import Verdict

Tokens = Callable[[Operation], "Hashable | list[Hashable] | set[Hashable] | None"]
Survivors = Callable[[Mapping[str, Any]], Iterable[Hashable]]


@dataclass(slots=True)
class _Tokens:
    """Every token with the first operation that wrote it, by what its caller was told."""

    acknowledged: dict[Hashable, Operation] = field(default_factory=dict)
    indeterminate: dict[Hashable, Operation] = field(default_factory=dict)
    rejected: dict[Hashable, Operation] = field(default_factory=dict)
    failed: dict[Hashable, Operation] = field(default_factory=dict)
    operations: int = 0

    def told(self, operation: Operation) -> dict[Hashable, Operation]:
        """Return the table of what the caller of ``operation`` was told."""
        if operation.outcome == "rejected":
            return self.rejected
        return {"ok": self.acknowledged, "info": self.indeterminate, "fail": self.failed}[operation.status]


def _sort(history: History, writes: Tokens) -> _Tokens:
    tokens = _Tokens()
    for operation in history.operations:
        written = writes(operation)
        if written is None:
            continue
        tokens.operations += 1
        kind = tokens.told(operation)
        for token in written if isinstance(written, list | set) else (written,):
            kind.setdefault(freeze(token), operation)
    return tokens


def durability(
    *,
    writes: Tokens,
    survivors: Survivors,
    needs_final: tuple[str, ...] = (),
    initial: Collection[Hashable] = (),
    exactly_once: bool = False,
    name: str = "durability",
    guarantee: str = "Every acknowledged write is in the final state.",
) -> Checker:
    """Return the checker that holds acknowledged writes against the final state.

    ``writes(operation)`` gives the unique token that an operation wrote or meant to write, whatever came of it (None:
    not a write; a list or a set: several tokens). ``survivors(final)`` gives the tokens found at the end, and
    ``needs_final`` names the final reads that it looks at. ``initial`` are tokens that were there before the load.
    With ``exactly_once`` a token that is found twice is an anomaly too.

    Anomalies: ``lost-write``, ``phantom-write``, ``rejected-yet-applied``, ``failed-yet-applied``,
    ``duplicate-write``. ``unknown`` where no write was acknowledged, with the share of the others that is missing.

    Example::

        durability(
            writes=lambda operation: operation.arguments["token"] if operation.function == "insert" else None,
            survivors=lambda final: [document["token"] for document in final["documents"]],
            needs_final=("documents",),
        )
    """
    known = frozenset(freeze(token) for token in initial)

    def check(history: History) -> Verdict:
        found = Counter(freeze(token) for token in survivors(history.final))
        tokens = _sort(history, writes)
        findings = Findings(history, guarantee)
        _find_lost(tokens, found, findings)
        _find_denied(tokens, found, known, findings)
        _find_phantoms(tokens, found, known, findings)
        if exactly_once:
            _find_duplicates(tokens, found, findings)
        return findings.conclude(
            name,
            operations=tokens.operations,
            unknown=_nothing_to_judge(tokens, found),
            certificate=_certificate(tokens, found),
            model_broken="durability of acknowledged writes",
        )

    return final_checker(name=name, guarantee=guarantee, needs_final=needs_final, check=check)


def _find_lost(tokens: _Tokens, found: Mapping[Hashable, int], findings: Findings) -> None:
    for token, operation in tokens.acknowledged.items():
        if token in found:
            continue

        def tell(operation: Operation = operation, token: Hashable = token) -> tuple[str, ...]:
            return (
                story.acknowledged(findings.history, operation),
                f"Its write {story.short(token)} is absent from the final state, read after all faults were healed.",
            )

        findings.add(
            "lost-write",
            tell,
            (operation,),
            token=token,
            member=story.acknowledging_member(operation),
            write_concern=story.effective_write_concern(operation),
        )


def _find_denied(
    tokens: _Tokens,
    found: Mapping[Hashable, int],
    initial: Collection[Hashable],
    findings: Findings,
) -> None:
    for kind, denied in (("rejected-yet-applied", tokens.rejected), ("failed-yet-applied", tokens.failed)):
        for token, operation in denied.items():
            if token not in found or token in initial or token in tokens.acknowledged or token in tokens.indeterminate:
                continue

            def tell(operation: Operation = operation, token: Hashable = token) -> tuple[str, ...]:
                return (
                    story.ended(findings.history, operation),
                    "That told its caller that nothing had happened."
                    if operation.outcome == "rejected"
                    else "Every write in it was answered, and the answers say that nothing was applied.",
                    f"Its write {story.short(token)} is in the final state all the same.",
                )

            findings.add(kind, tell, (operation,), token=token)


def _find_phantoms(
    tokens: _Tokens, found: Mapping[Hashable, int], initial: Collection[Hashable], findings: Findings
) -> None:
    written = (tokens.acknowledged, tokens.indeterminate, tokens.rejected, tokens.failed)
    for token in found:
        if token in initial or any(token in kind for kind in written):
            continue
        text = f"The final state holds {story.short(token)}, which no recorded operation wrote."
        findings.add("phantom-write", (text,), token=token)


def _find_duplicates(tokens: _Tokens, found: Mapping[Hashable, int], findings: Findings) -> None:
    for token, count in found.items():
        operation = tokens.acknowledged.get(token) or tokens.indeterminate.get(token)
        if count == 1 or operation is None:
            continue

        def tell(operation: Operation = operation, token: Hashable = token, count: int = count) -> tuple[str, ...]:
            return (
                story.ended(findings.history, operation),
                f"Its write {story.short(token)} is in the final state {count} times.",
            )

        findings.add("duplicate-write", tell, (operation,), token=token, count=count)


def _nothing_to_judge(tokens: _Tokens, found: Mapping[Hashable, int]) -> str:
    if tokens.acknowledged:
        return ""
    if not tokens.indeterminate:
        return "no write was acknowledged: there is nothing to judge"
    missing = sum(token not in found for token in tokens.indeterminate)
    return (
        f"acknowledges nothing: of {len(tokens.indeterminate)} writes without an acknowledgement "
        f"{missing} are missing at the end"
    )


def _certificate(tokens: _Tokens, found: Mapping[Hashable, int]) -> dict[str, Any]:
    concerns = Counter(story.effective_write_concern(operation) for operation in tokens.acknowledged.values())
    return {
        "acknowledged": len(tokens.acknowledged),
        "acknowledged_and_found": sum(token in found for token in tokens.acknowledged),
        "acknowledged_at": {concern or "not recorded": count for concern, count in concerns.items()},
        "indeterminate": len(tokens.indeterminate),
        "indeterminate_and_found": sum(token in found for token in tokens.indeterminate),
    }


def rejected_yet_applied(
    *,
    writes: Tokens,
    survivors: Survivors,
    needs_final: tuple[str, ...] = (),
    name: str = "rejected-yet-applied",
    guarantee: str = "What a pattern rejects has had no effect.",
) -> Checker:
    """Return the checker that holds the pattern's word ``Rejected`` against the final state.

    For scenarios that do not use :func:`durability`, which looks at this too. ``writes`` and ``survivors`` are as
    there. ``holds`` also where nothing was rejected, as long as there were writes.

    Example::

        rejected_yet_applied(
            writes=lambda operation: operation.arguments.get("token"),
            survivors=lambda final: final["tokens"],
            needs_final=("tokens",),
        )
    """

    def check(history: History) -> Verdict:
        found = Counter(freeze(token) for token in survivors(history.final))
        tokens = _sort(history, writes)
        tokens.failed.clear()
        findings = Findings(history, guarantee)
        _find_denied(tokens, found, (), findings)
        return findings.conclude(
            name,
            operations=tokens.operations,
            unknown="" if tokens.operations else "no write was tried: there is nothing to judge",
            certificate={"writes": tokens.operations, "rejected": len(tokens.rejected)},
        )

    return final_checker(name=name, guarantee=guarantee, needs_final=needs_final, check=check)
