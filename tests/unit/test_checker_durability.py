"""Durability: which write was lost, told so that a reader finds it; and what is not its business."""

from __future__ import annotations

import msgspec
from checker_histories import history, operation

from harness.checkers import durability, rejected_yet_applied
from harness.checkers.findings import LISTED_PER_KIND
from harness.facts import FaultWindow
from harness.history import History
from harness.operation import Attempt, DatabaseCall, Operation

MS = 1_000_000
CHECKER = durability(
    writes=lambda one: one.arguments.get("token"),
    survivors=lambda final: final["tokens"],
    needs_final=("tokens",),
)


def acknowledged_write(token: str, *, concern: dict[str, object] | None) -> Operation:
    """Return an insert of m1 at 14 ms, with the command as it was recorded."""
    request = {"insert": "documents"} | ({"writeConcern": concern} if concern else {})
    attempt = Attempt(command="insert", request=request, server="m1", start_ns=12 * MS, end_ns=14 * MS, reply={"ok": 1})
    one = operation(7, "insert", 12 * MS, 14 * MS, client=2, token=token)
    return msgspec.structs.replace(
        one, calls=(DatabaseCall(name="insert_one", start_ns=12 * MS, end_ns=14 * MS, attempts=(attempt,)),)
    )


def test_a_lost_write_is_told_with_client_member_time_fault_and_concern() -> None:
    """The story of a lost write names who wrote it, who acknowledged it, when, in which fault, at which concern."""
    window = FaultWindow(fault="partition-primary", strike=1, start_ns=2 * MS, end_ns=50 * MS, targets=("m1",))
    one = acknowledged_write("b", concern={"w": 1})
    verdict = CHECKER.check(History(operations=(one,), final={"tokens": []}, fault_windows=(window,)))
    (anomaly,) = verdict.anomalies
    assert anomaly.kind == "lost-write"
    assert anomaly.operations == (7,)
    assert anomaly.story[0] == (
        "Client 2 insert(token='b') was acknowledged by m1 at 14.0 ms into the run "
        "(12.0 ms into partition-primary of m1), at w: 1."
    )
    assert "'b' is absent" in anomaly.story[1]


def test_the_default_write_concern_is_named_as_such() -> None:
    """A command without a concern ran at the server's default, and the certificate counts it so."""
    verdict = CHECKER.check(history(acknowledged_write("b", concern=None), tokens=["b"]))
    assert verdict.status == "holds"
    assert verdict.certificate is not None
    assert verdict.certificate["acknowledged_at"] == {"the server's default write concern": 1}


def test_a_write_without_acknowledgement_may_be_there_or_not() -> None:
    """An indeterminate write is neither lost nor a phantom."""
    acknowledged = operation(0, "insert", 0, 1, token="a")
    unknown = operation(1, "insert", 2, 3, status="info", token="b")
    for tokens in (["a"], ["a", "b"]):
        assert CHECKER.check(history(acknowledged, unknown, tokens=tokens)).status == "holds"


def test_what_acknowledges_nothing_is_unknown_with_its_rate_of_loss() -> None:
    """At w:0 there is nothing to hold the pattern to; the reason says how much was lost all the same."""
    writes = [operation(n, "insert", n, n + 1, status="info", outcome="returned", token=str(n)) for n in range(4)]
    verdict = CHECKER.check(history(*writes, tokens=["0", "1", "2"]))
    assert verdict.status == "unknown"
    assert verdict.reason.startswith("acknowledges nothing: of 4 writes without an acknowledgement 1 are missing")


def test_without_writes_there_is_nothing_to_judge() -> None:
    """A run in which nothing was written never holds."""
    assert CHECKER.check(history(operation(0, "read", 0, 1), tokens=[])).status == "unknown"


def test_many_lost_writes_are_listed_up_to_a_cap_and_counted() -> None:
    """A thousand lost writes give a readable verdict whose count is a thousand."""
    writes = [operation(n, "insert", n, n + 1, token=n) for n in range(1000)]
    verdict = CHECKER.check(history(*writes, tokens=[]))
    assert len(verdict.anomalies) == LISTED_PER_KIND
    assert verdict.anomaly_count == 1000
    assert verdict.anomalies[0].details["found_of_this_kind"] == 1000


def test_a_list_of_tokens_is_several_writes() -> None:
    """An operation that wrote to several documents loses each of them by itself."""
    checker = durability(writes=lambda _: [("d1", "t"), ("d2", "t")], survivors=lambda final: final["stamps"])
    verdict = checker.check(history(operation(0, "stamp", 0, 1), stamps=[["d1", "t"]]))
    assert [one.details["token"] for one in verdict.anomalies] == [["d2", "t"]]


def test_documents_can_be_tokens() -> None:
    """Tokens may be any JSON value; the order of keys does not matter."""
    checker = durability(writes=lambda one: one.arguments["document"], survivors=lambda final: final["documents"])
    write = operation(0, "insert", 0, 1, document={"a": 1, "b": [2]})
    assert checker.check(history(write, documents=[{"b": [2], "a": 1}])).status == "holds"


def test_rejected_holds_where_nothing_was_rejected_and_looks_at_rejections_alone() -> None:
    """The pattern's word is judged here, not lost or failed writes."""
    checker = rejected_yet_applied(writes=lambda one: one.arguments["token"], survivors=lambda final: final["tokens"])
    lost = operation(0, "insert", 0, 1, token="a")
    failed = operation(1, "insert", 2, 3, status="fail", token="b")
    assert checker.check(history(lost, failed, tokens=["b"])).status == "holds"
    uncertain = operation(2, "insert", 4, 5, status="info", outcome="rejected", token="c")
    assert checker.check(history(uncertain, tokens=["c"])).anomalies[0].kind == "rejected-yet-applied"
    assert checker.check(history(tokens=[])).status == "unknown"
