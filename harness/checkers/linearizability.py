"""Linearizability of one object or of many, each judged by itself: real time, closed intervals, every model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.checkers import story
from harness.checkers.findings import Findings
from harness.checkers.frozen import freeze
from harness.checkers.model import ILLEGAL, UNKNOWN, Entry, Model, Step, Witness
from harness.checkers.resolution import took_effect
from harness.checkers.search import search, verify_linearization
from harness.checkers.shrink import shrink
from harness.clock import FOREVER_NS
from harness.errors import CheckError
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.verdict import Verdict

DEFAULT_BUDGET_STEPS = 2_000_000
"""Steps of search for all keys together; beyond it the verdict is ``unknown``."""

_SHRINK_BUDGET_STEPS = 300_000
_FRONTIER_SENTENCES = 5
_OPERATIONS_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One object with everything that happened to it."""

    key: Any
    entries: Sequence[Entry]
    model: Model
    initial: Any


@dataclass(slots=True)
class _Tally:
    orders: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    operations: int = 0
    required: int = 0
    undecided: list[str] = field(default_factory=list)


def entries_of(
    history: History,
    step: Callable[[Operation], Step | None],
    key: Callable[[Operation], Hashable] = lambda _: None,
    survivors: Container[int] = (),
) -> dict[Hashable, list[Entry]]:
    """Return the entries of each key: operations that failed are left out, those of unknown outcome are optional.

    ``survivors`` are indexes of those whose effect is known from elsewhere: it is required, any time after their start.
    """
    groups: defaultdict[Hashable, list[Entry]] = defaultdict(list)
    for operation in history.operations:
        if operation.status == "fail":
            continue
        taken = step(operation)
        if taken is not None:
            groups[freeze(key(operation))].append(_entry(operation, taken, survived=operation.index in survivors))
    return dict(groups)


def _entry(operation: Operation, step: Step, *, survived: bool) -> Entry:
    known = operation.status == "ok"
    return Entry(
        index=operation.index,
        start_ns=operation.start_ns,
        end_ns=operation.end_ns if known else FOREVER_NS,
        step=Step(step.kind, freeze(step.value), freeze(step.result) if known else UNKNOWN),
        required=known or survived,
    )


def linearizable(
    model: Model,
    *,
    step: Callable[[Operation], Step | None],
    key: Callable[[Operation], Hashable] = lambda _: None,
    initial: Callable[[Any], Any] | None = None,
    budget_steps: int = DEFAULT_BUDGET_STEPS,
    name: str = "linearizability",
    guarantee: str = "Each operation takes effect at one moment between its call and its return.",
) -> Checker:
    """Return the checker that looks for an order of the operations that respects real time and fits ``model``.

    ``step(operation)`` says what an operation did (None: not judged here); ``key(operation)`` names the object, and
    each object is judged by itself; ``initial(key)`` gives the state that it starts with, where that is not the
    model's. An operation with status ``fail`` is left out; one with ``info`` took effect once after its start, or
    never, and the result that ``step`` gives for it is not looked at. Only what promises linearizability belongs here:
    acknowledged effective writes and linearizable reads.

    ``holds`` comes with an order for each key, verified anew by :func:`verify_linearization`. ``violated`` comes with a
    smallest set of operations and why they fit no order: ``stale-read``, ``phantom-read``, ``duplicate-version``,
    ``version-gap``, ``wrong-document``, ``not-linearizable``. Beyond ``budget_steps`` it is ``unknown``.

    Example::

        linearizable(
            versioned_document(version=1),
            step=lambda operation: Step("write", operation.arguments["text"], (operation.result["v"],
                operation.result["text"])) if operation.status == "ok" else Step("write", operation.arguments["text"]),
            key=lambda operation: operation.arguments["id"],
        )
    """

    def check(history: History) -> Verdict:
        findings, tally = Findings(history, guarantee), _Tally()
        survivors = took_effect(history)
        for value, entries in entries_of(history, step, key, survivors).items():
            start = model.initial if initial is None else freeze(initial(value))
            subject = _Subject(key=value, entries=entries, model=model, initial=start)
            tally.operations += len(entries)
            tally.required += sum(entry.required for entry in entries)
            witness = _decide(subject, budget_steps, tally)
            if witness is not None:
                _report(witness, value, findings, survivors)
        return findings.conclude(
            name,
            operations=tally.operations,
            steps=tally.steps,
            unknown=_unknown(tally),
            certificate={"model": model.name, "orders": tally.orders, **_resolved(survivors)},
            model_broken="linearizability",
        )

    return Checker(name=name, guarantee=guarantee, check=check, ignores_durations=True)


def _unknown(tally: _Tally) -> str:
    if not tally.required:
        return "no completed operation to judge"
    return tally.undecided[0] if tally.undecided else ""


