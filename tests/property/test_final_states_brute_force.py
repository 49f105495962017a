"""The checkers of final states against every subset of uncertain operations, on thousands of small histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, combinations, pairwise
from typing import Any

import pytest
from brute_force import (
    HISTORIES,
    MUTANT_HISTORIES,
    disagreements,
    fail_as_info,
    info_as_ok,
    is_noticed,
    misreading,
    without_info,
)
from checker_histories import history, operation, random_status

from harness.checkers import (
    Stamped,
    Transfer,
    Update,
    conservation,
    durability,
    last_write_wins,
    lost_updates,
    single_claim,
    versions,
)
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.seed import stream


def subsets(items: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield every subset."""
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


def random_outcome(draw: Any) -> tuple[str, str]:
    """Return a random status with an outcome that goes with it."""
    status = random_status(draw)
    if status != "ok" and draw.random() < 0.3:
        return status, "rejected"
    return status, {"ok": "returned", "info": draw.choice(("raised", "crashed")), "fail": "raised"}[status]


def is_denied(one: Operation) -> bool:
    """Whether the caller was told that nothing happened."""
    return one.outcome == "rejected" or one.status == "fail"


def durability_histories(count: int) -> Iterator[History]:
    """Yield random inserts with mostly fitting survivors."""
    for number in range(count):
        draw = stream(number, "durability")
        made, final = [], []
        for index in range(draw.randint(1, 6)):
            status, outcome = random_outcome(draw)
            token = draw.choice((f"t{index}", f"t{index}", "t0"))
            made.append(operation(index, "insert", index, index + 1, status=status, outcome=outcome, token=token))
            if draw.random() < {"ok": 0.92, "info": 0.5, "fail": 0.06}[status] and outcome != "rejected":
                final.append(token)
        final += draw.choices((["ghost"], ["old"], []), (3, 10, 87))[0]
        yield history(*made, tokens=final)


DURABILITY = durability(
    writes=lambda one: one.arguments["token"], survivors=lambda final: final["tokens"], initial=("old",)
)


def is_durable(one: History) -> bool:
    """Whether the survivors are the acknowledged tokens and some uncertain ones."""
    tokens = {
        kind: {o.arguments["token"] for o in one.operations if not is_denied(o) and o.status == kind}
        for kind in ("ok", "info")
    }
    survivors = set(one.final["tokens"]) - {"old"}
    return any(survivors == tokens["ok"] | set(chosen) for chosen in subsets(sorted(tokens["info"])))


def update_histories(count: int) -> Iterator[History]:
    """Yield random increments with a mostly fitting sum."""
    for number in range(count):
        draw = stream(number, "updates")
        made, value = [], 10
        for index in range(draw.randint(1, 6)):
            status, delta = random_status(draw), draw.choice((1, 1, 2, -3))
            base = None if draw.random() < 0.7 else draw.randint(0, 5)
            made.append(operation(index, "add", index, index + 1, status=status, delta=delta, base=base))
            value += delta if draw.random() < {"ok": 0.9, "info": 0.5, "fail": 0.02}[status] else 0
        yield history(*made, counters={"c": value})


UPDATES = lost_updates(
    update=lambda one: Update(key="c", delta=one.arguments["delta"], base=one.arguments["base"]),
    final=lambda final: final["counters"],
    initial=lambda _: 10,
)


def keeps_updates(one: History) -> bool:
    """Whether the sum is that of the acknowledged increments and some uncertain ones."""
    certain = [o.arguments for o in one.operations if o.status == "ok"]
    uncertain = [o.arguments["delta"] for o in one.operations if o.status == "info"]
    bases = [arguments["base"] for arguments in certain if arguments["base"] is not None]
    if not certain and not uncertain:
        return True  # nothing that the checker is asked about
    least = 10 + sum(arguments["delta"] for arguments in certain)
    reached = {least + sum(chosen) for chosen in subsets(uncertain)}
    return len(set(bases)) == len(bases) and one.final["counters"]["c"] in reached


OPENING = {"a": 5, "b": 5}


