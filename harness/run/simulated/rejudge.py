"""Judging a simulated cell again: the runs that are kept by their records, all other seeds by their lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.explore.results import Chunk
from harness.facts import RunFacts
from harness.result import CellResult, RunVerdict, SeedResult
from harness.run.judge import CellTally, conclude, kinds_of, reasons_of, vacuous_of
from harness.run.simulated.campaign import tally_result
from harness.scenario.record import Expected

SEED_FILES = "seeds*.jsonl"


def rejudge_simulated(
    campaign: Path, old: CellResult, runs: Sequence[tuple[RunFacts, RunVerdict]], expected: Expected | None
) -> CellResult:
    """Return the verdict on a cell; ``runs`` are its kept runs with their new verdicts.

    A search keeps its scope: what it executed is not on record, only what it found.
    """
    cell = old.cell
    directory = campaign / cell.backend / cell.scenario / cell.variant / cell.setting / cell.fault
    # A shrunk run has the seed of the one that it came from, and is none of the cell's own.
    kept = {facts.seed: (facts.run, verdict) for facts, verdict in runs if facts.run in old.runs}
    tally = CellTally()
    for result in _seed_results(directory):
        run, verdict = kept.get(result.seed, ("", None))
        tally = tally.plus(tally_result(result if verdict is None else _again(result, run, verdict)))
    if not tally.count:
        tally = _of_search(old, {facts.run: verdict for facts, verdict in runs})
    concluded = conclude(cell, tally, expected, searched=old.searched)
    return msgspec.structs.replace(concluded, replay=old.replay)


def _again(result: SeedResult, run: str, verdict: RunVerdict) -> SeedResult:
    return msgspec.structs.replace(
        result,
        run=run,
        status=verdict.status,
        kinds=kinds_of(verdict),
        reasons=reasons_of(verdict),
        vacuous=vacuous_of(verdict),
        evidence=verdict.evidence,
        not_applicable=verdict.not_applicable,
    )


def _of_search(old: CellResult, verdicts: Mapping[str, RunVerdict]) -> CellTally:
    tally = CellTally(count=old.seeds)
    for run in old.runs:
        verdict = verdicts.get(run)
        if verdict is not None:
            tally = tally.plus(
                CellTally(
                    runs=(run,),
                    violated=int(verdict.status == "violated"),
                    anomalies=kinds_of(verdict),
                    evidence=verdict.evidence,
                    reasons=reasons_of(verdict),
                )
            )
    return tally


def _seed_results(directory: Path) -> Iterator[SeedResult]:
    for path in sorted(directory.glob(SEED_FILES)):
        for line in path.read_bytes().splitlines()[1:]:
            chunk = msgspec.json.decode(line, type=Chunk)
            yield from (msgspec.convert(result, SeedResult) for result in chunk.results)
