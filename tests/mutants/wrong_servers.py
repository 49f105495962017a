"""The wrong servers: every switch of ``Defects``, with the cell that shows it and the anomaly that its clients see.

A cell is one of ``scenarios/`` that is declared to hold, or a small probe under ``tests/``, where no scenario looks at
what is broken. The invariants of the simulated set are off, so that a server is caught by what its clients see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import BackendError
from harness.run.judge import kinds_of
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.seeds import SeedRunner
from harness.scenario.load import load_scenario
from harness.sim.server.defects import Defects
from harness.sim.server.errors import SimulatorError

TESTS = Path(__file__).parents[1]
PROBES = TESTS / "mutants" / "scenarios"
CONCERNS = str(TESTS / "semantics" / "scenarios" / "concerns.py")

NEVER_HEALTHY = "never-healthy"
"""The set did not come to have one primary that all follow, two minutes after every fault was undone."""
BROKEN_INVARIANT = "broken-invariant"
"""The simulated set noticed by itself that it broke one of its promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A wrong server: the switch, the cell that catches it, and the anomaly that is found within ``seeds`` seeds."""

    defect: str
    scenario: str
    variant: str
    setting: str = "default"
    fault: str = "none"
    anomaly: str
    seeds: int
    size: Mapping[str, int] = field(default_factory=dict)
    """Clients, operations and strikes, where they are not the usual ones."""
    documented: frozenset[str] = frozenset()
    """Anomalies that the right server shows in this cell as well, and may."""
    breaks_invariant: bool = False
    """Whether the invariants notice it too."""

    @property
    def cell_in_words(self) -> str:
        """The cell, and the size of its runs where that is special."""
        source = Path(self.scenario).stem
        size = "".join(f", {value} {name}" for name, value in self.size.items())
        return f"{source} {self.variant} {self.setting} {self.fault}{size}"

    @property
    def is_probe(self) -> bool:
        """Whether its scenario is a probe under ``tests/``."""
        return self.scenario.endswith(".py")

    def runner(self, *, wrong: bool, check_invariants: bool = False) -> SeedRunner:
        """Return what runs seeds of its cell, on the wrong server or on the right one."""
        names = self.fault.split("+")
        cell = SimulatedCell(
            loaded=load_scenario(self.scenario),
            variant=self.variant,
            setting=self.setting,
            faults=() if names == ["none"] else tuple(names),
            defects=self.defects(wrong=wrong),
            check_invariants=check_invariants,
            **self.size,
        )
        return SeedRunner(cell=cell)

    def defects(self, *, wrong: bool) -> Defects:
        """Return the defects of the wrong server, or those of the server that it is compared with."""
        return dataclasses.replace(Defects(), **{self.defect: wrong})


def found_by(runner: SeedRunner, seed: int) -> frozenset[str]:
    """Return the kinds of anomaly that a seed shows."""
    try:
        return frozenset(kinds_of(runner.judge(seed).verdict))
    except SimulatorError:
        return frozenset({BROKEN_INVARIANT})
    except BackendError as error:
        if "was not healthy" not in error.message:
            raise
        return frozenset({NEVER_HEALTHY})


def probe(name: str) -> str:
    """Return the file of a probe scenario."""
    return str(PROBES / f"{name}.py")


STALE = frozenset({"stale-read"})
"""Causal sessions promise nothing of what other clients wrote."""

MUTANTS = (
    Mutant(
        defect="noop_majority_acknowledgement",
        scenario=probe("touch"),
        variant="register",
        fault="pause-primary",
        anomaly="stale-read",
        seeds=40,
        size={"strikes": 4},
    ),
    Mutant(
        defect="commit_point_from_one_member",
        scenario="write_concern",
        variant="published",
        fault="partition-primary",
        anomaly="lost-write",
        seeds=5,
        breaks_invariant=True,
    ),
    Mutant(
        defect="majority_acknowledged_at_once",
        scenario="write_concern",
        variant="published",
        fault="partition-primary",
        anomaly="lost-write",
        seeds=5,
    ),
    Mutant(
        defect="journal_ignored",
        scenario="write_concern",
        variant="hardened",
        setting="w=majority",
        fault="kill-all",
        anomaly="lost-write",
        seeds=40,
    ),
    Mutant(
        defect="votes_twice",
        scenario="optimistic_lock",
        variant="hardened",
        fault="partition-primary",
        anomaly="lost-update",
        seeds=40,
        breaks_invariant=True,
    ),
    Mutant(
        defect="candidate_behind_elected",
        scenario="optimistic_lock",
        variant="hardened",
        fault="partition-primary",
        anomaly="lost-update",
        seeds=40,
        breaks_invariant=True,
    ),
    Mutant(
        defect="no_catch_up",
        scenario=probe("copies"),
        variant="documents",
        setting="w=1",
        fault="stepdown",
        anomaly="lost-write",
        seeds=60,
        size={"strikes": 4},
    ),
    Mutant(
        defect="rollback_keeps_document",
        scenario=probe("copies"),
        variant="documents",
        fault="partition-primary",
        anomaly="members-differ",
        seeds=60,
    ),
    Mutant(
        defect="retry_record_kept_in_rollback",
        scenario=probe("confirmed_commit"),
        variant="confirmed",
        fault="partition-primary+stepdown",
        anomaly="lost-write",
        seeds=30,
        size={"strikes": 4, "operations": 9},
    ),
    Mutant(
        defect="majority_read_from_future",
        scenario=CONCERNS,
        variant="causal",
        setting="w=majority,readConcernLevel=majority",
        fault="partition-primary",
        anomaly="went-back",
        seeds=30,
        documented=STALE,
    ),
    Mutant(
        defect="stale_majority_read",
        scenario=CONCERNS,
        variant="causal",
        setting="w=majority,readConcernLevel=majority",
        anomaly="own-write-missing",
        seeds=5,
    ),
    Mutant(
        defect="after_cluster_time_ignored",
        scenario=CONCERNS,
        variant="causal",
        setting="w=majority,readConcernLevel=majority,readPreference=secondary",
        anomaly="own-write-missing",
        seeds=20,
        documented=STALE,
    ),
    Mutant(
        defect="linearizable_read_without_quorum",
        scenario=CONCERNS,
        variant="plain",
        setting="w=majority,readConcernLevel=linearizable",
        fault="partition-primary",
        anomaly="went-back",
        seeds=30,
    ),
    Mutant(
        defect="step_down_keeps_writing",
        scenario="write_concern",
        variant="published",
        fault="partition-primary",
        anomaly=NEVER_HEALTHY,
        seeds=5,
    ),
    Mutant(
        defect="retry_applies_twice",
        scenario=probe("counter"),
        variant="counters",
        fault="lost-reply",
        anomaly="doubled-update",
        seeds=5,
    ),
    Mutant(
        defect="unique_check_dropped",
        scenario="lww_register",
        variant="hardened",
        anomaly="lower-write-won",
        seeds=10,
    ),
    Mutant(
        defect="transaction_ignores_conflicts",
        scenario="transfer",
        variant="hardened",
        anomaly="money-vanished",
        seeds=15,
    ),
    Mutant(
        defect="transaction_reads_past_snapshot",
        scenario=probe("pair"),
        variant="pair",
        anomaly="torn-read",
        seeds=10,
    ),
    Mutant(
        defect="aborted_transaction_leaves_write",
        scenario="transfer",
        variant="hardened",
        anomaly="money-vanished",
        seeds=5,
    ),
    Mutant(
        defect="change_stream_shows_uncommitted",
        scenario=probe("feed"),
        variant="feed",
        setting="w=1",
        fault="partition-primary",
        anomaly="uncommitted-event",
        seeds=10,
    ),
    Mutant(
        defect="change_stream_skips_event",
        scenario=probe("feed"),
        variant="feed",
        anomaly="skipped-event",
        seeds=5,
    ),
    Mutant(
        defect="update_many_stops_early",
        scenario="write_concern",
        variant="published",
        anomaly="lost-write",
        seeds=5,
    ),
    Mutant(
        defect="find_and_modify_skips_recheck",
        scenario="optimistic_lock",
        variant="hardened",
        anomaly="lost-update",
        seeds=15,
    ),
    Mutant(
        defect="upsert_duplicates",
        scenario="lww_register",
        variant="hardened",
        anomaly="lower-write-won",
        seeds=10,
    ),
    Mutant(
        defect="ttl_deletes_unexpired",
        scenario=probe("expiry"),
        variant="expiring",
        anomaly="lost-write",
        seeds=5,
    ),
    Mutant(
        defect="wtimeout_reported_as_not_applied",
        scenario="write_concern",
        variant="published",
        setting="w=3,wtimeoutMS=1000",
        fault="lag",
        anomaly="failed-yet-applied",
        seeds=10,
    ),
)
