"""Commands on what is stored: ``report``, ``runs``, ``clean``. None of them needs a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harness import store
from harness.backends.local.directories import remove_stale
from harness.errors import HarnessError
from harness.journal import ENCODER
from harness.report.write import write_report

RunsOption = Annotated[Path, Parameter(help="The store.")]
JsonOption = Annotated[bool, Parameter(negative="", help="Print data as JSON lines to standard output.")]


def report(
    run: Annotated[str, Parameter(help="A campaign, or one of its runs: path, id, or `latest`.")] = "latest",
    /,
    *,
    runs: RunsOption = Path("runs"),
) -> int:
    """Render the report of a stored campaign again, from its files alone, and print its path.

    For example:

        harness report latest

        harness report runs/20261124-120000-1a2b
    """
    sys.stdout.write(f"{write_report(campaign_of(store.find(runs, run)))}\n")
    return 0


def campaign_of(directory: Path) -> Path:
    """Return the campaign that a run belongs to; a campaign belongs to itself."""
    for candidate in (directory, *directory.parents):
        if (candidate / store.CELLS).exists() or (candidate / store.SCENARIOS).is_dir():
            return candidate
    return directory


def runs(*, runs: RunsOption = Path("runs"), json: JsonOption = False) -> int:
    """List what is stored: campaigns with their cells and verdicts, newest last."""
    campaigns = list(store.iterate_campaigns(runs))
    if not campaigns:
        sys.stderr.write(f"nothing is stored under {runs}\n  next: `harness run write_concern`\n")
    for campaign in campaigns:
        try:
            cells = store.read_cells(campaign)
        except HarnessError:
            count = sum(1 for _ in store.iterate_runs(campaign))
            sys.stdout.write(f"{campaign}  unfinished, {count} runs (`harness check {campaign.name}` judges them)\n")
            continue
        for cell in cells:
            if json:
                sys.stdout.write(ENCODER.encode(cell).decode() + "\n")
            else:
                sys.stdout.write(f"{campaign}  {cell.status:<8}  {cell.cell.label()}  {', '.join(cell.runs)}\n")
    return 0


def clean() -> int:
    """Remove directories, and end servers, that a harness which was killed has left behind. Stored runs stay."""
    removed = remove_stale()
    for directory in removed:
        sys.stdout.write(f"{directory}\n")
    sys.stderr.write(f"{len(removed)} stale directories removed\n")
    return 0
