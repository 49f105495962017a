"""Summary, JUnit and console table."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from synthetic_campaign import write_campaign

from harness import store
from harness.report import summary
from harness.report.build import build_report
from harness.report.model import Report
from harness.report.summary import junit_xml, summary_markdown, verdict_table


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_campaign(tmp_path_factory.mktemp("store"), operations=300)


@pytest.fixture(scope="module")
def report(campaign: Path) -> Report:
    return build_report(campaign, store.read_scenarios(campaign))


def cases(report: Report) -> dict[str, ET.Element]:
    root = ET.fromstring(junit_xml(report))
    return {f"{case.get('classname')} {case.get('name')}": case for case in root.iter("testcase")}


def test_the_summary_begins_with_the_worst(report: Report) -> None:
    """Surprises come before declared violations, those before unknown, and holds come last."""
    rows = [line for line in summary_markdown(report).splitlines() if line.startswith("| ")][2:]
    assert "hostile" in rows[0]
    verdicts = [row.split(" | ")[5] for row in rows]
    assert verdicts == ["violated (surprise)", "violated", "violated", "unknown", *["holds"] * 5, "not applicable"]


def test_the_summary_tells_each_finding_with_its_command(report: Report) -> None:
    """A reader of the step summary sees the story and what to type."""
    text = summary_markdown(report)
    assert "### lost write: write\\_concern published" in text
    assert "1. Operation " in text
    assert "```sh\nharness run write_concern --variant published --setting w=1 --fault partition-primary" in text


def test_hostile_values_are_no_markup_in_the_summary(report: Report) -> None:
    """No tag, no table border and no mention comes out of a value."""
    text = re.sub(r"```sh\n.*?\n```", "", summary_markdown(report), flags=re.DOTALL)
    assert "<" not in text
    assert "@" not in text
    assert all(line.count(" | ") == 7 for line in text.splitlines() if line.startswith("| ✘"))


def test_the_summary_is_cut_before_github_refuses_it(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is bounded, and the cut is said."""
    monkeypatch.setattr(summary, "SUMMARY_BYTES", 1_500)
    text = summary_markdown(report)
    assert len(text.encode()) < 1_600
    assert text.endswith("Cut here: the report has the rest.\n")


def test_junit_has_a_case_for_each_cell(report: Report) -> None:
    """Expected violations pass, surprises fail, unknown is an error, not applicable is skipped."""
    found = cases(report)
    assert len(found) == len(report.cells)
    outcomes = {
        name: next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")
        for name, case in found.items()
    }
    assert outcomes["write_concern.published w=1 / partition-primary (local)"] == "passed"
    assert outcomes["hostile.published default / kill-primary (local)"] == "failure"
    assert outcomes["optimistic_lock.hardened default / pause-primary (local)"] == "error"
    assert outcomes["write_concern.published w=0 / none (local)"] == "skipped"
    suite = ET.fromstring(junit_xml(report))[0]
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["10", "1", "1", "1"]


def test_junit_properties_lead_back_to_the_run(report: Report, campaign: Path) -> None:
    """Seed, run id, report path and replay command stand with each case."""
    case = cases(report)["write_concern.published w=1 / partition-primary (local)"]
    properties = {item.get("name"): item.get("value") for item in case.iter("property")}
    assert properties["seed"] == "7"
    assert properties["run"] == report.cells[0].telling_run
    assert properties["report"] == f"{campaign}/index.html#finding-write_concern-published-lost-write"
    assert str(properties["replay"]).startswith("harness run write_concern")
    assert "was acknowledged with w=1" in str(case.findtext("system-out"))


def test_a_surprise_that_holds_fails_in_junit(report: Report) -> None:
    """A cell that was declared violated and held is not green."""
    cell = report.cells[1]
    odd = dataclasses.replace(cell, mark="surprise")
    changed = dataclasses.replace(report, cells=(odd,))
    (case,) = cases(changed).values()
    assert case.find("failure") is not None


def test_the_table_names_every_cell_in_plain_text(campaign: Path) -> None:
    """Verdict, expectation, evidence and what was found stand in one table without colour codes."""
    text = verdict_table(store.read_cells(campaign))
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0].split() == ["cell", "verdict", "expected", "evidence"]
    assert lines[1].startswith("write_concern published")
    assert "✘ violated" in lines[1]
    assert "w=1, partition-primary" in lines[2]
    assert "lost write (" in lines[2]
    assert "violated, SURPRISE" in text
    assert max(map(len, lines)) <= summary.TABLE_WIDTH


def test_the_table_has_colours_where_asked(campaign: Path) -> None:
    """On a terminal the verdicts are coloured."""
    assert "\x1b[" in verdict_table(store.read_cells(campaign), color=True)
