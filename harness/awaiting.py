"""Awaits that only a foreign event loop could serve: told with their file and line.

What the harness hands to a pattern is served by whoever steps its coroutine. A coroutine that waits for asyncio, trio
or the like is never resumed, and that is the mistake of its author.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Coroutine
from types import FrameType
from typing import Any

from harness.errors import ScenarioError

_EVENT_LOOPS = ("asyncio", "trio", "anyio", "sniffio", "curio", "uvloop")
_NO_LOOP_MESSAGES = ("no running event loop", "there is no current event loop", "must be called from async context")
_NEXT_STEP = (
    "await only the database and env: env.sleep(seconds) for asyncio.sleep or trio.sleep, env.gather(...) for "
    "asyncio.gather or a nursery, env.start_task(...) for asyncio.create_task"
)


def foreign_await(coroutine: Coroutine[Any, Any, Any], awaited: object) -> ScenarioError:
    """Return the error for a ``coroutine`` that yielded ``awaited`` where nothing of the harness yields; close it."""
    place = _place_of_await(coroutine)
    discard(coroutine)
    return _foreign(place, f"it waits for {type(awaited).__name__!r}" if awaited is not None else "it yields")


def foreign_call(error: Exception) -> ScenarioError | None:
    """Return the error for an exception that stems from a call into an event loop that is not running, or None."""
    # Without a running loop asyncio.Lock and trio.open_nursery stumble over a None instead of saying so.
    if not isinstance(error, RuntimeError | AttributeError):
        return None
    place = _place_of_foreign_call(error)
    return _foreign(place, str(error)) if place else None


def _foreign(place: str, detail: str) -> ScenarioError:
    return ScenarioError(
        f"{place}: the pattern awaits something that the harness did not hand to it ({detail})", next_step=_NEXT_STEP
    )


def discard(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine that will not be resumed."""
    try:
        coroutine.close()
    except RuntimeError:
        # A finally block of the pattern awaits something foreign again: there is nothing left to wait for.
        return


def _place_of_await(coroutine: Any) -> str:
    """Return file and line of the innermost await of the pattern's own code."""
    place = "unknown place"
    awaitable: Any = coroutine
    while awaitable is not None:
        frame, awaitable = _frame_and_next(awaitable)
        if frame is not None and not _is_of_event_loop(frame.f_globals):
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return place


def _frame_and_next(awaitable: Any) -> tuple[FrameType | None, Any]:
    if inspect.iscoroutine(awaitable):
        return awaitable.cr_frame, awaitable.cr_await
    if inspect.isgenerator(awaitable):
        return None, awaitable.gi_yieldfrom
    if inspect.isasyncgen(awaitable):
        return awaitable.ag_frame, awaitable.ag_await
    return None, None


def _place_of_foreign_call(error: Exception) -> str:
    """Return file and line of the pattern's call into an event loop that is not running, or an empty text."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return ""
    raised_by_loop = _is_of_event_loop(frames[-1][0].f_globals)
    if not raised_by_loop and not str(error).lower().startswith(_NO_LOOP_MESSAGES):
        return ""
    own = [(frame, line) for frame, line in frames if not _is_of_event_loop(frame.f_globals)]
    frame, line = own[-1]
    return f"{frame.f_code.co_filename}:{line}"


def _is_of_event_loop(module_globals: dict[str, Any]) -> bool:
    return str(module_globals.get("__name__", "")).split(".")[0] in _EVENT_LOOPS
