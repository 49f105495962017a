"""Judging: what a verdict needs behind it, and what never counts as one."""

from __future__ import annotations

import dataclasses
import itertools

import msgspec
import pytest

from harness.clock import FOREVER_NS
from harness.facts import Cell, Effect, FaultWindow, Phase, RunFacts
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Attempt, DatabaseCall, Operation
from harness.result import Evidence, RunVerdict
from harness.run.judge import count_overlapping, exit_code, judge_cell, judge_run, missing_evidence, weigh
from harness.scenario.record import Expected, Scenario
from harness.verdict import Anomaly, Verdict, VerdictStatus, merge_status

SECOND = 1_000_000_000
CELL = Cell(backend="local", scenario="s", variant="published", setting="default", fault="lag")
EFFECT = Effect(observer="member states", description="m2 lags", time_ns=2 * SECOND)


def facts(cell: Cell = CELL, run: str = "r1", status: str = "complete") -> RunFacts:
    return RunFacts(
        run=run,
        campaign="c",
        cell=cell,
        seed=1,
        clients=2,
        duration_s=10,
        replay=f"harness run s --seed 1 # {run}",
        status=status,  # type: ignore[arg-type]
    )


def operation(index: int, start_ns: int, returned_ns: int | None, status: str = "ok", **fields: object) -> Operation:
    return Operation(
        index=index,
        process=0,
        client=0,
        function="write",
        start_ns=start_ns,
        returned_ns=returned_ns,
        status=status,  # type: ignore[arg-type]
        outcome="returned",
        **fields,  # type: ignore[arg-type]
    )


def checker(status: VerdictStatus) -> Checker:
    anomalies = (Anomaly(kind="lost-write", guarantee="kept", story=("gone",)),) if status == "violated" else ()
    verdict = Verdict(checker="c", status=status, anomalies=anomalies, reason="why" if status == "unknown" else "")
    return Checker(name="c", guarantee="it is kept", check=lambda history: verdict)


def scenario(*statuses: VerdictStatus) -> Scenario:
    async def write(context: object) -> None: ...

    checkers = tuple(dataclasses.replace(checker(status), name=f"c{number}") for number, status in enumerate(statuses))
    return Scenario(
        name="s",
        contract="it is kept",
        section="none",
        variants={"published": object},
        operations={"write": write},
        workload=lambda random, client: iter(()),
        checkers=checkers,
    )


ENOUGH = Evidence(
    operations=200,
    ok=150,
    during_faults=40,
    strikes=1,
    effective_strikes=1,
    effective_faults=("lag",),
    load_s=10.0,
)


def run_verdict(status: VerdictStatus = "holds", evidence: Evidence = ENOUGH, **fields: str) -> RunVerdict:
    anomalies = (Anomaly(kind="lost-write", guarantee="kept", story=("gone",)),) if status == "violated" else ()
    verdict = Verdict(checker="c", status=status, anomalies=anomalies, reason="budget" if status == "unknown" else "")
    return RunVerdict(status=status, verdicts=(verdict,), evidence=evidence, **fields)


@pytest.mark.parametrize(
    "statuses", [list(c) for n in range(4) for c in itertools.product(("holds", "violated", "unknown"), repeat=n)]
)
def test_the_worst_verdict_counts(statuses: list[VerdictStatus]) -> None:
    """Violated beats unknown beats holds, in any order; of nothing, nothing holds."""
    expected = "violated" if "violated" in statuses else "holds" if set(statuses) == {"holds"} else "unknown"
    assert merge_status(statuses) == expected


def test_a_run_is_judged_by_all_its_checkers() -> None:
    """One checker that sees a violation is enough; the history's evidence is weighed beside it."""
    history = History(operations=(operation(0, 1, 2),), facts=facts())
    assert judge_run(history, scenario("holds", "violated", "unknown")).status == "violated"
    assert judge_run(history, scenario("holds", "unknown")).status == "unknown"
    assert judge_run(history, scenario("holds")).evidence.ok == 1


def test_an_incomplete_record_never_holds() -> None:
    """A run whose harness died may show a violation; it cannot support that there is none."""
    history = History(operations=(operation(0, 1, 2),), facts=facts(status="running"), complete=False)
    verdict = judge_run(history, scenario("holds"))
    assert "died" in verdict.incomplete
    assert judge_cell(CELL, [(facts(), run_verdict(incomplete=verdict.incomplete))], None).status == "unknown"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ok": 99}, "99 ok operations"),
        ({"during_faults": 19}, "19 operations during"),
        ({"load_s": 10.2}, "1 effective strikes, 2 are owed"),
        ({"effective_faults": (), "effective_strikes": 0}, "lag never took effect"),
        ({"effective_faults": ("latency",)}, "lag never took effect"),
    ],
)
def test_too_little_evidence_is_unknown(change: dict[str, object], words: str) -> None:
    """Each missing piece of evidence turns holds into unknown, with the reason."""
    evidence = msgspec.structs.replace(ENOUGH, **change)
    result = judge_cell(CELL, [(facts(), run_verdict(evidence=evidence))], None)
    assert result.status == "unknown"
    assert any(words in reason for reason in result.reasons)


def test_a_violation_needs_no_evidence() -> None:
    """What was seen broken stays broken, however little was tried."""
    result = judge_cell(CELL, [(facts(), run_verdict("violated", Evidence(operations=1)))], None)
    assert (result.status, result.anomalies, result.violated_runs) == ("violated", {"lost-write": 1}, 1)


