"""Keeping the record of a simulated run: the same files as of a run on real servers, and its trace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import store
from harness.explore.program import Workload, WorkloadItem
from harness.facts import Choice, RunFacts, WorkloadCall
from harness.history import History, completion_of, fault_events, invocation_of
from harness.journal import (
    ENCODER,
    FinalRead,
    JournalEvent,
    JournalWriter,
    OplogRead,
    PhaseStarted,
    PrimarySeen,
)
from harness.operation import Operation
from harness.result import RunVerdict
from harness.scenario.record import Call
from harness.sim.kernel import Deviation, Site


def choices_of(deviations: Iterable[Deviation]) -> tuple[Choice, ...]:
    """Return a trace as it is stored."""
    return tuple(
        Choice(task=site.task, operation=site.operation, kind=site.kind, occurrence=site.occurrence, label=label)
        for site, label in deviations
    )


def deviations_of(choices: Iterable[Choice]) -> tuple[Deviation, ...]:
    """Return a stored trace as the kernel has it."""
    return tuple(
        Deviation(Site(choice.task, choice.operation, choice.kind, choice.occurrence), choice.label)
        for choice in choices
    )


def calls_of(workload: Workload) -> tuple[WorkloadCall, ...]:
    """Return a workload as it is stored."""
    return tuple(
        WorkloadCall(
            id=item.id,
            client=item.client,
            index=item.index,
            function=item.call.function,
            arguments=dict(item.call.arguments),
        )
        for item in workload.items
    )


def workload_of(calls: Iterable[WorkloadCall]) -> Workload:
    """Return a stored workload."""
    return Workload(
        items=tuple(
            WorkloadItem(
                id=call.id,
                client=call.client,
                index=call.index,
                call=Call(function=call.function, arguments=call.arguments),
            )
            for call in calls
        )
    )


def digest_of(history: History, steps_digest: int) -> str:
    """Return the digest of a run, in hexadecimal: over every step of the kernel, and over what was recorded."""
    digest = hashlib.blake2b(steps_digest.to_bytes(8, "big"), digest_size=16)
    for event in (*_operation_events(history.operations), *_final_events(history)):
        digest.update(ENCODER.encode(event))
    return digest.hexdigest()


def keep_run(root: Path, facts: RunFacts, history: History, verdict: RunVerdict) -> Path:
    """Write the record of a run and return its directory. Raises StoreError if the disk does not take it."""
    directory = store.run_directory(root, facts)
    store.write_facts(directory, facts)
    _write_journal(directory / store.HISTORY, (*_operation_events(history.operations), *_final_events(history)))
    _write_journal(directory / store.FAULTS, _fault_events(history))
    store.write_verdict(directory, verdict)
    return directory


def _write_journal(path: Path, events: Iterable[JournalEvent]) -> None:
    path.unlink(missing_ok=True)
    journal = JournalWriter(path)
    for event in events:
        journal.append(event)
    journal.close()


def _operation_events(operations: Iterable[Operation]) -> Iterator[JournalEvent]:
    for operation in operations:
        yield invocation_of(operation)
        yield completion_of(operation)


def _final_events(history: History) -> Iterator[JournalEvent]:
    for name, value in history.final.items():
        yield FinalRead(name=name, value=value)
    if history.oplog is not None:
        yield OplogRead(oplog=history.oplog)


def _fault_events(history: History) -> Iterator[JournalEvent]:
    yield from fault_events(history.fault_windows)
    for change in history.primary_changes:
        yield PrimarySeen(change=change)
    for phase in history.phases:
        yield PhaseStarted(phase=phase)
