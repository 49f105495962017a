"""Two accounts of a customer under snapshot isolation: a reader alone can see what no serial order explains.

After Fekete, O'Neil and O'Neil, "A read-only transaction anomaly under snapshot isolation" (2004).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Operation, Scenario, real_env

DEPOSIT = 20
WITHDRAWAL = 10
PENALTY = 1


class PublishedAccounts:
    """Deposits to savings; withdraws from checking, with a penalty where both together go below zero."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._client = database.client
        self._accounts = database["accounts"]

    async def deposit(self) -> None:
        """Put money on savings."""
        await self._in_transaction(self._deposit)

    async def withdraw(self) -> int:
        """Take money from checking; return how much it was with the penalty."""
        return int(await self._in_transaction(self._withdraw))

    async def audit(self) -> list[int]:
        """Return savings and checking."""
        balances: list[int] = await self._in_transaction(self._balances)
        return balances

    async def _in_transaction(self, body: Any) -> Any:
        async with self._client.start_session() as session:
            return await session.with_transaction(
                body, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
            )

    async def _balances(self, session: Any) -> list[int]:
        accounts = await self._accounts.find({}, session=session).to_list()
        balances = {account["_id"]: account["balance"] for account in accounts}
        return [balances["savings"], balances["checking"]]

    async def _deposit(self, session: Any) -> None:
        await self._accounts.update_one({"_id": "savings"}, {"$inc": {"balance": DEPOSIT}}, session=session)

    async def _withdraw(self, session: Any) -> int:
        taken = WITHDRAWAL + (PENALTY if sum(await self._balances(session)) < WITHDRAWAL else 0)
        await self._accounts.update_one({"_id": "checking"}, {"$inc": {"balance": -taken}}, session=session)
        return taken


async def deposit(context: Context) -> None:
    """Put money on savings."""
    await context.pattern.deposit()


async def withdraw(context: Context) -> int:
    """Take money from checking."""
    return await context.pattern.withdraw()


async def audit(context: Context) -> list[int]:
    """Read both balances."""
    return await context.pattern.audit()


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Each client has its part: to deposit, to withdraw, or to audit."""
    while True:
        yield Call(function=("deposit", "withdraw", "audit")[client % 3])


async def setup(context: Context) -> None:
    """Open the accounts, both empty."""
    await context.database["accounts"].insert_many([{"_id": name, "balance": 0} for name in ("savings", "checking")])


def not_serial(history: History) -> Iterator[Found]:
    """Yield a history that no serial order explains."""
    operations = tuple(told(history, "deposit", "withdraw", "audit"))
    if len(operations) == len(history.operations) and not _explained(operations):
        yield "no serial order explains what was returned", operations


def _explained(operations: tuple[Operation, ...]) -> bool:
    """Whether some order of the operations, each client's own kept, gives all these results."""
    rows = [[o for o in operations if o.client == client] for client in sorted({o.client for o in operations})]
    start = (0,) * len(rows)
    reached = {(start, 0, 0)}
    waiting = [(start, 0, 0)]
    while waiting:
        places, savings, checking = waiting.pop()
        if all(place == len(row) for place, row in zip(places, rows, strict=True)):
            return True
        for number, row in enumerate(rows):
            if places[number] < len(row):
                balances = _after(row[places[number]], savings, checking)
                state = (tuple(p + (n == number) for n, p in enumerate(places)), *(balances or ()))
                if balances is not None and state not in reached:
                    reached.add(state)
                    waiting.append(state)
    return False


def _after(operation: Operation, savings: int, checking: int) -> tuple[int, int] | None:
    """Return the balances after an operation, None where it would have returned something else."""
    if operation.function == "deposit":
        return savings + DEPOSIT, checking
    if operation.function == "audit":
        return (savings, checking) if operation.result == [savings, checking] else None
    taken = WITHDRAWAL + (PENALTY if savings + checking < WITHDRAWAL else 0)
    return (savings, checking - taken) if operation.result == taken else None


SCENARIO = Scenario(
    name="savings",
    contract="What is returned is explained by some serial order.",
    section="Snapshot isolation: read-only transactions",
    variants={"published": PublishedAccounts},
    operations={"deposit": deposit, "withdraw": withdraw, "audit": audit},
    workload=workload,
    setup=setup,
    checkers=(rule("not-serializable", "Some serial order explains all results.", not_serial),),
)
