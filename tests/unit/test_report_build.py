"""The report model: answers, matrix, findings and gaps come from stored files alone."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import pytest
from synthetic_campaign import cell_result, holds, lost_writes, write_campaign
from synthetic_run import CAMPAIGN, Plan, cell, partitions, write_run

from harness import store
from harness.errors import StoreError
from harness.facts import RunFacts
from harness.operation import Operation
from harness.report import answers, timeline
from harness.report.build import build_report
from harness.report.model import Report, ScenarioReport, Timeline
from harness.result import CellResult, Evidence


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_campaign(tmp_path_factory.mktemp("store"), operations=600)


@pytest.fixture(scope="module")
def report(campaign: Path) -> Report:
    return build_report(campaign, store.read_scenarios(campaign))


def scenario(report: Report, name: str) -> ScenarioReport:
    return next(scenario for scenario in report.scenarios if scenario.name == name)


def unpack(drawn: Timeline) -> dict[str, object]:
    content: dict[str, object] = json.loads(zlib.decompress(base64.b64decode(drawn.payload)))
    return content


def result(status: str, setting: str, fault: str, **changes: object) -> CellResult:
    fields: dict[str, object] = {
        "cell": cell("s", "published", setting, fault),
        "status": status,
        "runs": ("r1",),
        "evidence": Evidence(ok=5_000, during_faults=500, strikes=3, effective_strikes=3),
        "anomalies": {"lost-write": 3} if status == "violated" else {},
        "expected": status,
    }
    return CellResult(**{**fields, **changes})  # type: ignore[arg-type]


def answer_on(tmp_path: Path, *results: CellResult) -> tuple[str, str]:
    store.write_cells(tmp_path, results)
    told = build_report(tmp_path, {}).scenarios[0].answers[0]
    return told.word, told.headline


def test_the_headline_counts_every_cell_once(report: Report) -> None:
    """Ten cells in, ten cells counted, the surprise told apart."""
    assert report.headline == "10 cells: 3 violated, 5 hold, 1 unknown, 1 not applicable"
    assert report.surprises == 1
    assert report.scenarios[0].name == "hostile", "a scenario with a surprise comes first"


def test_a_variant_is_answered_with_the_settings_that_keep_its_promise(report: Report) -> None:
    """The first sentence says what may be adopted, and under what."""
    told = scenario(report, "write_concern")
    assert told.headline == "Adopt published only under w=majority; adopt hardened, judged under w=1."
    published = told.answers[0]
    assert published.word == "partly"
    assert published.broken.startswith("under w=1 with partition-primary: lost write (")
    assert "under w=majority with partition-primary and without faults" in published.sound
    assert published.advice.startswith("Write with w=majority")


def test_a_setting_is_not_recommended_where_the_breaking_fault_was_not_tried(tmp_path: Path) -> None:
    """Holding without faults is no evidence against a fault that broke the variant under another setting."""
    broken = result("violated", "w=1", "partition-primary")
    assert answer_on(tmp_path, broken, result("holds", "w=majority", "none")) == (
        "no",
        "do not adopt published under w=1; under other settings it is not known",
    )
    tried = (broken, result("holds", "w=majority", "partition-primary"))
    assert answer_on(tmp_path, *tried) == ("partly", "adopt published only under w=majority")


def test_without_any_fault_nothing_is_recommended_outright(tmp_path: Path) -> None:
    """A variant that holds without faults has not been shown to withstand one."""
    word, headline = answer_on(tmp_path, result("holds", "default", "none"))
    assert (word, headline) == ("partly", "published holds without faults, under default; no fault was tried")


def test_an_unknown_cell_keeps_its_setting_from_being_recommended(tmp_path: Path) -> None:
    """What could not be judged is never called sound."""
    unknown = result("unknown", "default", "pause-primary", reasons=("no effect",))
    word, headline = answer_on(tmp_path, result("holds", "default", "kill-primary"), unknown)
    assert (word, headline) == ("unknown", "published is not known yet")


@pytest.mark.parametrize(
    ("changes", "weak"),
    [
        ({}, False),
        ({"evidence": Evidence(ok=120, during_faults=500, effective_strikes=3)}, True),
        ({"evidence": Evidence(ok=5_000, during_faults=30, effective_strikes=3)}, True),
        ({"evidence": Evidence(ok=5_000, during_faults=500, effective_strikes=1)}, True),
        ({"cell": cell("s", "published", "default", "none"), "evidence": Evidence(ok=5_000)}, False),
    ],
)
def test_little_evidence_behind_holds_is_weak(changes: dict[str, object], weak: bool) -> None:
    """A holds that rests on little looks so."""
    assert answers.is_weak(result("holds", "default", "kill-primary", **changes)) is weak


def test_a_violation_that_nobody_declared_is_a_surprise() -> None:
    """Silence of a scenario about a cell does not make its violation a quiet one."""
    assert answers.mark_of(result("violated", "w=1", "none", expected="")) == "surprise"
    assert answers.mark_of(result("holds", "w=1", "none", expected="")) == "undeclared"


def test_the_matrix_shows_what_was_not_run(report: Report) -> None:
    """Each place of the grid is a verdict, not applicable, or not run with what was declared."""
    rows = {(row.variant, row.setting): row for row in scenario(report, "write_concern").rows}
    assert scenario(report, "write_concern").faults == ("none", "partition-primary")
    assert [place.state for place in rows["published", "w=1"].cells] == ["holds", "violated"]
    assert [place.state for place in rows["published", "w=0"].cells] == ["not-applicable", "not-applicable"]
    hardened = rows["hardened", "w=1"].cells
    assert [place.state for place in hardened] == ["not-run", "holds"]
    assert hardened[0].note == "expected: holds"


def test_a_finding_stands_for_all_of_its_kind(report: Report) -> None:
    """One finding a kind and variant, worst first, with the count of all that were found."""
    assert [finding.kind for finding in report.findings][1:] == ["lost write", "lost update"]
    assert report.findings[0].mark == "surprise"
    lost = report.findings[1]
    assert lost.found == report.cells[0].found > 12
    assert lost.found == 1 + len(lost.others) + lost.others_left_out
    assert report.cells[0].link == lost.anchor


def test_a_finding_tells_its_evidence_within_the_fault(report: Report) -> None:
    """The evidence is told in words, placed in the fault window, with the commands on the wire."""
    lost = report.findings[1]
    (write,) = lost.operations
    assert write.name == "T1"
    assert write.what.startswith('write(key="c')
    assert write.where.endswith("into partition-primary #1")
    assert lost.strikes[0].effects[0][0] == "member states"
    assert '"insert": "items"' in write.calls[0].request
    assert '"n": 1' in write.calls[0].answer
    assert lost.standing == ("No caller sees an error that the contract does not provide for.",)
    assert lost.replay.startswith("harness run write_concern --variant published --setting w=1 ")
    assert "<svg" in lost.picture


def test_what_was_not_covered_is_said(report: Report) -> None:
    """Sharding, versions, idle faults, cells not run, fallbacks and shortened times end the report."""
    told = {gap.what: gap.why for gap in report.gaps}
    assert "Sharded clusters" in told
    assert told["Other server versions"] == "only mongod 6.0.5 was run"
    assert "pause-primary had no effect in 3 strikes" in told
    assert told["7 declared cells of write_concern not run"].startswith("published w=1: kill-primary; ")
    assert "the links are the built-in ones: no Toxiproxy server was found" in told.values()
    assert told["optimistic_lock: lock duration was shortened"] == "5 min → 2 s"


def test_each_cell_has_its_cost_beside_its_verdict(report: Report) -> None:
    """Throughput, quantiles and unavailability come from the telling run of the cell."""
    by_setting = {c.result.cell.setting: c for c in report.cells if c.result.cell.fault == "partition-primary"}
    cost = by_setting["w=majority"].cost
    assert cost is not None
    assert cost.operations_per_second > 10
    assert cost.p50_ms is not None
    assert cost.p99_ms is not None
    assert cost.p50_ms < cost.p99_ms
    assert cost.unavailable_s > 1


def test_timelines_carry_every_operation_that_the_page_has_room_for(report: Report) -> None:
    """The packed columns unpack to the run's operations, fault windows and primary changes."""
    drawn = next(drawn for drawn in report.timelines if "w=1 · partition-primary" in drawn.label)
    content = unpack(drawn)
    assert drawn.shown == drawn.total == len(content["index"]) == content["total"]  # type: ignore[arg-type]
    assert [fault["label"] for fault in content["faults"]][:1] == ["#1 partition-primary m1"]  # type: ignore[attr-defined]
    assert [member for _, member, _ in content["primaries"]][:3] == ["m1", "", "m2"]  # type: ignore[attr-defined]


