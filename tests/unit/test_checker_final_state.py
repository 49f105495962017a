"""Lost updates, versions, conservation, claims and last-write-wins, where examples say more than brute force."""

from __future__ import annotations

from typing import Any

import pytest
from checker_histories import history, operation

from harness.checkers import (
    SOME_ITEM,
    Stamped,
    Transfer,
    Update,
    conservation,
    last_write_wins,
    lost_updates,
    single_claim,
    versions,
)

UPDATES = lost_updates(
    update=lambda one: Update(key="k", base=one.arguments.get("base")) if one.function == "add" else None,
    final=lambda final: final["counters"],
    needs_final=("counters",),
)


def test_lost_updates_are_counted_with_a_pair_that_shows_how() -> None:
    """91 acknowledged increments that leave 37 are one finding that says so and shows two of them."""
    adds = [operation(n, "add", 2 * n, 2 * n + 1, base=min(n, 36)) for n in range(91)]
    (anomaly,) = UPDATES.check(history(*adds, counters={"k": 37})).anomalies
    assert anomaly.story[0] == "91 acknowledged updates should have taken 'k' from 0 to 91; it ended at 37."
    assert anomaly.details["missing"] == 54
    assert anomaly.details["overwritten"] == 54
    assert anomaly.operations[:2] == (36, 37)


def test_two_updates_from_one_base_are_lost_without_any_final_read() -> None:
    """The witness pair stands by itself, as it does where a rollback hid the sum."""
    adds = [operation(n, "add", n, n + 1, base=4) for n in range(2)]
    assert UPDATES.check(history(*adds)).status == "violated"
    assert UPDATES.check(history(*adds, counters={"k": 2})).status == "violated"


def test_a_vanished_counter_has_lost_its_updates() -> None:
    """A key that is not there at the end has lost everything that was acknowledged for it."""
    (anomaly,) = UPDATES.check(history(operation(0, "add", 0, 1), counters={})).anomalies
    assert anomaly.kind == "lost-update"
    assert "is not there at the end" in anomaly.story[0]


def test_what_cannot_be_summed_up_is_unknown() -> None:
    """Where the sums cannot be enumerated, a value within their bounds is not called sound; one beyond is found."""
    checker = lost_updates(
        update=lambda one: Update(key="k", delta=one.arguments["delta"]), final=lambda final: final["counters"]
    )
    record = [operation(0, "add", 0, 1, delta=1), operation(1, "add", 2, 3, status="info", delta=10**9)]
    within = checker.check(history(*record, counters={"k": 5}))
    assert within.status == "unknown"
    assert "too many sums" in within.reason
    assert checker.check(history(*record, counters={"k": 0})).status == "violated"


VERSIONS = versions(
    documents=lambda final: final["documents"],
    needs_final=("documents",),
    active=lambda document: document["active"],
    snapshot=lambda one: one.result if one.function == "history" else None,
)


def document(version: int, *, active: bool) -> dict[str, Any]:
    """Return one stored version of entity e."""
    return {"_id": f"d{version}", "entityId": "e", "version": version, "active": active}


def test_a_snapshot_must_keep_the_rules_that_the_end_keeps() -> None:
    """A reader that saw two active versions is a finding although the end is sound."""
    seen = operation(3, "history", 5, 6, result=[document(1, active=True), document(2, active=True)])
    verdict = VERSIONS.check(history(seen, documents=[document(1, active=False), document(2, active=True)]))
    (anomaly,) = verdict.anomalies
    assert (anomaly.kind, anomaly.operations) == ("several-active-versions", (3,))


def test_versions_far_apart_are_told_briefly() -> None:
    """A gap of a billion versions is one finding with the first few that are missing."""
    verdict = VERSIONS.check(history(documents=[document(1, active=False), document(10**9, active=True)]))
    (anomaly,) = verdict.anomalies
    assert anomaly.details["missing"] == [2, 3, 4, 5, 6, 7]


def test_no_documents_are_nothing_to_judge() -> None:
    """An empty collection supports nothing."""
    assert VERSIONS.check(history(documents=[])).status == "unknown"


MONEY = conservation(
    balances=lambda final: final["balances"],
    total=20,
    needs_final=("balances",),
    snapshot=lambda one: one.result if one.function == "audit" else None,
    transfer=lambda one: Transfer(**one.arguments) if one.function == "transfer" else None,
)


