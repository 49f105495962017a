"""The pump: virtual time follows the clock, and what comes from outside reaches the kernel between two of its runs."""

from __future__ import annotations

import pytest
import trio

from harness.sim.kernel import Event, Kernel
from harness.wire.pump import Clock, Pump


def test_a_task_can_be_cancelled_between_two_runs():
    """The task that ran last is no exception."""
    kernel = Kernel()

    async def wait() -> None:
        await kernel.wait(Event())

    task = kernel.spawn("waiter", wait(), vital=False)
    kernel.run_until(1)
    kernel.cancel(task)
    kernel.run_until(2)
    assert task.done


def run_pumped(body):
    """Run ``body(pump, kernel)`` beside a pump; return its result and how often the kernel had run."""
    kernel = Kernel(start_us=Clock().now_us())
    runs = []

    async def main():
        pump = Pump(kernel, Clock(), lambda: runs.append(kernel.now_us))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            result = await body(pump, kernel)
            nursery.cancel_scope.cancel()
        return result

    return trio.run(main), runs


def test_a_call_returns_or_raises_what_it_does_in_the_kernel():
    """Results and exceptions come out; the caller can be used again."""

    async def body(pump, kernel):
        caller = pump.caller("x")

        async def fail():
            raise ValueError("asked to")

        async def sleep():
            await kernel.sleep(20_000)
            return "slept"

        with pytest.raises(ValueError, match="asked to"):
            await caller.call(fail)
        return await caller.call(sleep)

    result, runs = run_pumped(body)
    assert result == "slept"
    assert runs == sorted(runs)


def test_an_idle_kernel_is_not_run():
    """Without requests and timers the pump sleeps."""

    async def body(pump, kernel):
        await trio.sleep(0.05)

    assert len(run_pumped(body)[1]) == 1


def test_timers_fire_at_their_time():
    """The pump wakes for the next timer."""

    async def body(pump, kernel):
        fired = trio.Event()
        kernel.call_at(kernel.now_us + 30_000, "timer", fired.set)
        pump.poke()
        with trio.fail_after(5):
            await fired.wait()

    assert len(run_pumped(body)[1]) >= 2


def test_a_kernel_that_breaks_its_promise_ends_the_front():
    """What the kernel raises is not swallowed."""

    async def body(pump, kernel):
        def broken() -> None:
            raise RuntimeError("an invariant is violated")

        async def nothing() -> None:
            return None

        kernel.after_step = broken
        await pump.call("x", nothing)

    with pytest.raises(BaseExceptionGroup) as raised:
        run_pumped(body)
    assert raised.group_contains(RuntimeError, match="an invariant is violated")
