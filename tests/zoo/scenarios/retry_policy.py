"""Charges that a caller repeats after an error that leaves open whether they were made."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Scenario, real_env
from harness.scenario.retry import with_application_retry


class PublishedCharges:
    """Inserts a document of a new identity on every attempt."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._charges = database["charges"]

    async def charge(self, token: str) -> None:
        """Make a charge."""
        await self._charges.insert_one({"_id": self._env.object_id(), "token": token})


async def charge(context: Context, *, token: str) -> None:
    """Charge once, or again after an error that leaves the outcome open."""
    await with_application_retry(context, lambda: context.pattern.charge(token))


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Make unique charges."""
    return (Call(function="charge", arguments={"token": f"{client}-{number}"}) for number in itertools.count())


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all charges."""
    return {"charges": [each["token"] for each in await context.database["charges"].find({}).to_list()]}


def doubled(history: History) -> Iterator[Found]:
    """Yield charges that were made more than once."""
    for token, count in Counter(history.final["charges"]).items():
        if count > 1:
            evidence = tuple(o for o in history.of("charge") if o.arguments["token"] == token)
            yield f"{token} was charged {count} times", evidence


SCENARIO = Scenario(
    name="retry_policy",
    contract="A charge is made once.",
    section="Best Practices: Error Handling",
    variants={"published": PublishedCharges},
    operations={"charge": charge},
    workload=workload,
    final_reads=final_reads,
    checkers=(rule("doubled-charge", "A charge is made once.", doubled, needs_final=("charges",)),),
)
