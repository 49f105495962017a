"""Virtual time that follows the clock, and commands that come from outside of the kernel.

One trio task runs the kernel whenever something is due: a request that came in, or a timer. Everything of the kernel
happens in that task, between two of its awaits.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from harness.sim.kernel import Event, Kernel
from harness.sim.kernel.loop import US_PER_SECOND

_NS_PER_US: Final = 1_000
_FORGET_EVERY: Final = 1_000
"""Runs of the kernel after which it forgets what is over."""

Call = Callable[[], Awaitable[Any]]


class Clock:
    """Microseconds since 1970 that never go back, whatever is done to the machine's clock meanwhile."""

    def __init__(self) -> None:
        self._offset_us = time.time_ns() // _NS_PER_US - time.monotonic_ns() // _NS_PER_US

    def now_us(self) -> int:
        """Return the time."""
        return self._offset_us + time.monotonic_ns() // _NS_PER_US


class Pump:
    """Runs a kernel in real time; ``after_run`` is called each time that it has run."""

    def __init__(self, kernel: Kernel, clock: Clock, after_run: Callable[[], None]) -> None:
        self.kernel = kernel
        self._clock = clock
        self._after_run = after_run
        self._poked = trio.Event()
        self._callers = 0

    def poke(self) -> None:
        """Let the kernel run soon: there is something new for it."""
        self._poked.set()

    async def run(self) -> None:
        """Run until cancelled. Raises what the kernel raises, as a violated invariant."""
        for number in itertools.count(1):
            if number % _FORGET_EVERY == 0:
                self.kernel.forget()
            self._poked = trio.Event()
            next_us = self.kernel.run_until(self._clock.now_us())
            self._after_run()
            if self._poked.is_set():
                await trio.lowlevel.checkpoint()
                continue
            wait_s = math.inf if next_us is None else (next_us - self._clock.now_us()) / US_PER_SECOND
            with trio.move_on_after(max(0.0, wait_s)):
                await self._poked.wait()

    async def call(self, name: str, call: Call) -> Any:
        """Make one call in the kernel and return what it returns, or raise what it raises."""
        caller = self.caller(name)
        try:
            return await caller.call(call)
        finally:
            caller.close(finish=True)

    def caller(self, name: str) -> Caller:
        """Return somebody who makes calls inside the kernel, one at a time."""
        self._callers += 1
        return Caller(self, f"{name} {self._callers}")


class Caller:
    """One task of the kernel that makes the calls of one connection, one after the other."""

    def __init__(self, pump: Pump, name: str) -> None:
        self._pump = pump
        self._asked = Event()
        self._call: Call | None = None
        self._ending = False
        self._answered = trio.Event()
        self._result: Any = None
        self._error: BaseException | None = None
        self._task = pump.kernel.spawn(name, self._body(), vital=False)

    async def call(self, call: Call) -> Any:
        """Make a call in the kernel and return what it returns, or raise what it raises.

        Where the caller is cancelled meanwhile, the call goes on until :meth:`close`.
        """
        self._answered = trio.Event()
        self._call = call
        self._pump.kernel.signal(self._asked)
        self._pump.poke()
        await self._answered.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._result

    def close(self, *, finish: bool) -> None:
        """Make no more calls. The one that is being made is cancelled, or with ``finish`` made to its end."""
        self._ending = True
        if finish:
            self._pump.kernel.signal(self._asked)
        else:
            self._pump.kernel.cancel(self._task)
        self._pump.poke()

    async def _body(self) -> None:
        while True:
            while self._call is None:
                if self._ending:
                    return
                await self._pump.kernel.wait(self._asked)
            try:
                self._result = await self._call()
            except Exception as error:  # noqa: BLE001 - belongs to who asked, outside of the kernel
                self._error = error
            finally:
                self._call = None
                self._answered.set()