def money_histories(count: int) -> Iterator[History]:
    """Yield random transfers, some applied twice, in part, or although denied."""
    for number in range(count):
        draw = stream(number, "money")
        made, balances, ledger = [], dict(OPENING), []
        for index in range(draw.randint(1, 5)):
            status, outcome = random_outcome(draw)
            source, target = draw.sample(("a", "b"), 2)
            target = "nobody" if draw.random() < 0.06 else target
            entry = {"token": index, "source": source, "target": target, "amount": draw.randint(1, 2)}
            applied = draw.random() < {"ok": 0.97, "info": 0.5, "fail": 0.04}[status] and outcome != "rejected"
            for _ in range(draw.choices((1, 2), (95, 5))[0] if applied else 0):
                balances[source] -= entry["amount"]
                balances[target] = balances.get(target, 0) + (entry["amount"] if target in balances else 0)
                ledger.append(entry)
            made.append(operation(index, "transfer", 2 * index, 2 * index + 1, status=status, outcome=outcome, **entry))
            seen = {name: balances[name] + (draw.random() < 0.02) for name in OPENING}
            made.append(operation(100 + index, "read", 2 * index + 1, 2 * index + 2, result=seen))
        if draw.random() < 0.1 and ledger:
            ledger = draw.choice(
                (
                    ledger[1:],
                    [
                        *ledger,
                        {**ledger[0], "token": "ghost"},
                    ],
                    [{**ledger[0], "amount": 9}, *ledger[1:]],
                )
            )
        yield history(*made, balances={name: balances[name] for name in OPENING}, ledger=ledger)


MONEY = conservation(
    balances=lambda final: final["balances"],
    opening=OPENING,
    snapshot=lambda one: one.result if one.function == "read" else None,
    ledger=lambda final: [Transfer(**entry) for entry in final["ledger"]],
    transfer=lambda one: Transfer(**one.arguments) if one.function == "transfer" else None,
)


def conserves(one: History) -> bool:
    """Whether balances and ledger are the outcome of the acknowledged transfers and some uncertain ones."""
    transfers = [o for o in one.operations if o.function == "transfer" and not is_denied(o)]
    certain = [o.arguments for o in transfers if o.status == "ok"]
    uncertain = [o.arguments for o in transfers if o.status == "info"]
    snapshots = [o.result for o in one.operations if o.function == "read"]
    if any(sum(s.values()) != sum(OPENING.values()) or min(s.values()) < 0 for s in snapshots):
        return False
    return min(one.final["balances"].values()) >= 0 and any(
        _is_outcome(one, certain + list(chosen)) for chosen in subsets(uncertain)
    )


def _is_outcome(one: History, applied: list[dict[str, Any]]) -> bool:
    balances: Counter[str] = Counter(OPENING)
    for entry in applied:
        balances[entry["source"]] -= entry["amount"]
        balances[entry["target"]] += entry["amount"]
    ledger = sorted(one.final["ledger"], key=lambda entry: str(entry["token"]))
    same = ledger == sorted(applied, key=lambda entry: str(entry["token"]))
    return same and dict(balances) == one.final["balances"]


def claim_histories(count: int) -> Iterator[History]:
    """Yield random claims with mostly fitting holders."""
    for number in range(count):
        draw = stream(number, "claims")
        made, held = [], {}
        for index in range(draw.randint(1, 6)):
            status, outcome = random_outcome(draw)
            item = draw.choice("xyz")
            end = None if status == "info" and outcome != "rejected" and draw.random() < 0.6 else index + 1
            if item in held and status == "ok" and draw.random() < 0.9:
                status, outcome = "fail", "rejected"
            outcome = "unfinished" if end is None else outcome
            made.append(
                operation(index, "claim", index, end, status=status, outcome=outcome, item=item, mark=f"m{index}")
            )
            applied = draw.random() < {"ok": 0.95, "info": 0.4, "fail": 0.03}[status]
            if applied and (item not in held or status == "ok"):
                held[item] = f"m{index}" if draw.random() < 0.8 else None
        if draw.random() < 0.05:
            held.pop(draw.choice("xyz"), None)
        yield history(*made, held=held)


CLAIMS = single_claim(
    item=lambda one: one.arguments["item"],
    claimed=lambda final: final["held"],
    claimant=lambda one: one.arguments["mark"],
)


def is_single(one: History) -> bool:
    """Whether the items held are those told once and those of some open claims."""
    told = [o for o in one.operations if o.status == "ok"]
    excused = [o for o in one.operations if o.returned_ns is None]
    held = one.final["held"]
    for chosen in subsets(excused):
        owners = {
            o.arguments["item"]: o for o in chosen if o.arguments["item"] not in {t.arguments["item"] for t in told}
        }
        items = Counter(o.arguments["item"] for o in told)
        if max(items.values(), default=1) > 1 or set(held) != set(items) | set(owners):
            continue
        if all(held[o.arguments["item"]] in {None, o.arguments["mark"]} for o in told):
            return True
    return False


