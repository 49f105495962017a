"""What a pattern needs beside the database: time, sleep, random, object ids and child tasks.

A pattern takes it as the keyword ``env`` whose default is the real thing (:data:`harness.real_env`), so that the
class runs in production without the harness and deterministically in the simulator.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Task(Protocol):
    """A child task; its exception is raised by :meth:`join`."""

    async def join(self) -> Any:
        """Wait for its end and return its result, or None where it ended by :meth:`cancel`."""
        ...

    def cancel(self) -> None:
        """Ask it to end at its next database call or sleep."""
        ...


class Env(Protocol):
    """The environment of a pattern."""

    @property
    def random(self) -> random.Random:
        """A random stream of the client's own."""
        ...

    def now(self) -> datetime.datetime:
        """Return the wall clock of this client in UTC, its skew included, in whole milliseconds as BSON keeps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...

    def object_id(self) -> Any:
        """Return a new ObjectId."""
        ...

    def start_task(self, coroutine: Coroutine[Any, Any, Any]) -> Task:
        """Run a coroutine beside this one, under the same process number."""
        ...

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run coroutines side by side; return their results in order. The first exception is raised after all end."""
        ...
