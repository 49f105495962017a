"""Linearizability: certificates, counterexamples, keys, budgets. Brute force is in tests/property."""

from __future__ import annotations

import dataclasses
import time

import pytest
from checker_histories import history, operation

from harness.checkers import (
    ILLEGAL,
    Entry,
    Model,
    Step,
    entries_of,
    linearizable,
    register,
    verify_linearization,
    versioned_document,
)
from harness.history import History
from harness.operation import Operation
from harness.seed import stream


def step(one: Operation) -> Step:
    """Return what an operation on a register did."""
    if one.function == "read":
        return Step("read", result=one.result)
    return Step("write", one.arguments["value"])


def document_step(one: Operation) -> Step:
    """Return what an operation on a versioned document did."""
    if one.function == "read":
        return Step("read", result=one.result)
    return Step("write", one.arguments["value"], one.result)


CHECKER = linearizable(register(), step=step)


def test_equal_stamps_are_concurrent() -> None:
    """A read that begins in the very nanosecond in which a write ends may still miss it."""
    write = operation(0, "write", 0, 5, value=1)
    assert CHECKER.check(history(write, operation(1, "read", 5, 6, result=None))).status == "holds"
    assert CHECKER.check(history(write, operation(1, "read", 6, 7, result=None))).status == "violated"


def test_holds_comes_with_an_order_that_an_independent_pass_accepts() -> None:
    """The certificate is an order of operation indexes, and any change that breaks it is refused with the reason."""
    record = history(
        operation(0, "write", 0, 1, value=1),
        operation(1, "read", 2, 5, result=1),
        operation(2, "write", 3, 4, value=2),
        operation(3, "read", 6, 7, result=2),
    )
    verdict = CHECKER.check(record)
    assert verdict.certificate is not None
    assert verdict.certificate["orders"] == [{"key": None, "order": [0, 1, 2, 3]}]
    entries = entries_of(record, step)[None]
    reasons = [
        verify_linearization(entries, order, register())
        for order in ([0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 2], [0, 1, 2, 3, 3], [1, 0, 2, 3], [0, 1, 3, 2])
    ]
    assert reasons == [
        "",
        "operation 1 cannot have its result where it stands",
        "operation 3 is left out of the order",
        "operation 3 is unknown or stands twice in the order",
        "operation 1 cannot have its result where it stands",
        "operation 3 cannot have its result where it stands",
    ]


def test_an_order_against_real_time_is_refused() -> None:
    """Verification looks at stamps too, not only at values."""
    entries = [Entry(0, 0, 1, Step("write", 1)), Entry(1, 2, 3, Step("write", 2))]
    assert "had ended before" in verify_linearization(entries, [1, 0], register())


def test_each_key_is_judged_by_itself() -> None:
    """A stale read of one object is found among sound ones, and the finding names the object."""
    record = history(
        operation(0, "write", 0, 1, key="a", value=1),
        operation(1, "write", 0, 1, key="b", value=1),
        operation(2, "read", 2, 3, key="a", result=1),
        operation(3, "read", 2, 3, key="b", result=None),
    )
    verdict = linearizable(register(), step=step, key=lambda one: one.arguments["key"]).check(record)
    (anomaly,) = verdict.anomalies
    assert (anomaly.kind, anomaly.details["key"]) == ("stale-read", "b")


def test_an_object_may_have_a_beginning_of_its_own() -> None:
    """``initial`` gives each key its state before the load."""
    checker = linearizable(
        versioned_document(),
        step=document_step,
        key=lambda one: one.arguments["key"],
        initial=lambda key: (4, {"text": key}),
    )
    read = operation(0, "read", 0, 1, key="a", result=[4, {"text": "a"}])
    write = operation(1, "write", 2, 3, key="a", value={"text": "z"}, result=[5, {"text": "z"}])
    assert checker.check(history(read, write)).status == "holds"


def test_a_write_of_unknown_outcome_fills_a_missing_version_only_if_it_began_in_time() -> None:
    """The version that nobody was told is charged to a write that can have made it, or to none."""
    checker = linearizable(versioned_document(), step=document_step)
    told = [
        operation(0, "write", 0, 1, value="x", result=[1, "x"]),
        operation(1, "write", 4, 6, value="y", result=[3, "y"]),
    ]
    early = operation(2, "write", 5, None, status="info", value="z")
    late = operation(2, "write", 7, None, status="info", value="z")
    assert checker.check(history(*told, early)).status == "holds"
    assert checker.check(history(*told, late)).anomalies[0].kind == "version-gap"


