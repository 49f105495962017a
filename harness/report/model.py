"""The report as data: what every renderer shares. Frozen, plain, and made of texts that are not yet escaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.facts import RunFacts
from harness.operation import Status
from harness.result import CellResult, Evidence, RunVerdict, ScenarioText

CellState = Literal["violated", "holds", "unknown", "not-applicable", "not-run"]
Mark = Literal["surprise", "expected", "undeclared"]
AnswerWord = Literal["yes", "partly", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """A fault window on a time axis, in microseconds of the run."""

    label: str
    fault: str
    start_us: int
    end_us: int
    effective: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallText:
    """One attempt on the wire of an evidence operation, as a reader sees it."""

    title: str
    """``insert to m1, 12.402 s to 12.431 s``."""
    call: str
    """The call of the pattern API that it belongs to."""
    request: str
    answer: str
    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOperation:
    """One operation that a finding rests on, told in words."""

    name: str
    """``T1``, ``T2``, ... within its finding."""
    index: int
    client: int
    process: int
    status: Status
    what: str
    """Function with its arguments."""
    mention: str
    """How a story that names it by client, function and arguments writes it."""
    ending: str
    """What the caller got."""
    start_us: int
    end_us: int | None
    """When the caller got its answer; None if it never did."""
    node: str
    where: str
    """Its place relative to the fault windows, in words."""
    calls: tuple[CallText, ...] = ()
    calls_left_out: int = 0
    """Attempts on the wire beyond those shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A cell in which a finding was seen."""

    cell: int
    setting: str
    fault: str
    found: int
    violated_runs: int
    runs: int
    mark: Mark
    replay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One strike of a fault with what the observers saw of it."""

    fault: str
    number: int
    start_us: int
    end_us: int | None
    targets: str
    effects: tuple[tuple[str, int, str], ...]
    """Observer, microseconds of the run, and what it saw."""
    error: str

    @property
    def effective(self) -> bool:
        """Whether an observer saw an effect."""
        return bool(self.effects)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestRun:
    """The run that a finding was shrunk to, message by message."""

    run: str
    replay: str
    operations: int
    clients: int
    messages: str
    """Clients and members, and what went between them, as an SVG drawing: already markup."""
    left_out: int
    """Lines of the drawing beyond those shown."""
    text: str
    """The same as text, for those who do not see the drawing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of anomaly of one variant, with the example that tells it best."""

    anchor: str
    number: int
    backend: str
    scenario: str
    variant: str
    kind: str
    mark: Mark
    found: int
    promised: str
    story: tuple[str, ...]
    operations: tuple[EvidenceOperation, ...]
    left_out: int
    """Evidence operations beyond those told."""
    strikes: tuple[Strike, ...]
    """The strikes that the evidence overlaps, or the nearest one."""
    details: tuple[tuple[str, str], ...]
    broken: str
    """The weakest model that it breaks, or empty."""
    standing: tuple[str, ...]
    """Guarantees that still hold in the same run."""
    unjudged: tuple[str, ...]
    """Guarantees that could not be judged in the same run."""
    others: tuple[str, ...]
    """More anomalies of this kind, a line each."""
    others_left_out: int
    sightings: tuple[Sighting, ...]
    run: str
    replay: str
    picture: str
    """The evidence as an SVG drawing, already markup."""
    smallest: SmallestRun | None = None
    """Where it was shrunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a cell costs, measured in one run of it."""

    run: str
    operations_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    unavailable_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReport:
    """A judged cell with what the page says of it."""

    number: int
    anchor: str
    result: CellResult
    state: CellState
    mark: Mark
    weak: bool
    """Whether the evidence behind ``holds`` is thin."""
    found: int
    backing: str
    """What stands behind the verdict, in a few words."""
    telling_run: str
    seed: int | None
    link: str
    """Anchor that its place in the matrix leads to."""
    findings: tuple[str, ...] = ()
    """Anchors of its findings, worst first."""
    cost: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """A place in the matrix; without ``cell`` it was not run."""

    state: CellState
    cell: CellReport | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """The places of one variant under one setting."""

    variant: str
    setting: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer on one variant: whether it may be adopted, and under which settings."""

    variant: str
    about: str
    """What the variant is, in a line."""
    word: AnswerWord
    headline: str
    broken: str
    sound: str
    unknown: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioReport:
    """A scenario on one backend: its claim, its answers and its matrix."""

    anchor: str
    name: str
    backend: str
    text: ScenarioText | None
    headline: str
    answers: tuple[Answer, ...]
    faults: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    evidence: Evidence
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One stored run: facts, verdict, strikes, and what was wrong with its files."""

    facts: RunFacts
    directory: str
    """Path relative to the campaign."""
    verdict: RunVerdict | None
    strikes: tuple[Strike, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The picture data of one run, packed for the page."""

    run: str
    label: str
    cell: int
    shown: int
    total: int
    evidence: int
    """Evidence operations of its findings."""
    payload: str
    """Base64 of deflated JSON columns; empty where the page had no room for it."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that was not covered."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A labelled number or version of the badge row."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One campaign, ready to be rendered. ``directory`` is where its files lie."""

    campaign: str
    directory: Path
    started_at: str
    headline: str
    surprises: int
    counts: Mapping[CellState, int]
    badges: tuple[Count, ...]
    scenarios: tuple[ScenarioReport, ...]
    findings: tuple[Finding, ...]
    cells: tuple[CellReport, ...]
    runs: tuple[RunReport, ...]
    timelines: tuple[Timeline, ...]
    versions: tuple[Count, ...]
    host: tuple[Count, ...]
    gaps: tuple[Gap, ...]
    evidence: Evidence = field(default_factory=Evidence)

    def cell(self, number: int) -> CellReport:
        """Return the cell with that number."""
        return next(cell for cell in self.cells if cell.number == number)

    def finding(self, anchor: str) -> Finding:
        """Return the finding with that anchor."""
        return next(finding for finding in self.findings if finding.anchor == anchor)
