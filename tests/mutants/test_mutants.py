"""Wrong servers are caught, each by what its clients see; the right server shows nothing over the same seeds."""

from __future__ import annotations

import dataclasses

import pytest
from wrong_servers import BROKEN_INVARIANT, MUTANTS, Mutant, found_by

from harness.scenario.load import load_scenario
from harness.settings import parse_settings
from harness.sim.server.defects import Defects

BY_DEFECT = [pytest.param(mutant, id=mutant.defect) for mutant in MUTANTS]
NOTICED = [pytest.param(mutant, id=mutant.defect) for mutant in MUTANTS if mutant.breaks_invariant]


def test_every_defect_of_the_simulated_servers_has_its_cell():
    """No switch is without a cell that catches it."""
    assert sorted(mutant.defect for mutant in MUTANTS) == sorted(field.name for field in dataclasses.fields(Defects))


def test_scenarios_that_catch_a_wrong_server_are_declared_to_hold():
    """Where a shipped scenario is the witness, its own table says that the cell holds."""
    for mutant in MUTANTS:
        if mutant.is_probe:
            continue
        scenario = load_scenario(mutant.scenario).scenario
        expected = scenario.expectation(mutant.variant, parse_settings(mutant.setting), mutant.fault)
        assert expected is not None, mutant.defect
        assert expected.verdict == "holds", mutant.defect


@pytest.mark.slow
@pytest.mark.parametrize("mutant", BY_DEFECT)
def test_the_right_server_shows_nothing(mutant: Mutant):
    """Without the defect, no seed of its cell has an anomaly, but for what is documented of right servers."""
    runner = mutant.runner(wrong=False)
    found = {seed: found_by(runner, seed) - mutant.documented for seed in range(mutant.seeds)}
    assert {seed: kinds for seed, kinds in found.items() if kinds} == {}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", BY_DEFECT)
def test_the_wrong_server_is_caught(mutant: Mutant):
    """With the defect, one of the same seeds shows the anomaly that it causes."""
    runner = mutant.runner(wrong=True)
    assert any(mutant.anomaly in found_by(runner, seed) for seed in range(mutant.seeds))


@pytest.mark.slow
@pytest.mark.parametrize("mutant", NOTICED)
def test_the_invariants_notice_it_too(mutant: Mutant):
    """Where a defect breaks a promise of replica sets, the simulated set says so itself and ends the run."""
    runner = mutant.runner(wrong=True, check_invariants=True)
    assert any(found_by(runner, seed) == {BROKEN_INVARIANT} for seed in range(mutant.seeds))
