"""Builds the report of a campaign from what is stored, one history in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import store
from harness.errors import HistoryError, StoreError
from harness.facts import FaultWindow
from harness.history import History, build_history
from harness.journal import find_journal, read_journal
from harness.report import answers, frames, timeline, words
from harness.report.coverage import gaps
from harness.report.findings import Draft, draft_findings, smallest_of, tell_finding
from harness.report.messages import draw_smallest
from harness.report.model import (
    CellReport,
    CellState,
    Cost,
    Count,
    Finding,
    Report,
    RunReport,
    ScenarioReport,
    SmallestRun,
    Timeline,
)
from harness.report.story import tell_strike
from harness.result import CellResult, Evidence, RunVerdict, ScenarioText

PAGE_OPERATIONS = 300_000
"""Operations on the timelines of one page, shared by its runs."""
RUN_OPERATIONS = (2_000, 50_000)
"""At least and at most so many operations are shown of one run."""
PAGE_DETAILED = 30_000
"""Operations of one page that carry their arguments and results; beyond them only failures and evidence do."""
TIMELINE_BYTES = 7_000_000
"""Room for the packed timelines of one page; the page as a whole is held below 10 MB."""

_STATE_ORDER: tuple[CellState, ...] = ("violated", "holds", "unknown", "not-applicable")


@dataclass(slots=True)
class _Telling:
    """What comes out of reading the histories, run by run."""

    findings: list[Finding] = field(default_factory=list)
    timelines: list[Timeline] = field(default_factory=list)
    costs: dict[str, Cost] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    detailed: int = 0


def build_report(campaign_directory: Path, scenarios: Mapping[str, ScenarioText]) -> Report:
    """Return the report of a stored campaign; ``scenarios`` are the texts of its scenarios, by name.

    Raises StoreError where ``cells.jsonl`` cannot be read. A run that cannot be read is reported, not raised.
    """
    results = store.read_cells(campaign_directory)
    runs = {run.facts.run: run for run in _read_runs(campaign_directory)}
    drafts = draft_findings(results, runs)
    telling = _read_histories(campaign_directory, results, runs, drafts, scenarios)
    runs = {name: replace(run, problem=run.problem or telling.problems.get(name, "")) for name, run in runs.items()}
    cells = tuple(_cell_report(n, result, runs, telling) for n, result in enumerate(results, start=1))
    return _assemble(campaign_directory, cells, tuple(runs.values()), telling, scenarios)


def _number(finding: Finding) -> int:
    return finding.number


def _read_runs(campaign: Path) -> Iterator[RunReport]:
    for directory in store.iterate_runs(campaign):
        try:
            facts = store.read_facts(directory)
        except StoreError:
            continue  # told by the cell that misses it
        problems: list[str] = []
        yield RunReport(
            facts=facts,
            directory=directory.relative_to(campaign).as_posix(),
            verdict=_read_verdict(directory, problems),
            strikes=tuple(tell_strike(window) for window in _read_windows(directory, problems)),
            problem="; ".join(problems),
        )


def _read_verdict(directory: Path, problems: list[str]) -> RunVerdict | None:
    try:
        return store.read_verdict(directory)
    except StoreError as error:
        problems.append(error.message)
        return None


def _read_windows(directory: Path, problems: list[str]) -> tuple[FaultWindow, ...]:
    try:
        return build_history(read_journal(find_journal(directory, store.FAULTS)).events).fault_windows
    except HistoryError as error:
        problems.append(error.message)
        return ()


def telling_run(result: CellResult, runs: Mapping[str, RunReport]) -> str:
    """Return the run that tells most about a cell: the first violated one, else the first."""
    for name in result.runs:
        run = runs.get(name)
        if run is not None and run.verdict is not None and run.verdict.status == "violated":
            return name
    return result.runs[0] if result.runs else ""


def _read_histories(
    campaign: Path,
    results: Sequence[CellResult],
    runs: Mapping[str, RunReport],
    drafts: Sequence[Draft],
    scenarios: Mapping[str, ScenarioText],
) -> _Telling:
    cell_of = {name: number for number, result in enumerate(results, start=1) for name in result.runs}
    by_state = sorted(results, key=lambda result: _STATE_ORDER.index(answers.state_of(result)))
    wanted = [draft.example.run for draft in drafts] + [telling_run(result, runs) for result in by_state]
    names = [name for name in dict.fromkeys(wanted) if name in runs]
    limit = min(RUN_OPERATIONS[1], max(RUN_OPERATIONS[0], PAGE_OPERATIONS // max(1, len(names))))
    telling = _Telling()
    for name in names:
        history = _load(campaign / runs[name].directory, name, telling)
        for draft in drafts:
            if draft.example.run == name:
                finding = tell_finding(draft, runs[name], history, scenarios.get(draft.scenario))
                smallest = _smallest(campaign, smallest_of(draft, runs), runs, telling)
                telling.findings.append(replace(finding, smallest=smallest))
        if history is not None:
            telling.costs[name] = frames.measure(history)
            evidence = {i: draft.number for draft in drafts for i in sorted(draft.operations.get(name, ()))}
            _add_timeline(telling, history, runs[name], _Share(cell=cell_of[name], evidence=evidence, limit=limit))
    return telling


def _smallest(campaign: Path, name: str, runs: Mapping[str, RunReport], telling: _Telling) -> SmallestRun | None:
    history = _load(campaign / runs[name].directory, name, telling) if name else None
    return None if history is None else draw_smallest(name, runs[name].facts.replay, history)


def _load(directory: Path, name: str, telling: _Telling) -> History | None:
    try:
        return store.load_history(directory)
    except (HistoryError, StoreError) as error:
        telling.problems[name] = error.message
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one run's timeline needs to know of the page: its cell, its findings' operations, its room."""

    cell: int
    evidence: Mapping[int, int]
    limit: int


