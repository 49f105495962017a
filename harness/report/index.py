"""The index of a store: a line for each campaign, newest first, with a link to its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import store
from harness.errors import StoreError
from harness.report import words
from harness.report.answers import mark_of, state_of
from harness.report.html import environment, style_sheet
from harness.report.model import CellState

_STATES: tuple[CellState, ...] = ("violated", "holds", "unknown", "not-applicable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One campaign of the index; ``problem`` says why its cells could not be read."""

    name: str
    started_at: str
    scenarios: str
    cells: int
    counts: Mapping[CellState, int]
    surprises: int
    has_report: bool
    problem: str = ""


def write_store_index(root: Path) -> Path:
    """Write ``index.html`` of the store ``root`` and return its path.

    Raises StoreError where it cannot be written. A campaign that cannot be read gets a line that says so.
    """
    entries = sorted((_entry(campaign) for campaign in store.iterate_campaigns(root)), key=_age, reverse=True)
    page = environment().get_template("index.html.j2").render(entries=entries, style=style_sheet())
    path = root / store.REPORT
    store.write_bytes(path, page.encode())
    return path


def _age(entry: Entry) -> tuple[str, str]:
    return (entry.started_at, entry.name)


def _entry(campaign: Path) -> Entry:
    started_at = _started_at(campaign)
    has_report = (campaign / store.REPORT).is_file()
    try:
        cells = store.read_cells(campaign)
    except StoreError as error:
        return Entry(
            name=campaign.name,
            started_at=started_at,
            scenarios="",
            cells=0,
            counts=dict.fromkeys(_STATES, 0),
            surprises=0,
            has_report=has_report,
            problem=error.message,
        )
    states = [state_of(cell) for cell in cells]
    return Entry(
        name=campaign.name,
        started_at=started_at,
        scenarios=words.listed(list(dict.fromkeys(cell.cell.scenario for cell in cells)), limit=6),
        cells=len(cells),
        counts={state: states.count(state) for state in _STATES},
        surprises=sum(mark_of(cell) == "surprise" for cell in cells),
        has_report=has_report,
    )


def _started_at(campaign: Path) -> str:
    for run in store.iterate_runs(campaign):
        try:
            return store.read_facts(run).started_at
        except StoreError:
            continue
    return ""
