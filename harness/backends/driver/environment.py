"""The environment of patterns on real servers: the machine's clock, real threads as child tasks."""

from __future__ import annotations

import contextvars
import datetime
import threading
import time
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from bson import ObjectId

from harness.backends.driver.cancellation import CancelFlag, Cancelled, Latch, task_flag
from harness.backends.driver.recorder import ClientDied, Recorder
from harness.backends.driver.stepping import run_coroutine
from harness.environment import in_whole_ms
from harness.errors import BackendError, HarnessError

CHILD_GRACE_S = 30.0
"""Longer than the slowest database call of the driver: two attempts, each with its selection and socket deadline."""


class ThreadEnv:
    """The environment of one client process (:class:`~harness.interfaces.environment.Env`).

    Arguments: ``cancel`` ends sleeps; ``random`` is the client's stream; ``skew_ms`` is added to the machine's clock;
    ``recorder`` is the client's, or None where nothing is recorded.
    """

    def __init__(self, cancel: CancelFlag, random: Random, skew_ms: int, recorder: Recorder | None) -> None:
        self._cancel = cancel
        self._random = random
        self._skew = datetime.timedelta(milliseconds=skew_ms)
        self._recorder = recorder
        self._tasks: list[ThreadTask] = []

    @property
    def random(self) -> Random:
        """A random stream of the client's own."""
        return self._random

    def now(self) -> datetime.datetime:
        """Return the machine's time in UTC plus the client's skew, in whole milliseconds."""
        return in_whole_ms(datetime.datetime.now(datetime.UTC) + self._skew)

    async def sleep(self, seconds: float) -> None:
        """Wait on this thread. Raises Cancelled or ClientDied where due."""
        self._check()
        self._flag().wait(seconds)
        self._check()

    def object_id(self) -> ObjectId:
        """Return a new ObjectId."""
        return ObjectId()

    def start_task(self, coroutine: Coroutine[Any, Any, Any]) -> ThreadTask:
        """Run a coroutine on a thread of its own; its calls are recorded into the operation under way."""
        task = ThreadTask(coroutine, self._flag, self.cancel_tasks)
        self._tasks.append(task)
        task.start()
        return task

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run coroutines side by side; return their results in order, or raise the first's exception after all end."""
        tasks = [self.start_task(coroutine) for coroutine in coroutines]
        for task in tasks:
            task.wait_ended()
        self._check()
        return [task.result() for task in tasks]

    def cancel_tasks(self) -> None:
        """Ask all child tasks to end at their next database call or sleep."""
        for task in tuple(self._tasks):
            task.cancel()

    def close(self, grace_s: float = CHILD_GRACE_S) -> None:
        """Cancel the child tasks that are left and wait for their end; the environment can be used again.

        A task that nobody joined keeps its exception to itself, as under asyncio, unless it is the harness's own.
        Raises BackendError where a task is still running after ``grace_s`` seconds.
        """
        deadline = time.monotonic() + grace_s
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            if not task.wait_ended(max(0.0, deadline - time.monotonic())):
                raise BackendError(
                    f"ending the child tasks of an operation: {task.name} still runs after {grace_s:g} s",
                    next_step="look for a loop in it that neither sleeps through env nor calls the database",
                )
            if isinstance(task.error, HarnessError) and not task.was_joined:
                raise task.error

    def _flag(self) -> CancelFlag:
        return task_flag.get() or self._cancel

    def _check(self) -> None:
        if self._recorder is None:
            self._flag().check()
        else:
            self._recorder.check()


class ThreadTask:
    """A child task: a coroutine that is stepped on a thread of its own.

    Arguments: ``current_flag`` gives the cancellation flag of the task that asks, here the parent's; ``on_death`` is
    called where the client died in this task, so that its siblings do not sleep on.
    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        current_flag: Callable[[], CancelFlag],
        on_death: Callable[[], None],
    ) -> None:
        self.name = getattr(coroutine, "__qualname__", "task")
        self.error: BaseException | None = None
        self.was_joined = False
        self._coroutine = coroutine
        self._current_flag = current_flag
        self._on_death = on_death
        self._value: Any = None
        self._cancel_asked = False
        self._flag = CancelFlag()
        self._forget_parent = current_flag().on_set(self._flag.set)
        self._ended = Latch()

    def start(self) -> None:
        """Start its thread, in a copy of the parent's context."""
        context = contextvars.copy_context()
        context.run(task_flag.set, self._flag)
        # A daemon, so that a task stuck in a loop of its own cannot keep the harness from exiting.
        threading.Thread(target=context.run, args=(self._run,), name=self.name, daemon=True).start()

    async def join(self) -> Any:
        """Wait for its end and return its result, None where it ended by :meth:`cancel`; raise what it raised."""
        flag = self._current_flag()
        woken = threading.Event()
        forget_end = self._ended.on_set(woken.set)
        forget_flag = flag.on_set(woken.set)
        woken.wait()
        forget_end()
        forget_flag()
        if not self._ended.is_set:
            flag.check()
        return self.result()

    def cancel(self) -> None:
        """Ask it to end at its next database call or sleep."""
        self._cancel_asked = True
        self._flag.set()

    def wait_ended(self, timeout_s: float | None = None) -> bool:
        """Wait for its end, for ``timeout_s`` seconds at most; return whether it has ended."""
        return self._ended.wait_set(timeout_s)

    def result(self) -> Any:
        """Return or raise what the ended task did; see :meth:`join`."""
        self.was_joined = True
        if self.error is None or (self._cancel_asked and isinstance(self.error, Cancelled)):
            return self._value
        raise self.error

    def _run(self) -> None:
        try:
            self._value = run_coroutine(self._coroutine)
        except ClientDied as error:
            self.error = error
            self._on_death()
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever joins
            self.error = error
        finally:
            self._forget_parent()
            self._ended.set()