def _add_timeline(telling: _Telling, history: History, run: RunReport, share: _Share) -> None:
    shown = timeline.sample(history.operations, frozenset(share.evidence), share.limit)
    measures = frames.series(history, timeline.end_of(history) / 1e6)
    detailed = telling.detailed + len(shown) <= PAGE_DETAILED
    telling.detailed += len(shown) if detailed else 0
    payload = timeline.columns(history, shown, share.evidence, measures, detailed=detailed)
    notes = []
    total = len(history.operations)
    if len(shown) < total:
        notes.append(f"showing {len(shown):,} of {total:,} operations")
    if telling.bytes + len(payload) > TIMELINE_BYTES:
        payload, notes = "", ["left out: the page would have grown beyond 10 MB"]
    telling.bytes += len(payload)
    cell_ = run.facts.cell
    telling.timelines.append(
        Timeline(
            run=run.facts.run,
            label=words.sentence(f"{cell_.scenario} {cell_.variant} · {cell_.setting} · {cell_.fault}", 160),
            cell=share.cell,
            shown=len(shown) if payload else 0,
            total=total,
            evidence=len(share.evidence),
            payload=payload,
            note="; ".join(notes),
        )
    )


def _cell_report(number: int, result: CellResult, runs: Mapping[str, RunReport], telling: _Telling) -> CellReport:
    told = telling_run(result, runs)
    mine = tuple(
        f.anchor
        for f in sorted(telling.findings, key=_number)
        if any(sighting.cell == number for sighting in f.sightings)
    )
    anchor = f"cell-{number}"
    return CellReport(
        number=number,
        anchor=anchor,
        result=result,
        state=answers.state_of(result),
        mark=answers.mark_of(result),
        weak=answers.is_weak(result),
        found=sum(result.anomalies.values()),
        backing=answers.backing_of(result),
        telling_run=told,
        seed=runs[told].facts.seed if told in runs else None,
        link=mine[0] if mine else anchor,
        findings=mine,
        cost=telling.costs.get(told),
    )


