"""Every fault has a simulated twin that shows its effect; a twin that does nothing shows none."""

from __future__ import annotations

import dataclasses

import pytest

from harness.faults.catalogue import FAULTS
from harness.run.simulated import execute
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.seeds import SeedRunner
from harness.run.simulated.strikes import TWINS, twins_of
from harness.scenario.load import load_scenario

WRITES = load_scenario("write_concern")
SEEDS = range(6)
TRANSFER = load_scenario("transfer")
FAILPOINTS = (
    "failpoint:insert:NotWritablePrimary",
    "failpoint:insert:close",
    "failpoint:insert:write-concern:64",
    "failpoint:insert:lost-reply",
)


def runner_of(fault, loaded=WRITES):
    return SeedRunner(
        cell=SimulatedCell(
            loaded=loaded,
            variant="published",
            setting="default",
            faults=(fault,),
            operations=18,
            client_groups=2 if fault == "split-clients" else 1,
        )
    )


def windows_of(runner):
    return [window for seed in SEEDS for window in runner.judge(seed).run.history.fault_windows]


def test_every_named_fault_has_a_twin():
    """The catalogue of real faults and that of the simulator have the same names."""
    assert set(TWINS) == set(FAULTS)


@pytest.mark.parametrize("fault", [*TWINS, *FAILPOINTS])
def test_a_strike_is_seen_by_an_observer(fault):
    """At least one of its strikes within a few seeds has an effect, told in words, with targets."""
    effective = [window for window in windows_of(runner_of(fault)) if window.effective]
    assert effective
    assert all(window.targets for window in effective)
    assert all(effect.description for window in effective for effect in window.effects)


@pytest.mark.parametrize("fault", [*TWINS, *FAILPOINTS])
def test_a_strike_that_does_nothing_has_no_effect(fault, monkeypatch):
    """Where the injector does nothing, no observer sees an effect, however often it strikes."""

    def idle(names):
        return tuple(
            dataclasses.replace(twin, inject=lambda _stage, _aim: None, heal=lambda _stage, _aim: None, each=None)
            for twin in twins_of(names)
        )

    if fault == "crash-client":
        monkeypatch.setattr("harness.sim.driver.Recorder.arm_crash", lambda _recorder: None)
    monkeypatch.setattr(execute, "twins_of", idle)
    assert not any(window.effective for window in windows_of(runner_of(fault)))


def test_the_reply_of_a_commit_is_lost_as_that_of_a_write():
    """The failpoint of mongod meets commits of transactions: strikes have an effect where nothing else is retryable."""
    windows = windows_of(runner_of("failpoint:commitTransaction:lost-reply", TRANSFER))
    assert any(window.effective for window in windows)


def test_strikes_are_places_in_the_trace():
    """A strike is a choice of the client whose message it met, so replay and shrinking know where it belongs."""
    judged = runner_of("kill-primary").judge(1)
    strikes = [deviation for deviation in judged.run.deviations if deviation.site.kind == "fault"]
    assert len(strikes) == len(judged.run.history.fault_windows)
    assert all(strike.site.task.startswith("client") and strike.site.operation for strike in strikes)


def test_no_more_strikes_than_allowed():
    """The budget of a run is a limit."""
    runner = SeedRunner(
        cell=SimulatedCell(
            loaded=WRITES, variant="published", setting="default", faults=("lost-reply",), operations=30, strikes=1
        )
    )
    assert {len(runner.judge(seed).run.history.fault_windows) for seed in range(8)} <= {0, 1}