def test_a_corrupt_version_does_not_exhaust_the_memory() -> None:
    """A version of a trillion is a gap, not a list of a trillion versions."""
    verdict = linearizable(versioned_document(), step=document_step).check(
        history(operation(0, "read", 0, 1, result=[10**12, "x"]))
    )
    assert verdict.anomalies[0].kind == "version-gap"


def test_out_of_budget_is_unknown_with_how_far_it_came() -> None:
    """A search that gives up says so, in steps, and never says holds."""
    draw = stream(1, "budget")
    writes = [operation(n, "write", 0, 100, value=draw.randint(1, 3)) for n in range(8)]
    reads = [operation(20 + n, "read", 101 + n, 102 + n, result=9) for n in range(2)]
    record = history(*writes, operation(50, "write", 200, 201, value=9), *reads)
    verdict = linearizable(register(), step=step, budget_steps=50).check(record)
    assert verdict.status == "unknown"
    assert "budget of 50 steps" in verdict.reason
    assert linearizable(register(), step=step).check(record).status == "violated"


def test_a_counterexample_is_cut_down_to_what_is_to_blame() -> None:
    """Of forty operations the three that cannot be ordered are named, and the story says why."""
    noise = [operation(n, "write", n, n + 1, value=n % 2) for n in range(0, 40, 2)]
    bad = [
        operation(100, "write", 50, 51, value=1),
        operation(101, "write", 52, 53, value=0),
        operation(102, "read", 54, 55, result=1),
    ]
    verdict = CHECKER.check(history(*noise, *bad))
    (anomaly,) = verdict.anomalies
    assert set(anomaly.operations) == {100, 101, 102} or set(anomaly.operations) == {101, 102}
    assert any("cannot come next" in sentence for sentence in anomaly.story)


def test_any_model_can_be_given_as_functions() -> None:
    """A counter with reads, in six lines, judged by the search."""

    def apply(state: int, one: Step) -> object:
        if one.kind == "add":
            return state + 1
        return state if one.result == state else ILLEGAL

    counter = Model(name="counter", initial=0, apply=apply, observes=lambda one: one.kind == "read")
    checker = linearizable(counter, step=lambda one: Step(one.function, result=one.result))
    adds = [operation(0, "add", 0, 1), operation(1, "add", 2, 9)]
    assert checker.check(history(*adds, operation(2, "read", 3, 4, result=1))).status == "holds"
    assert checker.check(history(*adds, operation(2, "read", 10, 11, result=1))).status == "violated"


def test_without_completed_operations_there_is_nothing_to_judge() -> None:
    """Operations that all failed or stayed open support nothing."""
    record = history(
        operation(0, "write", 0, None, status="info", value=1), operation(1, "write", 0, 1, status="fail", value=2)
    )
    assert CHECKER.check(record).status == "unknown"


def long_history(count: int, clients: int) -> History:
    """Return writes and reads of one versioned document with unique values, a twentieth of unknown outcome."""
    draw = stream(7, "long", count)
    moments = []
    free = [0] * clients
    for index in range(count):
        client = min(range(clients), key=free.__getitem__)
        start = free[client] + draw.randint(1, 10)
        end = start + draw.randint(0, 100)
        moments.append((draw.randint(start, end), start, end, index))
        free[client] = end
    made, version, value = [], 0, None
    for _, start, end, index in sorted(moments):
        writes, unknown = index % 2 == 1, draw.random() < 0.05
        if writes and (not unknown or draw.random() < 0.5):
            version, value = version + 1, f"v{index}"
        if writes:
            result = None if unknown else [version, value]
            made.append(
                operation(
                    index, "write", start, end, status="info" if unknown else "ok", result=result, value=f"v{index}"
                )
            )
        elif not unknown:
            made.append(operation(index, "read", start, end, result=[version, value]))
    return history(*made)


@pytest.mark.slow
def test_tens_of_thousands_of_operations_on_one_object_are_judged_in_seconds() -> None:
    """Unique values and versions make one object with 40,000 operations a matter of a sort."""
    record = long_history(40_000, clients=10)
    for checker in (
        linearizable(versioned_document(), step=document_step),
        linearizable(register(), step=lambda one: dataclasses.replace(step(one), result=(one.result or [0, None])[1])),
    ):
        began = time.process_time()
        assert checker.check(record).status == "holds"
        assert time.process_time() - began < 10
