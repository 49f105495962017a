"""The zoo: known bugs, each a cell of a scenario or a toy program, with the kind of anomaly by which it is known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from toy_programs import FaultyCounter, Lease, Starvation, WriteSkew

from harness.explore.profile import Profile
from harness.explore.program import Execution, Program
from harness.explore.strategies import learn_profile, make_strategy
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.execute import Simulator
from harness.run.simulated.program import SeedProgram
from harness.scenario.load import load_scenario
from harness.sim.server.defects import Defects

SCENARIOS = Path(__file__).parent / "scenarios"
NO_FAULT = "none"


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A known bug: where it is, and what it shows."""

    name: str
    anomaly: str
    scenario: str = ""
    """A scenario that ships with the harness, else one of the zoo's own."""
    variant: str = "published"
    setting: str = "default"
    fault: str = NO_FAULT
    defect: str = ""
    """What the simulated server does wrong."""
    clients: int = 3
    operations: int = 30
    strikes: int = 2
    toy: Callable[[], Program] | None = None
    """In place of a scenario: what makes the program."""

    @functools.cached_property
    def _simulator(self) -> Simulator:
        own = SCENARIOS / f"{self.scenario}.py"
        cell = SimulatedCell(
            loaded=load_scenario(str(own) if own.exists() else self.scenario),
            variant=self.variant,
            setting=self.setting,
            faults=() if self.fault == NO_FAULT else tuple(self.fault.split("+")),
            clients=self.clients,
            operations=self.operations,
            strikes=self.strikes,
            defects=Defects(**({self.defect: True} if self.defect else {})),
            # A wrong server is to be caught by what clients see.
            check_invariants=not self.defect,
        )
        return Simulator(cell=cell)

    def program(self, seed: int) -> Program:
        """Return the program that draws its workload from ``seed``; a toy draws nothing."""
        return self.toy() if self.toy is not None else SeedProgram(simulator=self._simulator, seed=seed)

    @functools.cached_property
    def _profile(self) -> Profile:
        return learn_profile(self.program(0), strikes=self._most_strikes)

    @property
    def _most_strikes(self) -> int:
        return 0 if self.fault == NO_FAULT else self.strikes

    def execute(self, seed: int, schedule: int) -> Execution:
        """Execute the whole workload of ``seed`` under the schedule of another, or of the same, seed.

        With the same it is the run of ``harness run --backend sim --seed SEED``.
        """
        program = self.program(seed)
        strategy = make_strategy("portfolio", schedule, self._profile, strikes=self._most_strikes)
        return program.execute(program.workload(), strategy)

    def violations(self, seed: int, attempts: int) -> Iterator[tuple[int, Execution]]:
        """Yield schedules, from that of the seed itself on, under which its workload shows the anomaly."""
        for schedule in range(seed, seed + attempts):
            execution = self.execute(seed, schedule)
            if execution.shows(self.anomaly):
                yield schedule, execution

    @property
    def source(self) -> str:
        """``scenarios``, ``patterns``, ``server`` or ``toys``: where the bug is."""
        if self.toy is not None:
            return "toys"
        if self.defect:
            return "server"
        return "patterns" if (SCENARIOS / f"{self.scenario}.py").exists() else "scenarios"

    @property
    def cell(self) -> str:
        """Where it shows, on one line."""
        if self.toy is not None:
            toy = self.toy()
            return f"{type(toy).__name__} {len(toy.workload().clients)} x {len(toy.workload())}"
        words = [self.scenario, self.variant, self.setting, self.fault, self.defect]
        return " ".join([*filter(None, words), f"{self.clients} x {self.operations}"])


