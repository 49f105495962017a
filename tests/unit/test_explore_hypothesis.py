"""Hypothesis strategies: ``@given`` draws workloads and schedules, a toy executes them, and failures shrink."""

from __future__ import annotations

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from toy_programs import Counter, Register

from harness.explore.hypothesis_strategies import Case, cases, fault_schedules, schedules, workloads
from harness.explore.program import Workload, check_workload

INCREMENTS = {"increment": st.fixed_dictionaries({"counter": st.sampled_from("ab")})}
WRITES = {"write": st.fixed_dictionaries({"value": st.sampled_from("abc")})}
QUIET = settings(max_examples=60, deadline=None, database=None)


@given(workloads(INCREMENTS, clients=3, most_operations=4))
@QUIET
def test_workloads_are_well_formed(workload: Workload) -> None:
    """Clients, calls and ids are as they are in any workload."""
    check_workload(workload)
    assert 1 <= len(workload.clients) <= 3
    assert all(1 <= len(workload.of(client)) <= 4 for client in workload.clients)
    assert all(item.call.function == "increment" for item in workload)


@pytest.mark.slow
@given(cases(INCREMENTS, clients=1))
@QUIET
def test_a_pattern_that_is_sound_holds_for_every_case(case: Case) -> None:
    """One client alone loses no update, whatever is drawn."""
    assert Counter().execute(case.workload, case.strategy()).status == "holds"


@pytest.mark.slow
def test_a_race_is_found_and_shrunk_by_hypothesis() -> None:
    """The lost update is found as two calls on one counter with one turn."""
    case = find(
        cases(INCREMENTS, clients=2, most_operations=2),
        lambda drawn: Counter().execute(drawn.workload, drawn.strategy()).status == "violated",
        settings=settings(max_examples=2_000, deadline=None, database=None),
    )
    assert len(case.workload) == 2
    assert len(case.deviations) == 1


@pytest.mark.slow
def test_a_fault_is_found_and_shrunk_by_hypothesis() -> None:
    """The lost write is found as one call and one failover."""
    case = find(
        cases(WRITES, faults=("lost-reply", "failover"), clients=2, most_turns=1),
        lambda drawn: Register().execute(drawn.workload, drawn.strategy()).status == "violated",
        settings=settings(max_examples=2_000, deadline=None, database=None),
    )
    assert len(case.workload) == 1
    assert [(site.kind, label) for site, label in case.deviations] == [("fault", "failover")]


@pytest.mark.slow
@given(st.data())
@QUIET
def test_deviations_are_of_operations_of_the_workload(data: st.DataObject) -> None:
    """Strikes and turns name operations and tasks that are there."""
    workload = Counter(3, 2).workload()
    strikes = data.draw(fault_schedules(workload, ["kill-primary"], most_strikes=2))
    turns = data.draw(schedules(workload, most_turns=3))
    assert len(strikes) <= 2
    assert len(turns) <= 3
    assert {site.operation for site, _ in (*strikes, *turns)} <= set(workload.ids)
    assert {label for _, label in turns} <= {"client 0", "client 1", "client 2", "time"}
    assert all(label != site.task for site, label in turns)
