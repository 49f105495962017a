"""A search that tells states apart reaches what the one that executes everything reaches."""

from __future__ import annotations

import pytest

from harness.explore.bounds import Bounds
from harness.explore.exhaustive import search
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import Simulator, draw_workload
from harness.run.simulated.program import SeedProgram
from harness.run.simulated.states import Keys
from harness.scenario.load import load_scenario


@pytest.mark.parametrize(
    ("name", "variant", "setting", "fault", "operations"),
    [
        ("optimistic_lock", "published", "default", "none", 4),
        ("write_concern", "published", "w=1", "partition-primary", 3),
        ("find_and_modify", "hardened", "w=1", "partition-primary", 3),
        ("lww_register", "published", "default", "none", 3),
    ],
)
def test_known_states_hide_no_verdict_and_no_final_state(name, variant, setting, fault, operations):
    """Verdicts, kinds of anomaly and final reads are the same with and without hashing; fewer runs are executed."""
    faults = () if fault == "none" else (fault,)
    cell = SimulatedCell(
        loaded=load_scenario(name),
        variant=variant,
        setting=setting,
        faults=faults,
        clients=2,
        operations=operations,
        strikes=1,
    )
    simulator, workload = Simulator(cell=cell), draw_workload(cell, 3)
    bounds = Bounds(preemptions=2, faults=len(faults), jumps=1, others=0)

    def reached(keys):
        seen = set()

        def look(execution):
            seen.add((execution.status, execution.anomalies, repr(sorted(execution.history.final.items()))))
            return False

        program = SeedProgram(simulator=simulator, seed=3, name="search", keys=keys)
        found = search(program, workload, bounds, hashing=keys is not None, stop=look)
        assert found.complete
        return seen, found.executions

    everything, naive = reached(None)
    hashed, executions = reached(Keys(keep_log=False))
    assert hashed == everything
    assert executions <= naive
