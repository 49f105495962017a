"""Running calls side by side without exception groups: callers of the backend meet one error, as it was raised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from harness.errors import HarnessError

T = TypeVar("T")


async def run_together(*calls: Callable[[], Awaitable[T]]) -> list[T]:
    """Run the calls side by side and return their results in order.

    The first HarnessError cancels the other calls and is raised.
    """
    results: dict[int, T] = {}
    errors: list[HarnessError] = []

    async def run(number: int, call: Callable[[], Awaitable[T]]) -> None:
        try:
            results[number] = await call()
        except HarnessError as error:
            errors.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for number, call in enumerate(calls):
            nursery.start_soon(run, number, call)
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(calls))]


async def run_beside(main: Callable[[], Awaitable[T]], watch: Callable[[], Awaitable[None]]) -> T:
    """Run ``main`` and return its result; an error that ``watch`` raises meanwhile cancels it and is raised."""

    async def run_main() -> None:
        result.append(await main())
        scope.cancel()

    result: list[T] = []
    with trio.CancelScope() as scope:
        await run_together(run_main, watch)
    return result[0]