def test_a_large_run_is_sampled_and_keeps_what_matters() -> None:
    """Evidence and failures survive the sampling before any quiet success does."""
    operations = [
        Operation(
            index=n,
            process=0,
            client=0,
            function="put",
            start_ns=n,
            returned_ns=n + 1,
            status="info" if n % 100 == 0 else "ok",
            outcome="returned",
        )
        for n in range(10_000)
    ]
    kept = timeline.sample(operations, frozenset({7, 8_888}), 500)
    indexes = [operation.index for operation in kept]
    assert len(kept) == 500
    assert {7, 8_888} <= set(indexes)
    assert set(range(0, 10_000, 100)) <= set(indexes)
    assert indexes == sorted(indexes)


def test_a_damaged_run_is_told_and_the_rest_is_reported(tmp_path: Path) -> None:
    """A report does not die of one unreadable run: it says which, and why."""
    campaign = write_campaign(tmp_path, operations=200, hostile=False)
    broken = next(iter(store.iterate_runs(campaign / "local" / "write_concern" / "published" / "w=1")))
    history = broken / "history.jsonl.gz"
    history.write_bytes(history.read_bytes()[:-40])
    told = build_report(campaign, store.read_scenarios(campaign))
    assert any("could not be read whole" in gap.what for gap in told.gaps)
    assert sum(cell.cost is None for cell in told.cells) == 1
    assert len(told.cells) == 9


