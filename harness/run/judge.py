"""Judging: a run by its checkers, and a cell by all its runs and the evidence behind them. Pure."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from harness.checkers.compose import run_checkers
from harness.clock import FOREVER_NS, NANOSECONDS_PER_SECOND
from harness.facts import Cell, FaultWindow, RunFacts
from harness.history import History
from harness.operation import Operation
from harness.result import CellResult, Evidence, RunVerdict
from harness.run.reach import unreached_setting
from harness.scenario.record import Expected, Scenario
from harness.settings import Settings, parse_settings
from harness.verdict import Verdict, VerdictStatus, merge_status

EXIT_CODES: Mapping[VerdictStatus, int] = MappingProxyType({"holds": 0, "violated": 1, "unknown": 2})
"""What commands end with, from DESIGN's table; 3 is a wrong word of the user, 4 a mistake of the harness."""

MINIMUM_OK = 100
"""``ok`` operations that must stand behind a ``holds``, over all runs of the cell."""
MINIMUM_DURING_FAULTS = 20
"""Operations of any status that must overlap effective fault windows."""
SECONDS_PER_OWED_STRIKE = 10
"""One effective strike of each fault is owed for each started such span of load."""

MINIMUM_RUNS_WITH_EFFECT = 20
"""Simulated runs in which a fault must have taken effect."""

NO_FAULT = "none"
SIMULATED = "sim"
"""The backend in whose cells runs are counted, and not seconds."""


def judge_run(history: History, scenario: Scenario) -> RunVerdict:
    """Return what every checker of the scenario says of the history, with the evidence behind it."""
    verdicts = run_checkers(history, scenario.checkers)
    settings = parse_settings(history.facts.cell.setting) if history.facts else Settings()
    return RunVerdict(
        status=merge_status([verdict.status for verdict in verdicts if not verdict.vacuous]),
        verdicts=verdicts,
        evidence=weigh(history),
        not_applicable=_not_applicable(history, settings),
        incomplete="" if history.complete else _incomplete_reason(history),
    )


def _not_applicable(history: History, settings: Settings) -> str:
    if settings.w == 0:
        return "w=0 acknowledges nothing, so there is no promise to keep"
    return unreached_setting(history, settings) if history.operations else ""


def _incomplete_reason(history: History) -> str:
    status = history.facts.status if history.facts else "running"
    if status == "interrupted":
        return "the run was interrupted before its final reads"
    if status == "error":
        return f"the run ended with an error: {history.facts.error if history.facts else ''}"
    return "the harness died during the run; its record ends there"


def weigh(history: History) -> Evidence:
    """Count what stands behind a verdict on this history."""
    statuses = Counter(operation.status for operation in history.operations)
    effective = [window for window in history.fault_windows if window.effective]
    without = Counter(window.fault for window in history.fault_windows if not window.effective)
    return Evidence(
        operations=len(history.operations),
        ok=statuses["ok"],
        fail=statuses["fail"],
        info=statuses["info"],
        rejected=sum(operation.outcome == "rejected" for operation in history.operations),
        during_faults=count_overlapping(history.operations, effective),
        strikes=len(history.fault_windows),
        effective_strikes=len(effective),
        strikes_without_effect=dict(without),
        effective_faults=tuple(sorted({window.fault for window in effective})),
        load_s=_load_seconds(history),
        runs_with_effect=int(bool(effective)),
    )


def count_overlapping(operations: Sequence[Operation], windows: Sequence[FaultWindow]) -> int:
    """Return how many operations were under way during at least one of the windows."""
    merged = _merge([(window.start_ns, window.end_ns or FOREVER_NS) for window in windows])
    starts = [start for start, _ in merged]
    count = 0
    for operation in operations:
        returned = FOREVER_NS if operation.returned_ns is None else operation.returned_ns
        position = bisect.bisect_right(starts, returned) - 1
        count += position >= 0 and merged[position][1] >= operation.start_ns
    return count


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _load_seconds(history: History) -> float:
    times = {phase.name: phase.time_ns for phase in history.phases}
    if "load" not in times:
        return 0.0
    last = max((operation.start_ns for operation in history.operations), default=times["load"])
    seconds = max(0, times.get("heal", last) - times["load"]) / NANOSECONDS_PER_SECOND
    # The load ends some milliseconds late; a strike is not owed for those.
    return min(seconds, history.facts.duration_s) if history.facts else seconds


