"""Stepping a coroutine to its end, and telling a foreign await with its place."""

from __future__ import annotations

import asyncio
import inspect

import pytest
import trio

from harness.backends.driver import run_coroutine
from harness.errors import ScenarioError

PRIVATE_LOOP = asyncio.new_event_loop()
PRIVATE_LOOP.close()


@pytest.fixture(autouse=True)
def no_current_loop():
    """Make this thread like a client's, for which asyncio never makes a loop of its own accord."""
    asyncio.set_event_loop(None)


async def _sleeps_zero():
    await asyncio.sleep(0)  # HERE


async def _sleeps():
    await asyncio.sleep(1)  # HERE


async def _gathers():
    coroutine = _sleeps_zero()
    try:
        await asyncio.gather(coroutine)  # HERE
    finally:
        coroutine.close()


async def _gathers_futures():
    await asyncio.gather(asyncio.Future(loop=PRIVATE_LOOP))  # HERE


async def _creates_task():
    coroutine = _sleeps_zero()
    try:
        await asyncio.create_task(coroutine)  # HERE
    finally:
        coroutine.close()


async def _contends_for_lock():
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()  # HERE


async def _sleeps_in_trio():
    await trio.sleep(1)  # HERE


async def _opens_nursery():
    async with trio.open_nursery():  # HERE
        pass


async def _awaits_future():
    await asyncio.Future(loop=PRIVATE_LOOP)  # HERE


async def _asks_for_the_loop():
    asyncio.get_running_loop()  # HERE


class _Bare:
    def __await__(self):
        yield


async def _awaits_bare_yield():
    await _Bare()  # HERE


FOREIGN = [
    _sleeps_zero,
    _sleeps,
    _gathers,
    _gathers_futures,
    _creates_task,
    _contends_for_lock,
    _sleeps_in_trio,
    _opens_nursery,
    _awaits_future,
    _asks_for_the_loop,
    _awaits_bare_yield,
]


def _place_of(function):
    lines, first = inspect.getsourcelines(function)
    return f"{__file__}:{first + next(i for i, line in enumerate(lines) if '# HERE' in line)}: "


@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
@pytest.mark.parametrize("function", FOREIGN, ids=lambda function: function.__name__)
def test_foreign_await_is_told_with_its_place(function):
    """Whatever only asyncio or trio can give ends as ScenarioError that names file and line and the next step."""
    with pytest.raises(ScenarioError) as caught:
        run_coroutine(function())
    assert caught.value.message.startswith(_place_of(function))
    assert "env.sleep" in caught.value.next_step
    assert "env.gather" in caught.value.next_step


def test_place_is_the_innermost_of_the_pattern():
    """Through several coroutines, the place is where the pattern itself awaits the foreign thing."""

    async def outer():
        await middle()

    async def middle():
        await _sleeps_zero()

    with pytest.raises(ScenarioError) as caught:
        run_coroutine(outer())
    assert caught.value.message.startswith(_place_of(_sleeps_zero))


def test_result_is_returned():
    """A coroutine that awaits only what blocks right there runs to its end."""

    async def inner(number):
        return number + 1

    async def outer():
        return await inner(await inner(1))

    assert run_coroutine(outer()) == 3


@pytest.mark.parametrize(
    "error", [ValueError(), RuntimeError(), AttributeError(), KeyboardInterrupt(), StopAsyncIteration()]
)
def test_exceptions_go_through_unchanged(error):
    """Whatever the pattern raises is the result, a RuntimeError of its own included."""

    async def raises():
        raise error

    with pytest.raises(type(error)) as caught:
        run_coroutine(raises())
    assert caught.value is error


def test_pattern_that_awaits_in_its_cleanup_too():
    """A finally block that awaits something foreign again does not hide the first place."""

    async def stubborn():
        try:
            await _Bare()
        finally:
            await _Bare()

    with pytest.raises(ScenarioError) as caught:
        run_coroutine(stubborn())
    assert "test_stepping.py" in caught.value.message


def test_cleanup_of_the_pattern_runs():
    """The pattern's finally blocks run before the error is told."""
    seen = []

    async def careful():
        try:
            await _Bare()
        finally:
            seen.append("cleaned up")

    with pytest.raises(ScenarioError):
        run_coroutine(careful())
    assert seen == ["cleaned up"]
