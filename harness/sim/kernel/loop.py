"""The coroutine loop: tasks in virtual time, stepped one at a time in an order that a strategy chooses.

Time is an integer of microseconds. It moves where a task spends some (:meth:`Kernel.spend`), and jumps to the next
timer where nobody can run, or where the strategy chooses to let time pass while tasks that could run are slow. Timers
fire in order of time, then of making. There are no threads, and no set or hash order decides anything.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine, Generator, Sequence
from types import coroutine
from typing import Any, Final

from harness.awaiting import discard, foreign_await
from harness.errors import HarnessError
from harness.sim.kernel.choices import RUN, TIME, DefaultStrategy, Deviation, Label, Site, StateKeys, Strategy

US_PER_SECOND: Final = 1_000_000
US_PER_MS: Final = 1_000

_new = tuple.__new__
_PAUSE: Final = object()
_PARK: Final = object()
_MASK: Final = (1 << 64) - 1
_MIX: Final = 0x9E3779B97F4A7C15

Footprint = tuple[tuple[str, bool], ...]
"""What the next step of a task touches: (resource, is it written)."""


class StandstillError(HarnessError):
    """Tasks that must end wait for each other, and no timer is left that could wake one."""


class EndlessRunError(HarnessError):
    """The run went beyond its limit of steps or of virtual time: something in it never ends."""


class TaskCancelled(BaseException):
    """Raised in a task that was cancelled. Not an Exception, so that no pattern swallows it unawares."""


class Event:
    """Something that tasks wait for and that may happen many times; each time wakes those that wait by then."""

    __slots__ = ("waiters",)

    def __init__(self) -> None:
        self.waiters: list[Task] = []


class Timer:
    """A call at a time; :meth:`cancel` takes it back."""

    __slots__ = ("action", "at_us", "jumpable", "name")

    def __init__(self, at_us: int, name: str, action: Callable[[], None], *, jumpable: bool) -> None:
        self.at_us = at_us
        self.name = name
        self.action: Callable[[], None] | None = action
        self.jumpable = jumpable

    def cancel(self) -> None:
        """Let it not fire; may be repeated."""
        self.action = None

    @property
    def pending(self) -> bool:
        """Whether it may still fire."""
        return self.action is not None


class Task:
    """A coroutine under the kernel. ``result`` or ``error`` tell its end."""

    __slots__ = (
        "coroutine",
        "counts",
        "done",
        "ended",
        "error",
        "footprint",
        "name",
        "number",
        "operation",
        "pending_error",
        "ready",
        "result",
        "timer",
        "vital",
        "waiting_for",
        "woken",
    )

    def __init__(self, number: int, name: str, body: Coroutine[Any, Any, Any], *, vital: bool) -> None:
        self.number = number
        self.name = name
        self.coroutine = body
        self.vital = vital
        self.operation = ""
        self.counts: dict[str, int] = {}
        self.footprint: Footprint | None = None
        self.waiting_for: Event | None = None
        self.timer: Timer | None = None
        self.woken = False
        self.ready = False
        self.pending_error: BaseException | None = None
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = Event()

    def enter(self, operation: str) -> None:
        """Begin an operation: choices made from here on belong to it."""
        self.operation = operation
        self.counts = {}


class _Footprints(Sequence[Any]):
    """What the next steps of the ready tasks touch; looked up only where a strategy asks."""

    __slots__ = ("_ready",)

    def __init__(self, ready: list[Task]) -> None:
        self._ready = ready

    def __len__(self) -> int:
        return len(self._ready) + 1

    def __getitem__(self, position: Any) -> Any:
        # What letting time pass touches, the option after the tasks, nobody knows.
        return None if position == len(self._ready) else self._ready[position].footprint


class Kernel:
    """One simulated run. Arguments: the ``strategy`` that chooses; limits on steps and on virtual time.

    What a run leaves behind: ``deviations`` (its trace), ``digest`` (a hash over every step), ``decisions`` and
    ``steps`` (counts), and with ``keep_events`` the list of what was chosen, for finding where two runs differ.
    """

    def __init__(
        self,
        strategy: Strategy | None = None,
        *,
        start_us: int = 0,
        steps_limit: int = 10_000_000,
        time_limit_us: int = 24 * 3600 * US_PER_SECOND,
        keep_events: bool = False,
    ) -> None:
        self.now_us = start_us
        self.deviations: list[Deviation] = []
        self.decisions = 0
        self.steps = 0
        self.digest = _MIX
        self.events: list[tuple[Any, ...]] | None = [] if keep_events else None
        self.tasks: list[Task] = []
        self._holders: dict[str, Task] = {}
        self.after_step: Callable[[], None] | None = None
        """Called after every step of a task and every timer: where invariants are checked."""
        self.state_keys: StateKeys | None = None
        """Set by who can tell states apart, so that an exhaustive search need not go on twice from one."""
        self.on_forced: Callable[[], None] | None = None
        """Called before a step of the only task that can go on, which is no choice, and when all have ended."""
        self._strategy = strategy or DefaultStrategy()
        self._ready: list[Task] = []
        self._labels: list[Label] | None = None
        self._labels_with_time: list[Label] | None = None
        self._footprints = _Footprints(self._ready)
        self._vital_left = 0
        self._spawned = 0
        self._timers: list[tuple[int, int, Timer]] = []
        self._sequence = 0
        self._root = Task(-1, "kernel", _nothing(), vital=False)
        self._root.coroutine.close()
        self.current: Task = self._root
        self._stepping: Task | None = None
        self._steps_limit = steps_limit
        self._end_us = start_us + time_limit_us
        self._strategy.begin(self)

    # -- choices

    def use(self, strategy: Strategy) -> None:
        """Let ``strategy`` choose from here on."""
        self.on_forced = None
        self._strategy = strategy
        strategy.begin(self)

    def choose(
        self, kind: str, options: Sequence[Label], default: int = 0, footprints: Sequence[Any] | None = None
    ) -> int:
        """Return the index of the option that the run takes; a single option is no choice.

        The labels of ``options`` must be the same in every run that comes to this place.
        """
        if len(options) == 1:
            return 0
        task = self.current
        counts = task.counts
        occurrence = counts.get(kind, 0)
        chosen = self._strategy.choose(kind, options, default, footprints)
        counts[kind] = occurrence + 1
        self.decisions += 1
        if chosen != default:
            # Most steps of a sampled schedule deviate: past the constructors of named tuples, at a third of their cost.
            site = _new(Site, (task.name, task.operation, kind, occurrence))
            self.deviations.append(_new(Deviation, (site, options[chosen])))
        self.digest = ((self.digest ^ (chosen + len(options) * 131)) * _MIX + self.now_us) & _MASK
        if self.events is not None:
            self.events.append((self.now_us, task.name, task.operation, kind, occurrence, options[chosen]))
        return chosen

    def site(self, kind: str) -> Site:
        """Return where a choice of that kind would be made now."""
        task = self.current
        return Site(task.name, task.operation, kind, task.counts.get(kind, 0))

    def pending_timers(self) -> tuple[tuple[int, str], ...]:
        """Return when each timer fires, and its name, in the order in which they do."""
        return tuple([(at_us, timer.name) for at_us, _, timer in sorted(self._timers) if timer.pending])

    def note(self, number: int) -> None:
        """Let a number that a step produced be part of the digest."""
        self.digest = ((self.digest ^ number) * _MIX + self.now_us) & _MASK

    # -- tasks and time

    def spawn(self, name: str, body: Coroutine[Any, Any, Any], *, vital: bool = True) -> Task:
        """Start a task; it runs when it is chosen. The run ends when every ``vital`` task has ended.

        A choice names tasks, so one whose name another has that has not ended is told apart by a number.
        """
        free, number = name, 1
        while (holder := self._holders.get(free)) is not None and not holder.done:
            number += 1
            free = f"{name} #{number}"
        task = self._holders[free] = Task(self._spawned, free, body, vital=vital)
        self._spawned += 1
        self.tasks.append(task)
        self._vital_left += vital
        self._make_ready(task)
        return task

    def call_at(self, at_us: int, name: str, action: Callable[[], None], *, jumpable: bool = True) -> Timer:
        """Call ``action`` when virtual time reaches ``at_us``; with ``jumpable`` the strategy may hasten it."""
        timer = Timer(max(at_us, self.now_us), name, action, jumpable=jumpable)
        self._sequence += 1
        heapq.heappush(self._timers, (timer.at_us, self._sequence, timer))
        return timer

    def spend(self, duration_us: int) -> None:
        """Let the current task take time; others that are due meanwhile run when they are chosen."""
        self.now_us += duration_us

    @coroutine
    def pause(self, footprint: Footprint | None = None) -> Generator[Any, Any, None]:
        """Let others run here; ``footprint`` says what the next step touches, None if that is not known."""
        self.current.footprint = footprint
        yield _PAUSE

    @coroutine
    def sleep_until(self, at_us: int) -> Generator[Any, Any, None]:
        """Wait for a time."""
        task = self.current
        task.timer = self.call_at(at_us, task.name, lambda: self._wake(task, signalled=False))
        yield _PARK

    async def sleep(self, duration_us: int) -> None:
        """Wait for a while."""
        await self.sleep_until(self.now_us + max(0, duration_us))

    @coroutine
    def wait(self, event: Event, deadline_us: int | None = None) -> Generator[Any, Any, bool]:
        """Wait until ``event`` happens the next time, or until the deadline; return whether it happened."""
        task = self.current
        task.waiting_for = event
        task.woken = False
        event.waiters.append(task)
        if deadline_us is not None:
            task.timer = self.call_at(deadline_us, task.name, lambda: self._wake(task, signalled=False))
        yield _PARK
        return task.woken

    def signal(self, event: Event) -> None:
        """Let ``event`` happen: those that wait for it can run again."""
        waiters, event.waiters = event.waiters, []
        for task in waiters:
            self._wake(task, signalled=True)

    async def join(self, task: Task) -> None:
        """Wait for the end of a task; its result and error stay with it."""
        while not task.done:
            await self.wait(task.ended)

    def cancel(self, task: Task, error: BaseException | None = None) -> None:
        """Raise ``error``, by default :class:`TaskCancelled`, in a task where it waits."""
        if task.done or task is self._stepping:
            return
        task.pending_error = error or TaskCancelled()
        self._wake(task, signalled=False)

    def _wake(self, task: Task, *, signalled: bool) -> None:
        if task.timer is not None:
            task.timer.cancel()
            task.timer = None
        if task.waiting_for is not None:
            if not signalled:
                task.waiting_for.waiters.remove(task)
            task.waiting_for = None
        task.woken = signalled
        self._make_ready(task)

    def _make_ready(self, task: Task) -> None:
        if task.ready or task.done:
            return
        task.ready = True
        ready = self._ready
        position = len(ready)
        while position and ready[position - 1].number > task.number:
            position -= 1
        ready.insert(position, task)
        self._labels = self._labels_with_time = None

    def _not_ready(self, task: Task) -> None:
        task.ready = False
        self._ready.remove(task)
        self._labels = self._labels_with_time = None

    # -- the loop

    def run(self) -> None:
        """Run until every vital task has ended. Raises StandstillError, EndlessRunError, what a vital task raises."""
        timers = self._timers
        while self._vital_left:
            if timers and timers[0][0] <= self.now_us:
                self._fire_due()
            task = self._pick()
            if task is not None:
                self._step(task)
        if self.on_forced is not None:
            self.on_forced()

    def run_until(self, now_us: int) -> int | None:
        """Run what is due by ``now_us``, for a front that lets virtual time follow the clock; return the next timer's.

        Time never jumps here: it is set to ``now_us`` where it lags behind. None means that no timer is left.
        """
        while True:
            self.now_us = max(self.now_us, now_us)
            self._fire_due()
            if not self._ready:
                break
            self._step(self._ready[0])
        # Between two runs no task is at work: what the front does then, as a cancellation, comes from outside.
        self.current, self._stepping = self._root, None
        while self._timers and self._timers[0][2].action is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def forget(self) -> None:
        """Drop the trace, and tasks that have ended: for a front that serves without end and replays nothing."""
        self.deviations.clear()
        self.tasks = [task for task in self.tasks if not task.done]
        self._holders = {task.name: task for task in self.tasks}

    def close(self) -> None:
        """End every coroutine that is left, without running it further."""
        for task in self.tasks:
            if not task.done:
                task.done = True
                self.current = task
                discard(task.coroutine)
        self.current = self._root
        self._vital_left = 0
        self.after_step = None
        self.tasks.clear()
        self._ready.clear()
        self._timers.clear()

    def _pick(self) -> Task | None:
        """Return the task to step; None where time was let pass instead."""
        ready = self._ready
        if not ready:
            self._jump(forced=True)
            return None
        timers = self._timers
        jumpable = bool(timers) and self._next_jump() is not None
        if len(ready) == 1 and not jumpable:
            if self.on_forced is not None:
                self.on_forced()
            return ready[0]
        current = self.current
        default = ready.index(current) if current.ready else 0
        labels = self._labels_with_time if jumpable else self._labels
        chosen = self.choose(RUN, labels or self._label(jumpable=jumpable), default, self._footprints)
        if chosen < len(ready):
            return ready[chosen]
        self._jump(forced=False)
        return None

    def _label(self, *, jumpable: bool) -> list[Label]:
        labels: list[Label] = [task.name for task in self._ready]
        if jumpable:
            labels.append(TIME)
            self._labels_with_time = labels
        else:
            self._labels = labels
        return labels

    def _next_jump(self) -> Timer | None:
        timers = self._timers
        while timers and timers[0][2].action is None:
            heapq.heappop(timers)
        return timers[0][2] if timers and timers[0][2].jumpable else None

    def _jump(self, *, forced: bool) -> None:
        timers = self._timers
        while timers and timers[0][2].action is None:
            heapq.heappop(timers)
        if not timers:
            waiting = ", ".join(task.name for task in self.tasks if task.vital and not task.done)
            raise StandstillError(
                f"the simulated run stands still at {self.now_us} us: {waiting} wait and no timer is left",
                next_step="look for a wait without a deadline in the pattern or the scenario",
            )
        at_us = timers[0][0]
        if at_us > self._end_us:
            raise EndlessRunError(
                "the simulated run went beyond its limit of virtual time",
                next_step="look for an endless retry in the pattern or the scenario",
            )
        self.now_us = max(self.now_us, at_us)
        if forced:
            self._fire_due()

    def _fire_due(self) -> None:
        self._stepping = None
        timers = self._timers
        while timers and timers[0][0] <= self.now_us:
            timer = heapq.heappop(timers)[2]
            action = timer.action
            if action is not None:
                timer.action = None
                action()
                if self.after_step is not None:
                    self.after_step()

    def _step(self, task: Task) -> None:
        self.steps += 1
        if self.steps > self._steps_limit:
            raise EndlessRunError(
                f"the simulated run took more than {self._steps_limit} steps",
                next_step="look for an endless loop in the pattern or the scenario",
            )
        self.current = self._stepping = task
        self.digest = ((self.digest ^ task.number) * _MIX + self.now_us) & _MASK
        try:
            error, task.pending_error = task.pending_error, None
            trap = task.coroutine.send(None) if error is None else task.coroutine.throw(error)
        except StopIteration as end:
            task.result = end.value
            self._end(task)
        except BaseException as error:
            task.error = error
            self._end(task)
            if not isinstance(error, TaskCancelled) and (task.vital or not isinstance(error, Exception)):
                raise
        else:
            if trap is _PARK:
                self._not_ready(task)
            elif trap is not _PAUSE:
                self._end(task)
                raise foreign_await(task.coroutine, trap)
        if self.after_step is not None:
            self.after_step()

    def _end(self, task: Task) -> None:
        task.done = True
        self._vital_left -= task.vital
        self._not_ready(task)
        self.signal(task.ended)


async def _nothing() -> None:
    return None
