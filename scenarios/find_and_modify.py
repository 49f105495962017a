"""FindAndModify: claiming an order in one atomic step.

Seed section "FindAndModify Patterns", "Basic Pattern".
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import AutoReconnect, WriteConcernError
from pymongo.read_concern import ReadConcern

from harness import Call, Context, Env, Expected, Rejected, Scenario, real_env
from harness.scenario.retry import with_application_retry

AHEAD = 100
"""How many orders of its own each client is ahead of its claims: an order is old when it is claimed."""


class PublishedOrders:
    """Claims a pending order with one ``findOneAndUpdate``, and throws where it matches nothing."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._orders = database["orders"]

    async def claim(self, order_id: str) -> dict[str, Any]:
        """Return the order, now in processing. Raises Rejected where it is not found or not pending."""
        order: dict[str, Any] | None = await self._orders.find_one_and_update(
            {"_id": order_id, "status": "pending"},
            {
                "$set": {"status": "processing"},
                "$inc": {"version": 1},
                "$currentDate": {"lastModified": True},
            },
            return_document=ReturnDocument.AFTER,
            upsert=False,
        )
        if not order:
            raise Rejected("Order not found or already processing")
        return order


class HardenedOrders:
    """Claims as published, but signs the claim, so that a caller who lost the answer can ask whose the order is.

    Changed: (1) the update writes a claim id that is new for each call of :meth:`claim`. (2) After an error that
    leaves the outcome open, the claim is sent again, until there is an answer or ``patience_s`` is over; where it
    matches nothing, a majority read tells whether the order carries this very claim, and then it is returned, as it was
    written. So a lost reply no longer strands an order that nobody works on. The read must be a majority read: what
    it finds is told to the caller and must not be rolled back.

    The write concern stays the caller's: below a majority no variant can hold across a failover, because the new
    primary never heard of the claim.
    """

    def __init__(self, database: Any, *, env: Env = real_env, patience_s: float = 120.0, pause_s: float = 0.05) -> None:
        self._env = env
        self._orders = database["orders"]
        self._committed_orders = database["orders"].with_options(read_concern=ReadConcern("majority"))
        self._patience_s = patience_s
        self._pause_s = pause_s

    async def claim(self, order_id: str) -> dict[str, Any]:
        """Return the order, now in processing. Raises Rejected where it is not found or claimed by another caller.

        Raises what the driver raised last when no answer came for ``patience_s``.
        """
        claim_id = str(self._env.object_id())
        began = self._env.now()
        while True:
            try:
                order = await self._try_to_claim(order_id, claim_id)
                if order is not None:
                    return order
            except (AutoReconnect, WriteConcernError):
                if (self._env.now() - began).total_seconds() > self._patience_s:
                    raise
            await self._env.sleep(self._pause_s)

    async def _try_to_claim(self, order_id: str, claim_id: str) -> dict[str, Any] | None:
        """Return the claimed order, or None where it is too early to say whose it is."""
        order: dict[str, Any] | None = await self._orders.find_one_and_update(
            {"_id": order_id, "status": "pending"},
            {
                "$set": {"status": "processing", "claimId": claim_id},
                "$inc": {"version": 1},
                "$currentDate": {"lastModified": True},
            },
            return_document=ReturnDocument.AFTER,
            upsert=False,
        )
        if order:
            return order
        committed: dict[str, Any] | None = await self._committed_orders.find_one({"_id": order_id})
        if committed and committed.get("claimId") == claim_id:
            return committed
        if committed and committed["status"] == "pending":
            return None
        raise Rejected("Order not found or already processing")



def order_id(client: int, number: int) -> str:
    """Return the name of a client's order."""
    return f"{client}-{number}"


def new_order(identifier: str) -> dict[str, Any]:
    """Return an order that waits to be claimed."""
    return {"_id": identifier, "status": "pending", "version": 0, "item": f"item of {identifier}"}


async def claim(context: Context, *, order: str) -> dict[str, Any]:
    """Claim an order; return it as the pattern returned it."""
    claimed = await with_application_retry(context, lambda: context.pattern.claim(order))
    return {"order": claimed["_id"], **{name: claimed[name] for name in ("status", "version", "item")}}


async def place(context: Context, *, order: str) -> None:
    """Put a new pending order in: the plainest code, as the seed leaves it out."""
    await context.database["orders"].insert_one(new_order(order))


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Place an order ahead of time, claim one's own, race a neighbour for his, and ask for an old one again.

    The old ones matter after a failover: a claim that was rolled back can then be given away a second time.
    """
    neighbour = client - 1 if client else 1
    for number in itertools.count():
        yield Call(function="place", arguments={"order": order_id(client, number + AHEAD)})
        yield Call(function="claim", arguments={"order": order_id(client, number)})
        if random.random() < 0.5:
            near = max(0, number + random.randint(-3, 3))
            yield Call(function="claim", arguments={"order": order_id(neighbour, near)})
        if random.random() < 0.15:
            old = max(0, number - random.randint(1, AHEAD))
            yield Call(function="claim", arguments={"order": order_id(client, old)})


async def setup(context: Context) -> None:
    """Insert the first pending orders of every client."""
    await context.database["orders"].insert_many(
        [new_order(order_id(client, number)) for client in range(context.clients) for number in range(AHEAD)]
    )


async def final_reads(context: Context) -> dict[str, Any]:
    """Read the state of every order."""
    orders = await context.database["orders"].find({}, {"status": 1, "version": 1, "item": 1}).to_list()
    return {"orders": {order.pop("_id"): order for order in orders}}
