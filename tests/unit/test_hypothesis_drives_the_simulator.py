"""Hypothesis draws what clients do and where faults strike; the simulator runs it and says what broke."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.explore.hypothesis_strategies import cases
from harness.run.simulated.program import make_program

INCREMENTS = {
    "increment": st.fixed_dictionaries(
        {"document": st.sampled_from(["document-0", "document-1"]), "token": st.uuids().map(str)}
    )
}
SIZE = {"clients": 3, "client_groups": 1, "operations": 30, "members": 3, "strikes": 2}
QUICK = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


def program_of(variant, fault):
    return make_program(seed=0, scenario="optimistic_lock", variant=variant, setting="default", fault=fault, **SIZE)


@QUICK
@given(case=cases(INCREMENTS, faults=["kill-primary"]))
def test_a_sound_pattern_stands_whatever_is_drawn(case):
    """No workload and no strike that Hypothesis draws breaks the hardened variant."""
    execution = program_of("hardened", "kill-primary").execute(case.workload, case.strategy())
    assert execution.status != "violated", execution.story


def test_an_unsound_pattern_is_found_and_shrunk():
    """Hypothesis finds a lost update of the published variant, and shrinks it to two operations."""
    found = []

    @QUICK
    @given(case=cases(INCREMENTS, most_turns=3))
    def holds(case):
        execution = program_of("published", "none").execute(case.workload, case.strategy())
        if execution.status == "violated":
            found.append(len(case.workload))
            raise AssertionError(execution.story)

    with pytest.raises(AssertionError):
        holds()
    assert found[-1] == 2


def test_the_example_of_the_documentation_runs(tmp_path):
    """The how-to's code is a test that passes as it stands."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "test-with-hypothesis.md"
    [code] = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names = {}
    exec(
        compile(code.replace("settings(deadline=None)", "settings(deadline=None, max_examples=5)"), str(page), "exec"),
        names,
    )
    names["test_no_update_is_lost"]()
