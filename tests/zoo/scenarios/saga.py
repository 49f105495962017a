"""A saga of two steps, in which an action and the note that it was done share one ``try``."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from pymongo.errors import PyMongoError
from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Scenario, real_env

STEPS = ("reserve", "charge")


class PublishedSaga:
    """Compensates what it knows to be done; a step whose note alone failed is not known."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._sagas = database["sagas"]
        self._effects = database["effects"]

    async def run(self, saga: str) -> str:
        """Perform all steps, or undo those that were done; return how it ended."""
        await self._sagas.insert_one({"_id": saga, "status": "running", "done": []})
        done: list[str] = []
        for step in STEPS:
            try:
                await self._effects.insert_one({"_id": f"{saga}-{step}", "saga": saga})
                await self._sagas.update_one({"_id": saga}, {"$push": {"done": step}})
                done.append(step)
            except PyMongoError:
                await self._undo(saga, done)
                return "compensated"
        await self._sagas.update_one({"_id": saga}, {"$set": {"status": "completed"}})
        return "completed"

    async def _undo(self, saga: str, done: list[str]) -> None:
        for step in reversed(done):
            await self._effects.delete_one({"_id": f"{saga}-{step}"})
        await self._sagas.update_one({"_id": saga}, {"$set": {"status": "compensated"}})


async def run(context: Context, *, saga: str) -> str:
    """Run a saga."""
    return await context.pattern.run(saga)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Run one saga after the other."""
    return (Call(function="run", arguments={"saga": f"{client}-{number}"}) for number in itertools.count())


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all sagas and effects."""
    sagas = await context.database["sagas"].find({}).to_list()
    effects = await context.database["effects"].find({}).to_list()
    return {"sagas": {saga["_id"]: saga["status"] for saga in sagas}, "effects": [each["_id"] for each in effects]}


def half_done(history: History) -> Iterator[Found]:
    """Yield sagas that ended compensated with an effect that is still there."""
    for saga, status in history.final["sagas"].items():
        left = [step for step in STEPS if f"{saga}-{step}" in history.final["effects"]]
        if status == "compensated" and left:
            evidence = tuple(o for o in history.of("run") if o.arguments["saga"] == saga)
            yield f"{saga} was compensated, and {', '.join(left)} is still done", evidence


SCENARIO = Scenario(
    name="saga",
    contract="A saga ends with all its steps done, or with none.",
    section="Transactions and Sessions: Saga Pattern",
    variants={"published": PublishedSaga},
    operations={"run": run},
    workload=workload,
    final_reads=final_reads,
    checkers=(rule("half-done-saga", "All steps or none.", half_done, needs_final=("sagas", "effects")),),
)
