"""A stack whose top is swapped where it is still the one that was read, though it may have come back meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Rejected, Scenario, real_env

DEPTH = 6
TRIES = 3


class PublishedStack:
    """Compares the top alone: the same top over another stack passes."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._stacks = database["stacks"]
        self._nodes = database["nodes"]

    async def pop(self) -> str:
        """Take the top off. Raises Rejected where the stack is empty, or others were faster each time."""
        for _ in range(TRIES):
            top = (await self._stacks.find_one({"_id": "stack"}))["top"]
            if top is None:
                break
            node = await self._nodes.find_one({"_id": top})
            if await self._swap(top, node["next"]):
                return str(top)
        raise Rejected("Nothing to take")

    async def push(self, name: str) -> None:
        """Put a node back. Raises Rejected where others were faster each time."""
        for _ in range(TRIES):
            top = (await self._stacks.find_one({"_id": "stack"}))["top"]
            await self._nodes.update_one({"_id": name}, {"$set": {"next": top}})
            if await self._swap(top, name):
                return
        raise Rejected("Others were faster")

    async def _swap(self, old: str | None, new: str | None) -> bool:
        swapped = await self._stacks.update_one({"_id": "stack", "top": old}, {"$set": {"top": new}})
        return bool(swapped.modified_count)


async def pop(context: Context) -> str:
    """Take the top off and keep it."""
    taken: str = await context.pattern.pop()
    context.state.setdefault("taken", []).append(taken)
    return taken


async def push_back(context: Context) -> str | None:
    """Put the first node that this client has kept back; return it, None where it has none."""
    taken = context.state.get("taken", [])
    if not taken:
        return None
    await context.pattern.push(taken[0])
    return str(taken.pop(0))


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Take off and put back."""
    while True:
        yield Call(function="pop" if random.random() < 0.6 else "push_back")


async def setup(context: Context) -> None:
    """Build the stack."""
    names = [f"node-{number}" for number in range(DEPTH)]
    await context.database["nodes"].insert_many(
        [{"_id": name, "next": below} for name, below in zip(names, [*names[1:], None], strict=True)]
    )
    await context.database["stacks"].insert_one({"_id": "stack", "top": names[0]})


async def final_reads(context: Context) -> dict[str, Any]:
    """Walk down the stack."""
    nodes = {node["_id"]: node["next"] for node in await context.database["nodes"].find({}).to_list()}
    walked: list[str] = []
    name = (await context.database["stacks"].find_one({"_id": "stack"}))["top"]
    while name is not None and name not in walked:
        walked.append(name)
        name = nodes[name]
    return {"stack": walked}


def taken_and_there(history: History) -> Iterator[Found]:
    """Yield nodes that somebody keeps though the stack has them too."""
    for name in history.final["stack"]:
        taken = tuple(o for o in told(history, "pop") if o.result == name)
        back = tuple(o for o in history.of("push_back") if o.outcome != "returned" or o.result == name)
        if len(taken) > len(back):
            yield f"{name} was taken and is on the stack", (*taken, *back)


SCENARIO = Scenario(
    name="stack",
    contract="A node is on the stack or with one client.",
    section="Compare and swap: the ABA problem",
    variants={"published": PublishedStack},
    operations={"pop": pop, "push_back": push_back},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(rule("resurrected-node", "A node is in one place.", taken_and_there, needs_final=("stack",)),),
)
