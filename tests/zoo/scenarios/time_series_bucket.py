"""Measurements in buckets of a few, opened by whoever finds none with room."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule

from harness import Call, Context, Env, History, Scenario, real_env
from harness.scenario.retry import with_application_retry

METRICS = ("cpu", "disk")
LIMIT = 3


class PublishedBuckets:
    """Upserts into a bucket with room: two that find none open two, as no unique index refuses the second."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._buckets = database["buckets"]

    async def measure(self, metric: str, token: str) -> None:
        """Add a measurement."""
        await self._buckets.update_one(
            {"metric": metric, "count": {"$lt": LIMIT}},
            {"$push": {"measurements": token}, "$inc": {"count": 1}},
            upsert=True,
        )


async def measure(context: Context, *, metric: str, token: str) -> None:
    """Add a measurement."""
    await with_application_retry(context, lambda: context.pattern.measure(metric, token))


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Measure unique values."""
    for number in itertools.count():
        yield Call(function="measure", arguments={"metric": random.choice(METRICS), "token": f"{client}-{number}"})


async def setup(context: Context) -> None:
    """Open a bucket of each metric, so that no first upsert races."""
    await context.database["buckets"].insert_many(
        [{"_id": metric, "metric": metric, "measurements": [f"first-{metric}"], "count": 1} for metric in METRICS]
    )


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all buckets."""
    return {"buckets": await context.database["buckets"].find({}, {"_id": 0}).to_list()}


def opened_twice(history: History) -> Iterator[Found]:
    """Yield metrics with several buckets that have room."""
    buckets = history.final["buckets"]
    for metric in METRICS:
        with_room = [bucket for bucket in buckets if bucket["metric"] == metric and bucket["count"] < LIMIT]
        if len(with_room) > 1:
            tokens = {token for bucket in with_room for token in bucket["measurements"]}
            evidence = tuple(o for o in history.of("measure") if o.arguments["token"] in tokens)
            yield f"{metric} has {len(with_room)} buckets with room", evidence


def measured_twice(history: History) -> Iterator[Found]:
    """Yield measurements that are there more than once."""
    counts = Counter(token for bucket in history.final["buckets"] for token in bucket["measurements"])
    for token, count in counts.items():
        if count > 1:
            evidence = tuple(o for o in history.of("measure") if o.arguments["token"] == token)
            yield f"{token} was measured {count} times", evidence


SCENARIO = Scenario(
    name="time_series_bucket",
    contract="No measurement is doubled, and a metric has at most one bucket with room.",
    section="Append-Only Data Structures: Time Series",
    variants={"published": PublishedBuckets},
    operations={"measure": measure},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(
        rule("several-open-buckets", "One bucket has room.", opened_twice, needs_final=("buckets",)),
        rule("doubled-measurement", "No measurement is doubled.", measured_twice, needs_final=("buckets",)),
    ),
)
