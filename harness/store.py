"""The store under ``runs/``: where each artifact lies, and how it is read back.

    runs/index.html
    runs/<campaign>/cells.jsonl  index.html  junit.xml  summary.md  scenarios/<scenario>.py  scenarios/<scenario>.json
    runs/<campaign>/<backend>/<scenario>/<variant>/<setting>/<fault>/<run>/
        run.json  history.jsonl.gz  faults.jsonl.gz  verdict.json  log.jsonl

Everything that is judged or rendered later is read from here alone. Files are written beside their name first and
then renamed, so that a reader never sees half a file.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import StoreError
from harness.facts import FORMAT, RunFacts
from harness.history import History, build_history
from harness.journal import ENCODER, find_journal, read_journal
from harness.result import CellResult, RunVerdict, ScenarioText

HISTORY = "history.jsonl"
FAULTS = "faults.jsonl"
FACTS = "run.json"
VERDICT = "verdict.json"
LOG = "log.jsonl"
CELLS = "cells.jsonl"
REPORT = "index.html"
SUMMARY = "summary.md"
JUNIT = "junit.xml"
SCENARIOS = "scenarios"
_SHRUNK = "-shrunk"

T = TypeVar("T")


def run_directory(root: Path, facts: RunFacts) -> Path:
    """Return the directory of a run under the store ``root``."""
    cell = facts.cell
    return root / facts.campaign / cell.backend / cell.scenario / cell.variant / cell.setting / cell.fault / facts.run


def shrunk_id(run: str) -> str:
    """Return the id under which the run that ``run`` was shrunk to is kept; shrunk again, it takes its own place."""
    return run if run.endswith(_SHRUNK) else f"{run}{_SHRUNK}"


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as one indented JSON document. Raises StoreError if the disk does not take it."""
    write_bytes(path, msgspec.json.format(ENCODER.encode(value), indent=1) + b"\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` so that a reader sees the old file or the new one. Raises StoreError."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"writing {path}: {error.strerror or error}",
            next_step="check free space and permissions there, or choose another place with --runs DIR",
        ) from error


def _read_json(path: Path, kind: type[T]) -> T:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"reading {path}: {error.strerror or error}", next_step="see `harness runs` for what is stored"
        ) from error
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise StoreError(
            f"{path} is damaged: {error}", next_step="`harness check RUN` writes the verdict of a run anew"
        ) from error


def read_facts(directory: Path) -> RunFacts:
    """Return ``run.json`` of a run. Raises StoreError if it is missing, damaged or of a newer format."""
    facts = _read_json(directory / FACTS, RunFacts)
    if facts.format > FORMAT:
        raise StoreError(
            f"{directory / FACTS} has format {facts.format}, this harness reads up to {FORMAT}",
            next_step="use the version of the harness that wrote it, or a newer one",
        )
    return facts


def write_facts(directory: Path, facts: RunFacts) -> None:
    """Write ``run.json`` of a run."""
    write_json(directory / FACTS, facts)


def read_verdict(directory: Path) -> RunVerdict:
    """Return ``verdict.json`` of a run."""
    return _read_json(directory / VERDICT, RunVerdict)


def write_verdict(directory: Path, verdict: RunVerdict) -> None:
    """Write ``verdict.json`` of a run."""
    write_json(directory / VERDICT, verdict)


def read_cells(campaign: Path) -> tuple[CellResult, ...]:
    """Return the cells of a campaign, in the order in which they were finished."""
    path = campaign / CELLS
    try:
        lines = path.read_bytes().splitlines()
        return tuple(msgspec.json.decode(line, type=CellResult) for line in lines)
    except OSError as error:
        raise StoreError(
            f"reading {path}: {error.strerror or error}", next_step="see `harness runs` for what is stored"
        ) from error
    except msgspec.DecodeError as error:
        raise StoreError(f"{path} is damaged: {error}", next_step="`harness check CAMPAIGN` writes it anew") from error


def write_cells(campaign: Path, cells: Iterable[CellResult]) -> None:
    """Write ``cells.jsonl`` of a campaign."""
    write_bytes(campaign / CELLS, b"".join(ENCODER.encode(cell) + b"\n" for cell in cells))


def read_scenarios(campaign: Path) -> dict[str, ScenarioText]:
    """Return what a campaign's report says of its scenarios, by name; empty where nothing was stored."""
    texts = (_read_json(path, ScenarioText) for path in sorted((campaign / SCENARIOS).glob("*.json")))
    return {text.name: text for text in texts}


def write_scenario(campaign: Path, text: ScenarioText) -> None:
    """Write ``scenarios/<name>.json`` of a campaign."""
    write_json(campaign / SCENARIOS / f"{text.name}.json", text)


def load_history(directory: Path) -> History:
    """Return the history of a stored run, with its faults and facts.

    A run whose harness died is read up to its last whole line and marked incomplete. Raises HistoryError for a
    journal that was truncated after it was closed, or edited; StoreError for missing files.
    """
    facts = read_facts(directory)
    with collector_paused():
        operations = read_journal(find_journal(directory, HISTORY))
        faults = read_journal(find_journal(directory, FAULTS))
        complete = facts.status == "complete" and operations.closed and faults.closed
        return build_history((*operations.events, *faults.events), facts=facts, complete=complete)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector away from what is read inside."""
    # A history is hundreds of thousands of records without a cycle among them: traversing them again and again while
    # they are read takes most of the time, and finds nothing.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def iterate_runs(directory: Path) -> Iterator[Path]:
    """Yield the directories of all runs below ``directory``, itself included, in order of their paths."""
    if (directory / FACTS).exists():
        yield directory
        return
    for path in sorted(directory.rglob(FACTS)):
        yield path.parent


def iterate_campaigns(root: Path) -> Iterator[Path]:
    """Yield the campaign directories of a store, oldest first."""
    if root.is_dir():
        yield from sorted(path for path in root.iterdir() if path.is_dir() and any(iterate_runs(path)))


def find(root: Path, name: str) -> Path:
    """Return the directory of the run or campaign that ``name`` means.

    ``name`` is a path, a campaign id, a run id or the beginning of one, or ``latest``. Raises StoreError where
    nothing or more than one thing is meant.
    """
    path = Path(name)
    if path.is_dir() and any(iterate_runs(path)):
        return path
    campaigns = list(iterate_campaigns(root))
    if name == "latest" and campaigns:
        return max(campaigns, key=lambda campaign: campaign.stat().st_mtime)
    matches = [c for c in campaigns if c.name == name] or [
        run for campaign in campaigns for run in iterate_runs(campaign) if run.name.startswith(name)
    ]
    if len(matches) == 1:
        return matches[0]
    problem = f"{len(matches)} runs are named" if matches else "no run or campaign is named"
    raise StoreError(f"{problem} {name!r} under {root}", next_step="`harness runs` lists what is stored")
