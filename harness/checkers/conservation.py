"""Conservation: money is neither made nor lost, in the final state and in every snapshot, and the ledger agrees."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.checkers import story
from harness.checkers.findings import Findings, missing_final
from harness.checkers.frozen import freeze
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.verdict import Verdict

Balances = Mapping[Any, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A payment of ``amount`` from ``source`` to ``target``; ``token`` is unique to it, in operation and ledger."""

    token: Hashable
    source: Hashable
    target: Hashable
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    total: int | None
    opening: Balances | None
    non_negative: bool


def conservation(
    *,
    balances: Callable[[Mapping[str, Any]], Balances],
    total: int | None = None,
    opening: Balances | Callable[[Mapping[str, Any]], Balances] | None = None,
    needs_final: tuple[str, ...] = (),
    snapshot: Callable[[Operation], Balances | None] = lambda _: None,
    ledger: Callable[[Mapping[str, Any]], Iterable[Transfer]] | None = None,
    transfer: Callable[[Operation], Transfer | None] = lambda _: None,
    non_negative: bool = True,
    name: str = "conservation",
    guarantee: str = "Money is conserved, no balance is negative, and ledger and transfers agree.",
) -> Checker:
    """Return the checker for balances and the ledger of transfers.

    ``balances(final)`` gives the balance of each account at the end, and must add up to ``total`` (default: the sum of
    ``opening``). ``snapshot(operation)`` gives all balances where the operation read them at one point in time.
    ``ledger(final)`` gives the entries, ``transfer(operation)`` what an operation was to pay, whatever came of it;
    they are told apart by ``token``. ``opening`` are the balances before the load, or a function of the final reads
    that gives them; with them each balance is held against the ledger. Amounts are whole numbers of the smallest unit.

    Anomalies: ``money-vanished``, ``money-created``, ``negative-balance``; with a ledger ``double-payment``,
    ``missing-ledger-entry``, ``phantom-ledger-entry``, ``rejected-yet-applied``, ``failed-yet-applied``,
    ``ledger-mismatch``. ``unknown`` where no transfer was tried and no snapshot was read.

    Example::

        conservation(
            balances=lambda final: {account["_id"]: account["balance"] for account in final["accounts"]},
            opening={"a": 100, "b": 100},
            needs_final=("accounts", "transactions"),
            ledger=lambda final: [Transfer(token=entry["token"], source=entry["from"], target=entry["to"],
                amount=entry["amount"]) for entry in final["transactions"]],
            transfer=lambda operation: Transfer(**operation.arguments) if operation.function == "transfer" else None,
        )
    """

    def check(history: History) -> Verdict:
        findings = Findings(history, guarantee)
        reason = missing_final(history, needs_final)
        at_start = opening(history.final) if callable(opening) and not reason else opening
        known = None if at_start is None or callable(at_start) else freeze(dict(at_start))
        agreed = total if total is not None or known is None else sum(known.values())
        terms = _Terms(total=agreed, opening=known, non_negative=non_negative)
        transfers = [(o, t) for o in history.operations if (t := transfer(o)) is not None]
        if not reason:
            entries = list(ledger(history.final)) if ledger else None
            final = freeze(dict(balances(history.final)))
            _judge_balances(final, None, terms, entries, findings)
            if entries is not None:
                _judge_ledger(entries, transfers, findings)
                _judge_amounts(entries, transfers, findings)
                _judge_accounts(final, terms, entries, findings)
        snapshots = _judge_snapshots(snapshot, terms, findings)
        return findings.conclude(
            name,
            operations=len(transfers) + snapshots,
            unknown=reason or _nothing_to_judge(transfers, snapshots),
            certificate={"total": agreed, "transfers": len(transfers), "snapshots": snapshots},
        )

    return Checker(name=name, guarantee=guarantee, check=check, needs_final=needs_final, ignores_real_time=True)


def _nothing_to_judge(transfers: list[tuple[Operation, Transfer]], snapshots: int) -> str:
    return "" if transfers or snapshots else "no transfer was tried and no snapshot was read: there is nothing to judge"


def _judge_snapshots(snapshot: Callable[[Operation], Balances | None], terms: _Terms, findings: Findings) -> int:
    count = 0
    for operation in findings.history.operations:
        balances = snapshot(operation) if operation.status == "ok" else None
        if balances is not None:
            count += 1
            _judge_balances(balances, operation, terms, None, findings)
    return count