_SHIPPED = (
    Bug(name="stale-lock", scenario="optimistic_lock", anomaly="lost-update"),
    Bug(
        name="lock-retried",
        scenario="optimistic_lock",
        setting="retry=application",
        fault="lost-reply",
        anomaly="version-gap",
    ),
    Bug(
        name="lock-rolled-back",
        scenario="optimistic_lock",
        variant="hardened",
        setting="w=1",
        fault="partition-primary",
        anomaly="lost-update",
    ),
    Bug(
        name="version-made-twice",
        scenario="optimistic_lock",
        variant="hardened",
        setting="w=1",
        fault="partition-primary",
        anomaly="duplicate-version",
    ),
    Bug(
        name="order-claimed-twice",
        scenario="find_and_modify",
        setting="w=1",
        fault="partition-primary",
        anomaly="double-claim",
    ),
    Bug(
        name="order-nobody-has",
        scenario="find_and_modify",
        setting="retry=none",
        fault="lost-reply",
        anomaly="orphaned-claim",
    ),
    Bug(
        name="claim-rolled-back",
        scenario="find_and_modify",
        variant="hardened",
        setting="w=1",
        fault="partition-primary",
        anomaly="lost-claim",
    ),
    Bug(
        name="write-one",
        scenario="write_concern",
        setting="w=1",
        fault="partition-primary",
        anomaly="lost-write",
    ),
    Bug(name="fork", scenario="immutable_document", anomaly="forked-history"),
    Bug(name="two-active", scenario="immutable_document", anomaly="several-active-versions"),
    Bug(name="fork-refused", scenario="immutable_document", setting="uniqueIndex=true", anomaly="unexpected-error"),
    Bug(
        name="born-twice",
        scenario="immutable_document",
        variant="hardened",
        setting="uniqueIndex=false",
        clients=2,
        operations=64,
        anomaly="forked-history",
    ),
    Bug(name="loser-gets-error", scenario="lww_register", anomaly="unexpected-error"),
    Bug(name="skewed-loser", scenario="lww_register", setting="clockSkewMS=500", anomaly="unexpected-error"),
    Bug(name="money-to-nowhere", scenario="transfer", anomaly="money-vanished"),
)

_PATTERNS = (
    Bug(name="dead-worker", scenario="task_queue", fault="crash-client", anomaly="abandoned-task"),
    Bug(
        name="unfenced-worker",
        scenario="task_queue",
        variant="unfenced",
        operations=12,
        anomaly="double-processing",
    ),
    Bug(name="old-batch", scenario="batch_upsert", operations=15, anomaly="stale-copy"),
    Bug(name="event-numbered-twice", scenario="event_sourcing", anomaly="event-version-twice"),
    Bug(name="snapshot-overtaken", scenario="event_sourcing", operations=12, anomaly="stale-snapshot"),
    Bug(name="two-buckets", scenario="time_series_bucket", operations=12, anomaly="several-open-buckets"),
    Bug(
        name="measured-again",
        scenario="time_series_bucket",
        setting="retry=application",
        fault="lost-reply",
        anomaly="doubled-measurement",
    ),
    Bug(name="derived-clock", scenario="vector_clock", anomaly="lost-element"),
    Bug(
        name="counted-again",
        scenario="g_counter",
        setting="retry=application",
        fault="lost-reply",
        anomaly="counted-twice",
    ),
    Bug(
        name="counter-rolled-back",
        scenario="g_counter",
        setting="w=1",
        fault="partition-primary",
        operations=15,
        anomaly="counter-went-back",
    ),
    Bug(name="record-lost", scenario="saga", setting="retry=none", fault="lost-reply", anomaly="half-done-saga"),
    Bug(name="migrated-over", scenario="lazy_migration", anomaly="lost-note"),
    Bug(
        name="charged-again",
        scenario="retry_policy",
        setting="retry=application",
        fault="lost-reply",
        anomaly="doubled-charge",
    ),
    Bug(
        name="own-write-unseen",
        scenario="causal_session",
        setting="readPreference=secondary",
        anomaly="own-write-missed",
    ),
    Bug(
        name="seen-and-gone",
        scenario="causal_session",
        setting="readPreference=secondary",
        operations=15,
        anomaly="non-monotonic-read",
    ),
    Bug(name="dirty-read", scenario="dirty_read", fault="partition-primary", operations=15, anomaly="dirty-read"),
    Bug(
        name="token-past-failure",
        scenario="change_stream",
        setting="retry=none",
        fault="failpoint:insert:PrimarySteppedDown",
        operations=12,
        anomaly="skipped-event",
    ),
    Bug(name="unfinished-journal", scenario="journaled_writer", fault="crash-client", anomaly="journal-disagrees"),
    Bug(name="skewed-lease", scenario="clock_lease", setting="clockSkewMS=500", anomaly="lost-update"),
    Bug(name="same-top-again", scenario="stack", operations=12, anomaly="resurrected-node"),
    Bug(name="last-ticket-twice", scenario="inventory", operations=12, anomaly="oversold"),
    Bug(name="write-skew", scenario="on_call", operations=12, anomaly="nobody-on-call"),
    Bug(name="read-only-anomaly", scenario="savings", operations=9, anomaly="not-serializable"),
    Bug(
        name="forgotten-key",
        scenario="forgetful_lock",
        variant="forgetful",
        setting="retry=application",
        fault="lost-reply",
        operations=15,
        anomaly="doubled-update",
    ),
)

