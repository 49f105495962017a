"""What a simulated run must not reach for is refused, with its replacement; everything else goes on."""

from __future__ import annotations

import datetime
import os
import random
import socket
import threading
import time
import types
import uuid

import pytest
from bson import ObjectId

from harness.errors import ScenarioError
from harness.sim.kernel.guard import guard


@pytest.mark.parametrize(
    ("call", "named", "replacement"),
    [
        (lambda: time.time(*()), "time.time()", "env.now()"),
        (lambda: time.monotonic_ns(*()), "time.monotonic_ns()", "env.now()"),
        (lambda: time.sleep(0), "time.sleep()", "env.sleep"),
        (lambda: random.random(*()), "random.random()", "env.random"),
        (lambda: random.SystemRandom().random(), "unseeded", "env.random"),
        (lambda: os.urandom(4), "os.urandom()", "env.random"),
        (lambda: uuid.uuid4(*()), "uuid.uuid4()", "env.object_id()"),
        (lambda: ObjectId(*()), "ObjectId()", "env.object_id()"),
        (lambda: threading.Thread(target=print).start(), "a thread", "env.start_task"),
        (lambda: socket.socket(*()), "a socket", "database handle"),
    ],
)
def test_a_call_out_of_the_simulation_is_refused_with_its_replacement(call, named, replacement):
    """The error names the call, and what env has in its place."""
    with guard(), pytest.raises(ScenarioError) as caught:
        call()
    assert named in caught.value.message
    assert replacement in caught.value.next_step


def test_everything_is_as_before_after_the_guard():
    """The guarded functions are put back, also after an error."""
    before = (time.time, random.random, os.urandom, ObjectId.__init__, threading.Thread.start)
    with pytest.raises(KeyError), guard():
        raise KeyError
    assert (
        time.time,
        random.random,
        os.urandom,
        ObjectId.__init__,
        threading.Thread.start,
    ) == before
    assert ObjectId() != ObjectId()


def test_seeded_randomness_and_given_ids_are_allowed():
    """What is a function of the seed goes on to work."""
    with guard():
        assert random.Random(7).random() == random.Random(7).random()
        assert str(ObjectId("64b000000000000000000001")) == "64b000000000000000000001"


def test_other_threads_are_left_alone():
    """A progress display may look at the clock while a run is simulated."""
    seen = []
    started, go_on = threading.Event(), threading.Event()

    def look():
        started.set()
        go_on.wait(5)
        seen.append(time.time())

    thread = threading.Thread(target=look)
    thread.start()
    started.wait(5)
    with guard():
        go_on.set()
        thread.join()
    assert seen


def test_the_clock_of_datetime_is_refused_in_the_modules_of_the_scenario():
    """datetime.now() of a scenario file is refused; its dates stay plain dates."""
    module = types.ModuleType("scenario_of_a_user")
    exec("import datetime\nfrom datetime import datetime as dt", vars(module))
    with guard(module):
        made = module.datetime.datetime(2024, 1, 2, tzinfo=module.datetime.UTC)
        assert type(made) is datetime.datetime
        assert isinstance(made, module.dt)
        for call in (module.datetime.datetime.now, module.dt.utcnow, module.dt.today):
            with pytest.raises(ScenarioError, match="datetime"):
                call()
    assert module.datetime is datetime
    assert module.dt is datetime.datetime
