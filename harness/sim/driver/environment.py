"""The environment of patterns in the simulator: virtual time, seeded randomness, kernel tasks as child tasks."""

from __future__ import annotations

import datetime
from collections.abc import Coroutine
from random import Random
from typing import Any, Final

from bson import ObjectId

from harness.awaiting import discard
from harness.errors import BackendError, HarnessError
from harness.sim.driver.object_ids import ObjectIds
from harness.sim.driver.recorder import ClientDied, Recorder
from harness.sim.kernel.loop import US_PER_MS, US_PER_SECOND, Kernel, Task, TaskCancelled

CHILD_GRACE_US: Final = 30 * US_PER_SECOND
"""Longer than the slowest database call of the driver: two attempts, each with its selection and socket deadline."""

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class SimEnv:
    """The environment of one client process (:class:`~harness.interfaces.environment.Env`).

    Arguments: ``recorder`` is the client's; ``random`` the client's stream; ``object_ids`` is shared with its database
    client; ``skew_ms`` is added to virtual time.
    """

    def __init__(
        self, kernel: Kernel, recorder: Recorder, random: Random, object_ids: ObjectIds, *, skew_ms: int = 0
    ) -> None:
        self._kernel = kernel
        self._recorder = recorder
        self._random = random
        self._object_ids = object_ids
        self._skew_us = skew_ms * US_PER_MS
        self._tasks: list[SimTask] = []
        self._started = 0

    @property
    def random(self) -> Random:
        """A random stream of the client's own."""
        return self._random

    def now(self) -> datetime.datetime:
        """Return virtual time in UTC plus the client's skew, in whole milliseconds."""
        milliseconds = (self._kernel.now_us + self._skew_us) // US_PER_MS
        if self._recorder.on_seen is not None:
            self._recorder.on_seen(milliseconds)
        return _EPOCH + datetime.timedelta(milliseconds=milliseconds)

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time. Raises TaskCancelled or ClientDied where due."""
        recorder = self._recorder
        recorder.check()
        wait_us = max(0, round(seconds * US_PER_SECOND))
        await recorder.cancellation.sleep_until(self._kernel.now_us + wait_us)
        recorder.check()

    def object_id(self) -> ObjectId:
        """Return a new ObjectId."""
        return self._object_ids.next()

    def start_task(self, coroutine: Coroutine[Any, Any, Any]) -> SimTask:
        """Run a coroutine as a kernel task beside this one; its calls are recorded into the operation under way."""
        self._started += 1
        task = SimTask(self, coroutine, self._started)
        self._tasks.append(task)
        return task

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run coroutines side by side; return their results in order, or raise the first's exception after all end."""
        tasks = [self.start_task(coroutine) for coroutine in coroutines]
        for task in tasks:
            await task.ended_or(None)
        self._recorder.check()
        return [task.result() for task in tasks]

    def cancel_tasks(self) -> None:
        """Ask all child tasks to end at their next database call or sleep."""
        for task in tuple(self._tasks):
            task.cancel()

    async def close(self, grace_us: int = CHILD_GRACE_US) -> None:
        """Cancel the child tasks that are left and wait for their end; the environment can be used again.

        A task that nobody joined keeps its exception to itself, as under asyncio, unless it is the harness's own.
        Raises BackendError where a task is still running after ``grace_us`` microseconds of virtual time.
        """
        self._started = 0
        deadline_us = self._kernel.now_us + grace_us
        if self._tasks and self._recorder.on_seen is not None:
            self._recorder.on_seen(deadline_us)
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            if not await task.ended_or(deadline_us):
                raise BackendError(
                    f"ending the child tasks of an operation: {task.name} still runs after "
                    f"{grace_us / US_PER_SECOND:g} s",
                    next_step="look for a loop in it that neither sleeps through env nor calls the database",
                )
            if isinstance(task.error, HarnessError) and not task.was_joined:
                raise task.error


class SimTask:
    """A child task: a kernel task that records into its parent's operation, whose choices belong to it too."""

    def __init__(self, env: SimEnv, coroutine: Coroutine[Any, Any, Any], number: int) -> None:
        self.name = getattr(coroutine, "__qualname__", "task")
        self.error: BaseException | None = None
        self.was_joined = False
        self._env = env
        self._kernel = env._kernel
        self._cancellation = env._recorder.cancellation
        self._coroutine = coroutine
        self._value: Any = None
        self._cancel_asked = False
        parent = self._kernel.current
        self._task: Task = self._kernel.spawn(f"{parent.name}.{number}", self._run(), vital=False)
        self._task.enter(parent.operation)
        self._cancellation.adopt(self._task, parent)

    async def join(self) -> Any:
        """Wait for its end and return its result, None where it ended by :meth:`cancel`; raise what it raised."""
        while not self._task.done:
            await self._cancellation.wait(self._task.ended)
        return self.result()

    def cancel(self) -> None:
        """Ask it to end at its next database call or sleep."""
        self._cancel_asked = True
        self._cancellation.ask(self._task)

    async def ended_or(self, deadline_us: int | None) -> bool:
        """Wait for its end, until the deadline at most, and not interruptibly; return whether it has ended."""
        kernel = self._kernel
        while not self._task.done and (deadline_us is None or kernel.now_us < deadline_us):
            await kernel.wait(self._task.ended, deadline_us)
        return self._task.done

    def result(self) -> Any:
        """Return or raise what the ended task did; see :meth:`join`."""
        self.was_joined = True
        if self.error is None or (self._cancel_asked and isinstance(self.error, TaskCancelled)):
            return self._value
        raise self.error

    async def _run(self) -> None:
        try:
            self._value = await self._coroutine
        except GeneratorExit:
            discard(self._coroutine)
            raise
        except ClientDied as error:
            self.error = error
            self._env.cancel_tasks()
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever joins
            self.error = error
        finally:
            self._cancellation.forget(self._kernel.current)