def test_money_is_counted_in_snapshots_without_any_final_read() -> None:
    """A snapshot that misses money is a violation, however the run ended; sound ones alone prove nothing."""
    short, whole = operation(0, "audit", 0, 1, result={"a": 9, "b": 10}), operation(1, "audit", 2, 3, result={"a": 20})
    assert MONEY.check(history(short)).anomalies[0].kind == "money-vanished"
    assert MONEY.check(history(whole)).status == "unknown"


def test_the_end_is_listed_before_the_snapshots() -> None:
    """However many snapshots show it, the final state's finding, which explains most, comes first."""
    audits = [operation(n, "audit", n, n + 1, result={"a": 19}) for n in range(30)]
    verdict = MONEY.check(history(*audits, balances={"a": 19}))
    assert verdict.anomalies[0].story[0].startswith("At the end")
    assert verdict.anomaly_count == 31


def test_opening_balances_can_come_from_the_final_reads() -> None:
    """A scenario that reads its opening balances back needs to know none of them."""
    checker = conservation(balances=lambda final: final["balances"], opening=lambda final: final["opening"])
    assert checker.check(history(balances={"a": 3}, opening={"a": 3})).status == "unknown"
    assert checker.check(history(balances={"a": 2}, opening={"a": 3})).status == "violated"


CLAIMS = single_claim(
    item=lambda one: one.arguments["order"] or SOME_ITEM,
    claimed=lambda final: final["claimed"],
    needs_final=("claimed",),
    initial=lambda final: final.get("before", ()),
)


def test_each_open_claim_of_some_item_accounts_for_one_orphan() -> None:
    """A claim that never returned and chose its item in the database excuses one item, not two."""
    open_claim = operation(0, "claim", 0, None, status="info", order=None)
    assert CLAIMS.check(history(open_claim, claimed={"o1": None})).status == "holds"
    assert CLAIMS.check(history(open_claim, claimed={"o1": None, "o2": None})).anomaly_count == 1


def test_a_claim_that_raised_is_closed() -> None:
    """Its caller was not told that it has the item, so nobody works on it."""
    raised = operation(0, "claim", 0, 1, status="info", order="o1")
    assert CLAIMS.check(history(raised, claimed={"o1": None})).anomalies[0].kind == "orphaned-claim"
    lenient = single_claim(
        item=lambda one: one.arguments["order"],
        claimed=lambda final: final["claimed"],
        excused=lambda one: one.status == "info",
    )
    assert lenient.check(history(raised, claimed={"o1": None})).status == "holds"


def test_what_was_claimed_before_the_load_is_nobodys_orphan() -> None:
    """Items of the setup are left out."""
    told = operation(0, "claim", 0, 1, order="o1")
    assert CLAIMS.check(history(told, claimed={"o1": None, "o9": None}, before=["o9"])).status == "holds"


REGISTERS = last_write_wins(
    write=lambda one: Stamped(key="r", timestamp=one.arguments["at"], node=one.arguments["node"]),
    final=lambda final: {key: Stamped(key=key, timestamp=at, node=node) for key, (at, node) in final["r"].items()},
    initial=lambda _: Stamped(key="r", timestamp=1, node="setup"),
)


@pytest.mark.parametrize(
    ("end", "status"), [([5, "b"], "holds"), ([5, "a"], "violated"), ([1, "setup"], "violated"), ([9, "z"], "violated")]
)
def test_the_greatest_stamp_wins_with_the_node_as_tie_break(end: list[Any], status: str) -> None:
    """Of two writes in one millisecond the greater node must be there at the end, and nothing else."""
    puts = [operation(0, "put", 0, 1, at=5, node="a"), operation(1, "put", 0, 1, at=5, node="b")]
    assert REGISTERS.check(history(*puts, r={"r": end})).status == status


def test_a_rejected_write_must_not_win() -> None:
    """A caller that was told no finds its value in the register: a finding of its own."""
    puts = [
        operation(0, "put", 0, 1, at=5, node="a"),
        operation(1, "put", 0, 1, status="fail", outcome="rejected", at=6, node="b"),
    ]
    (anomaly,) = REGISTERS.check(history(*puts, r={"r": [6, "b"]})).anomalies
    assert anomaly.kind == "rejected-yet-applied"
