"""What was not covered: the end of every report, said before the reader has to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.report import words
from harness.report.answers import state_of
from harness.report.model import CellReport, Gap, RunReport, Timeline
from harness.result import DeclaredCell, ScenarioText

LISTED_GROUPS = 8
"""Groups of cells that were not run which are named."""


def gaps(
    cells: Sequence[CellReport],
    runs: Sequence[RunReport],
    texts: Mapping[str, ScenarioText],
    timelines: Sequence[Timeline],
) -> tuple[Gap, ...]:
    """Return everything that the campaign did not cover, or not as it was asked to."""
    return (
        *_topology(runs),
        *_idle_faults(cells),
        *_unknown_cells(cells),
        *_cells_not_run(cells, texts),
        *_broken_runs(cells, runs),
        *_notes(runs),
        *_shortened(cells, texts),
        *_pictures(timelines),
    )


def _topology(runs: Sequence[RunReport]) -> Iterable[Gap]:
    yield Gap(what="Sharded clusters", why="no run had one: replica sets alone were judged")
    if any(run.facts.cell.backend == "sim" for run in runs):
        yield Gap(
            what="Real servers, in the cells of the simulator",
            why="their verdicts rest on the simulated replica set alone, whose rules are those of mongod 6.0.5; "
            "`harness prove RUN` takes a finding to real servers",
        )
    real = [run for run in runs if run.facts.cell.backend != "sim"]
    versions = _distinct(run.facts.versions.get("mongod", "") for run in real)
    if real:
        yield Gap(
            what="Other server versions",
            why=f"only mongod {words.listed(versions)} was run" if versions else "no run recorded its server version",
        )
    members = _distinct(str(run.facts.members) for run in runs)
    yield Gap(what="Other sizes of the set", why=f"only sets of {words.listed(members)} members were run")
    if {run.facts.cell.backend for run in runs} == {"local"}:
        yield Gap(
            what="Several machines",
            why="all members ran on one machine: its disk, its clock and its loopback network were shared",
        )


def _distinct(values: Iterable[str]) -> list[str]:
    return [words.sentence(value, 80) for value in dict.fromkeys(values) if value]


def _idle_faults(cells: Sequence[CellReport]) -> Iterable[Gap]:
    for cell in cells:
        for fault, count in cell.result.evidence.strikes_without_effect.items():
            yield Gap(
                what=f"{words.sentence(fault, 80)} had no effect in {words.count_of(count, 'strike')}",
                why=f"no observer saw one in {words.sentence(cell.result.cell.label(), 200)}",
            )


def _unknown_cells(cells: Sequence[CellReport]) -> Iterable[Gap]:
    for cell in cells:
        state = state_of(cell.result)
        if state in {"unknown", "not-applicable"}:
            yield Gap(
                what=f"{words.sentence(cell.result.cell.label(), 200)} is {state.replace('-', ' ')}",
                why=words.sentence("; ".join(cell.result.reasons)) or "no reason was recorded",
            )


def _cells_not_run(cells: Sequence[CellReport], texts: Mapping[str, ScenarioText]) -> Iterable[Gap]:
    done = {(c.result.cell.scenario, c.result.cell.variant, c.result.cell.setting, c.result.cell.fault) for c in cells}
    for name in dict.fromkeys(cell.result.cell.scenario for cell in cells):
        text = texts.get(name)
        if text is None:
            yield Gap(what=words.sentence(name, 80), why="the texts of this scenario are not stored with the campaign")
            continue
        missing = [d for d in text.matrix if (name, d.variant, d.setting, d.fault) not in done]
        owed = [d for d in missing if d.expected != "not-applicable"]
        if owed:
            yield Gap(
                what=f"{words.count_of(len(owed), 'declared cell')} of {words.sentence(name, 80)} not run",
                why=_grouped(owed),
            )
        excluded = [d for d in missing if d.expected == "not-applicable"]
        if excluded:
            reasons = [words.sentence(why, 240) for why in dict.fromkeys(d.why for d in excluded) if why]
            yield Gap(
                what=f"{words.count_of(len(excluded), 'cell')} of {words.sentence(name, 80)} declared not applicable",
                why="; ".join(reasons) or "no reason was declared",
            )


def _grouped(cells: Sequence[DeclaredCell]) -> str:
    groups: dict[str, list[str]] = {}
    for cell in cells:
        place = words.sentence(f"{cell.variant} {cell.setting}", 120)
        groups.setdefault(place, []).append(words.sentence(cell.fault, 60))
    named = [f"{place}: {', '.join(faults)}" for place, faults in list(groups.items())[:LISTED_GROUPS]]
    more = len(groups) - LISTED_GROUPS
    return "; ".join([*named, *([f"and under {words.count_of(more, 'more setting')}"] if more > 0 else [])])


def _broken_runs(cells: Sequence[CellReport], runs: Sequence[RunReport]) -> Iterable[Gap]:
    judged = {run for cell in cells for run in cell.result.runs}
    for run in runs:
        name = words.sentence(f"run {run.facts.run} ({run.facts.cell.label()})", 240)
        if run.facts.status != "complete":
            yield Gap(what=f"{name}: {run.facts.status}", why=words.sentence(run.facts.error) or "it did not complete")
        elif run.facts.run not in judged:
            yield Gap(what=f"{name} belongs to no judged cell", why="`harness check` judges a campaign anew")
        if run.problem:
            yield Gap(what=f"{name} could not be read whole", why=words.sentence(run.problem))


def _notes(runs: Sequence[RunReport]) -> Iterable[Gap]:
    counts: dict[str, int] = {}
    for run in runs:
        for note in run.facts.notes:
            counts[note] = counts.get(note, 0) + 1
    for note, count in counts.items():
        yield Gap(what=f"Done otherwise than asked, in {words.count_of(count, 'run')}", why=words.sentence(note))


def _shortened(cells: Sequence[CellReport], texts: Mapping[str, ScenarioText]) -> Iterable[Gap]:
    for name in dict.fromkeys(cell.result.cell.scenario for cell in cells):
        for what, how in (texts[name].shortened if name in texts else {}).items():
            yield Gap(
                what=f"{words.sentence(name, 80)}: {words.sentence(what, 80)} was shortened",
                why=words.sentence(how.replace("->", "→"), 120),
            )


def _pictures(timelines: Sequence[Timeline]) -> Iterable[Gap]:
    for timeline in timelines:
        if timeline.note:
            yield Gap(what=f"Timeline of run {words.sentence(timeline.run, 80)}", why=timeline.note)
