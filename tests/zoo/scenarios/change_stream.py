"""A consumer of changes that saves how far it came, also past an event that it could not process."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from pymongo.errors import DuplicateKeyError, PyMongoError
from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Scenario, real_env
from harness.clock import FOREVER_NS


class PublishedConsumer:
    """Logs an error of the handler and goes on: the next token that it saves stands past the event."""

    gives_up = False

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._orders = database["orders"]
        self._effects = database["effects"]
        self._tokens = database["tokens"]

    async def publish(self, token: str) -> None:
        """Insert an order."""
        await self._orders.insert_one({"_id": token})

    async def consume(self) -> int:
        """Process what has happened since the last call; return how many events it was. The first call only begins."""
        saved = await self._tokens.find_one({"_id": "consumer"})
        count = 0
        async with await self._orders.watch(resume_after=saved and saved["token"], max_await_time_ms=10) as stream:
            if saved is None:
                await self._tokens.insert_one({"_id": "consumer", "token": stream.resume_token})
            while (event := await stream.try_next()) is not None:
                try:
                    await self._effects.insert_one({"_id": event["documentKey"]["_id"]})
                except DuplicateKeyError:
                    pass
                except PyMongoError:
                    if self.gives_up:
                        return count
                await self._tokens.update_one({"_id": "consumer"}, {"$set": {"token": event["_id"]}})
                count += 1
        return count


class HardenedConsumer(PublishedConsumer):
    """Stops at an event that it could not process, and begins there the next time."""

    gives_up = True


async def publish(context: Context, *, token: str) -> None:
    """Insert an order."""
    await context.pattern.publish(token)


async def consume(context: Context) -> int:
    """Process what there is."""
    return await context.pattern.consume()


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Client 0 consumes now and then; the others publish."""
    for number in itertools.count():
        if client == 0 and random.random() < 0.4:
            yield Call(function="consume")
        else:
            yield Call(function="publish", arguments={"token": f"{client}-{number}"})


async def setup(context: Context) -> None:
    """Make the collections."""
    for name in ("orders", "effects", "tokens"):
        await context.database.create_collection(name)


async def final_reads(context: Context) -> dict[str, Any]:
    """Process what is left, without faults, then read what was published and what was processed."""
    await context.pattern.consume()
    orders = await context.database["orders"].find({}).to_list()
    effects = await context.database["effects"].find({}).to_list()
    return {"orders": [order["_id"] for order in orders], "effects": [effect["_id"] for effect in effects]}


def skipped(history: History) -> Iterator[Found]:
    """Yield orders that were never processed, though the consumer had begun and has come to the end."""
    consumers = history.of("consume")
    begun_ns = min((o.returned_ns for o in consumers if o.outcome == "returned"), default=FOREVER_NS)
    for order in history.of("publish"):
        token = order.arguments["token"]
        missing = token in history.final["orders"] and token not in history.final["effects"]
        if missing and order.start_ns > begun_ns:
            yield f"{token} was never processed", (order, *consumers)


SCENARIO = Scenario(
    name="change_stream",
    contract="Every event is processed.",
    section="Change Streams: Basic Pattern",
    variants={"published": PublishedConsumer, "hardened": HardenedConsumer},
    operations={"publish": publish, "consume": consume},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(rule("skipped-event", "Every event is processed.", skipped, needs_final=("orders", "effects")),),
)
