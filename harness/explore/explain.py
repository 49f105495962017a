"""Explaining a small failing run: what happens without each deviation, who was in conflict, and the story in words.

Structured first, words second: an :class:`Explanation` is plain records, from which reports are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.explore.conflicts import READING, WRITING, Conflict, conflicts_of, documents_of
from harness.explore.diagram import Diagram, client_name, diagram_of, render_diagram
from harness.explore.literal import literal_of, size_words
from harness.explore.program import Execution, Program, Workload
from harness.explore.replay import ReplayStrategy
from harness.explore.strategies import FAULT
from harness.history import History
from harness.operation import Attempt, Operation
from harness.sim.kernel import Deviation, Site
from harness.sim.kernel.choices import RUN, TIME
from harness.verdict import VerdictStatus

_MOST_SENTENCES: Final = 60
_VALUE_LIMIT: Final = 80
_VERBS: Final = {
    "find": "reads",
    "aggregate": "aggregates",
    "count": "counts",
    "distinct": "reads values of",
    "insert": "inserts",
    "update": "updates",
    "delete": "deletes",
    "findAndModify": "finds and modifies",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What the run would have been without one of its deviations."""

    deviation: Deviation
    words: str
    status: VerdictStatus
    anomalies: tuple[str, ...]
    needed: bool
    """Whether the anomaly is gone without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a run failed."""

    anomaly: str
    workload: Workload
    execution: Execution
    """The run, with its events."""
    what_if: tuple[WhatIf, ...]
    conflicts: tuple[Conflict, ...]
    story: tuple[str, ...]
    literal: str
    """Python text that runs it again."""
    diagram: Diagram | None


def explain(
    program: Program, workload: Workload, execution: Execution, *, anomaly: str, program_source: str = ""
) -> Explanation:
    """Return the explanation of a run that shows ``anomaly``; it is executed again, and once without each deviation.

    ``program_source`` is Python text that defines ``program``, for the literal.
    """
    run = program.execute(workload, ReplayStrategy(execution.deviations), keep_events=True)
    history = run.history if isinstance(run.history, History) else None
    return Explanation(
        anomaly=anomaly,
        workload=workload,
        execution=run,
        what_if=tuple(what_if(program, workload, run.deviations, anomaly=anomaly)),
        conflicts=() if history is None else conflicts_of(history),
        story=tuple(tell(workload, run)),
        literal=literal_of(workload, run, anomaly=anomaly, program_source=program_source),
        diagram=None if history is None else diagram_of(history),
    )


def what_if(program: Program, workload: Workload, deviations: Sequence[Deviation], *, anomaly: str) -> Iterator[WhatIf]:
    """Yield what happens when each deviation is undone and all others are kept."""
    for position, deviation in enumerate(deviations):
        rest = (*deviations[:position], *deviations[position + 1 :])
        execution = program.execute(workload, ReplayStrategy(rest))
        yield WhatIf(
            deviation=deviation,
            words=deviation_words(deviation),
            status=execution.status,
            anomalies=execution.anomalies,
            needed=not execution.shows(anomaly),
        )


def deviation_words(deviation: Deviation) -> str:
    """Return what was chosen, in a sentence."""
    site, label = deviation
    during = f" during operation {site.operation}" if site.operation else ""
    if site.kind == RUN and label == TIME:
        return f"Time passes while {site.task} is slow{during}."
    if site.kind == RUN:
        who = f"{site.task} is held up{during} and " if site.operation else ""
        return _capital(f"{who}{label} runs.")
    if site.kind == FAULT:
        return f"The fault {label} strikes at a message of {site.task}{during}."
    return f"Of {site.kind!r}, {label!r} happens to {site.task}{during}."


def tell(workload: Workload, execution: Execution) -> Iterator[str]:
    """Yield the story of a run, in order of time: operations, their commands, and the deviations between them."""
    ids = {item.index: item.id for item in workload}
    lines: list[tuple[int, int, str]] = []
    if isinstance(execution.history, History):
        for operation in execution.history.operations:
            lines += _operation_lines(operation, ids.get(operation.index, ""))
    times = _times_of(execution)
    # At one time, who runs is decided before an operation begins, and what strikes its messages after.
    lines += [(times.get(d, 0), 1 if d.site.kind == RUN else 3, deviation_words(d)) for d in execution.deviations]
    lines.sort(key=lambda line: line[:2])
    yield from (text for _, _, text in lines[:_MOST_SENTENCES])
    if len(lines) > _MOST_SENTENCES:
        yield f"{len(lines) - _MOST_SENTENCES} more steps follow."
    yield from execution.story


