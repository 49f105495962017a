"""The environment on real servers: time, sleep and child tasks that obey cancellation. No database is needed."""

from __future__ import annotations

import contextvars
import datetime
import random
import threading
import time

import pytest

from harness.backends.driver import CancelFlag, Cancelled, ThreadEnv, run_coroutine
from harness.errors import BackendError, ScenarioError
from harness.interfaces.environment import Env

FAR_S = 60.0


@pytest.fixture
def cancel():
    """Return the client's cancellation flag."""
    return CancelFlag()


@pytest.fixture
def env(cancel):
    """Return an environment; close it after the test, so that no thread outlives it."""
    env = ThreadEnv(cancel, random.Random(7), 0, None)
    yield env
    env.close()


async def _value(value):
    return value


async def _raise(error):
    raise error


def _bare_await():
    class Bare:
        def __await__(self):
            yield

    async def awaits():
        await Bare()

    return awaits()


def test_it_is_an_environment(env):
    """It offers what the protocol names."""
    assert {name for name in dir(Env) if not name.startswith("_")} <= set(dir(env))


@pytest.mark.parametrize("skew_ms", [0, 3_600_000, -250])
def test_now_is_skewed_and_in_whole_milliseconds(cancel, skew_ms):
    """A client's clock is the machine's plus its skew, in UTC, at the precision that BSON keeps."""
    env = ThreadEnv(cancel, random.Random(1), skew_ms, None)
    difference = env.now() - datetime.datetime.now(datetime.UTC)
    assert abs(difference - datetime.timedelta(milliseconds=skew_ms)) < datetime.timedelta(seconds=1)
    assert env.now().microsecond % 1000 == 0
    assert env.now().tzinfo is datetime.UTC


def test_random_is_the_clients_stream(env):
    """Two clients with the same stream draw the same numbers."""
    assert env.random.random() == random.Random(7).random()


def test_object_ids_differ(env):
    """Each object id is new."""
    assert env.object_id() != env.object_id()


def test_blocked_sleep_is_cancelled_at_once(env, cancel):
    """A sleeping client wakes when it is told to end."""
    threading.Timer(0.02, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run_coroutine(env.sleep(FAR_S))
    assert time.monotonic() - began < 5


def test_sleep_after_cancellation(env, cancel):
    """Once cancelled, not even a sleep of nothing goes on."""
    cancel.set()
    with pytest.raises(Cancelled):
        run_coroutine(env.sleep(0))


def test_gather_returns_results_in_order(env):
    """Results come in the order of the arguments; the coroutines run at the same time."""
    barrier = threading.Barrier(3, timeout=10)

    async def meet(number):
        barrier.wait()
        return number

    assert run_coroutine(env.gather(meet(1), meet(2), meet(3))) == [1, 2, 3]
    assert run_coroutine(env.gather()) == []


def test_gather_raises_after_all_end(env):
    """An exception of one does not leave the others running: it is raised when all have ended."""
    ended = []

    async def slow():
        await env.sleep(0.05)
        ended.append(True)

    with pytest.raises(KeyError):
        run_coroutine(env.gather(_raise(KeyError()), slow()))
    assert ended == [True]


def test_join_returns_or_raises(env):
    """A task's result and exception both surface in join, as often as it is called."""
    task = env.start_task(_value(5))
    assert [run_coroutine(task.join()), run_coroutine(task.join())] == [5, 5]
    with pytest.raises(ValueError, match="mine"):
        run_coroutine(env.start_task(_raise(ValueError("mine"))).join())


def test_cancelled_task_ends_and_joins_as_none(env):
    """A background task that its parent cancels wakes from its sleep; joining it tells nothing."""
    task = env.start_task(env.sleep(FAR_S))
    task.cancel()
    assert run_coroutine(task.join()) is None


def test_cancelling_a_task_spares_its_siblings(env):
    """Only the task that was cancelled ends."""

    async def patient():
        await env.sleep(0.05)
        return "done"

    victim, sibling = env.start_task(env.sleep(FAR_S)), env.start_task(patient())
    victim.cancel()
    assert run_coroutine(sibling.join()) == "done"


def test_task_that_joins_is_woken_by_its_own_cancellation(env):
    """A task that waits for another ends when it is cancelled itself; its children end with it."""
    grandchildren = []

    async def parent():
        grandchildren.append(env.start_task(env.sleep(FAR_S)))
        await grandchildren[0].join()

    task = env.start_task(parent())
    while not grandchildren:
        time.sleep(0.001)
    task.cancel()
    assert run_coroutine(task.join()) is None
    assert grandchildren[0].wait_ended(10)


def test_cancellation_of_the_client_reaches_its_children(env, cancel):
    """All tasks of a client that is told to end wake up, and so does whoever gathers them."""
    threading.Timer(0.02, cancel.set).start()
    with pytest.raises(Cancelled):
        run_coroutine(env.gather(env.sleep(FAR_S), env.sleep(FAR_S)))


def test_close_ends_what_is_left(env):
    """No task outlives its operation, and the environment serves the next one."""
    before = threading.active_count()
    task = env.start_task(env.sleep(FAR_S))
    env.close()
    assert isinstance(task.error, Cancelled)
    assert run_coroutine(env.start_task(_value(1)).join()) == 1
    env.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_close_tells_of_a_task_that_does_not_end(env):
    """A task in a loop of its own is an error that names it, not a hang."""
    leave = threading.Event()

    async def stubborn():
        leave.wait(10)

    env.start_task(stubborn())
    with pytest.raises(BackendError, match="stubborn"):
        env.close(grace_s=0.01)
    leave.set()


def test_foreign_await_in_a_task_surfaces(env):
    """A child task that awaits something foreign is told even where nobody joins it."""
    with pytest.raises(ScenarioError):
        run_coroutine(env.start_task(_bare_await()).join())
    env.start_task(_bare_await())
    with pytest.raises(ScenarioError):
        env.close()


def test_unjoined_exception_stays_with_its_task(env):
    """As under asyncio, a task that nobody joins keeps its exception."""
    task = env.start_task(_raise(KeyError()))
    env.close()
    assert isinstance(task.error, KeyError)


def test_context_variables_are_inherited(env):
    """A child sees the context of its parent, and changes only its own."""
    variable = contextvars.ContextVar("variable", default="default")

    async def child():
        before = variable.get()
        variable.set("child's")
        return before

    variable.set("parent's")
    assert run_coroutine(env.start_task(child()).join()) == "parent's"
    assert variable.get() == "parent's"
