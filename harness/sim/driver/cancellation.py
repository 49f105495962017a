"""Cancellation of a simulated client process: it ends at its next database call, and at once where it sleeps.

A command that is under way goes on to its end: it runs on a member, which knows nothing of the client's wish to end.
"""

from __future__ import annotations

from harness.sim.kernel.loop import Event, Kernel, Task, TaskCancelled


class Cancellation:
    """Which tasks of one client process were told to end; what a task is told, its child tasks are told too."""

    __slots__ = ("_all", "_asked", "_kernel", "_parents", "_waiting", "pending")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._all = False
        self._asked: dict[int, bool] = {}
        self._parents: dict[int, int] = {}
        self._waiting: dict[int, tuple[Task, Event]] = {}
        self.pending = False
        """Whether anybody was told to end: as long as nobody was, :meth:`check` need not be called."""

    def adopt(self, child: Task, parent: Task) -> None:
        """Note that ``parent`` started ``child``."""
        self._parents[child.number] = parent.number
        if parent.number in self._asked:
            self._asked[child.number] = True

    def forget(self, child: Task) -> None:
        """Forget a task that has ended; what it was told, its own children stay told."""
        self._parents.pop(child.number, None)
        self._asked.pop(child.number, None)
        self.pending = self._all or bool(self._asked)

    def ask_all(self) -> None:
        """Tell every task of the process to end."""
        self._all = self.pending = True
        self._wake()

    def ask(self, task: Task) -> None:
        """Tell one task of it to end, and those that it started."""
        if task.done:
            return
        self._asked[task.number] = self.pending = True
        # Who started whom is in the order of starting, so that one pass reaches the whole tree.
        for child, parent in self._parents.items():
            if parent in self._asked:
                self._asked[child] = True
        self._wake()

    def was_asked(self, task: Task) -> bool:
        """Return whether that task, or one that it descends from, was told to end."""
        return self._all or task.number in self._asked

    def check(self) -> None:
        """Raise :class:`~harness.sim.kernel.loop.TaskCancelled` where the current task was told to end."""
        if self.pending and self.was_asked(self._kernel.current):
            raise TaskCancelled

    async def sleep_until(self, at_us: int) -> None:
        """Wait for a time. Raises TaskCancelled as soon as the task is told to end."""
        await self.wait(Event(), at_us)

    async def wait(self, event: Event, deadline_us: int | None = None) -> bool:
        """Wait for ``event`` as the kernel does. Raises TaskCancelled as soon as the task is told to end."""
        self.check()
        number = self._kernel.current.number
        self._waiting[number] = (self._kernel.current, event)
        try:
            happened = await self._kernel.wait(event, deadline_us)
        finally:
            del self._waiting[number]
        self.check()
        return happened

    def _wake(self) -> None:
        # Whoever else waits for the same event looks whether it has happened, and waits on.
        for task, event in tuple(self._waiting.values()):
            if self.was_asked(task):
                self._kernel.signal(event)