def _times_of(execution: Execution) -> dict[Deviation, int]:
    """Return when each deviation was chosen, in the nanoseconds of the history."""
    wanted = set(execution.deviations)
    times: dict[Deviation, int] = {}
    for now_us, task, operation, kind, occurrence, label in execution.events:
        deviation = Deviation(Site(task, operation, kind, occurrence), label)
        if deviation in wanted:
            times.setdefault(deviation, (now_us - execution.origin_us) * 1000)
    return times


def _operation_lines(operation: Operation, name: str) -> Iterator[tuple[int, int, str]]:
    who = _capital(client_name(operation.client))
    arguments = ", ".join(f"{key}={_short(value)}" for key, value in operation.arguments.items())
    title = f" as operation {name}" if name else ""
    yield operation.start_ns, 2, f"{who} calls {operation.function}({arguments}){title}."
    for attempt in operation.attempts:
        yield attempt.start_ns, 4, f"{who} {_attempt_words(attempt)}."
    if operation.returned_ns is not None:
        yield operation.returned_ns, 0, f"{who}'s {operation.function} {_ending(operation)}."


def _attempt_words(attempt: Attempt) -> str:
    known = attempt.command in READING or attempt.command in WRITING
    if not known:
        return f"sends {attempt.command} to {attempt.server}{_answer_words(attempt)}"
    documents = [document or "documents" for document in documents_of(attempt)]
    collection = attempt.request.get(attempt.command, "")
    verb = _VERBS.get(attempt.command, f"sends {attempt.command} for")
    return f"{verb} {', '.join(documents)} of {collection} on {attempt.server}{_answer_words(attempt)}"


def _answer_words(attempt: Attempt) -> str:
    failure = attempt.failure
    if failure is not None:
        return " and gets no answer" if not failure.answered else f" and gets the error {failure.types[0]}"
    reply = attempt.reply or {}
    return ", which matches nothing" if attempt.command in WRITING and reply.get("n") == 0 else ""


def _ending(operation: Operation) -> str:
    if operation.outcome == "returned":
        return f"returns {_short(operation.result)}"
    if operation.error is not None:
        return (
            f"is {operation.outcome}: {operation.error.types[0]}"
            if operation.outcome == "rejected"
            else (f"raises {operation.error.types[0]}")
        )
    return f"ends as {operation.outcome}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 3]}..."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def render_explanation(explanation: Explanation, *, literal: bool = True) -> str:
    """Return the explanation as text: story, conflicts, what each deviation is needed for, diagram, literal."""
    parts = [
        f"{explanation.anomaly}: {size_words(explanation.workload, explanation.execution)}",
        "\n".join(f"{number}. {text}" for number, text in enumerate(explanation.story, start=1)),
    ]
    if explanation.conflicts:
        parts.append("\n".join(["In conflict:", *(f"- {conflict_words(c)}" for c in explanation.conflicts)]))
    if explanation.what_if:
        parts.append("\n".join(["Without one of its deviations:", *map(_what_if_words, explanation.what_if)]))
    if explanation.diagram is not None:
        parts.append(render_diagram(explanation.diagram))
    if literal:
        parts.append(explanation.literal)
    return "\n\n".join(parts)


def conflict_words(conflict: Conflict) -> str:
    """Return a conflict in a sentence."""
    first, second = conflict.first, conflict.second
    doubt = "" if conflict.certain else "may have "
    verbs = [f"{client_name(t.client)} {doubt}{'wrote' if t.writes else 'read'} ({t.command})" for t in (first, second)]
    return f"{conflict.document}: {verbs[0]}, then {verbs[1]}."


def _what_if_words(item: WhatIf) -> str:
    outcome = f"it {item.status}" if item.status == "holds" else f"it is {item.status}"
    named = f" ({', '.join(item.anomalies)})" if item.anomalies else ""
    return f"- without “{item.words}” {outcome}{named}"
