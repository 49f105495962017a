"""What a caller does under ``retry=application``: call the pattern again after an error that leaves the outcome open.

The classes are told by their names, so that this layer stays free of the driver.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from harness.scenario.record import Context

T = TypeVar("T")

PAUSE_S = 0.1
"""Pause before the second call; it grows linearly, as in the seed's own retry loops."""

AMBIGUOUS_CLASSES = frozenset({"AutoReconnect", "WriteConcernError", "ExecutionTimeout"})
"""Exceptions (or their bases) of PyMongo after which a write may or may not have been applied."""

AMBIGUOUS_LABELS = ("RetryableWriteError", "UnknownTransactionCommitResult")
"""Labels by which the server or the driver says so itself."""


def is_ambiguous(error: BaseException) -> bool:
    """Whether ``error`` leaves open if the write was applied: a lost connection, a failed wait, a time limit."""
    if any(base.__name__ in AMBIGUOUS_CLASSES for base in type(error).__mro__):
        return True
    has_error_label = getattr(error, "has_error_label", None)
    return has_error_label is not None and any(has_error_label(label) for label in AMBIGUOUS_LABELS)


async def with_application_retry(context: Context, call: Callable[[], Awaitable[T]]) -> T:
    """Await ``call()``; under ``retry=application`` call it again after an ambiguous error, 3 times in all.

    Under every other retry mode it is called once. Raises what the last call raised.
    """
    tries = context.settings.application_tries
    for tried in range(1, tries):
        try:
            return await call()
        except Exception as error:
            if not is_ambiguous(error):
                raise
            await context.env.sleep(PAUSE_S * tried)
    return await call()
