"""A few tickets: sold where a count says that there are some left."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Rejected, Scenario, real_env

SHOWS = ("matinee", "evening")
TICKETS = 3


class PublishedTickets:
    """Counts, then inserts: two that count the same number both sell the last one."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._sold = database["sold"]

    async def buy(self, show: str, token: str) -> None:
        """Sell a ticket. Raises Rejected where it is sold out."""
        if await self._sold.count_documents({"show": show}) >= TICKETS:
            raise Rejected("Sold out")
        await self._sold.insert_one({"_id": token, "show": show})


async def buy(context: Context, *, show: str, token: str) -> None:
    """Buy a ticket."""
    await context.pattern.buy(show, token)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Buy tickets."""
    for number in itertools.count():
        yield Call(function="buy", arguments={"show": random.choice(SHOWS), "token": f"{client}-{number}"})


async def setup(context: Context) -> None:
    """Make the collection."""
    await context.database.create_collection("sold")


def oversold(history: History) -> Iterator[Found]:
    """Yield shows with more tickets than seats."""
    for show in SHOWS:
        sold = tuple(o for o in told(history, "buy") if o.arguments["show"] == show)
        if len(sold) > TICKETS:
            yield f"{len(sold)} tickets of {TICKETS} were sold for {show}", sold


SCENARIO = Scenario(
    name="inventory",
    contract="No more is sold than there is.",
    section="Check, then act",
    variants={"published": PublishedTickets},
    operations={"buy": buy},
    workload=workload,
    setup=setup,
    checkers=(rule("oversold", "No more is sold than there is.", oversold),),
)
