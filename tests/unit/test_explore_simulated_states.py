"""States of simulated runs: a search that ends runs at known states comes to every outcome of one that does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from searched_cells import READ_MODIFY_WRITE, bounds_of, cell_of, outcomes_of

from harness.explore.exhaustive import search
from harness.explore.program import REAL_TIME_ORDER, Execution
from harness.explore.replay import ReplayStrategy
from harness.interfaces.link import Link
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import Simulator, draw_workload
from harness.run.simulated.exhaustive import search_cell
from harness.run.simulated.program import SeedProgram
from harness.run.simulated.states import ClientTrail, Keys, ObservedNetwork
from harness.sim.driver.selection import SELECTION_TIMEOUT_US
from harness.sim.kernel import DefaultStrategy, Kernel
from harness.sim.kernel.choices import RUN, Label
from harness.sim.server.commands.context import ActiveSession
from harness.sim.server.commands.cursors import ListResults
from harness.sim.server.errors import NetworkFailure
from harness.sim.server.network import Call
from harness.sim.server.records import Change, CollectionData, Data, OplogEntry
from harness.sim.server.topology import Disturbance


def test_hashing_ends_most_runs_of_a_contended_document() -> None:
    """Two clients with two read-modify-writes each have 3,432 interleavings; 66 executions find all 15 outcomes."""
    cell = cell_of(READ_MODIFY_WRITE, "w=1", operations=4)
    result, found = outcomes_of(cell, bounds_of(None, 0, 0, 0), hashing=True)
    assert result.complete
    assert {status for status, *_ in found} == {"holds", "violated"}
    assert result.executions < 100
    assert len(found) == 15


class Watching(DefaultStrategy):
    """Notes the key of every state in which a task is chosen, and which orders the keys keep."""

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.keeps: frozenset[str] = frozenset()

    def begin(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        state_keys = self.kernel.state_keys
        if kind == RUN and state_keys is not None:
            self.keys.append(state_keys.key(self.kernel.current.name))
            self.keeps = state_keys.keeps
        return super().choose(kind, options, default, footprints)


def watched(cell: SimulatedCell, keys: Keys | None) -> tuple[Watching, Execution]:
    watching = Watching()
    program = SeedProgram(simulator=Simulator(cell=cell), seed=0, keys=keys)
    return watching, program.execute(program.workload(), watching)


def test_keys_are_those_of_the_state_and_change_nothing() -> None:
    """The same run has the same keys again, all of them different, and the digest of a run without keys."""
    cell = cell_of("transfer", operations=4)
    first, execution = watched(cell, Keys())
    second, _ = watched(cell, Keys())
    _, plain = watched(cell, None)
    assert first.keys == second.keys
    assert len(set(first.keys)) == len(first.keys) > 10
    assert all(0 <= key < 1 << 128 for key in first.keys)
    assert execution.digest == plain.digest


@pytest.mark.parametrize(
    ("scenario", "keeps"),
    [("optimistic_lock", {REAL_TIME_ORDER}), (READ_MODIFY_WRITE, set())],
    ids=["real time", "results alone"],
)
def test_real_time_order_is_kept_for_checkers_that_need_it(scenario: str, keeps: set[str]) -> None:
    """Where a checker judges by real time, the keys say that they keep it; elsewhere they do not pay for it."""
    watching, _ = watched(cell_of(scenario), Keys())
    assert watching.keeps == keeps


def test_states_are_not_hashed_for_a_checker_that_may_look_at_durations(tmp_path: Path) -> None:
    """A checker that says nothing of itself may judge by any time: no run ends early on its behalf."""
    path = tmp_path / "undeclared.py"
    source = Path(READ_MODIFY_WRITE).read_text()
    path.write_text(source + UNDECLARED)
    cell = cell_of(str(path), operations=4)
    found = search_cell(cell, draw_workload(cell, 0), bounds_of(1, 0, 0, 0))
    assert found.complete
    assert found.abandoned == 0
    assert "a checker needs real-time-order, real-times" in found.describe()


def test_a_violation_that_was_found_by_hashing_is_done_again_by_its_trace() -> None:
    """The trace of an execution of the search gives the same digest in a run that knows nothing of keys."""
    cell = cell_of(READ_MODIFY_WRITE, "w=1", operations=4)
    workload = draw_workload(cell, 0)
    (violation,) = search_cell(cell, workload, bounds_of(1, 0, 0, 0)).violations
    strategy = ReplayStrategy(violation.deviations)
    again = SeedProgram(simulator=Simulator(cell=cell), seed=0).execute(workload, strategy)
    assert strategy.unapplied == ()
    assert again.digest == violation.digest


UNDECLARED = """

