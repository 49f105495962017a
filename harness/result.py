"""What is concluded: the evidence behind a run, its verdict, and the verdict on a cell over all its runs."""

from __future__ import annotations

import msgspec

from harness.facts import Cell
from harness.verdict import Verdict, VerdictStatus


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much stands behind a verdict. Evidence is added up over the runs of a cell."""

    operations: int = 0
    ok: int = 0
    fail: int = 0
    info: int = 0
    rejected: int = 0
    """Operations that the pattern rejected (also counted as fail or info)."""
    during_faults: int = 0
    """Operations of any status that overlap effective fault windows."""
    strikes: int = 0
    effective_strikes: int = 0
    strikes_without_effect: dict[str, int] = {}
    """Fault name to strikes that nobody saw an effect of."""
    effective_faults: tuple[str, ...] = ()
    load_s: float = 0
    """Seconds of load, for the strikes that are owed."""
    runs_with_effect: int = 0
    """Runs in which at least one strike took effect."""

    def plus(self, other: Evidence) -> Evidence:
        """Return the sum of two runs' evidence."""
        without = dict(self.strikes_without_effect)
        for name, count in other.strikes_without_effect.items():
            without[name] = without.get(name, 0) + count
        return Evidence(
            operations=self.operations + other.operations,
            ok=self.ok + other.ok,
            fail=self.fail + other.fail,
            info=self.info + other.info,
            rejected=self.rejected + other.rejected,
            during_faults=self.during_faults + other.during_faults,
            strikes=self.strikes + other.strikes,
            effective_strikes=self.effective_strikes + other.effective_strikes,
            strikes_without_effect=without,
            effective_faults=tuple(sorted({*self.effective_faults, *other.effective_faults})),
            load_s=self.load_s + other.load_s,
            runs_with_effect=self.runs_with_effect + other.runs_with_effect,
        )


class RunVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of ``verdict.json``: what every checker said of a run, and what stands behind it.

    ``status`` is the merged status of the checkers alone; whether the evidence suffices is decided over the cell.
    """

    format: int = 1
    status: VerdictStatus
    verdicts: tuple[Verdict, ...]
    evidence: Evidence
    not_applicable: str = ""
    """Why the setting was never tried (it reached no relevant command), or empty."""
    incomplete: str = ""
    """Why the record cannot support ``holds`` (interrupted, no final reads), or empty."""


class SeedResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of ``seeds.jsonl``: what a simulated seed came to. Its record is made again from the seed."""

    seed: int
    digest: str
    status: VerdictStatus
    strategy: str = ""
    kinds: dict[str, int] = {}
    """Kind of anomaly to how often it was found."""
    reasons: tuple[str, ...] = ()
    vacuous: tuple[str, ...] = ()
    """What the checkers say that found nothing to judge."""
    not_applicable: str = ""
    evidence: Evidence
    decisions: int = 0
    deviations: int = 0
    run: str = ""
    """The id of the run whose record was kept, or empty."""
    signature: str = ""
    """What makes two shrunk findings the same one, where it was shrunk."""


class CellResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of ``cells.jsonl``: the verdict on a cell, over all its runs."""

    cell: Cell
    status: VerdictStatus
    reasons: tuple[str, ...] = ()
    """Why it is unknown."""
    not_applicable: bool = False
    expected: str = ""
    """The declared verdict, or empty where the scenario declares none."""
    expected_why: str = ""
    surprise: bool = False
    """Whether it came out otherwise than declared."""
    runs: tuple[str, ...]
    """Run ids, in the order in which they were done."""
    violated_runs: int = 0
    anomalies: dict[str, int] = {}
    """Kind of anomaly to how often it was found."""
    evidence: Evidence
    replay: str = ""
    """The command that does the telling run (the first violated one, else the first) again."""
    seeds: int = 0
    """Simulated seeds behind the verdict; ``runs`` are those of them whose record was kept. 0 for real runs."""
    searched: str = ""
    """The scope that an exhaustive search completed, or empty."""


class DeclaredCell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One cell of the matrix that a scenario declares, run or not, with the verdict that it expects."""

    variant: str
    setting: str
    fault: str
    expected: str = ""
    why: str = ""


class ScenarioText(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a report says of a scenario, stored beside its runs, so that no scenario file is loaded to render it."""

    format: int = 1
    name: str
    contract: str
    section: str
    variants: dict[str, str]
    """Variant name to the first paragraph of its class docstring."""
    advice: dict[str, str] = {}
    """Variant name to the recommendation."""
    shortened: dict[str, str] = {}
    """Durations and sizes of the published pattern that the scenario shortens."""
    guarantees: dict[str, str] = {}
    """Checker name to what it checks, in one sentence."""
    matrix: tuple[DeclaredCell, ...] = ()
    """Every cell that the scenario declares."""
