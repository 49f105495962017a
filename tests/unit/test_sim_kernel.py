"""The kernel: one task at a time, virtual time, and every choice through one door."""

from __future__ import annotations

import pytest

from harness.errors import ScenarioError
from harness.sim.kernel import (
    DefaultStrategy,
    Deviation,
    EndlessRunError,
    Event,
    Kernel,
    Site,
    StandstillError,
    TaskCancelled,
)


class Scripted(DefaultStrategy):
    """Takes the option with the label that the script has for a kind and occurrence, else the default."""

    def __init__(self, script):
        self.script = dict(script)
        self.asked = []

    def begin(self, kernel):
        self.kernel = kernel

    def choose(self, kind, options, default, footprints):
        site = self.kernel.site(kind)
        self.asked.append((site, tuple(options)))
        wanted = self.script.get(site)
        return options.index(wanted) if wanted in options else default


async def steps(kernel, trail, name, count):
    for number in range(count):
        trail.append(f"{name}{number}")
        await kernel.pause(())


def test_by_default_the_current_task_runs_on():
    """Without a deviation tasks run one after the other, in the order in which they were started."""
    kernel, trail = Kernel(), []
    kernel.spawn("a", steps(kernel, trail, "a", 2))
    kernel.spawn("b", steps(kernel, trail, "b", 2))
    kernel.run()
    assert trail == ["a0", "a1", "b0", "b1"]
    assert kernel.deviations == []


def test_a_deviation_is_recorded_with_its_site_and_label():
    """The trace holds what was not the default, and where: task, operation, kind, occurrence."""
    strategy = Scripted({Site("a", "1.0", "run", 0): "b"})
    kernel, trail = Kernel(strategy), []

    async def first():
        kernel.current.enter("1.0")
        await steps(kernel, trail, "a", 2)

    kernel.spawn("a", first())
    kernel.spawn("b", steps(kernel, trail, "b", 1))
    kernel.run()
    assert trail == ["a0", "b0", "a1"]
    assert kernel.deviations == [Deviation(Site("a", "1.0", "run", 0), "b")]


def test_time_jumps_to_the_next_timer_where_nobody_can_run():
    """Sleeping costs no steps: virtual time jumps, timers fire in order of time."""
    kernel, trail = Kernel(), []

    async def sleeper(name, duration_us):
        await kernel.sleep(duration_us)
        trail.append((name, kernel.now_us))

    kernel.spawn("late", sleeper("late", 5_000_000))
    kernel.spawn("early", sleeper("early", 1_000_000))
    kernel.run()
    assert trail == [("early", 1_000_000), ("late", 5_000_000)]


def test_a_strategy_can_let_time_pass_while_a_task_could_run():
    """A slow client is the choice 'time': a lease may run out between two of its steps."""
    strategy = Scripted({Site("a", "", "run", 0): "time"})
    kernel, trail = Kernel(strategy), []
    kernel.call_at(900, "expiry", lambda: trail.append(("expiry", kernel.now_us)))

    async def body():
        trail.append(("before", kernel.now_us))
        await kernel.pause(())
        trail.append(("after", kernel.now_us))

    kernel.spawn("a", body())
    strategy.script = {Site("a", "", "run", 0): "time"}
    kernel.run()
    assert trail == [("before", 0), ("expiry", 900), ("after", 900)]


def test_waiting_ends_with_the_event_or_with_the_deadline():
    """Wait tells whether the event happened; a timer that is not needed any more never fires."""
    kernel, event, seen = Kernel(), Event(), []

    async def waiter(deadline_us):
        seen.append((await kernel.wait(event, deadline_us), kernel.now_us))

    async def signaller():
        await kernel.sleep(10)
        kernel.signal(event)

    kernel.spawn("patient", waiter(100))
    kernel.spawn("hasty", waiter(5))
    kernel.spawn("signaller", signaller())
    kernel.run()
    assert seen == [(False, 5), (True, 10)]
    assert kernel.now_us == 10


def test_tasks_that_wait_for_ever_are_told():
    """A deadlock is an error that names the tasks."""
    kernel = Kernel()

    async def stuck():
        await kernel.wait(Event())

    kernel.spawn("client 0", stuck())
    with pytest.raises(StandstillError, match="client 0"):
        kernel.run()
    kernel.close()


