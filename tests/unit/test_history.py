"""The history: what happened, from the events of a journal."""

from __future__ import annotations

import pytest

from harness.clock import FOREVER_NS
from harness.errors import HistoryError
from harness.facts import Effect, Phase, PrimaryChange
from harness.history import build_history, completion_of, fault_events, invocation_of
from harness.journal import Completed, FaultHealed, FaultStarted, FinalRead, Invoked, PhaseStarted, PrimarySeen


def invoked(index: int, start_ns: int, **fields: int) -> Invoked:
    return Invoked(index=index, process=fields.get("process", 0), client=0, function="write", start_ns=start_ns)


def completed(index: int, returned_ns: int | None, status: str = "ok") -> Completed:
    return Completed(index=index, returned_ns=returned_ns, status=status, outcome="returned")  # type: ignore[arg-type]


def test_an_invocation_without_completion_never_ends() -> None:
    """An operation that was under way when the record ended may still take effect at any time."""
    operation = build_history([invoked(0, 5)]).operation(0)
    assert (operation.status, operation.outcome, operation.end_ns) == ("info", "unfinished", FOREVER_NS)


def test_an_indeterminate_operation_ends_at_infinity_though_its_caller_went_on() -> None:
    """The time at which the caller gave up does not bound the effect."""
    operation = build_history([invoked(0, 5), completed(0, 9, "info")]).operation(0)
    assert operation.returned_ns == 9
    assert operation.end_ns == FOREVER_NS


def test_operations_are_in_order_of_invocation() -> None:
    """The order of lines in the journal does not matter, their times do."""
    history = build_history([invoked(1, 20), completed(1, 25), invoked(0, 10), completed(0, 30)])
    assert [operation.index for operation in history.operations] == [0, 1]


@pytest.mark.parametrize(
    "events",
    [
        [completed(0, 5)],
        [invoked(0, 1), invoked(0, 2)],
        [invoked(0, 1), completed(0, 2), completed(0, 3)],
        [FaultHealed(fault="lag", strike=0, end_ns=5)],
    ],
)
def test_events_that_do_not_fit_are_refused(events: list[object]) -> None:
    """A completion without invocation, a doubled event and a healing without strike are errors."""
    with pytest.raises(HistoryError):
        build_history(events)  # type: ignore[arg-type]


def test_faults_phases_and_final_reads_are_kept() -> None:
    """A strike, its effect and healing make one window; an unhealed strike has no end and no effect."""
    effect = Effect(observer="member states", description="m2 is primary", time_ns=15)
    history = build_history(
        [
            FaultStarted(fault="kill-primary", strike=0, start_ns=10, targets=("m1",)),
            FaultHealed(fault="kill-primary", strike=0, end_ns=20, effects=(effect,)),
            FaultStarted(fault="kill-primary", strike=1, start_ns=30),
            PrimarySeen(change=PrimaryChange(time_ns=14, member="m2", term=2)),
            PhaseStarted(phase=Phase(name="load", time_ns=1)),
            FinalRead(name="documents", value=[1]),
        ]
    )
    healed, open_ended = history.fault_windows
    assert (healed.targets, healed.end_ns, healed.effective) == (("m1",), 20, True)
    assert (open_ended.end_ns, open_ended.effective) == (None, False)
    assert history.final == {"documents": [1]}
    assert history.primary_changes[0].member == "m2"
    assert history.phases[0].name == "load"


def test_events_of_a_history_build_it_again() -> None:
    """What a history is written as is what it was built from: operations, and faults with effects and errors."""
    effect = Effect(observer="member states", description="m2 is primary", time_ns=3)
    events = (
        Invoked(index=0, process=5, client=1, group=1, function="put", arguments={"key": "a"}, start_ns=1),
        Completed(index=0, returned_ns=4, status="ok", outcome="returned", result=[1]),
        FaultStarted(fault="kill-primary", strike=0, start_ns=2, targets=("m1",)),
        FaultHealed(fault="kill-primary", strike=0, end_ns=5, effects=(effect,), error="did not come back"),
        FaultStarted(fault="kill-primary", strike=1, start_ns=6),
    )
    history = build_history(events)
    (operation,) = history.operations
    assert (invocation_of(operation), completion_of(operation), *fault_events(history.fault_windows)) == events


def test_overlapping_uses_closed_intervals() -> None:
    """An operation that ends in the very nanosecond in which the span begins overlaps it."""
    history = build_history([invoked(0, 1), completed(0, 10), invoked(1, 11), completed(1, 12), invoked(2, 30)])
    assert [o.index for o in history.overlapping(10, 11)] == [0, 1]
    assert [o.index for o in history.overlapping(40, 50)] == [2]
