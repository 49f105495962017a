"""Lost updates: every acknowledged change of a number is in its final value, and none of them was overwritten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.checkers import story
from harness.checkers.findings import Findings, missing_final
from harness.checkers.frozen import freeze
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.verdict import Verdict

_PAIRS_LISTED = 5
_MOST_SUMS_BITS = 4_000_000
"""Width of the set of reachable sums up to which it is kept; beyond it a value within its bounds is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A change by ``delta`` of the number ``key``; ``base`` is the version or value that it was computed from.

    Leave ``base`` out (None) for a blind increment, and where it is not known.
    """

    key: Hashable
    delta: int = 1
    base: Hashable = None


@dataclass(slots=True)
class _Account:
    acknowledged: list[tuple[Operation, Update]] = field(default_factory=list)
    indeterminate: list[tuple[Operation, Update]] = field(default_factory=list)

    @property
    def acknowledged_sum(self) -> int:
        return sum(update.delta for _, update in self.acknowledged)

    def overwritten(self) -> list[tuple[Operation, Operation]]:
        """Pairs of acknowledged updates that were computed from the same base: the later one did not see the other."""
        first: dict[Hashable, Operation] = {}
        pairs = []
        for operation, update in self.acknowledged:
            base = freeze(update.base)
            if base is None:
                continue
            if base in first:
                pairs.append((first[base], operation))
            else:
                first[base] = operation
        return pairs


def lost_updates(
    *,
    update: Callable[[Operation], Update | None],
    final: Callable[[Mapping[str, Any]], Mapping[Any, int]],
    initial: Callable[[Any], int] = lambda _: 0,
    needs_final: tuple[str, ...] = (),
    name: str = "lost-updates",
    guarantee: str = "No acknowledged update is lost.",
) -> Checker:
    """Return the checker that adds up acknowledged updates and holds the sum against the final value.

    ``update(operation)`` says what an operation added, whatever came of it (None: no update); ``final(final)`` gives
    the final value of each key, and ``initial(key)`` what it began with. Updates of unknown outcome may count once or
    not at all, in any combination. Two acknowledged updates of one key that were computed from the same ``base`` are
    a lost update whatever the final value is, and the witness of it.

    Anomalies, one for each key: ``lost-update`` with the number of updates, ``doubled-update``.

    Example::

        lost_updates(
            update=lambda operation: Update(key=operation.arguments["id"], base=operation.arguments["seen_version"]),
            final=lambda final: {document["_id"]: document["count"] for document in final["counters"]},
            needs_final=("counters",),
        )
    """

    def check(history: History) -> Verdict:
        accounts = _accounts(history, update)
        reason = missing_final(history, needs_final)
        values = {} if reason else {freeze(key): value for key, value in final(history.final).items()}
        findings = Findings(history, guarantee)
        undecided = []
        for key, account in accounts.items():
            if reason:
                _report_pairs(key, account, findings)
            elif not _judge(key, account, initial(key), values.get(key), findings):
                undecided.append(key)
        acknowledged = sum(len(account.acknowledged) for account in accounts.values())
        return findings.conclude(
            name,
            operations=acknowledged + sum(len(account.indeterminate) for account in accounts.values()),
            unknown=reason or _why_unknown(acknowledged, undecided),
            certificate={"acknowledged_updates": acknowledged, "keys": len(accounts)},
            model_broken="cursor stability",
        )

    return Checker(name=name, guarantee=guarantee, check=check, needs_final=needs_final, ignores_real_time=True)


def _why_unknown(acknowledged: int, undecided: list[Hashable]) -> str:
    if undecided:
        return f"updates of unknown outcome have too many sums to say which {story.short(undecided[0])} may have"
    return "" if acknowledged else "no update was acknowledged: there is nothing to judge"


def _accounts(history: History, update: Callable[[Operation], Update | None]) -> dict[Hashable, _Account]:
    accounts: defaultdict[Hashable, _Account] = defaultdict(_Account)
    for operation in history.operations:
        change = None if operation.status == "fail" else update(operation)
        if change is None:
            continue
        account = accounts[freeze(change.key)]
        (account.acknowledged if operation.status == "ok" else account.indeterminate).append((operation, change))
    return dict(accounts)


def _judge(key: Hashable, account: _Account, initial: int, value: int | None, findings: Findings) -> bool:
    """Add what is wrong with ``key`` to ``findings``; return False where that cannot be said."""
    if not account.acknowledged and value is None:
        return True
    expected = initial + account.acknowledged_sum
    excess = (initial if value is None else value) - expected
    pairs = account.overwritten()
    optional = [update.delta for _, update in account.indeterminate]
    reachable = value is not None and _reachable(optional, excess)
    if not pairs and reachable is not False:
        return reachable is True
    doubled = value is not None and not pairs and excess > sum(delta for delta in optional if delta > 0)
    witnesses = [operation for pair in pairs for operation in pair] or [o for o, _ in account.acknowledged]
    findings.add(
        "doubled-update" if doubled else "lost-update",
        lambda: (
            _sum_sentence(key, account, initial, expected, value),
            *_pair_sentences(findings.history, pairs),
        ),
        witnesses[: 2 * _PAIRS_LISTED],
        key=key,
        acknowledged=len(account.acknowledged),
        indeterminate=len(account.indeterminate),
        expected=expected,
        final=value,
        missing=-excess,
        overwritten=len(pairs),
    )
    return True


def _sum_sentence(key: Hashable, account: _Account, initial: int, expected: int, value: int | None) -> str:
    optional = len(account.indeterminate)
    or_more = f" ({optional} more of unknown outcome may add to that)" if optional else ""
    ended = "is not there at the end" if value is None else f"ended at {value}"
    count = story.counted(len(account.acknowledged), "acknowledged update")
    return f"{count} should have taken {story.short(key)} from {initial} to {expected}{or_more}; it {ended}."


def _report_pairs(key: Hashable, account: _Account, findings: Findings) -> None:
    pairs = account.overwritten()
    if pairs:
        findings.add(
            "lost-update",
            lambda: _pair_sentences(findings.history, pairs),
            [operation for pair in pairs[:_PAIRS_LISTED] for operation in pair],
            key=key,
            overwritten=len(pairs),
        )


def _pair_sentences(history: History, pairs: list[tuple[Operation, Operation]]) -> tuple[str, ...]:
    if not pairs:
        return ()
    one, other = pairs[0]
    return (
        f"Acknowledged updates computed from a base that another acknowledged one had used before: {len(pairs)}.",
        story.acknowledged(history, one),
        story.acknowledged(history, other),
        f"Operations {one.index} and {other.index} were computed from the same base, so neither saw the other.",
    )


def _reachable(deltas: list[int], target: int) -> bool | None:
    """Whether some of ``deltas`` add up to ``target``; None where there are too many sums to say."""
    low = sum(delta for delta in deltas if delta < 0)
    high = sum(delta for delta in deltas if delta > 0)
    if not low <= target <= high:
        return False
    if high - low > _MOST_SUMS_BITS:
        return None
    sums = 1
    for delta in deltas:
        sums |= sums << abs(delta)
    return bool((sums >> (target - low)) & 1)
