"""A search that ends runs at known states comes to every outcome of the one that executes every run."""

from __future__ import annotations

from pathlib import Path

import pytest
from searched_cells import READ_MODIFY_WRITE, bounds_of, cell_of, outcomes_of

from harness.explore.bounds import Bounds
from harness.run.simulated.cell import SimulatedCell

ZOO = Path(__file__).parents[1] / "zoo" / "scenarios"
ANY = None

CELLS: dict[str, tuple[SimulatedCell, Bounds]] = {
    "no bound": (cell_of(READ_MODIFY_WRITE, "w=1", operations=3), bounds_of(ANY, 0, 0, 0)),
    "majority": (cell_of(READ_MODIFY_WRITE, operations=3), bounds_of(3, 0, 0, 0)),
    "secondary reads": (cell_of(READ_MODIFY_WRITE, "readPreference=secondary", operations=3), bounds_of(1, 0, 0, 1)),
    "majority reads": (cell_of(READ_MODIFY_WRITE, "readConcernLevel=majority"), bounds_of(2, 0, 0, 2)),
    "unacknowledged": (cell_of(READ_MODIFY_WRITE, "w=0", operations=3), bounds_of(2, 0, 0, 0)),
    "killed": (cell_of(READ_MODIFY_WRITE, "w=1", "kill-primary"), bounds_of(1, 1, 1, 0)),
    "killed and lost": (cell_of(READ_MODIFY_WRITE, "w=1", "kill-all"), bounds_of(0, 1, 0, 2)),
    "partition": (cell_of(READ_MODIFY_WRITE, "w=1", "partition-primary"), bounds_of(1, 1, 1, 0)),
    "paused": (cell_of(READ_MODIFY_WRITE, "default", "pause-primary"), bounds_of(1, 1, 0, 0)),
    "step-down": (cell_of(READ_MODIFY_WRITE, "default", "stepdown"), bounds_of(1, 1, 0, 0)),
    "lag": (cell_of(READ_MODIFY_WRITE, "readPreference=secondary", "lag"), bounds_of(1, 1, 0, 1)),
    "lost reply": (cell_of(READ_MODIFY_WRITE, "default", "lost-reply"), bounds_of(2, 1, 0, 0)),
    "crash": (cell_of(READ_MODIFY_WRITE, "default", "crash-client", operations=3), bounds_of(1, 1, 0, 0)),
    "reset": (cell_of(READ_MODIFY_WRITE, "default", "reset"), bounds_of(0, 1, 0, 1)),
    "failpoint": (cell_of(READ_MODIFY_WRITE, fault="failpoint:update:NotWritablePrimary"), bounds_of(2, 1, 0, 0)),
    "real time": (cell_of("immutable_document", operations=4), bounds_of(2, 0, 1, 0)),
    "clock": (cell_of("lww_register", operations=4), bounds_of(2, 0, 1, 0)),
    "waits": (cell_of(str(ZOO / "clock_lease.py")), bounds_of(2, 0, 2, 0)),
    "transactions": (cell_of("transfer", variant="hardened"), bounds_of(2, 0, 1, 0)),
    "lock": (cell_of("optimistic_lock", operations=4), bounds_of(2, 0, 1, 0)),
    "claims": (cell_of("find_and_modify", "w=1", "partition-primary", variant="hardened"), bounds_of(1, 1, 1, 0)),
    "writes": (cell_of("write_concern", "w=1", "partition-primary", operations=3), bounds_of(2, 1, 1, 0)),
    "change streams": (cell_of(str(ZOO / "change_stream.py"), operations=3), bounds_of(1, 0, 1, 0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_hashing_leaves_no_outcome_out(name: str) -> None:
    """Verdicts, final reads and the results of all operations are the same set, with fewer executions."""
    cell, bounds = CELLS[name]
    hashed, found = outcomes_of(cell, bounds, hashing=True)
    naive, expected = outcomes_of(cell, bounds, hashing=False)
    assert hashed.complete
    assert naive.complete
    assert hashed.hashing, hashed.why_not_hashing
    assert found == expected
    assert hashed.executions <= naive.executions
