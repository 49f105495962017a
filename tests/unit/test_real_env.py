"""The default environment of patterns in production, under asyncio."""

from __future__ import annotations

import asyncio
import datetime
import random
import subprocess
import sys

import pytest
from bson import ObjectId

from harness import real_env


async def _value(value):
    await real_env.sleep(0)
    return value


async def _raise(error):
    await real_env.sleep(0)
    raise error


def test_time_random_and_ids():
    """Time is UTC in whole milliseconds, random the operating system's, ids are ObjectIds."""
    assert abs(real_env.now() - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=1)
    assert real_env.now().microsecond % 1000 == 0
    assert isinstance(real_env.random, random.SystemRandom)
    assert isinstance(real_env.object_id(), ObjectId)


def test_tasks_and_gather():
    """Tasks are joined for their result or exception, cancelled ones for None; gather keeps the order."""

    async def main():
        assert await real_env.gather(_value(1), _value(2)) == [1, 2]
        assert await real_env.start_task(_value(3)).join() == 3
        with pytest.raises(KeyError):
            await real_env.start_task(_raise(KeyError())).join()
        task = real_env.start_task(real_env.sleep(60))
        await real_env.sleep(0)
        task.cancel()
        assert await task.join() is None

    asyncio.run(main())


def test_gather_raises_after_all_end():
    """The first exception is raised when all coroutines have ended."""
    ended = []

    async def slow():
        await real_env.sleep(0.01)
        ended.append(True)

    with pytest.raises(KeyError):
        asyncio.run(real_env.gather(_raise(KeyError()), slow()))
    assert ended == [True]


@pytest.mark.slow
def test_importing_it_loads_no_driver():
    """A scenario file's default argument costs neither the driver nor an event loop."""
    code = "import sys; from harness import real_env; sys.exit('pymongo' in sys.modules or 'bson' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