_SERVER = (
    Bug(
        name="retry-applied-twice",
        scenario="g_counter",
        fault="lost-reply",
        defect="retry_applies_twice",
        anomaly="counted-twice",
    ),
    Bug(
        name="transaction-overwrites",
        scenario="immutable_document",
        variant="hardened",
        defect="transaction_ignores_conflicts",
        anomaly="forked-history",
    ),
    Bug(
        name="aborted-write-stays",
        scenario="transfer",
        variant="hardened",
        defect="aborted_transaction_leaves_write",
        anomaly="money-vanished",
    ),
    Bug(
        name="timeout-told-as-refusal",
        scenario="write_concern",
        setting="w=3,wtimeoutMS=1000",
        fault="lag",
        defect="wtimeout_reported_as_not_applied",
        anomaly="failed-yet-applied",
    ),
    Bug(
        name="upsert-beside-another",
        scenario="lww_register",
        variant="hardened",
        defect="upsert_duplicates",
        anomaly="lower-write-won",
    ),
    Bug(
        name="commit-point-too-early",
        scenario="write_concern",
        fault="partition-primary",
        defect="commit_point_from_one_member",
        anomaly="lost-write",
    ),
    Bug(
        name="update-many-stops",
        scenario="write_concern",
        defect="update_many_stops_early",
        anomaly="lost-write",
    ),
    Bug(
        name="filter-not-looked-at-again",
        scenario="find_and_modify",
        defect="find_and_modify_skips_recheck",
        anomaly="double-claim",
    ),
    Bug(
        name="no-unique-check",
        scenario="immutable_document",
        variant="hardened",
        setting="uniqueIndex=true",
        defect="unique_check_dropped",
        anomaly="forked-history",
    ),
    Bug(
        name="stream-skips",
        scenario="change_stream",
        variant="hardened",
        defect="change_stream_skips_event",
        operations=12,
        anomaly="skipped-event",
    ),
)

_TOYS = (
    Bug(name="toy-lease", toy=lambda: Lease(4, 4), anomaly="lost-update"),
    Bug(name="toy-write-skew", toy=lambda: WriteSkew(4, 4), anomaly="nobody-on-duty"),
    Bug(name="toy-faulty-counter", toy=lambda: FaultyCounter(3, 4), fault="write", strikes=1, anomaly="lost-update"),
    Bug(name="toy-starvation", toy=lambda: Starvation(increments=4, patience=4), anomaly="starvation"),
)

BUGS = (*_SHIPPED, *_PATTERNS, *_SERVER, *_TOYS)
BUG_BY_NAME = {bug.name: bug for bug in BUGS}
