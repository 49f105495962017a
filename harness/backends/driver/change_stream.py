"""Change streams over PyMongo's synchronous ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.backends.driver.handle import IteratedHandle, Mirrored, forwarded
from harness.interfaces import pattern_api as api


class ChangeStream(IteratedHandle):
    """Majority-committed changes. Waiting for one is cancellable between two commands (a second by default)."""

    __slots__ = ()

    alive: Mirrored[bool] = Mirrored()
    resume_token: Mirrored[Mapping[str, Any] | None] = Mirrored()

    try_next = forwarded(api.ChangeStream.try_next, fetch=True)

    async def next(self) -> api.Document:
        """Wait for the next change. Raises StopAsyncIteration once the stream is closed."""
        # PyMongo's own next is the same loop, but it would block through a cancellation.
        while self.alive:
            change = await self.try_next()
            if change is not None:
                return change
        raise StopAsyncIteration
