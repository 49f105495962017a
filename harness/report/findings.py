"""Findings: the anomalies of a campaign, one for each kind of each variant, worst first, with a telling example."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness import store
from harness.history import History
from harness.report import words
from harness.report.answers import mark_of
from harness.report.model import CallText, EvidenceOperation, Finding, Mark, RunReport, Sighting
from harness.report.picture import draw
from harness.report.story import strikes_around, tell_operations
from harness.result import CellResult, ScenarioText
from harness.verdict import Anomaly, Verdict

OTHERS = 15
"""More anomalies of a kind that are listed with a line each."""
DETAILS = 12
CALL_CHARACTERS = 40_000
"""Commands and replies that one finding shows."""

_MARK_RANK: dict[Mark, int] = {"surprise": 0, "undeclared": 1, "expected": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One anomaly with the run and the verdict that name it."""

    cell: int
    run: str
    verdict: Verdict
    anomaly: Anomaly


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A finding before its example's history is read."""

    number: int
    anchor: str
    backend: str
    scenario: str
    variant: str
    kind: str
    mark: Mark
    example: Seen
    seen: tuple[Seen, ...]
    sightings: tuple[Sighting, ...]
    found: int

    @property
    def operations(self) -> Mapping[str, frozenset[int]]:
        """Run id to the indexes of all evidence operations of this finding in it."""
        table: defaultdict[str, set[int]] = defaultdict(set)
        for seen in self.seen:
            table[seen.run].update(seen.anomaly.operations)
        return {run: frozenset(indexes) for run, indexes in table.items()}


@dataclass(slots=True)
class _Group:
    seen: list[Seen] = field(default_factory=list)
    cells: dict[int, CellResult] = field(default_factory=dict)


def draft_findings(results: Sequence[CellResult], runs: Mapping[str, RunReport]) -> tuple[Draft, ...]:
    """Return the findings of all cells without their evidence, worst first: surprises, then what was found most."""
    groups: defaultdict[tuple[str, str, str, str], _Group] = defaultdict(_Group)
    for number, result in enumerate(results, start=1):
        for seen in _seen_in(number, result, runs):
            cell = result.cell
            group = groups[cell.backend, cell.scenario, cell.variant, seen.anomaly.kind]
            group.seen.append(seen)
            group.cells[number] = result
    drafts = [_draft(key, group) for key, group in groups.items()]
    drafts.sort(key=lambda draft: (_MARK_RANK[draft.mark], -draft.found, draft.scenario, draft.variant, draft.kind))
    return tuple(_unique_anchors(drafts))


def _seen_in(number: int, result: CellResult, runs: Mapping[str, RunReport]) -> Iterator[Seen]:
    for name in result.runs:
        run = runs.get(name)
        for verdict in run.verdict.verdicts if run and run.verdict else ():
            for anomaly in verdict.anomalies:
                yield Seen(cell=number, run=name, verdict=verdict, anomaly=anomaly)


def _draft(key: tuple[str, str, str, str], group: _Group) -> Draft:
    backend, scenario, variant, kind = key
    sightings = tuple(_sighting(number, result, kind) for number, result in group.cells.items())
    marks = {sighting.cell: sighting.mark for sighting in sightings}
    # The example that tells best: a surprise, then the one with the least evidence to read, never one without any.
    example = min(
        group.seen,
        key=lambda seen: (_MARK_RANK[marks[seen.cell]], not seen.anomaly.operations, len(seen.anomaly.operations)),
    )
    return Draft(
        number=0,
        anchor=words.slug("finding", scenario, variant, kind),
        backend=backend,
        scenario=scenario,
        variant=variant,
        kind=kind,
        mark=min(marks.values(), key=_MARK_RANK.__getitem__),
        example=example,
        seen=tuple(group.seen),
        sightings=sightings,
        found=sum(sighting.found for sighting in sightings),
    )


def _sighting(number: int, result: CellResult, kind: str) -> Sighting:
    return Sighting(
        cell=number,
        setting=result.cell.setting,
        fault=result.cell.fault,
        found=result.anomalies.get(kind, 0),
        violated_runs=result.violated_runs,
        runs=result.seeds or len(result.runs),
        mark=mark_of(result),
        replay=result.replay,
    )


