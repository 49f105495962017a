"""The real environment of patterns: what ``env`` is in production, under asyncio, without the harness."""

from __future__ import annotations

import asyncio
import datetime
import random
from collections.abc import Coroutine
from typing import Any

_MICROSECONDS_PER_MILLISECOND = 1000


def in_whole_ms(moment: datetime.datetime) -> datetime.datetime:
    """Return ``moment`` cut to whole milliseconds, as BSON keeps it."""
    return moment.replace(
        microsecond=moment.microsecond // _MICROSECONDS_PER_MILLISECOND * _MICROSECONDS_PER_MILLISECOND
    )


class RealTask:
    """A child task under asyncio (:class:`~harness.interfaces.environment.Task`)."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._cancel_asked = False

    async def join(self) -> Any:
        """Wait for its end and return its result, None where it ended by :meth:`cancel`; raise what it raised."""
        await asyncio.wait([self._task])
        if self._cancel_asked and self._task.cancelled():
            return None
        return self._task.result()

    def cancel(self) -> None:
        """Ask it to end where it waits."""
        self._cancel_asked = True
        self._task.cancel()


class RealEnv:
    """The environment of patterns under asyncio (:class:`~harness.interfaces.environment.Env`).

    Making one needs no event loop; sleeping and child tasks do.
    """

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    @property
    def random(self) -> random.Random:
        """The operating system's random source."""
        return self._random

    def now(self) -> datetime.datetime:
        """Return the machine's time in UTC, in whole milliseconds."""
        return in_whole_ms(datetime.datetime.now(datetime.UTC))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def object_id(self) -> Any:
        """Return a new ObjectId."""
        # Imported where it is needed, so that reading a scenario file does not load the driver.
        from bson import ObjectId

        return ObjectId()

    def start_task(self, coroutine: Coroutine[Any, Any, Any]) -> RealTask:
        """Run a coroutine beside this one."""
        return RealTask(asyncio.get_running_loop().create_task(coroutine))

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run coroutines side by side; return their results in order, or raise the first's exception after all end."""
        outcomes = await asyncio.gather(*coroutines, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return list(outcomes)


real_env = RealEnv()
"""The default of every pattern's ``env``."""
