"""Stepping a coroutine to its end, and telling a foreign await with its place."""

from __future__ import annotations

import asyncio
import inspect

import pytest
import trio

from harness.backends.driver import run_coroutine
from harness.errors import ScenarioError

THIS_FILE = __file__


async def sleeps_zero():
    await asyncio.sleep(0)


async def sleeps():
    await asyncio.sleep(1)


async def gathers():
    await asyncio.gather(sleeps_zero_coroutine)


async def gathers_awaitables():
    await asyncio.gather(asyncio.Future(loop=PRIVATE_LOOP))


async def creates_task():
    asyncio.create_task(sleeps_zero_coroutine)  # noqa: RUF006


async def contends_for_lock():
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def sleeps_in_trio():
    await trio.sleep(1)


async def opens_nursery():
    async with trio.open_nursery():
        pass


async def awaits_future():
    await asyncio.Future(loop=PRIVATE_LOOP)


async def asks_for_the_loop():
    asyncio.get_running_loop()


class Bare:
    def __await__(self):
        yield


async def awaits_bare_yield():
    await Bare()


PRIVATE_LOOP = asyncio.new_event_loop()
PRIVATE_LOOP.close()
sleeps_zero_coroutine: object = None

FOREIGN = [
    sleeps_zero,
    sleeps,
    gathers,
    gathers_awaitables,
    creates_task,
    contends_for_lock,
    sleeps_in_trio,
    opens_nursery,
    awaits_future,
    asks_for_the_loop,
    awaits_bare_yield,
]


def place_of_last_line(function):
    lines, start = inspect.getsourcelines(function)
    return f"{THIS_FILE}:{start + len(lines) - 1}"


@pytest.fixture
def inner_coroutine():
    """A coroutine that a foreign call is given and never runs; closed, so that it is not reported as forgotten."""
    global sleeps_zero_coroutine  # noqa: PLW0603
    sleeps_zero_coroutine = sleeps_zero()
    yield
    sleeps_zero_coroutine.close()


@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
@pytest.mark.parametrize("function", FOREIGN, ids=lambda function: function.__name__)
def test_foreign_await_is_told_with_its_place(function, inner_coroutine):
    """Whatever only asyncio or trio can give ends as ScenarioError that names file and line and the next step."""
    with pytest.raises(ScenarioError) as caught:
        run_coroutine(function())
    source, first = inspect.getsourcelines(function)
    line = first + (1 if function is opens_nursery else len(source) - 1)
    assert caught.value.message.startswith(f"{THIS_FILE}:{line}: ")
    assert "env.sleep" in caught.value.next_step
    assert "env.gather" in caught.value.next_step


def test_place_is_the_innermost_of_the_pattern():
    """Through several coroutines, the place is where the pattern itself awaits the foreign thing."""

    async def outer():
        await middle()

    async def middle():
        await sleeps_zero()

    with pytest.raises(ScenarioError) as caught:
        run_coroutine(outer())
    assert caught.value.message.startswith(place_of_last_line(sleeps_zero))


def test_result_is_returned():
    """A coroutine that awaits only what blocks right there runs to its end."""

    async def inner(number):
        return number + 1

    async def outer():
        return await inner(await inner(1))

    assert run_coroutine(outer()) == 3


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("mine"), KeyboardInterrupt(), StopAsyncIteration()])
def test_exceptions_go_through_unchanged(error):
    """Whatever the pattern raises is the result, a RuntimeError of its own included."""

    async def raises():
        raise error

    with pytest.raises(type(error) if not isinstance(error, StopAsyncIteration) else RuntimeError) as caught:
        run_coroutine(raises())
    assert isinstance(error, StopAsyncIteration) or caught.value is error


def test_pattern_that_awaits_in_its_cleanup_too():
    """A finally block that awaits something foreign again does not hide the first place."""

    async def stubborn():
        try:
            await Bare()
        finally:
            await Bare()

    with pytest.raises(ScenarioError) as caught:
        run_coroutine(stubborn())
    assert "test_stepping.py" in caught.value.message


def test_cleanup_of_the_pattern_runs():
    """The pattern's finally blocks run before the error is told."""
    seen = []

    async def careful():
        try:
            await Bare()
        finally:
            seen.append("cleaned up")

    with pytest.raises(ScenarioError):
        run_coroutine(careful())
    assert seen == ["cleaned up"]