from dataclasses import replace

SCENARIO = replace(SCENARIO, checkers=tuple(replace(one, ignores_real_time=False) for one in SCENARIO.checkers))
"""

STEPS_DOWN = """
import itertools
from harness import Call, Scenario
from harness.checkers import unexpected_errors

class Counter:
    def __init__(self, database, *, env):
        self._database = database

    async def step_down(self):
        await self._database.client.admin.command("replSetStepDown", 5)

    async def count_up(self):
        await self._database["documents"].update_one({"_id": 0}, {"$inc": {"count": 1}})

async def step_down(context):
    return await context.pattern.step_down()

async def count_up(context):
    return await context.pattern.count_up()

def workload(random, client):
    return itertools.repeat(Call(function="count_up" if client else "step_down"))

async def setup(context):
    await context.database["documents"].insert_one({"_id": 0, "count": 0})

SCENARIO = Scenario(
    name="steps_down", contract="c", section="s", variants={"published": Counter},
    operations={"step_down": step_down, "count_up": count_up},
    workload=workload, setup=setup, checkers=(unexpected_errors(),),
)
"""


@pytest.mark.slow
def test_a_client_that_changes_the_set_is_noticed(tmp_path: Path) -> None:
    """What was searched by keys that take the set for steady is searched again by keys that do not."""
    path = tmp_path / "steps_down.py"
    path.write_text(STEPS_DOWN)
    cell = cell_of(str(path), operations=4)
    bounds = bounds_of(1, 0, 0, 0)
    searched = []
    for keys in (Keys(), Keys(steady=False)):
        program = SeedProgram(simulator=Simulator(cell=cell), seed=0, keys=keys)
        searched.append(search(program, program.workload(), bounds).executions)
        assert keys.was_wrong is keys.steady
    steady, careful = searched
    found = search_cell(cell, draw_workload(cell, 0), bounds)
    assert found.complete
    assert found.executions == careful > steady


class Enough(BaseException):
    """Ends a run that was looked at."""


class Touching(DefaultStrategy):
    """Touches the state of a run at one of its choices, and notes the keys before and after."""

    def __init__(self, touch: Callable[[Any, Any, Any], object]) -> None:
        self.touch = touch
        self.keys: list[int] = []
        self.choices = 0

    def begin(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        self.choices += kind == RUN
        if kind != RUN or self.choices < 8:
            return default
        state_keys: Any = self.kernel.state_keys
        states = state_keys.key.__self__
        self.keys.append(states.key(""))
        self.touch(states, states.trail_of(0), self.kernel.tasks[0])
        self.keys.append(states.key(""))
        raise Enough


async def nothing() -> None:
    return None


def let_time_pass(states: Any, _trail: Any, _task: Any) -> None:
    states._kernel.now_us += 1


def open_session(states: Any, _trail: Any, _task: Any) -> None:
    state = states._service.state(states._set.primary)
    state.sessions["s"] = ActiveSession(7, was_transaction=False)


def claim(states: Any, _trail: Any, _task: Any) -> None:
    state = states._service.state(states._set.primary)
    state.claims["run.documents", "", "document-0"] = SimpleNamespace(session="s", number=7)


def open_cursor(states: Any, _trail: Any, _task: Any) -> None:
    results = ListResults([{"_id": 1}])
    cursor = SimpleNamespace(number=1, namespace="run.documents", session="", transaction_number=-1, results=results)
    states._service.state(states._set.primary).cursors[1] = cursor


def write_noop(states: Any, _trail: Any, _task: Any) -> None:
    primary = states._set.primary
    states._set.write(primary, primary.last.data, ())


def change_a_document(states: Any, _trail: Any, _task: Any) -> None:
    """Put an entry in the place of the last that differs in one document alone."""
    primary = states._set.primary
    last = primary.last
    collection = last.data.collections["run.documents"]
    documents = {**collection.documents, "document-0": {"_id": "document-0"}}
    data = Data(
        collections={"run.documents": CollectionData(uuid=collection.uuid, documents=documents)},
        sessions=last.data.sessions,
    )
    change = Change(kind="replace", namespace="run.documents", document=documents["document-0"])
    primary.last = OplogEntry(
        index=last.index,
        term=last.term,
        timestamp=last.timestamp,
        wall_us=last.wall_us,
        data=data,
        changes=(change,),
        previous=last.previous,
        at_us=last.at_us,
    )


def suspend(states: Any, _trail: Any, task: Any) -> None:
    states._network.suspended[task] = Call(states._set.primary, {"ping": 1}, 1)


def wait(_states: Any, trail: Any, task: Any) -> None:
    task.ready = False
    trail.stepped(task)
    trail._tasks[task.number] -= 1
    task.ready = True


def fail(_states: Any, _trail: Any, task: Any) -> None:
    task.pending_error = NetworkFailure("reset", member="m1", sent=True)


PRIMARY_LINK = (Link("clients", "m1"),)
DELAY = Disturbance(kind="delay", delay_us=1)
FAIL_POINT = {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": {}}

TOUCHES: dict[str, Callable[[Any, Any, Any], object]] = {
    "virtual time": let_time_pass,
    "a timer": lambda states, _trail, _task: states._kernel.call_at(states._kernel.now_us + 1, "timer", list),
    "a task": lambda states, _trail, _task: states._kernel.spawn("another", nothing(), vital=False),
    "an error that a task is about to get": fail,
    "a suspended command": suspend,
    "the log": write_noop,
    "a document": change_a_document,
    "a link that is cut": lambda states, _trail, _task: states._set.topology.cut(PRIMARY_LINK),
    "a link that is disturbed": lambda states, _trail, _task: states._set.topology.disturb(PRIMARY_LINK, DELAY),
    "a session": open_session,
    "a claim of a transaction": claim,
    "a cursor": open_cursor,
    "a fail point": lambda states, _trail, _task: states._service.fail_points.configure("m1", FAIL_POINT),
    "a number that was given": lambda states, _trail, _task: states._service.next_number(),
    "strikes that are left": lambda states, _trail, _task: setattr(states._nemesis, "_left", 5),
    "what a client got": lambda _states, trail, _task: trail.note("something"),
    "how far a client is": lambda _states, trail, task: trail.stepped(task),
    "when an operation began": lambda _states, trail, _task: trail.begins(),
    "how many operations ended": lambda _states, trail, _task: trail.ends(trail.process),
    "the process of a client": lambda _states, trail, _task: setattr(trail, "process", 9),
    "whom a client asks": lambda _states, trail, task: trail.asks(task, "m2"),
    "since when a client asks": lambda _states, trail, task: trail.sends(task),
    "since when a client waits": wait,
    "a crash that is armed": lambda _states, trail, _task: trail.recorder.arm_crash(),
    "whom a client takes for primary": lambda _states, trail, _task: setattr(trail.handle.topology, "_primary", "m2"),
    "a member that a client lost sight of": lambda states, trail, _task: trail.handle.topology._blind.update(
        m2=(states._kernel.now_us + 1, "gone")
    ),
}


@pytest.mark.parametrize("name", TOUCHES)
def test_every_part_of_a_state_is_in_its_key(name: str) -> None:
    """What decides how a run goes on changes the key, even where nothing else has changed yet."""
    touching = Touching(TOUCHES[name])
    cell = cell_of("optimistic_lock", fault="kill-primary", operations=4)
    program = SeedProgram(simulator=Simulator(cell=cell), seed=0, keys=Keys())
    with pytest.raises(Enough):
        program.execute(program.workload(), touching)
    before, after = touching.keys
    assert before != after


class Silence(DefaultStrategy):
    """Notes whether the step before each choice of a task was silent, and whether it still is after a timer."""

    def __init__(self) -> None:
        self.noted: list[tuple[bool, bool]] = []

    def begin(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        kernel = self.kernel
        if kind == RUN and kernel.state_keys is not None and kernel.after_step is not None:
            silent = kernel.state_keys.was_silent()
            kernel.after_step()
            self.noted.append((silent, kernel.state_keys.was_silent()))
        return default


@pytest.mark.parametrize(
    ("scenario", "fault", "steady", "begins_silently"),
    [
        (READ_MODIFY_WRITE, "", True, True),
        ("optimistic_lock", "", True, False),
        (READ_MODIFY_WRITE, "kill-primary", True, False),
        (READ_MODIFY_WRITE, "", False, False),
    ],
    ids=["results alone", "real time", "a strike may come", "a client may change the set"],
)
def test_a_step_is_silent_that_only_begins_an_operation(
    scenario: str, fault: str, steady: bool, begins_silently: bool
) -> None:
    """Unless real time counts, another may change meanwhile whom it would ask, or a timer fired after it."""
    silence = Silence()
    cell = cell_of(scenario, fault=fault, operations=4)
    program = SeedProgram(simulator=Simulator(cell=cell), seed=0, keys=Keys(steady=steady))
    program.execute(program.workload(), silence)
    assert any(silent for silent, _ in silence.noted) is begins_silently
    assert not all(silent for silent, _ in silence.noted)
    assert not any(after_timer for _, after_timer in silence.noted)


@pytest.mark.parametrize(("waited_us", "is_known"), [(SELECTION_TIMEOUT_US - 1, False), (SELECTION_TIMEOUT_US, True)])
def test_a_wait_for_a_member_that_may_have_been_given_up_is_something_that_a_client_got(
    waited_us: int, is_known: bool
) -> None:
    """A wait that ended with a member leaves no trail beyond the command that follows; one that went on longer does."""
    kernel = Kernel()
    task: Any = SimpleNamespace(number=1, name="client 0", done=False, ready=False)
    trails = []
    for waits in (False, True):
        trail = ClientTrail(0, kernel, None)
        kernel.now_us = 0
        if waits:
            trail.stepped(task)
            kernel.now_us = waited_us
        trail.asks(task, "m1")
        trails.append(trail.key)
    assert (trails[0] != trails[1]) is is_known


def test_no_step_is_silent_but_one_that_began_an_operation() -> None:
    """A step inside a command touches the servers, even where the client neither sends nor gets anything in it."""
    trail = ClientTrail(0, Kernel(), None, lambda: False)
    task: Any = SimpleNamespace(number=1, name="client 0", done=False, ready=True)
    trail.stepped(task)
    assert not trail.stepped(task)
    trail.begins()
    assert trail.stepped(task)
    assert not trail.stepped(task)
    trail.begins()
    trail.looks()
    assert not trail.stepped(task)


class FailingNetwork:
    """Answers by the given failure, or by an empty reply."""

    kernel = Kernel()

    def __init__(self, failure: NetworkFailure | None) -> None:
        self.failure = failure

    async def request(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        return {}


def test_a_failure_is_something_that_a_client_got() -> None:
    """Each failure, and each member that was asked, leaves a trail of its own."""
    seen = set()
    failures = [
        NetworkFailure("reset", member="m1", sent=True),
        NetworkFailure("reset", member="m1", sent=False),
        NetworkFailure("timeout", member="m1", sent=True),
        NetworkFailure("reset", member="m2", sent=True),
        None,
    ]
    for failure in failures:
        network: Any = FailingNetwork(failure)
        trail = ClientTrail(0, network.kernel, None)
        request = ObservedNetwork(network, trail).request("clients", "m1", {}, connection=1, deadline_us=None)
        with pytest.raises((NetworkFailure, StopIteration)):
            request.send(None)
        seen.add(trail.key)
    assert len(seen) == len(failures)
