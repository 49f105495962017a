"""Transactions: moving money between two accounts, with a ledger entry.

Seed section "Transactions and Sessions", "Basic Transaction Pattern".
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from harness import (
    Anomaly,
    Call,
    Checker,
    Context,
    Env,
    Expected,
    History,
    Operation,
    Rejected,
    Scenario,
    Verdict,
    real_env,
)
from harness.checkers import Transfer, conservation, unexpected_errors
from harness.scenario.retry import with_application_retry

ACCOUNTS = 8
OPENING_BALANCE = 10_000
USUAL_AMOUNT = 100
MISSING_ACCOUNT = "closed-account"


class PublishedTransfer:
    """Debits, credits and records in one transaction, with the concerns that the seed sets itself.

    Whether the credit matched an account is not looked at.
    """

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._client = database.client
        self._accounts = database["accounts"]
        self._transactions = database["transactions"]

    async def transfer_funds(self, from_account: str, to_account: str, amount: int, key: str) -> None:
        """Move ``amount``; ``key`` is stored with the ledger entry, and nothing else is done with it.

        Raises Rejected where the source holds less than that.
        """

        async def move(session: Any) -> None:
            source = await self._accounts.find_one_and_update(
                {"_id": from_account, "balance": {"$gte": amount}},
                {"$inc": {"balance": -amount}},
                session=session,
                return_document=ReturnDocument.AFTER,
            )
            if not source:
                raise Rejected("Insufficient funds")
            await self._accounts.update_one({"_id": to_account}, {"$inc": {"balance": amount}}, session=session)
            await self._transactions.insert_one(
                {
                    "from": from_account,
                    "to": to_account,
                    "amount": amount,
                    "timestamp": self._env.now(),
                    "type": "transfer",
                    "key": key,
                },
                session=session,
            )

        async with self._client.start_session() as session:
            await session.with_transaction(
                move,
                read_preference=ReadPreference.PRIMARY,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", j=True),
            )


class HardenedTransfer:
    """Transfers as published, but only to an account that is there, and once per key.

    Changed: (1) the credit must match an account, else the transaction is aborted and the caller told. (2) The ledger
    entry's ``_id`` is the caller's idempotency key, and the transaction begins by looking for it: a caller that starts
    over after an unknown commit result finds its entry and is not charged again. Two attempts with one key that run
    side by side collide on that ``_id``, and the later one starts over and sees the entry. As the commit waits for a
    majority even where the transaction only read, the caller is not told of an entry that may still be rolled back.

    It rejects what ``published`` accepts and loses, the transfers to a missing account; its share of rejections is
    higher by just these.
    """

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._client = database.client
        self._accounts = database["accounts"]
        self._transactions = database["transactions"]

    async def transfer_funds(self, from_account: str, to_account: str, amount: int, key: str) -> None:
        """Move ``amount`` once for this ``key``. Raises Rejected if unfunded, or if there is no account to credit."""

        async def move(session: Any) -> None:
            if await self._transactions.find_one({"_id": key}, session=session):
                return
            source = await self._accounts.find_one_and_update(
                {"_id": from_account, "balance": {"$gte": amount}},
                {"$inc": {"balance": -amount}},
                session=session,
                return_document=ReturnDocument.AFTER,
            )
            if not source:
                raise Rejected("Insufficient funds")
            credited = await self._accounts.update_one(
                {"_id": to_account}, {"$inc": {"balance": amount}}, session=session
            )
            if credited.matched_count != 1:
                raise Rejected("No such account to credit")
            await self._transactions.insert_one(
                {
                    "_id": key,
                    "from": from_account,
                    "to": to_account,
                    "amount": amount,
                    "timestamp": self._env.now(),
                    "type": "transfer",
                    "key": key,
                },
                session=session,
            )

        async with self._client.start_session() as session:
            await session.with_transaction(
                move,
                read_preference=ReadPreference.PRIMARY,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", j=True),
            )


async def transfer(context: Context, *, source: str, target: str, amount: int, token: str) -> None:
    """Transfer once, or, with ``retry=application``, again under the same token after an ambiguous error."""
    await with_application_retry(context, lambda: context.pattern.transfer_funds(source, target, amount, token))


async def audit(context: Context) -> dict[str, Any]:
    """Read all balances, and what the ledger says of each, in one snapshot."""
    by_pair = {"$group": {"_id": {"from": "$from", "to": "$to"}, "sum": {"$sum": "$amount"}}}
    async with context.database.client.start_session(snapshot=True) as session:
        accounts = await context.database["accounts"].find({}, session=session).to_list()
        cursor = await context.database["transactions"].aggregate([by_pair], session=session)
        pairs = await cursor.to_list()
    flows = Counter({account["_id"]: OPENING_BALANCE for account in accounts})
    for pair in pairs:
        flows[pair["_id"]["from"]] -= pair["sum"]
        flows[pair["_id"]["to"]] += pair["sum"]
    return {"balances": balances_of(accounts), "by_ledger": dict(flows)}


def balances_of(accounts: list[dict[str, Any]]) -> dict[str, int]:
    """Return balance by account."""
    return {account["_id"]: account["balance"] for account in accounts}


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Transfer between random accounts, at times more than there is, or to no account at all; audit now and then."""
    names = [f"account-{number}" for number in range(ACCOUNTS)]
    for number in itertools.count():
        chance = random.random()
        source, target = random.sample(names, 2)
        amount = random.randint(1, USUAL_AMOUNT)
        if chance < 0.02:
            yield Call(function="audit")
            continue
        if chance < 0.05:
            target = MISSING_ACCOUNT
        elif chance < 0.15:
            amount = random.randint(1, 2 * OPENING_BALANCE)
        arguments = {"source": source, "target": target, "amount": amount, "token": f"{client}-{number}"}
        yield Call(function="transfer", arguments=arguments)


