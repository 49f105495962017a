"""Single claim: an item is claimed by exactly one client, and only if that client was told so."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.checkers import story
from harness.checkers.findings import Findings, missing_final
from harness.checkers.frozen import freeze
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.verdict import Verdict


class _Some(enum.Enum):
    ITEM = "some item"


SOME_ITEM: Final = _Some.ITEM
"""What a claim that never returned was about, where the item is chosen by the database: any one item."""


def _never_returned(operation: Operation) -> bool:
    return operation.returned_ns is None


@dataclass(slots=True)
class _Claims:
    told: defaultdict[Hashable, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    open: defaultdict[Hashable, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    """Claims whose caller was not told that it has the item: failed, rejected, of unknown outcome."""
    count: int = 0


def single_claim(
    *,
    item: Callable[[Operation], Hashable | None],
    claimed: Callable[[Mapping[str, Any]], Mapping[Any, Hashable]],
    needs_final: tuple[str, ...] = (),
    claimant: Callable[[Operation], Hashable] = lambda _: None,
    excused: Callable[[Operation], bool] = _never_returned,
    initial: Callable[[Mapping[str, Any]], Any] = lambda _: (),
    name: str = "single-claim",
    guarantee: str = "An item is claimed by exactly one client, and only if that client was told so.",
) -> Checker:
    """Return the checker for claims of items that are never given back.

    ``item(operation)`` names what an operation tried to claim, whatever came of it (None: no claim; SOME_ITEM: it never
    returned, and the database was to choose). An operation with status ``ok`` was told that it has the item.
    ``claimed(final)`` maps each item that is claimed at the end to the mark of its claimant, or to None where the
    documents carry none; ``claimant(operation)`` gives the mark that the operation would have left, and is looked at
    only where the document has one. ``excused(operation)`` says which claims of unknown outcome may have taken an item
    without telling anybody; by default those that had not returned when the run ended. ``initial(final)`` gives items
    that were claimed before the load.

    Anomalies: ``double-claim``, ``orphaned-claim``, ``lost-claim``, ``rejected-yet-applied``. ``unknown`` where no
    claim was tried.

    Example::

        single_claim(
            item=lambda operation: operation.arguments["order"] if operation.function == "claim" else None,
            claimed=lambda final: {order["_id"]: order.get("claimId") for order in final["orders"]
                if order["status"] == "processing"},
            needs_final=("orders",),
        )
    """

    def check(history: History) -> Verdict:
        claims = _sort(history, item)
        findings = Findings(history, guarantee)
        _find_doubles(claims, findings)
        reason = missing_final(history, needs_final)
        if not reason:
            held = {freeze(key): freeze(mark) for key, mark in claimed(history.final).items()}
            before = {freeze(key) for key in initial(history.final)}
            _find_lost(claims, held, claimant, findings)
            _find_orphans(claims, {k: m for k, m in held.items() if k not in before}, excused, findings)
        return findings.conclude(
            name,
            operations=claims.count,
            unknown=reason or ("" if claims.count else "no claim was tried: there is nothing to judge"),
            certificate={"claims": claims.count, "items_claimed": len(claims.told)},
        )

    return Checker(name=name, guarantee=guarantee, check=check, needs_final=needs_final, ignores_real_time=True)


def _sort(history: History, item: Callable[[Operation], Hashable | None]) -> _Claims:
    claims = _Claims()
    for operation in history.operations:
        wanted = freeze(item(operation))
        if wanted is None:
            continue
        claims.count += 1
        told = operation.status == "ok" and operation.outcome != "rejected"
        (claims.told if told else claims.open)[wanted].append(operation)
    return claims


def _find_doubles(claims: _Claims, findings: Findings) -> None:
    for item, winners in claims.told.items():
        if len(winners) < 2:  # noqa: PLR2004 - two winners make a double claim
            continue

        def tell(item: Hashable = item, winners: list[Operation] = winners) -> tuple[str, ...]:
            return (
                f"{len(winners)} operations were told that they had claimed {story.short(item)}.",
                *(story.acknowledged(findings.history, operation) for operation in winners),
            )

        findings.add("double-claim", tell, winners, item=item, winners=len(winners))


def _find_lost(
    claims: _Claims,
    held: Mapping[Hashable, Hashable],
    claimant: Callable[[Operation], Hashable],
    findings: Findings,
) -> None:
    for item, winners in claims.told.items():
        mark = held.get(item)
        if item in held and (mark is None or any(freeze(claimant(winner)) in {None, mark} for winner in winners)):
            continue
        now = f"is claimed by {story.short(mark)}" if item in held else "is not claimed"

        def tell(item: Hashable = item, winner: Operation = winners[-1], now: str = now) -> tuple[str, ...]:
            return (
                story.acknowledged(findings.history, winner),
                f"At the end {story.short(item)} {now}, so the client works on what is not its own.",
            )

        findings.add("lost-claim", tell, winners, item=item, claimed_by=mark)


def _find_orphans(
    claims: _Claims,
    held: Mapping[Hashable, Hashable],
    excused: Callable[[Operation], bool],
    findings: Findings,
) -> None:
    """Report items that are claimed although nobody was told; each excused claim of some item accounts for one."""
    wild = sum(excused(operation) for operation in claims.open.get(SOME_ITEM, ()))
    for item, mark in held.items():
        attempts = claims.open.get(item, [])
        if item in claims.told or any(excused(operation) for operation in attempts):
            continue
        if wild > 0:
            wild -= 1
            continue
        only_rejected = bool(attempts) and all(operation.outcome == "rejected" for operation in attempts)
        certain = only_rejected and not claims.open.get(SOME_ITEM)

        def tell(item: Hashable = item, attempts: list[Operation] = attempts) -> tuple[str, ...]:
            return (
                f"At the end {story.short(item)} is claimed, and no client was told that it has it.",
                *(story.ended(findings.history, operation) for operation in attempts),
                "Nobody works on it." if attempts else "No recorded operation tried to claim it.",
            )

        findings.add(
            "rejected-yet-applied" if certain else "orphaned-claim", tell, attempts, item=item, claimed_by=mark
        )
