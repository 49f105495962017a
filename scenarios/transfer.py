"""Transactions: moving money between two accounts, with a ledger entry.

Seed section "Transactions and Sessions", "Basic Transaction Pattern".
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from pymongo import ReturnDocument
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from harness import Call, Context, Env, Expected, Rejected, Scenario, real_env
from harness.scenario.retry import with_application_retry

ACCOUNTS = 8
OPENING_BALANCE = 1_000
LARGEST_AMOUNT = 200
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
        """Move ``amount``; ``key`` is stored with the entry, for whoever reads the ledger. Raises Rejected if unfunded."""

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
    async with context.database.client.start_session(snapshot=True) as session:
        accounts = await context.database["accounts"].find({}, session=session).to_list()
        flows = await ledger_flows(context.database, session)
    return {"balances": balances_of(accounts), **flows}


async def ledger_flows(database: Any, session: Any) -> dict[str, Any]:
    """Return what each account was debited and credited by the ledger, and the number of entries."""
    flows: dict[str, Any] = {"entries": 0}
    for name, field in (("debits", "$from"), ("credits", "$to")):
        cursor = await database["transactions"].aggregate(
            [{"$group": {"_id": field, "sum": {"$sum": "$amount"}, "entries": {"$sum": 1}}}], session=session
        )
        groups = await cursor.to_list()
        flows[name] = {group["_id"]: group["sum"] for group in groups}
        flows["entries"] = sum(group["entries"] for group in groups)
    return flows


def balances_of(accounts: list[dict[str, Any]]) -> dict[str, int]:
    """Return balance by account."""
    return {account["_id"]: account["balance"] for account in accounts}


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Transfer between random accounts, now and then to one that does not exist; audit now and then."""
    names = [f"account-{number}" for number in range(ACCOUNTS)]
    for number in itertools.count():
        if random.random() < 0.03:
            yield Call(function="audit")
            continue
        source, target = random.sample(names, 2)
        if random.random() < 0.05:
            target = MISSING_ACCOUNT
        yield Call(
            function="transfer",
            arguments={
                "source": source,
                "target": target,
                "amount": random.randint(1, LARGEST_AMOUNT),
                "token": f"{client}-{number}",
            },
        )


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
