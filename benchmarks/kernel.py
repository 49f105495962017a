"""Decisions per second of the simulator's kernel, against a plain loop of generators; target: at least 500,000.

Ours: tasks that pause, a strategy that chooses each step, the trace and the digest kept. The peer steps generators in
random order and keeps the list of what it chose. Rates are per second of processor time, so that they do not depend on
what else the machine does.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Generator
from typing import Any

from harness.explore.profile import Profile
from harness.explore.strategies import make_strategy
from harness.sim.kernel import DefaultStrategy, Kernel, Strategy

DECISIONS = 60_000
TASKS = (3, 10)
STRATEGIES = ("default", "random", "sticky", "pct", "pos", "portfolio")


def _strategy(name: str, seed: int) -> Strategy:
    profile = Profile(choices={"run": DECISIONS})
    return DefaultStrategy() if name == "default" else make_strategy(name, seed, profile)


def ours(strategy: Strategy, tasks: int) -> float:
    """Return the decisions per second of processor time of one run."""
    kernel = Kernel(strategy)

    async def body() -> None:
        for _ in range(DECISIONS // tasks):
            await kernel.pause(None)

    for number in range(tasks):
        kernel.spawn(f"client {number}", body())
    began = time.process_time()
    kernel.run()
    return kernel.decisions / (time.process_time() - began)


def peer(seed: int, tasks: int) -> float:
    """Return the steps per second of processor time of a plain loop."""

    def body() -> Generator[None, None, None]:
        for _ in range(DECISIONS // tasks):
            yield

    draw = random.Random(seed).random
    ready = [body() for _ in range(tasks)]
    trace: list[int] = []
    began = time.process_time()
    while ready:
        chosen = int(draw() * len(ready))
        trace.append(chosen)
        try:
            ready[chosen].send(None)
        except StopIteration:
            del ready[chosen]
    return len(trace) / (time.process_time() - began)


def _median(rounds: int, figure: Callable[[int], float]) -> float:
    return statistics.median(figure(number) for number in range(rounds))


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:  # noqa: ARG001 - one signature for all
    """Return the medians of ``rounds`` runs for each strategy and number of tasks."""
    rows = []
    for tasks in TASKS:
        plain = _median(rounds, lambda number, tasks=tasks: peer(number, tasks))  # type: ignore[misc]
        for name in STRATEGIES:
            rate = _median(rounds, lambda number, name=name, tasks=tasks: ours(_strategy(name, number), tasks))  # type: ignore[misc]
            rows.append(
                {
                    "name": f"kernel, {tasks} tasks, {name} (peer: generators)",
                    "unit": "decisions/s",
                    "ours": round(rate, 1),
                    "peer": round(plain, 1),
                    "ratio": round(rate / plain, 3),
                }
            )
    return rows
