"""A queue of tasks that workers hold for the length of a lease."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Iterator
from typing import Any

from pymongo import ReturnDocument
from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Scenario, real_env

LEASE_S = 1.5
WORK_S = 1.0
POLLS = 2


class PublishedQueue:
    """Asks for pending tasks alone: what a dead worker holds stays in processing."""

    expired = False

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._tasks = database["tasks"]

    async def enqueue(self, task: str, priority: int) -> None:
        """Put a task in."""
        await self._tasks.insert_one({"_id": task, "status": "pending", "priority": priority, "done_by": []})

    async def work(self, worker: str) -> str | None:
        """Hold the best task, do what it asks for, complete it; return its name, None where there is none."""
        for _ in range(POLLS):
            task = await self._claim(worker)
            if task is not None:
                await self._env.sleep(WORK_S)
                await self._tasks.update_one(
                    {"_id": task["_id"]}, {"$set": {"status": "done"}, "$push": {"done_by": worker}}
                )
                return str(task["_id"])
            await self._env.sleep(WORK_S)
        return None

    async def _claim(self, worker: str) -> dict[str, Any] | None:
        now = self._env.now()
        free: list[dict[str, Any]] = [{"status": "pending"}]
        if self.expired:
            free.append({"status": "processing", "lockedUntil": {"$lt": now}})
        lease = {"worker": worker, "lockedUntil": now + datetime.timedelta(seconds=LEASE_S)}
        task: dict[str, Any] | None = await self._tasks.find_one_and_update(
            {"$or": free},
            {"$set": {"status": "processing", **lease}},
            sort=[("priority", -1)],
            return_document=ReturnDocument.AFTER,
        )
        return task


class UnfencedQueue(PublishedQueue):
    """Takes over what has an expired lease, and completes a task without asking whose lease it is by now."""

    expired = True


async def enqueue(context: Context, *, task: str, priority: int) -> None:
    """Put a task in."""
    await context.pattern.enqueue(task, priority)


async def work(context: Context, *, worker: str) -> str | None:
    """Do one task."""
    return await context.pattern.work(worker)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Put in as many tasks as are worked on."""
    for number in itertools.count():
        yield Call(function="enqueue", arguments={"task": f"{client}-{number}", "priority": random.randrange(3)})
        yield Call(function="work", arguments={"worker": f"worker-{client}-{number}"})


async def final_reads(context: Context) -> dict[str, Any]:
    """Read every task."""
    tasks = await context.database["tasks"].find({}, {"lockedUntil": 0}).to_list()
    return {"tasks": {task.pop("_id"): task for task in tasks}}


def abandoned(history: History) -> Iterator[Found]:
    """Yield tasks that are in processing though nobody works any more."""
    for name, task in history.final["tasks"].items():
        if task["status"] == "processing":
            workers = tuple(o for o in history.of("work") if o.arguments["worker"] == task["worker"])
            yield f"{name} is left in processing by {task['worker']}, who is gone", workers


def done_twice(history: History) -> Iterator[Found]:
    """Yield tasks that several workers completed."""
    for name, task in history.final["tasks"].items():
        if len(task["done_by"]) > 1:
            workers = tuple(o for o in history.of("work") if o.arguments["worker"] in task["done_by"])
            yield f"{name} was done by {' and by '.join(task['done_by'])}", workers


SCENARIO = Scenario(
    name="task_queue",
    contract="Every task is done, and by one worker alone.",
    section="FindAndModify Patterns: Queue Pattern",
    variants={"published": PublishedQueue, "unfenced": UnfencedQueue},
    operations={"enqueue": enqueue, "work": work},
    workload=workload,
    final_reads=final_reads,
    checkers=(
        rule("abandoned-task", "No task is left in processing.", abandoned, needs_final=("tasks",)),
        rule("double-processing", "A task is done by one worker.", done_twice, needs_final=("tasks",)),
    ),
)
