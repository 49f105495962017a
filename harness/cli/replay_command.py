"""``harness replay``: a simulated run done again, event for event."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from harness import store
from harness.cli.cell_options import CellOptions
from harness.cli.output import show_run
from harness.errors import HarnessError
from harness.run.simulated.seeds import SeedRunner
from harness.run.simulated.stored import replay as replay_stored


def replay(
    what: Annotated[str, Parameter(name="RUN", help="A stored simulated run, or with --seed a scenario.")],
    /,
    *,
    options: CellOptions | None = None,
    seed: Annotated[int | None, Parameter(show_default=False, help="Do the run of this seed of the cell.")] = None,
    events: Annotated[bool, Parameter(negative="", help="Print every choice of the run, one line each.")] = False,
) -> int:
    """Do a simulated run again, and compare it with its record.

    A stored run is done again by its trace, and must come out identical, event for event (its digest says so). A seed
    needs the cell and the size of its run as they were.

    For example:

        harness replay 20261125-031500-1a2b-3c4d5e-001

        harness replay write_concern --setting w=1 --fault partition-primary --seed 7
    """
    chosen = options or CellOptions()
    console = Console(stderr=True)
    if seed is not None:
        judged = SeedRunner(cell=chosen.cell(what)).judge(seed, keep_events=True)
        return show_run(judged, console, events=events)
    facts, judged, strategy = replay_stored(store.find(chosen.runs, what))
    code = show_run(judged, console, events=events)
    recorded = facts.simulation.digest if facts.simulation else ""
    if judged.digest == recorded:
        console.print(f"identical to the record, event for event (digest {recorded})", highlight=False)
        return code
    divergence = strategy.first_divergence
    where = divergence.describe() if divergence else "Every noted choice applied; what the servers did differs."
    raise HarnessError(
        f"the run came out otherwise than recorded (digest {judged.digest}, recorded {recorded}). {where}",
        next_step="the scenario or the harness has changed since: compare with the versions in its run.json",
    )