def _decide(subject: _Subject, budget: int, tally: _Tally) -> Witness | None:
    """Note the order or what stayed open in ``tally``; return the witness where there is no order."""
    entries, model = subject.entries, subject.model
    decision = model.decide([_as_told(entry) for entry in entries], subject.initial) if model.decide else None
    if decision is not None and decision.witness is not None:
        return decision.witness
    order = None if decision is None else _with_survivors(subject, decision.order)
    if order is not None:
        _certify(subject, order, tally)
        return None
    result = search(entries, model, subject.initial, budget - tally.steps)
    tally.steps += result.steps
    if result.order is not None:
        _certify(subject, result.order, tally)
    elif result.exhausted:
        return _explain(subject)
    else:
        tally.undecided.append(
            f"the search for an order stopped at its budget of {budget:,} steps, on {story.short(subject.key)} with "
            f"{len(entries)} operations; the longest order that fitted had {len(result.longest)}"
        )
    return None


def _as_told(entry: Entry) -> Entry:
    """Return the entry without what the oplog says of it: what is broken without that is broken with it."""
    return replace(entry, required=False) if entry.required and entry.step.result is UNKNOWN else entry


def _with_survivors(subject: _Subject, order: Sequence[Entry]) -> Sequence[Entry] | None:
    """Return the order with the entries that the oplog shows to have taken effect; None where they do not fit its end.

    They took effect at any time after their start, so that the end is as good a place as any.
    """
    placed = {entry.index for entry in order}
    missing = [entry for entry in subject.entries if entry.required and entry.index not in placed]
    if not missing:
        return order
    extended = [*order, *sorted(missing, key=lambda entry: (entry.start_ns, entry.index))]
    indexes = [entry.index for entry in extended]
    return None if verify_linearization(subject.entries, indexes, subject.model, subject.initial) else extended


def _certify(subject: _Subject, order: Sequence[Entry], tally: _Tally) -> None:
    indexes = [entry.index for entry in order]
    problem = verify_linearization(subject.entries, indexes, subject.model, subject.initial)
    if problem:
        raise CheckError(
            f"the order found for {story.short(subject.key)} is no linearization: {problem}",
            next_step="this is a defect of the checker: please report it with the stored run",
        )
    tally.orders.append({"key": subject.key, "order": indexes})


def _explain(subject: _Subject) -> Witness:
    """Return the smallest set that fits no order, the longest order that fits, and why nothing can follow it."""
    entries, model, initial = subject.entries, subject.model, subject.initial
    strangers = model.unexplained(entries, initial) if model.unexplained else ()
    if strangers:
        return Witness(
            kind="phantom-read",
            entries=(strangers[0],),
            story=(f"Operation {strangers[0].index} saw a value that no operation wrote or may have written.",),
        )
    small = shrink(entries, model, initial, _SHRINK_BUDGET_STEPS)
    result = search(small, model, initial, _SHRINK_BUDGET_STEPS)
    return Witness(
        kind="not-linearizable",
        entries=small,
        story=(
            f"These {len(small)} operations fit no order, whatever the others did.",
            *(_frontier(small, result.longest, model, initial) if result.exhausted else ()),
        ),
    )


def _frontier(small: Sequence[Entry], longest: Sequence[Entry], model: Model, initial: Any) -> list[str]:
    """Return the longest order that fits and why none of the operations that may come next can follow it."""
    state = initial
    for entry in longest:
        state = model.apply(state, entry.step)
    order = " then ".join(str(entry.index) for entry in longest) or "none at all"
    rest = [entry for entry in small if entry not in longest]
    limit = min((entry.end_ns for entry in rest), default=FOREVER_NS)
    frontier = [entry for entry in rest if entry.start_ns <= limit]
    return [
        f"By themselves the longest order that fits is {order}; after it {model.describe_state(state)}.",
        *(_cannot_follow(entry, model, state) for entry in frontier[:_FRONTIER_SENTENCES]),
    ]


def _cannot_follow(entry: Entry, model: Model, state: Any) -> str:
    if model.apply(state, entry.step) is ILLEGAL:
        return f"Operation {entry.index} cannot come next: its result does not fit there."
    return f"Operation {entry.index} could come next, but then what must follow it does not fit."


def _resolved(survivors: Mapping[int, str]) -> dict[str, Any]:
    """Return, for the certificate, which operations of unknown outcome were taken to have had their effect, and why."""
    return {"resolved": {str(index): reason for index, reason in survivors.items()}} if survivors else {}


def _report(witness: Witness, key: Any, findings: Findings, survivors: Mapping[int, str]) -> None:
    operations = [findings.history.operation(entry.index) for entry in witness.entries]

    def tell() -> tuple[str, ...]:
        shown = sorted(operations[:_OPERATIONS_SHOWN], key=lambda operation: operation.start_ns)
        return (
            *(f"Operation {operation.index}: {story.interval(operation)}." for operation in shown),
            *(f"Operation {o.index} took effect: {survivors[o.index]}." for o in shown if o.index in survivors),
            *witness.story,
            *(f"Operation {o.index} began {story.moment(findings.history, o.start_ns)}." for o in shown[-1:]),
            *(() if key is None else (f"All of this is about {story.short(key)}.",)),
        )

    findings.add(witness.kind, tell, operations, key=key)