def test_an_endless_loop_is_told():
    """A run has a limit of steps."""
    kernel = Kernel(steps_limit=100)

    async def loop():
        while True:
            await kernel.pause(())

    kernel.spawn("client 0", loop())
    with pytest.raises(EndlessRunError):
        kernel.run()
    kernel.close()


def test_a_background_task_does_not_keep_the_run_alive():
    """The run ends with its last vital task; close ends the others without running them further."""
    kernel, ended = Kernel(), []

    async def background():
        try:
            while True:
                await kernel.sleep(10)
        finally:
            ended.append("background")

    kernel.spawn("background", background(), vital=False)
    kernel.spawn("client", kernel.sleep(35))
    kernel.run()
    assert kernel.now_us == 35
    kernel.close()
    assert ended == ["background"]


def test_cancelling_raises_where_the_task_waits():
    """A cancelled task ends where it waits, and its joiner goes on."""
    kernel, trail = Kernel(), []

    async def child():
        try:
            await kernel.sleep(1_000)
        except TaskCancelled:
            trail.append(("cancelled", kernel.now_us))
            raise

    async def parent():
        task = kernel.spawn("child", child(), vital=False)
        await kernel.sleep(5)
        kernel.cancel(task)
        await kernel.join(task)
        trail.append(("joined", kernel.now_us))

    kernel.spawn("parent", parent())
    kernel.run()
    assert trail == [("cancelled", 5), ("joined", 5)]


def test_a_timer_can_cancel_the_task_that_ran_last():
    """What ran last and waits now is not running: a timer's cancellation reaches it."""
    kernel = Kernel()

    async def waits():
        await kernel.wait(Event())

    task = kernel.spawn("client", waits())
    kernel.call_at(10, "axe", lambda: kernel.cancel(task))
    kernel.run()
    assert task.done
    assert isinstance(task.error, TaskCancelled)


def test_what_a_vital_task_raises_ends_the_run():
    """An error of a client is raised by run, once."""
    kernel = Kernel()

    async def broken():
        raise KeyError("x")

    kernel.spawn("client", broken())
    with pytest.raises(KeyError):
        kernel.run()


def test_a_foreign_await_is_told_with_its_place():
    """A coroutine that yields something foreign is the scenario's mistake, told with file and line."""
    import asyncio

    kernel = Kernel()
    kernel.spawn("client", asyncio.sleep(0))
    with pytest.raises(ScenarioError, match="awaits something"):
        kernel.run()


def test_the_same_choices_give_the_same_digest_and_others_another():
    """The digest covers every step, choice and time."""

    def digest(script, extra_us=0):
        kernel, trail = Kernel(Scripted(script)), []
        kernel.spawn("a", steps(kernel, trail, "a", 3))
        kernel.spawn("b", steps(kernel, trail, "b", 3))
        kernel.spend(extra_us)
        kernel.run()
        return kernel.digest

    deviation = {Site("a", "", "run", 1): "b"}
    assert digest({}) == digest({})
    assert digest(deviation) == digest(deviation)
    assert len({digest({}), digest(deviation), digest({}, extra_us=7)}) == 3


def test_a_kernel_that_serves_forgets_what_is_over():
    """Ended tasks and the trace go, waiting tasks stay; numbers of tasks are not given again."""
    kernel = Kernel(Scripted({Site("a", "", "which", 0): "y"}))
    asked, chosen = Event(), []

    async def waits():
        await kernel.wait(asked)
        chosen.append(kernel.choose("which", ("x", "y")))

    first, second = kernel.spawn("a", waits(), vital=False), kernel.spawn("b", waits(), vital=False)
    kernel.run_until(1)
    kernel.cancel(second)
    kernel.run_until(2)
    kernel.forget()
    assert kernel.tasks == [first]
    assert kernel.spawn("b", waits(), vital=False).number == 2
    kernel.run_until(3)
    kernel.signal(asked)
    kernel.run_until(4)
    assert chosen[0] == 1
    assert kernel.deviations
    kernel.forget()
    assert (kernel.tasks, kernel.deviations) == ([], [])
