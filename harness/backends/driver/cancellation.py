"""Cancellation of what blocks: a flag that wakes sleepers at once and is looked at before every database call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar


class Cancelled(BaseException):
    """Raised in a client process that was told to end. Not an Exception, so that no pattern swallows it unawares."""


class Latch:
    """Something that happens once. Once set it stays set; all methods may be called from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def set(self) -> None:
        """Let it happen: wake those that wait, call those that asked for it."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def wait_set(self, timeout_s: float | None = None) -> bool:
        """Wait until it has happened, or for ``timeout_s`` seconds; return whether it has."""
        return self._event.wait(timeout_s)

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when it happens, at once if it has; return the function that takes that back."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return lambda: self._forget(callback)
        callback()
        return lambda: None

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


class CancelFlag(Latch):
    """Tells the threads of a client process to end."""

    def check(self) -> None:
        """Raise :class:`Cancelled` if the flag is set."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds``. Raises :class:`Cancelled` as soon as the flag is set."""
        if self._event.wait(max(0.0, seconds)):
            raise Cancelled


task_flag: ContextVar[CancelFlag | None] = ContextVar("task_flag", default=None)
"""The flag of the child task that runs in this context; None in a client's main task."""