def test_a_run_that_was_interrupted_is_not_passed_over(tmp_path: Path) -> None:
    """A run that did not complete shows among what was not covered, with its error."""
    plan = Plan(cell=cell("write_concern", "published", "w=1", "none"), operations=50, duration_s=5)
    verdict = write_run(tmp_path, plan, holds("durability"))
    directory = next(store.iterate_runs(tmp_path))
    facts = store.read_facts(directory)
    changed = {name: getattr(facts, name) for name in facts.__struct_fields__}
    store.write_facts(directory, RunFacts(**{**changed, "status": "interrupted", "error": "ctrl-C"}))
    store.write_cells(tmp_path / CAMPAIGN, [cell_result(plan, verdict)])
    told = build_report(tmp_path / CAMPAIGN, {})
    assert any(gap.what.endswith(": interrupted") and gap.why == "ctrl-C" for gap in told.gaps)


def test_the_example_comes_from_the_run_that_shows_the_kind(tmp_path: Path) -> None:
    """Where only the second run of a cell shows an anomaly, its finding is told from that run."""
    first = Plan(cell=cell("write_concern", "published", "w=1", "partition-primary"), operations=300, seed=1)
    second = Plan(cell=first.cell, operations=300, seed=2, strikes=partitions(), loses_writes=True)
    write_run(tmp_path, first, holds("durability"))
    verdict = write_run(tmp_path, second, lost_writes(second, listed=3))
    store.write_cells(tmp_path / CAMPAIGN, [cell_result(second, verdict, runs=(first.run, second.run))])
    told = build_report(tmp_path / CAMPAIGN, {})
    assert told.cells[0].telling_run == second.run
    assert told.findings[0].run == second.run
    assert told.findings[0].sightings[0].runs == 2


def test_a_campaign_without_cells_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    """What cannot be reported is refused in words."""
    with pytest.raises(StoreError) as caught:
        build_report(tmp_path, {})
    assert caught.value.next_step


def test_a_run_with_a_fault_stands_for_one_without(tmp_path: Path) -> None:
    """What broke a variant without faults is answered by a setting that holds through a fault."""
    cells = (result("violated", "uniqueIndex=false", "none"), result("holds", "default", "kill-primary"))
    assert answer_on(tmp_path, *cells) == ("partly", "adopt published only under default")


def test_the_rate_is_shown_where_either_verdict_is_green() -> None:
    """A cell that may violate says in how many of its runs it did, also where it was in none."""
    held = result("holds", "w=1", "kill-primary", expected="may-violate", runs=("r1", "r2"))
    assert answers.backing_of(held) == "5,000 ok · 3 strikes · violated in 0 of 2 runs"
    broke = result("violated", "w=1", "kill-primary", expected="may-violate", runs=("r1", "r2"), violated_runs=1)
    assert answers.backing_of(broke) == "lost write (3) in 1 of 2 runs"