async def setup(context: Context) -> None:
    """Open the accounts, and make the ledger, so that no transaction has to create a collection."""
    await context.database["accounts"].insert_many(
        [{"_id": f"account-{number}", "balance": OPENING_BALANCE} for number in range(ACCOUNTS)]
    )
    await context.database.create_collection("transactions")


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all balances and the whole ledger."""
    accounts = await context.database["accounts"].find({}).to_list()
    fields = {"_id": 0, "from": 1, "to": 1, "amount": 1, "key": 1}
    ledger = await context.database["transactions"].find({}, fields).to_list()
    return {"balances": balances_of(accounts), "ledger": ledger}


def payment_of(operation: Operation) -> Transfer | None:
    """Return what an operation was to pay, or None where it is no transfer."""
    if operation.function != "transfer":
        return None
    arguments = operation.arguments
    return Transfer(
        token=arguments["token"],
        source=arguments["source"],
        target=arguments["target"],
        amount=arguments["amount"],
    )


def ledger_of(final: Mapping[str, Any]) -> list[Transfer]:
    """Return the entries of the ledger at the end."""
    return [
        Transfer(token=entry["key"], source=entry["from"], target=entry["to"], amount=entry["amount"])
        for entry in final["ledger"]
    ]


def ledger_in_snapshots() -> Checker:
    """Return the checker that holds every balance of every snapshot against the ledger of that snapshot."""
    guarantee = "In every snapshot each balance is what the ledger of that snapshot gives."

    def check(history: History) -> Verdict:
        audits = [operation for operation in history.of("audit") if operation.status == "ok"]
        anomalies = tuple(_ledger_mismatch(audit, guarantee) for audit in audits if _mismatches(audit))
        if anomalies:
            return Verdict(checker="ledger-in-snapshots", status="violated", anomalies=anomalies)
        if not audits:
            return Verdict(checker="ledger-in-snapshots", status="unknown", reason="no snapshot was read", vacuous=True)
        return Verdict(checker="ledger-in-snapshots", status="holds", certificate={"snapshots": len(audits)})

    return Checker(name="ledger-in-snapshots", guarantee=guarantee, check=check, ignores_real_time=True)


def _mismatches(audit: Operation) -> dict[str, tuple[int, int]]:
    """Return, by account, the balance that was read and the one that the ledger gives, where they differ."""
    balances, by_ledger = audit.result["balances"], audit.result["by_ledger"]
    return {name: (balance, by_ledger[name]) for name, balance in balances.items() if balance != by_ledger[name]}


def _ledger_mismatch(audit: Operation, guarantee: str) -> Anomaly:
    return Anomaly(
        kind="ledger-mismatch",
        guarantee=guarantee,
        story=tuple(
            f"In the snapshot of operation {audit.index} {name} holds {balance}; the ledger gives {expected}."
            for name, (balance, expected) in _mismatches(audit).items()
        ),
        operations=(audit.index,),
    )


EXPECTED = (
    Expected(
        setting="w=1",
        verdict="not-applicable",
        why="the transaction sets its own concerns, so that w=1 reaches no command",
    ),
    Expected(
        variant="published",
        verdict="violated",
        anomaly="money-vanished",
        why="a credit to a missing account matches nothing, and the debit is committed all the same",
    ),
    Expected(verdict="holds", why="a credit must match, and a key is paid once"),
)

SCENARIO = Scenario(
    name="transfer",
    contract="Money is conserved, no balance is negative, and every committed transfer has exactly one ledger entry "
    "and every entry a committed transfer, in every snapshot read.",
    section="Transactions and Sessions: Basic Transaction Pattern",
    variants={"published": PublishedTransfer, "hardened": HardenedTransfer},
    operations={"transfer": transfer, "audit": audit},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        conservation(
            balances=lambda final: final["balances"],
            opening={f"account-{number}": OPENING_BALANCE for number in range(ACCOUNTS)},
            snapshot=lambda operation: operation.result["balances"] if operation.function == "audit" else None,
            ledger=ledger_of,
            transfer=payment_of,
            needs_final=("balances", "ledger"),
        ),
        ledger_in_snapshots(),
        unexpected_errors(),
    ),
    settings=("default", "w=1", "retry=application"),
    faults=("none", "partition-primary", "kill-primary", "lost-reply"),
    expected=EXPECTED,
    advice={
        "published": "Do not adopt it: a transfer to an account that does not exist is accepted, and the money is "
        "gone. No setting helps.",
        "hardened": "Adopt it: it looks at what the credit matched, and a caller may start over with the same key "
        "after any error.",
    },
    think_ms=5.0,
)