class CellTally(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of a cell came to, all together; tallies of parts of them can be added."""

    runs: tuple[str, ...] = ()
    """Ids of the runs whose record is kept."""
    count: int = 0
    violated: int = 0
    evidence: Evidence = msgspec.field(default_factory=Evidence)
    anomalies: dict[str, int] = {}
    reasons: tuple[str, ...] = ()
    vacuous: dict[str, int] = {}
    """What a checker says that found nothing to judge, to the number of runs in which it said so."""
    not_applicable: str = ""
    telling: str = ""
    """The command that does the first violated run again, else the first run."""

    def plus(self, other: CellTally) -> CellTally:
        """Return the tally of both; ``self`` is of the earlier runs."""
        later_tells = not self.telling or (other.violated and not self.violated)
        return CellTally(
            runs=(*self.runs, *other.runs),
            count=self.count + other.count,
            violated=self.violated + other.violated,
            evidence=self.evidence.plus(other.evidence),
            anomalies=dict(Counter(self.anomalies) + Counter(other.anomalies)),
            reasons=tuple(dict.fromkeys((*self.reasons, *other.reasons))),
            vacuous=dict(Counter(self.vacuous) + Counter(other.vacuous)),
            not_applicable=self.not_applicable or other.not_applicable,
            telling=other.telling if later_tells else self.telling,
        )


def tally_run(facts: RunFacts, verdict: RunVerdict) -> CellTally:
    """Return the tally of one run whose record is kept."""
    return CellTally(
        runs=(facts.run,),
        count=1,
        violated=int(verdict.status == "violated"),
        evidence=verdict.evidence,
        anomalies=kinds_of(verdict),
        reasons=reasons_of(verdict),
        vacuous=dict.fromkeys(vacuous_of(verdict), 1),
        not_applicable=verdict.not_applicable,
        telling=facts.replay,
    )


def kinds_of(verdict: RunVerdict) -> dict[str, int]:
    """Return how often each kind of anomaly was found in a run."""
    kinds: Counter[str] = Counter()
    for checked in verdict.verdicts:
        kinds.update(_kinds(checked))
    return dict(kinds)


def reasons_of(verdict: RunVerdict) -> tuple[str, ...]:
    """Return why a run cannot support ``holds``: what kept its record, or a checker, from it."""
    incomplete = [verdict.incomplete] if verdict.incomplete else []
    unknown = (v for v in verdict.verdicts if v.status == "unknown" and not v.vacuous)
    return (*incomplete, *(f"{v.checker}: {v.reason}" for v in unknown))


def vacuous_of(verdict: RunVerdict) -> tuple[str, ...]:
    """Return what the checkers say that found nothing to judge in a run."""
    return tuple(f"{v.checker}: {v.reason}" for v in verdict.verdicts if v.vacuous)


def judge_cell(
    cell: Cell,
    runs: Sequence[tuple[RunFacts, RunVerdict]],
    expected: Expected | None,
) -> CellResult:
    """Return the verdict on a cell over all its runs; see :func:`conclude`."""
    tally = CellTally()
    for facts, verdict in runs:
        tally = tally.plus(tally_run(facts, verdict))
    return conclude(cell, tally, expected)


def conclude(cell: Cell, tally: CellTally, expected: Expected | None, *, searched: str = "") -> CellResult:
    """Return the verdict on a cell.

    A violation in any run counts. Otherwise it holds only where every run was judged so and the evidence of all
    runs together suffices, for which a completed search (its scope in ``searched``) needs no counts; else it is
    unknown, with the reasons.
    """
    reasons = () if tally.violated else _unknown_reasons(cell, tally, searched)
    status: VerdictStatus = "violated" if tally.violated else "unknown" if reasons else "holds"
    return CellResult(
        cell=cell,
        status=status,
        reasons=reasons,
        not_applicable=bool(tally.not_applicable) and not tally.violated,
        expected=expected.verdict if expected else "",
        expected_why=expected.why if expected else "",
        surprise=is_surprise(status, expected, set(tally.anomalies)),
        runs=tally.runs,
        violated_runs=tally.violated,
        anomalies=dict(Counter(tally.anomalies).most_common()),
        evidence=tally.evidence,
        replay=tally.telling,
        seeds=tally.count if cell.backend == SIMULATED else 0,
        searched=searched,
    )


def _kinds(verdict: Verdict) -> Counter[str]:
    kinds = Counter(anomaly.kind for anomaly in verdict.anomalies)
    if verdict.truncated and kinds:
        kinds[kinds.most_common(1)[0][0]] += verdict.truncated
    return kinds


def _unknown_reasons(cell: Cell, tally: CellTally, searched: str) -> tuple[str, ...]:
    reasons = [f"not applicable: {tally.not_applicable}"] if tally.not_applicable else []
    if not tally.count:
        reasons.append("it was not run")
    nowhere = [words for words, runs in tally.vacuous.items() if runs == tally.count]
    missing = () if searched else missing_evidence(cell, tally.evidence)
    return tuple(dict.fromkeys((*reasons, *tally.reasons, *nowhere, *missing)))


def missing_evidence(cell: Cell, evidence: Evidence) -> tuple[str, ...]:
    """Return what keeps the evidence from supporting ``holds``, in words; empty where it suffices."""
    missing = []
    if evidence.ok < MINIMUM_OK:
        missing.append(f"too little evidence: {evidence.ok} ok operations, {MINIMUM_OK} are needed")
    if cell.fault != NO_FAULT:
        missing += _missing_strikes(cell, evidence)
    if any(reason.startswith("too little") for reason in missing):
        more = "more --seeds" if cell.backend == SIMULATED else "a longer --duration, more --clients or --repeat"
        missing.append(f"{more} give more evidence")
    return tuple(missing)


def _missing_strikes(cell: Cell, evidence: Evidence) -> list[str]:
    faults = cell.fault.split("+")
    idle = [name for name in faults if name not in evidence.effective_faults]
    missing = [f"the fault {name} never took effect" for name in idle]
    if cell.backend == SIMULATED:
        missing += _missing_simulated_runs(evidence, idle)
    else:
        missing += _missing_owed_strikes(evidence, idle, faults)
    if evidence.during_faults < MINIMUM_DURING_FAULTS:
        missing.append(
            f"too little evidence: {evidence.during_faults} operations during effective faults, "
            f"{MINIMUM_DURING_FAULTS} are needed"
        )
    return missing


def _missing_owed_strikes(evidence: Evidence, idle: Sequence[str], faults: Sequence[str]) -> list[str]:
    owed = len(faults) * max(1, math.ceil(round(evidence.load_s, 1) / SECONDS_PER_OWED_STRIKE))
    if idle or evidence.effective_strikes >= owed:
        return []
    return [f"too little evidence: {evidence.effective_strikes} effective strikes, {owed} are owed"]


def _missing_simulated_runs(evidence: Evidence, idle: Sequence[str]) -> list[str]:
    if idle or evidence.runs_with_effect >= MINIMUM_RUNS_WITH_EFFECT:
        return []
    had = f"{evidence.runs_with_effect} runs with an effective fault"
    return [f"too little evidence: {had}, {MINIMUM_RUNS_WITH_EFFECT} are needed"]


def is_surprise(status: VerdictStatus, expected: Expected | None, anomalies: set[str]) -> bool:
    """Whether a cell came out otherwise than declared. An undeclared ``unknown`` is not a surprise, but not green."""
    if expected is None:
        return False
    match expected.verdict:
        case "may-violate":
            return False
        case "not-applicable":
            return status != "unknown"
        case "violated":
            missing_kind = bool(expected.anomaly) and expected.anomaly not in anomalies
            return status == "holds" or (status == "violated" and missing_kind)
        case "holds":
            return status == "violated"


def exit_code(cells: Sequence[CellResult], *, against_expected: bool) -> int:
    """Return the exit code of DESIGN's table: 0 holds, 1 violated, 2 unknown; or against the declared verdicts."""
    if not against_expected:
        return EXIT_CODES[merge_status(cell.status for cell in cells)]
    if any(cell.surprise for cell in cells):
        return 1
    return 2 if any(cell.status == "unknown" and cell.expected != "not-applicable" for cell in cells) else 0
