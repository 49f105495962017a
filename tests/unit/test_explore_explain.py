"""Explanations: what each deviation is needed for, who conflicted, the story, the literal and the diagram."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from toy_programs import Counter, Lease, Register

from harness.explore.conflicts import conflicts_of, documents_of
from harness.explore.diagram import Arrow, diagram_of, render_diagram
from harness.explore.explain import Explanation, explain, render_explanation
from harness.explore.program import Execution, Workload
from harness.explore.replay import ReplayStrategy
from harness.explore.shrink import ShrinkResult, shrink
from harness.explore.signature import signature_of
from harness.explore.strategies import learn_profile, make_strategy
from harness.facts import FaultWindow, PrimaryChange
from harness.history import History
from harness.operation import Attempt, DatabaseCall, Failure, Operation
from harness.sim.kernel import Deviation, Site

SUPPORT = Path(__file__).parents[1] / "support"
SOURCE = "from toy_programs import Lease\n\nprogram = Lease(3, 3)"


@cache
def shrunk(seed_from: int = 0) -> ShrinkResult:
    program = Lease(3, 3)
    profile, workload = learn_profile(program), program.workload()
    for seed in range(seed_from, 500):
        execution = program.execute(workload, make_strategy("portfolio", seed, profile))
        if execution.status == "violated":
            return shrink(program, workload, execution)
    raise AssertionError("no seed of the lease fails")


@cache
def explanation() -> Explanation:
    result = shrunk()
    return explain(Lease(3, 3), result.workload, result.execution, anomaly=result.anomaly, program_source=SOURCE)


@pytest.mark.slow
def test_each_deviation_is_undone() -> None:
    """Of a minimal run every deviation is needed: without the jump or without the preemption the lease holds."""
    items = explanation().what_if
    assert [item.status for item in items] == ["holds", "holds"]
    assert all(item.needed for item in items)
    assert any("Time passes" in item.words for item in items)
    assert any("is held up" in item.words for item in items)


def test_a_deviation_that_is_not_needed_is_told() -> None:
    """One that the anomaly survives is not called needed."""
    program = Register(2, 2)
    deviations = (
        Deviation(Site("client 0", "0.1", "run", 0), "client 1"),
        Deviation(Site("client 1", "1.0", "fault", 0), "failover"),
    )
    execution = program.execute(program.workload(), ReplayStrategy(deviations))
    assert execution.deviations == deviations
    told = explain(program, program.workload(), execution, anomaly="lost-write")
    assert [item.needed for item in told.what_if] == [False, True]


def test_conflicts_name_operations_and_document() -> None:
    """The lost update is told as who read, who wrote and who wrote over it, on the document in question."""
    result = shrunk()
    first, second = (o.index for o in result.execution.history.operations)
    pairs = [
        (c.document, c.first.operation, c.first.writes, c.second.operation, c.second.writes)
        for c in explanation().conflicts
    ]
    assert ("toys resource", first, False, second, True) in pairs
    assert ("toys resource", second, True, first, True) in pairs
    assert all(one != other for _, one, _, other, _ in pairs)


def test_the_story_is_in_the_order_of_the_run() -> None:
    """A reader meets the calls, the commands, the jump and the preemption in the order in which they happened."""
    story = explanation().story
    assert "calls transact() as operation" in story[0]
    text = " ".join(story)
    positions = [text.index(part) for part in ("finds and modifies lease", "Time passes", "runs.", "updates resource")]
    assert positions == sorted(positions)
    assert text.count("transact returns True") == 2


def test_the_literal_runs(tmp_path: Path) -> None:
    """The Python text, saved as a file, executes the run again and prints the same verdict."""
    script = tmp_path / "again.py"
    script.write_text(explanation().literal)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": ":".join([str(SUPPORT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["violated", "lost-update"]


def test_the_diagram_has_every_message() -> None:
    """Eight commands and their answers go between two clients and a member, in order of time."""
    diagram = explanation().diagram
    assert diagram is not None
    assert [p.kind for p in diagram.participants] == ["client", "client", "member"]
    assert [arrow.kind for arrow in diagram.arrows].count("request") == 8
    assert [arrow.kind for arrow in diagram.arrows].count("reply") == 8
    times = [arrow.time_us for arrow in diagram.arrows]
    assert times == sorted(times)


def test_the_explanation_is_one_text() -> None:
    """Everything is in the rendering: size, story, conflicts, what-if, diagram and literal."""
    text = render_explanation(explanation())
    assert text.startswith("lost-update: 2 operations of 2 clients, 2 deviations\n")
    for part in (
        "1. Client",
        "In conflict:",
        "Without one of its deviations:",
        "findAndModify lease",
        "DEVIATIONS = (",
    ):
        assert part in text


def attempt(command: str, *, reply: dict[str, Any] | None = None, **request: Any) -> Attempt:
    return Attempt(
        command=command, request={command: "orders", **request}, server="m1", start_ns=0, end_ns=1, reply=reply
    )


@pytest.mark.parametrize(
    ("made", "documents"),
    [
        (attempt("insert", documents=[{"_id": 1}, {"_id": {"$oid": "aa"}}]), ("1", "aa")),
        (attempt("update", updates=[{"q": {"_id": "x", "v": 2}, "u": {}}]), ("x",)),
        (attempt("delete", deletes=[{"q": {"status": "open"}, "limit": 1}]), ("",)),
        (attempt("find", filter={"_id": {"$in": [1, 2]}}), ("1", "2")),
        (attempt("find", filter={"_id": {"$gt": 1}}), ("",)),
        (attempt("find", filter={}, reply={"cursor": {"firstBatch": [{"_id": 4}, {"_id": 5}]}}), ("4", "5")),
        (attempt("findAndModify", query={"status": "open"}, reply={"value": {"_id": 9}}), ("9",)),
        (attempt("aggregate", pipeline=[{"$match": {"_id": 3}}, {"$group": {}}]), ("3",)),
        (attempt("update", updates=[{"q": {"k": 1}}], reply={"upserted": [{"index": 0, "_id": 8}]}), ("8",)),
    ],
)
def test_documents_are_read_from_commands_and_answers(made: Attempt, documents: tuple[str, ...]) -> None:
    """The ids that a command names, else those that its answer names, else any of the collection."""
    assert documents_of(made) == documents


def operation(index: int, client: int, *attempts: Attempt) -> Operation:
    call = DatabaseCall(name="orders.x", start_ns=0, end_ns=1, attempts=attempts)
    return Operation(
        index=index,
        process=client,
        client=client,
        function="act",
        start_ns=index,
        returned_ns=index + 10,
        status="ok",
        outcome="returned",
        calls=(call,),
    )


def test_two_reads_and_a_write_that_matched_nothing_do_not_conflict() -> None:
    """Reads commute, and a write that changed nothing is a read; a predicate may conflict with any."""
    read = attempt("find", filter={"_id": 1})
    missed = attempt("update", updates=[{"q": {"_id": 1}}], reply={"n": 0})
    wrote = attempt("update", updates=[{"q": {"_id": 1}}], reply={"n": 1})
    anywhere = attempt("delete", deletes=[{"q": {"status": "open"}}], reply={"n": 1})
    assert conflicts_of(History(operations=(operation(0, 0, read), operation(1, 1, missed)))) == ()
    assert conflicts_of(History(operations=(operation(0, 0, read), operation(1, 0, wrote)))) == ()
    [certain] = conflicts_of(History(operations=(operation(0, 0, read), operation(1, 1, wrote))))
    assert (certain.certain, certain.document) == (True, "orders 1")
    [possible] = conflicts_of(History(operations=(operation(0, 0, read), operation(1, 1, anywhere))))
    assert (possible.certain, possible.document) == (False, "orders 1")


def test_a_lost_answer_and_a_fault_are_drawn() -> None:
    """An answer that never came ends in an x, a fault is a band across the lanes, an election a mark."""
    lost = Attempt(
        command="update",
        request={"update": "orders", "updates": [{"q": {"_id": 7}}]},
        server="m1",
        start_ns=1_000_000,
        end_ns=5_000_000,
        failure=Failure(types=("AutoReconnect",), message="gone", answered=False),
    )
    refused = Attempt(
        command="update",
        request={"update": "orders", "updates": [{"q": {"_id": 7}}]},
        server="m2",
        start_ns=6_000_000,
        end_ns=7_000_000,
        failure=Failure(types=("NotPrimaryError",), message="no", code=10107),
    )
    window = FaultWindow(fault="kill-primary", strike=0, start_ns=2_000_000, end_ns=8_000_000, targets=("m1",))
    history = History(
        operations=(operation(0, 0, lost, refused),),
        fault_windows=(window,),
        primary_changes=(PrimaryChange(time_ns=4_000_000, member="m2", term=2),),
    )
    diagram = diagram_of(history)
    assert diagram.arrows[1] == Arrow(source="m1", target="client 0", time_us=5_000, label="no answer", kind="lost")
    assert diagram.bands[0].participants == ("m1",)
    text = render_diagram(diagram)
    assert "x" in next(line for line in text.splitlines() if "no answer" in line)
    assert "=== kill-primary begins at m1 ===" in text
    assert "* is primary" in text
    assert "error 10107" in text


@pytest.mark.slow
def test_a_signature_is_the_same_for_one_bug() -> None:
    """Whatever seed, clients and values: the lease has one signature, and another bug another."""
    results = [shrunk(), shrunk(50), shrunk(120)]
    signatures = {signature_of(r.workload, r.execution, r.anomaly).text for r in results}
    assert signatures == {"lost-update | a+transact b+transact b-transact a-transact | time"}
    program = Counter(2, 1)
    race = program.execute(
        program.workload(), ReplayStrategy([Deviation(Site("client 0", "0.0", "run", 0), "client 1")])
    )
    other = signature_of(program.workload(), race, "lost-update")
    assert other.text == "lost-update | a+increment b+increment b-increment a-increment"
    assert len(other.key) == 12


def test_a_signature_needs_no_history() -> None:
    """A program without a record has a shape of its workload."""
    workload = Workload(items=Counter(2, 2).workload().items)
    execution = Execution(deviations=(), digest="", decisions=0, steps=0, status="violated", anomalies=("odd",))
    assert signature_of(workload, execution, "odd").text == "odd | increment+increment increment+increment"