def _judge_balances(
    balances: Balances,
    reader: Operation | None,
    terms: _Terms,
    entries: Iterable[Transfer] | None,
    findings: Findings,
) -> None:
    evidence = (reader,) if reader else ()
    place = "At the end" if reader is None else f"In the snapshot of operation {reader.index}"
    seen = (story.ended(findings.history, reader),) if reader else ()
    found = sum(balances.values())
    if terms.total is not None and found != terms.total:
        kind = "money-vanished" if found < terms.total else "money-created"
        sentence = f"{place} the balances add up to {found}, not to {terms.total}: {abs(found - terms.total)} "
        sentence += "vanished." if found < terms.total else "came from nowhere."

        def tell() -> tuple[str, ...]:
            return (sentence, *seen, *_missing_accounts(balances, entries))

        findings.add(kind, tell, evidence, found=found, total=terms.total, difference=found - (terms.total or 0))
    if not terms.non_negative:
        return
    for account, balance in balances.items():
        if balance < 0:
            text = f"{place} account {story.short(account)} holds {balance}."
            findings.add("negative-balance", (text, *seen), evidence, account=account, balance=balance)


def _missing_accounts(balances: Balances, entries: Iterable[Transfer] | None) -> tuple[str, ...]:
    lost = [entry for entry in entries or () if freeze(entry.target) not in balances]
    if not lost:
        return ()
    names = sorted({story.short(entry.target) for entry in lost})
    amount = sum(entry.amount for entry in lost)
    sentence = f"The ledger paid {amount} in all to accounts that do not exist ({', '.join(names[:5])}), in "
    sentence += f"{story.counted(len(lost), 'transfer')}: "
    return (sentence + "the debit was made and the credit matched nothing.",)


def _judge_ledger(entries: list[Transfer], transfers: list[tuple[Operation, Transfer]], findings: Findings) -> None:
    counts = Counter(freeze(entry.token) for entry in entries)
    operations: defaultdict[Hashable, list[Operation]] = defaultdict(list)
    for operation, transfer in transfers:
        operations[freeze(transfer.token)].append(operation)
    for token, count in counts.items():
        owners = operations.get(token, [])
        if not owners:
            sentence = f"Ledger entry {story.short(token)} belongs to no transfer."
            findings.add("phantom-ledger-entry", (sentence,), token=token)
            continue
        if count > 1:
            sentence = f"The ledger has {count} entries of transfer {story.short(token)}."
            findings.add("double-payment", _told(sentence, owners, findings), owners, token=token, count=count)
        denied = _denied(owners)
        if denied:
            sentence = f"The ledger has an entry of transfer {story.short(token)}, which had no effect for its caller."
            findings.add(denied, _told(sentence, owners, findings), owners, token=token)
    for token, owners in operations.items():
        if token not in counts and any(o.status == "ok" and o.outcome != "rejected" for o in owners):
            sentence = f"Transfer {story.short(token)} was acknowledged, and the ledger has no entry of it."
            findings.add("missing-ledger-entry", _told(sentence, owners, findings), owners, token=token)


def _denied(owners: Iterable[Operation]) -> str:
    """Return the kind of anomaly if an effect of a transfer shows whose callers were all told that it had none."""
    if any(owner.outcome != "rejected" and owner.status != "fail" for owner in owners):
        return ""
    return "rejected-yet-applied" if any(owner.outcome == "rejected" for owner in owners) else "failed-yet-applied"


def _told(sentence: str, owners: Iterable[Operation], findings: Findings) -> Callable[[], tuple[str, ...]]:
    return lambda: (sentence, *(story.ended(findings.history, owner) for owner in owners))


def _judge_accounts(final: Balances, terms: _Terms, entries: Iterable[Transfer], findings: Findings) -> None:
    """Hold each balance against its opening balance and the ledger."""
    if terms.opening is None:
        return
    flow: Counter[Hashable] = Counter(terms.opening)
    for entry in entries:
        flow[freeze(entry.source)] -= entry.amount
        flow[freeze(entry.target)] += entry.amount
    for account in sorted({*final, *terms.opening}, key=repr):
        balance = final.get(account)
        if balance == flow[account]:
            continue
        ended = "is gone at the end" if balance is None else f"ended at {balance}"
        sentence = f"Account {story.short(account)} {ended}; its opening balance and the ledger give {flow[account]}."
        findings.add("ledger-mismatch", (sentence,), account=account, balance=balance, by_ledger=flow[account])


def _judge_amounts(
    entries: Iterable[Transfer], transfers: list[tuple[Operation, Transfer]], findings: Findings
) -> None:
    """Hold each ledger entry against the transfer whose token it bears."""
    asked: defaultdict[Hashable, list[tuple[Operation, Transfer]]] = defaultdict(list)
    for operation, transfer in transfers:
        asked[freeze(transfer.token)].append((operation, transfer))
    for entry in entries:
        owners = asked.get(freeze(entry.token), [])
        if not owners or any(_terms_of(transfer) == _terms_of(entry) for _, transfer in owners):
            continue
        sentence = f"Ledger entry {story.short(entry.token)} names other accounts or another amount than its transfer."
        operations = [operation for operation, _ in owners]
        findings.add("ledger-mismatch", _told(sentence, operations, findings), operations, token=entry.token)


def _terms_of(transfer: Transfer) -> tuple[Any, Any, int]:
    return (freeze(transfer.source), freeze(transfer.target), transfer.amount)