def _assemble(
    campaign: Path,
    cells: tuple[CellReport, ...],
    runs: tuple[RunReport, ...],
    telling: _Telling,
    scenarios: Mapping[str, ScenarioText],
) -> Report:
    counts = {state: sum(cell.state == state for cell in cells) for state in _STATE_ORDER}
    evidence = Evidence()
    for cell in cells:
        evidence = evidence.plus(cell.result.evidence)
    timelines = tuple(telling.timelines)
    return Report(
        campaign=campaign.name,
        directory=campaign,
        started_at=min((run.facts.started_at for run in runs if run.facts.started_at), default=""),
        headline=_headline(counts, len(cells)),
        surprises=sum(cell.mark == "surprise" for cell in cells),
        counts=counts,
        badges=_badges(runs, evidence, sum(cell.result.seeds for cell in cells)),
        scenarios=_scenario_reports(cells, scenarios),
        findings=tuple(sorted(telling.findings, key=_number)),
        cells=cells,
        runs=runs,
        timelines=timelines,
        versions=_counts_of([run.facts.versions for run in runs]),
        host=_counts_of([run.facts.host for run in runs]),
        gaps=gaps(cells, runs, scenarios, timelines),
        evidence=evidence,
    )


def _headline(counts: Mapping[CellState, int], total: int) -> str:
    texts = {
        "violated": "violated",
        "holds": "holds" if counts["holds"] == 1 else "hold",
        "unknown": "unknown",
        "not-applicable": "not applicable",
    }
    parts = [f"{counts[state]} {texts[state]}" for state in _STATE_ORDER if counts[state]]
    return f"{words.count_of(total, 'cell')}: {', '.join(parts)}" if parts else "no cell was judged"


def _scenario_reports(cells: Sequence[CellReport], scenarios: Mapping[str, ScenarioText]) -> tuple[ScenarioReport, ...]:
    groups: dict[tuple[str, str], list[CellReport]] = {}
    for cell in cells:
        groups.setdefault((cell.result.cell.scenario, cell.result.cell.backend), []).append(cell)
    ordered = sorted(groups.items(), key=lambda item: all(cell.mark != "surprise" for cell in item[1]))
    return tuple(
        answers.scenario_report(name, backend, group, scenarios.get(name)) for (name, backend), group in ordered
    )


def _badges(runs: Sequence[RunReport], evidence: Evidence, seeds: int) -> tuple[Count, ...]:
    facts = [run.facts for run in runs]
    load_s = sum(f.duration_s for f in facts)
    pairs = (
        ("operations", words.number(evidence.operations)),
        ("effective strikes", f"{evidence.effective_strikes} of {evidence.strikes}" if evidence.strikes else ""),
        ("simulated seeds", words.number(seeds) if seeds else ""),
        (f"{'stored ' if seeds else ''}{'run' if len(facts) == 1 else 'runs'}", words.number(len(facts))),
        ("load", f"{load_s:,.0f} s" if load_s else ""),
        ("backend", _joined(f.cell.backend for f in facts)),
        ("mongod", _joined(f.versions.get("mongod", "") for f in facts)),
        ("members", _joined(str(f.members) for f in facts)),
        ("clients", _joined(str(f.clients) for f in facts)),
        ("links", _joined(f.network for f in facts)),
    )
    return tuple(Count(label=label, value=value) for label, value in pairs if value)


def _joined(values: Iterator[str]) -> str:
    return words.listed([words.sentence(value, 60) for value in dict.fromkeys(values) if value])


def _counts_of(mappings: Sequence[Mapping[str, object]]) -> tuple[Count, ...]:
    """Return each key with its distinct values over all runs."""
    values: dict[str, dict[str, None]] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            values.setdefault(key, {})[value if isinstance(value, str) else words.value(value)] = None
    return tuple(
        Count(label=words.sentence(key, 60), value=words.sentence(", ".join(found), 300))
        for key, found in values.items()
    )