def _unique_anchors(drafts: Sequence[Draft]) -> Iterator[Draft]:
    used: set[str] = set()
    for number, draft in enumerate(drafts, start=1):
        anchor = draft.anchor if draft.anchor not in used else f"{draft.anchor}-{number}"
        used.add(anchor)
        yield replace(draft, number=number, anchor=anchor)


def smallest_of(draft: Draft, runs: Mapping[str, RunReport]) -> str:
    """Return the run that the finding was shrunk to; empty where none of its runs was, or to another anomaly."""
    for name in dict.fromkeys(seen.run for seen in (draft.example, *draft.seen)):
        shrunk = runs.get(store.shrunk_id(name))
        verdicts = shrunk.verdict.verdicts if shrunk and shrunk.verdict else ()
        if any(anomaly.kind == draft.kind for verdict in verdicts for anomaly in verdict.anomalies):
            return store.shrunk_id(name)
    return ""


def tell_finding(draft: Draft, run: RunReport | None, history: History | None, text: ScenarioText | None) -> Finding:
    """Return the finding in full, from the history of the run of its example; without one, what is known anyway."""
    anomaly = draft.example.anomaly
    known = {operation.index: operation for operation in history.operations} if history and anomaly.operations else {}
    evidence = [known[index] for index in dict.fromkeys(anomaly.operations) if index in known]
    windows = history.fault_windows if history else ()
    told = _bounded(tell_operations(evidence, windows))
    strikes = strikes_around(evidence, windows)
    others = [seen for seen in draft.seen if seen.anomaly is not anomaly]
    standing, unjudged = _other_guarantees(run, text)
    return Finding(
        anchor=draft.anchor,
        number=draft.number,
        backend=draft.backend,
        scenario=draft.scenario,
        variant=draft.variant,
        kind=words.kind_words(draft.kind),
        mark=draft.mark,
        found=draft.found,
        promised=words.sentence(anomaly.guarantee),
        story=tuple(words.sentence(sentence) for sentence in anomaly.story),
        operations=told,
        left_out=len(set(anomaly.operations)) - len(told),
        strikes=strikes,
        details=tuple((words.sentence(k, 60), words.value(v)) for k, v in list(anomaly.details.items())[:DETAILS]),
        broken=words.sentence(draft.example.verdict.model_broken, 120),
        standing=standing,
        unjudged=unjudged,
        others=tuple(_line(seen) for seen in others[:OTHERS]),
        others_left_out=max(0, draft.found - 1 - len(others[:OTHERS])),
        sightings=draft.sightings,
        run=draft.example.run,
        replay=run.facts.replay if run else "",
        picture=draw(told, strikes),
    )


def _line(seen: Seen) -> str:
    last = seen.anomaly.story[-1] if seen.anomaly.story else seen.anomaly.guarantee
    return words.sentence(last, 240)


def _other_guarantees(run: RunReport | None, text: ScenarioText | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    guarantees = text.guarantees if text else {}
    standing, unjudged = [], []
    for verdict in run.verdict.verdicts if run and run.verdict else ():
        name = words.sentence(guarantees.get(verdict.checker, verdict.checker))
        if verdict.status == "holds":
            standing.append(name)
        elif verdict.status == "unknown":
            unjudged.append(f"{name} ({words.sentence(verdict.reason, 160) or 'no reason was recorded'})")
    return tuple(standing), tuple(unjudged)


def _bounded(operations: tuple[EvidenceOperation, ...]) -> tuple[EvidenceOperation, ...]:
    """Return the operations with as many of their commands and replies as one finding may show."""
    room = CALL_CHARACTERS
    bounded = []
    for operation in operations:
        calls: list[CallText] = []
        for call in operation.calls:
            size = len(call.request) + len(call.answer)
            if size > room:
                break
            room -= size
            calls.append(call)
        bounded.append(replace(operation, calls=tuple(calls), calls_left_out=len(operation.calls) - len(calls)))
    return tuple(bounded)
