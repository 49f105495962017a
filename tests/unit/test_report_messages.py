"""The message diagram of a shrunk finding in the report: every message once, in order, escaped, and bounded."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from synthetic_campaign import write_campaign
from synthetic_run import HOSTILE

from harness import store
from harness.facts import FaultWindow, PrimaryChange
from harness.history import History
from harness.operation import Attempt, DatabaseCall, Failure, Operation
from harness.report.build import build_report
from harness.report.html import render_html
from harness.report.messages import ROWS_MAX, draw_smallest
from harness.report.model import Report


def operation(index: int, function: str, *attempts: Attempt) -> Operation:
    call = DatabaseCall(name="orders.x", start_ns=0, end_ns=1, attempts=attempts)
    return Operation(
        index=index,
        process=0,
        client=0,
        function=function,
        start_ns=index,
        returned_ns=9_000_000,
        status="ok",
        outcome="returned",
        calls=(call,),
    )


def insert(start_ms: int, key: str = "7", **fields: Any) -> Attempt:
    answered = {"end_ns": (start_ms + 1) * 1_000_000, "reply": {"n": 1}}
    request = {"insert": "orders", "documents": [{"_id": key}]}
    begun = {"command": "insert", "request": request, "server": "m1", "start_ns": start_ms * 1_000_000}
    return Attempt(**{**begun, **answered, **fields})


def texts(drawing: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawing).iter("text")]


def test_a_run_that_was_shrunk_keeps_its_id():
    """What is shrunk again takes its own place, so that its drawing is found under one id."""
    assert store.shrunk_id("c-001") == "c-001-shrunk"
    assert store.shrunk_id("c-001-shrunk") == "c-001-shrunk"


def test_every_message_is_drawn_once_from_top_to_bottom():
    """Requests, answers, errors, lost answers, elections and the fault stand in order of time."""
    lost = insert(1, reply=None, failure=Failure(types=("AutoReconnect",), message="gone", answered=False))
    refused = insert(4, reply=None, failure=Failure(types=("NotPrimaryError",), message="no", code=10107))
    window = FaultWindow(fault="kill-primary", strike=0, start_ns=1_500_000, end_ns=8_000_000, targets=("m1",))
    history = History(
        operations=(operation(0, "act", lost, refused, insert(6)),),
        fault_windows=(window,),
        primary_changes=(PrimaryChange(time_ns=3_000_000, member="m2", term=2),),
    )
    smallest = draw_smallest("r-shrunk", "harness replay r-shrunk", history)
    drawn = [text for text in texts(smallest.messages) if not text.endswith(" ms")]
    assert drawn == [
        *("client 0", "m1", "m2"),
        *("act begins", "insert 7", "kill-primary begins at m1", "no answer", "is primary", "insert 7", "error 10107"),
        *("insert 7", "ok, n 1", "kill-primary is healed", "act returned"),
    ]
    assert len(re.findall('class="arrow lost"', smallest.messages)) == 1
    assert len(re.findall('class="cross"', smallest.messages)) == 1
    assert len(re.findall('class="arrow error"', smallest.messages)) == 1
    assert len(re.findall('class="band effective"', smallest.messages)) == 1
    assert (smallest.operations, smallest.clients, smallest.left_out) == (1, 1, 0)


def test_texts_of_a_pattern_cannot_break_out_of_the_drawing():
    """Names and ids come from whoever wrote the pattern: they are shown, and mean nothing to the page."""
    for text in HOSTILE:
        history = History(operations=(operation(0, text, insert(1, text, server=text)),))
        smallest = draw_smallest("r", "", history)
        elements = {element.tag for element in ET.fromstring(smallest.messages).iter()}
        assert elements <= {"svg", "g", "line", "path", "text", "circle", "rect"}


def test_a_run_that_is_not_small_is_cut():
    """A drawing has so many lines at most, and says how many are left out."""
    history = History(operations=tuple(operation(number, "act", insert(number)) for number in range(ROWS_MAX)))
    smallest = draw_smallest("r", "", history)
    assert smallest.left_out == 3 * ROWS_MAX
    assert len([text for text in texts(smallest.messages) if not text.endswith(" ms")]) == ROWS_MAX + 2


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    return write_campaign(tmp_path, operations=60, hostile=False)


def keep_shrunk(campaign: Path, run: str, like: str) -> None:
    """Store a copy of the run ``like`` as what ``run`` was shrunk to."""
    directories = {directory.name: directory for directory in store.iterate_runs(campaign)}
    shrunk = directories[run].with_name(store.shrunk_id(run))
    shutil.copytree(directories[like], shrunk)
    facts = store.read_facts(shrunk)
    store.write_facts(shrunk, msgspec.structs.replace(facts, run=shrunk.name, replay=f"harness replay {shrunk.name}"))


def report_of(campaign: Path) -> Report:
    return build_report(campaign, store.read_scenarios(campaign))


def test_a_finding_shows_the_run_that_it_was_shrunk_to(campaign: Path):
    """The page draws it with the finding, and says how to do it again; other findings show none."""
    first, other = report_of(campaign).findings
    assert (first.smallest, other.smallest) == (None, None)
    keep_shrunk(campaign, first.run, first.run)
    first, other = report_of(campaign).findings
    assert first.smallest is not None
    assert first.smallest.run == store.shrunk_id(first.run)
    assert other.smallest is None
    page = render_html(report_of(campaign))
    assert page.count('<svg class="messages"') == 1
    assert f"harness replay {store.shrunk_id(first.run)}" in page
    assert "<h4>The smallest run that shows it, message by message</h4>" in page


def test_a_run_that_was_shrunk_to_another_anomaly_is_not_shown(campaign: Path):
    """What is drawn beside a finding shows that very anomaly."""
    first, other = report_of(campaign).findings
    keep_shrunk(campaign, first.run, other.run)
    assert [finding.smallest for finding in report_of(campaign).findings] == [None, None]