def test_evidence_is_added_up_over_the_runs_of_a_cell() -> None:
    """Two runs with half of the evidence each make a cell that holds; the two strikes that they owe are there."""
    half = msgspec.structs.replace(ENOUGH, ok=60, during_faults=15)
    one = judge_cell(CELL, [(facts(), run_verdict(evidence=half))], None)
    two = judge_cell(CELL, [(facts(run=name), run_verdict(evidence=half)) for name in ("r1", "r2")], None)
    assert (one.status, two.status) == ("unknown", "holds")


def test_without_a_fault_only_operations_are_owed() -> None:
    """A cell without faults is not asked for strikes."""
    calm = Cell(backend="local", scenario="s", variant="published", setting="default", fault="none")
    assert missing_evidence(calm, Evidence(ok=100)) == ()


def test_the_replay_command_is_that_of_a_violated_run() -> None:
    """The command beside a violated cell replays the run that showed it, not the first one."""
    result = judge_cell(CELL, [(facts(run="r1"), run_verdict()), (facts(run="r2"), run_verdict("violated"))], None)
    assert result.replay.endswith("r2")


def test_a_setting_that_reached_no_command_is_not_applicable() -> None:
    """A pattern that sets its own concern was not tried under the cell's."""
    request = {"insert": "c", "writeConcern": {"w": "majority"}}
    call = DatabaseCall(
        name="c.insert_one",
        start_ns=1,
        attempts=(Attempt(command="insert", request=request, server="m1", start_ns=1, reply={"n": 1}),),
    )
    for setting, applicable in (("w=1", False), ("w=majority", True), ("j=true", False), ("default", True)):
        cell = Cell(backend="local", scenario="s", variant="published", setting=setting, fault="none")
        history = History(operations=(operation(0, 1, 2, calls=(call,)),), facts=facts(cell))
        assert bool(judge_run(history, scenario("holds")).not_applicable) is not applicable, setting


@pytest.mark.parametrize(
    ("declared", "status", "surprise"),
    [
        ("holds", "holds", False),
        ("holds", "violated", True),
        ("violated", "holds", True),
        ("violated", "violated", False),
        ("may-violate", "violated", False),
        ("may-violate", "holds", False),
    ],
)
def test_a_surprise_is_a_verdict_other_than_declared(declared: str, status: VerdictStatus, surprise: bool) -> None:
    """Either direction is a surprise; where both are declared possible, neither is."""
    expected = Expected(verdict=declared)  # type: ignore[arg-type]
    result = judge_cell(CELL, [(facts(), run_verdict(status))], expected)
    assert result.surprise is surprise
    assert exit_code([result], against_expected=True) == int(surprise)


def test_the_wrong_kind_of_anomaly_is_a_surprise() -> None:
    """A cell that is declared to lose writes is not green because it broke otherwise."""
    for kind, surprise in (("lost-write", False), ("lost-update", True)):
        result = judge_cell(CELL, [(facts(), run_verdict("violated"))], Expected(verdict="violated", anomaly=kind))
        assert result.surprise is surprise


def test_an_undeclared_unknown_is_never_green() -> None:
    """Exit code 2 stands for a cell that could not be judged, whatever was expected of it."""
    result = judge_cell(CELL, [(facts(), run_verdict("unknown"))], Expected(verdict="holds"))
    assert exit_code([result], against_expected=True) == 2
    assert exit_code([result], against_expected=False) == 2


def test_exit_codes_without_expectations() -> None:
    """0 holds, 1 violated, 2 unknown, the worst of the cells."""
    results = {
        status: judge_cell(CELL, [(facts(), run_verdict(status))], None) for status in ("holds", "violated", "unknown")
    }
    assert exit_code([results["holds"]], against_expected=False) == 0
    assert exit_code([results["holds"], results["unknown"]], against_expected=False) == 2
    assert exit_code(list(results.values()), against_expected=False) == 1
    assert exit_code([], against_expected=False) == 2


def test_weighing_counts_effective_strikes_alone() -> None:
    """Operations count for a fault only where its strike was seen to take effect."""
    windows = (
        FaultWindow(fault="lag", strike=0, start_ns=2 * SECOND, end_ns=3 * SECOND, effects=(EFFECT,)),
        FaultWindow(fault="lag", strike=1, start_ns=6 * SECOND, end_ns=7 * SECOND),
    )
    operations = (
        operation(0, 1 * SECOND, 2 * SECOND),
        operation(1, 6 * SECOND, 7 * SECOND),
        operation(2, 1 * SECOND, None, "info"),
        operation(3, 4 * SECOND, 5 * SECOND, "fail"),
    )
    phases = (Phase(name="load", time_ns=0), Phase(name="heal", time_ns=10 * SECOND))
    evidence = weigh(History(operations=operations, fault_windows=windows, phases=phases, facts=facts()))
    assert (evidence.ok, evidence.fail, evidence.info) == (2, 1, 1)
    assert (evidence.strikes, evidence.effective_strikes, evidence.during_faults) == (2, 1, 2)
    assert evidence.strikes_without_effect == {"lag": 1}
    assert evidence.load_s == 10


def test_overlap_counting_agrees_with_a_plain_count() -> None:
    """The counting by bisection gives what comparing every operation with every window gives."""
    windows = tuple(
        FaultWindow(fault="lag", strike=n, start_ns=start, end_ns=end)
        for n, (start, end) in enumerate([(5, 9), (8, 12), (20, 20), (30, None)])
    )
    for start in range(40):
        for end in (*range(start, 40), None):
            last = FOREVER_NS if end is None else end
            plain = any(w.start_ns <= last and (w.end_ns is None or w.end_ns >= start) for w in windows)
            assert count_overlapping([operation(0, start, end)], windows) == int(plain), (start, end)
