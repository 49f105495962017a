"""Sets with vector clocks that are derived from what is stored, so that no conflict is ever seen."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Scenario, real_env

SETS = ("red", "green", "blue")


class PublishedVectorClock:
    """Reads the document, counts its node's entry up, and replaces the whole."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._sets = database["sets"]

    async def add(self, name: str, element: str, node: str) -> None:
        """Add an element."""
        stored = await self._sets.find_one({"_id": name})
        clock = {**stored["clock"], node: stored["clock"].get(node, 0) + 1}
        if all(clock.get(other, 0) >= count for other, count in stored["clock"].items()):
            document = {"elements": [*stored["elements"], element], "clock": clock}
            await self._sets.replace_one({"_id": name}, document)


async def add(context: Context, *, name: str, element: str) -> None:
    """Add an element as this client's node."""
    await context.pattern.add(name, element, f"node-{context.client}")


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Add unique elements."""
    for number in itertools.count():
        yield Call(function="add", arguments={"name": random.choice(SETS), "element": f"{client}-{number}"})


async def setup(context: Context) -> None:
    """Insert empty sets."""
    await context.database["sets"].insert_many([{"_id": name, "elements": [], "clock": {}} for name in SETS])


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all sets."""
    sets = await context.database["sets"].find({}).to_list()
    return {"sets": {each["_id"]: each["elements"] for each in sets}}


def lost(history: History) -> Iterator[Found]:
    """Yield acknowledged elements that are gone."""
    for operation in told(history, "add"):
        arguments = operation.arguments
        if arguments["element"] not in history.final["sets"][arguments["name"]]:
            yield f"{arguments['element']} is not in {arguments['name']}", (operation,)


SCENARIO = Scenario(
    name="vector_clock",
    contract="No acknowledged element is lost.",
    section="Conflict Resolution Strategies: Vector Clock Pattern",
    variants={"published": PublishedVectorClock},
    operations={"add": add},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(rule("lost-element", "No acknowledged element is lost.", lost, needs_final=("sets",)),),
)
