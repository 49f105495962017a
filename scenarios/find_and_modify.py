"""FindAndModify: claiming an order in one atomic step.

Seed section "FindAndModify Patterns", "Basic Pattern".
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import AutoReconnect, WriteConcernError
from pymongo.read_concern import ReadConcern

from harness import Call, Context, Env, Expected, Operation, Rejected, Scenario, real_env
from harness.checkers import Step, linearizable, single_claim, unexpected_errors, versioned_document
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
    return {name: claimed.get(name) for name in ("status", "version", "item", "claimId")}


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
    orders = await context.database["orders"].find({}, {"lastModified": 0}).to_list()
    return {"orders": {order.pop("_id"): order for order in orders}}


def order_of(operation: Operation) -> str | None:
    """Return the order that an operation tried to claim, or None where it is no claim."""
    return operation.arguments["order"] if operation.function == "claim" else None


def claim_id_of(operation: Operation) -> str | None:
    """Return the signature that a claim was told, where the pattern signs its claims."""
    return operation.result["claimId"] if operation.outcome == "returned" else None


def claimed_orders(final: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the signature, or None, of each order that is in processing at the end."""
    return {name: order.get("claimId") for name, order in final["orders"].items() if order["status"] == "processing"}


def step_of(operation: Operation) -> Step | None:
    """Return what a claim did to its order: the item stays, the version grows by one."""
    if operation.function != "claim":
        return None
    claimed = operation.result if operation.outcome == "returned" else None
    item = f"item of {operation.arguments['order']}"
    return Step("write", item, (claimed["version"], claimed["item"]) if claimed else None)


EXPECTED = (
    Expected(
        setting="w=1",
        fault="partition-primary",
        verdict="violated",
        why="the cut primary gives orders away alone; the new one has them pending still and gives them away again",
    ),
    Expected(
        setting="w=1",
        fault="kill-primary",
        verdict="may-violate",
        why="a claim that the primary acknowledged in its last milliseconds may not have left it",
    ),
    Expected(
        variant="published",
        setting="retry=none",
        fault="lost-reply",
        verdict="violated",
        why="a claim whose reply is lost was applied: its caller gets an error, and the order is nobody's",
    ),
    Expected(
        variant="published",
        setting="retry=application",
        fault="lost-reply",
        verdict="may-violate",
        why="the second call finds the order in processing and is refused by its own first call, where a lost reply "
        "met a claim (9 of 10 runs on real servers)",
    ),
    Expected(fault="none", verdict="holds", why="findOneAndUpdate is atomic: one client alone finds the order pending"),
    Expected(
        variant="published",
        verdict="may-violate",
        why="where the one retry of the driver fails too, the caller gets an error for a claim that may be applied",
    ),
    Expected(verdict="holds", why="a claim is signed and sent until it is answered, and so never stays unknown"),
)

SCENARIO = Scenario(
    name="find_and_modify",
    contract="A pending order is claimed by exactly one client, and an order is in processing only if some client was "
    "told so; each accepted claim makes the version grow by one and returns the order as it was written.",
    section="FindAndModify Patterns: Basic Pattern",
    variants={"published": PublishedOrders, "hardened": HardenedOrders},
    operations={"claim": claim, "place": place},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        single_claim(item=order_of, claimed=claimed_orders, claimant=claim_id_of, needs_final=("orders",)),
        linearizable(
            versioned_document(version=0),
            step=step_of,
            key=lambda operation: operation.arguments["order"],
            name="versions",
            guarantee="Each accepted claim makes the version grow by one, and returns the order as it was written.",
        ),
        unexpected_errors(),
    ),
    settings=("default", "w=1", "retry=none", "retry=application"),
    faults=("none", "partition-primary", "kill-primary", "lost-reply"),
    expected=EXPECTED,
    advice={
        "published": "Adopt it at w:majority with retryWrites on, where an order that is left in processing after a "
        "failover is found and released by somebody.",
        "hardened": "Adopt it at w:majority where an order must not be left in processing: it asks whose the order is "
        "after a lost reply. Below a majority no variant keeps a claim across a failover.",
    },
    think_ms=10.0,
)
