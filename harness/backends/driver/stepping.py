"""Stepping a coroutine to its end on this thread.

What the harness hands to a pattern never yields: a database call blocks right where it is awaited. So a coroutine
that yields waits for a foreign event loop, which will never resume it, and that is told with its file and line.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from harness.awaiting import foreign_await, foreign_call

T = TypeVar("T")


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` to its end and return its result.

    Raises ScenarioError, with file and line of the await, where it awaits something that only a foreign event loop
    (asyncio, trio) can give; whatever else it raises goes through unchanged.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except (RuntimeError, AttributeError) as error:
        foreign = foreign_call(error)
        if foreign is not None:
            raise foreign from error
        raise
    raise foreign_await(coroutine, awaited)