def version_histories(count: int) -> Iterator[History]:
    """Yield random chains of versions, some with one field tampered with."""
    for number in range(count):
        draw = stream(number, "versions")
        length = draw.randint(1, 4)
        documents = [
            {"_id": n, "entityId": "e", "version": n, "isActive": n == length, "previous": n - 1 if n > 1 else None}
            for n in range(1, length + 1)
        ]
        if draw.random() < 0.6:
            victim = draw.choice(documents)
            victim[draw.choice(("version", "isActive", "previous"))] = draw.randint(0, 4)
        yield history(operation(0, "write", 0, 1), documents=documents)


VERSIONS = versions(
    documents=lambda final: final["documents"],
    active=lambda document: bool(document["isActive"]),
    predecessor=lambda document: document["previous"],
)


def is_chain(one: History) -> bool:
    """Whether the versions are 1..n, linked, with one active."""
    documents = sorted(one.final["documents"], key=lambda document: document["version"])
    if [document["version"] for document in documents] != list(range(1, len(documents) + 1)):
        return False
    linked = all(after["previous"] == before["_id"] for before, after in pairwise(documents))
    return linked and sum(bool(document["isActive"]) for document in documents) == 1


def stamp_histories(count: int) -> Iterator[History]:
    """Yield random stamped writes with one of them as the end."""
    for number in range(count):
        draw = stream(number, "stamps")
        made = []
        for index in range(draw.randint(1, 5)):
            status, outcome = random_outcome(draw)
            made.append(
                operation(
                    index,
                    "put",
                    index,
                    index + 1,
                    status=status,
                    outcome=outcome,
                    at=draw.randint(1, 3),
                    node=draw.choice("pq"),
                    value=index,
                )
            )
        pick = draw.choice(made).arguments
        value = pick["value"] if draw.random() < 0.95 else "ghost"
        yield history(*made, registers={} if draw.random() < 0.05 else {"r": [pick["at"], pick["node"], value]})


LAST_WRITE = last_write_wins(
    write=lambda one: Stamped(
        key="r", timestamp=one.arguments["at"], node=one.arguments["node"], value=one.arguments["value"]
    ),
    final=lambda final: {
        key: Stamped(key=key, timestamp=at, node=node, value=value)
        for key, (at, node, value) in final["registers"].items()
    },
)


def last_write_won(one: History) -> bool:
    """Whether the end is the greatest of the acknowledged writes and some uncertain ones."""
    writes = [o for o in one.operations if not is_denied(o)]
    certain = [o.arguments for o in writes if o.status == "ok"]
    uncertain = [o.arguments for o in writes if o.status == "info"]
    end = one.final["registers"].get("r")
    for chosen in subsets(uncertain):
        applied = certain + list(chosen)
        top = max(((w["at"], w["node"]) for w in applied), default=None)
        winners = [[w["at"], w["node"], w["value"]] for w in applied if (w["at"], w["node"]) == top]
        if end in winners or (end is None and not applied):
            return True
    return False


OTHERS: dict[str, tuple[Checker, Callable[[int], Iterator[History]], Callable[[History], bool]]] = {
    "durability": (DURABILITY, durability_histories, is_durable),
    "lost updates": (UPDATES, update_histories, keeps_updates),
    "conservation": (MONEY, money_histories, conserves),
    "single claim": (CLAIMS, claim_histories, is_single),
    "versions": (VERSIONS, version_histories, is_chain),
    "last write wins": (LAST_WRITE, stamp_histories, last_write_won),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_final_state_checkers_agree_with_every_subset_tried(name: str) -> None:
    """On 5,000 small histories a checker says violated exactly where no subset of uncertain operations explains it."""
    checker, histories, oracle = OTHERS[name]
    wrong, seen = disagreements(checker, histories(HISTORIES // 2), oracle)
    assert wrong == 0
    assert min(seen["holds"], seen["violated"]) > HISTORIES // 40, seen


@pytest.mark.parametrize("mutation", [without_info, info_as_ok, fail_as_info])
@pytest.mark.parametrize("name", ["durability", "lost updates", "conservation", "last write wins"])
def test_brute_force_notices_a_final_state_checker_that_misreads_statuses(
    name: str, mutation: Callable[[History], History]
) -> None:
    """A checker that drops, trusts or forgives operations against their status disagrees with the oracle."""
    checker, histories, oracle = OTHERS[name]
    assert is_noticed(misreading(checker, mutation), histories(MUTANT_HISTORIES), oracle)
