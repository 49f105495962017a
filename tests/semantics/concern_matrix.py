"""What each pair of read and write concern lets happen, as documented: the cells, what may show there, and what must.

The rules are those of the manual's pages on read isolation, read concern, causal consistency ("Causal Consistency and
Read and Write Concerns") and rollback. The kinds are those of ``scenarios/concerns.py``. What may happen in a cell is
derived from the rules; what must is listed, as far as it is frequent enough to be found within a few dozen seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.run.judge import kinds_of
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.seeds import SeedRunner
from harness.scenario.load import load_scenario

SCENARIOS = Path(__file__).parent / "scenarios"

LOST = "lost-write"
STALE = "stale-read"
DIRTY = "dirty-read"
ROLLED_BACK = "rolled-back-read"
OWN_MISSING = "own-write-missing"
WENT_BACK = "went-back"
REORDERED = "own-writes-reordered"
CAUSE_MISSING = "cause-missing"

FAILOVERS = ("partition-primary", "split-clients", "pause-primary", "kill-primary")
"""Faults after which another member is primary."""
FAULTS = ("none", "lag", *FAILOVERS)
READS = (("plain", "local"), ("plain", "majority"), ("plain", "linearizable"), ("snapshot", "majority"))
CAUSAL = (("causal", "local"), ("causal", "majority"))
WRITE_SETTINGS = (
    "w=1",
    "w=1,j=true",
    "w=2",
    "w=2,j=true",
    "w=3",
    "w=majority",
    "w=majority,journalDefault=false",
    "w=majority,j=true,journalDefault=false",
)
WRITE_FAULTS = (
    "none",
    "lag",
    "stepdown",
    "partition-primary",
    "pause-primary",
    "kill-primary",
    "kill-secondary",
    "kill-majority",
    "kill-all",
)
WRITE_STRIKES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCell:
    """Reads of one kind, at one pair of concerns, from one kind of member, under one fault."""

    variant: str
    level: str
    w: str
    preference: str
    fault: str

    @property
    def setting(self) -> str:
        """The setting as on the command line."""
        return f"w={self.w},readConcernLevel={self.level},readPreference={self.preference}"

    @property
    def fails_over(self) -> bool:
        """Whether the fault brings another primary."""
        return self.fault in FAILOVERS

    def possible(self) -> frozenset[str]:
        """Return the anomalies that are documented to be possible here."""
        return frozenset(_of_writes(self)) | frozenset(_of_reads(self))

    def runner(self) -> SeedRunner:
        """Return what runs seeds of the cell."""
        is_split = self.fault == "split-clients"
        cell = SimulatedCell(
            loaded=load_scenario(str(SCENARIOS / "concerns.py")),
            variant=self.variant,
            setting=self.setting,
            faults=() if self.fault == "none" else (self.fault,),
            clients=5 if self == RARE_CELL else 4 if is_split else 3,
            client_groups=2 if is_split else 1,
        )
        return SeedRunner(cell=cell)


RARE_CELL = ReadCell(variant="causal", level="local", w="majority", preference="nearest", fault="partition-primary")
"""Where a client misses what a majority acknowledged to it, in a causal session: in one of a thousand seeds."""


def _of_writes(cell: ReadCell) -> Iterator[str]:
    """Let a failover lose what one member alone acknowledged, the earlier of two writes without the later as well."""
    if cell.w == "1" and cell.fails_over:
        yield from (LOST, REORDERED, OWN_MISSING)


def _of_reads(cell: ReadCell) -> Iterator[str]:
    if cell.level == "linearizable":
        return
    if cell.level == "local":
        # The newest data of the member, committed or not: a failover may take it back.
        yield DIRTY
        if cell.fails_over:
            yield from (ROLLED_BACK, WENT_BACK, CAUSE_MISSING)
            # Also in a causal session: the entries of a stale primary may be newer than what the session waits for.
            yield OWN_MISSING
    one_after_the_other = cell.preference == "secondary" or cell.fails_over
    if one_after_the_other or (cell.level == "majority" and cell.w == "1"):
        # A member that is behind, a commit point that is, or a primary that does not know that it was replaced.
        yield STALE
        if cell.variant != "causal":
            yield OWN_MISSING
            if one_after_the_other:
                yield WENT_BACK


def read_cells() -> Iterator[ReadCell]:
    """Yield every cell: each kind of read, both write concerns, primary and secondaries, each fault."""
    for variant, level in (*READS, *CAUSAL):
        for w in ("1", "majority"):
            for preference in ("primary", "secondary"):
                if level == "linearizable" and preference == "secondary":
                    continue
                for fault in FAULTS:
                    yield ReadCell(variant=variant, level=level, w=w, preference=preference, fault=fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCell:
    """Writes of one concern, and no reads, under one fault."""

    setting: str
    fault: str
    members: int = 3

    @property
    def loses(self) -> bool:
        """Whether an acknowledged write may be lost, as documented."""
        if self.members == 1:
            return "j=true" not in self.setting
        if self.setting.startswith("w=1"):
            return self.fault in (*FAILOVERS, "kill-majority", "kill-all")
        is_journaled = "j=true" in self.setting or self.setting == "w=majority"
        return not is_journaled and self.fault in ("kill-majority", "kill-all")

    def runner(self) -> SeedRunner:
        """Return what runs seeds of the cell."""
        cell = SimulatedCell(
            loaded=load_scenario(str(SCENARIOS / "inserts.py")),
            variant="documents",
            setting=self.setting,
            faults=() if self.fault == "none" else (self.fault,),
            members=self.members,
            strikes=WRITE_STRIKES,
        )
        return SeedRunner(cell=cell)


def write_cells() -> Iterator[WriteCell]:
    """Yield every cell: each write concern under each fault, and a member alone with and without its journal."""
    for setting in WRITE_SETTINGS:
        for fault in WRITE_FAULTS:
            yield WriteCell(setting=setting, fault=fault)
    for setting in ("w=1", "w=1,j=true"):
        yield WriteCell(setting=setting, fault="kill-primary", members=1)


def groups(cells: Iterable[ReadCell]) -> dict[str, tuple[ReadCell, ...]]:
    """Return the cells by kind of read, concerns and members; those in which the primary stays are groups apart."""
    found: dict[str, list[ReadCell]] = {}
    for cell in cells:
        name = f"{cell.variant} {cell.setting} {'failover' if cell.fails_over else 'no failover'}"
        found.setdefault(name, []).append(cell)
    return {name: tuple(members) for name, members in found.items()}


def count_kinds(runner: SeedRunner, seeds: int) -> Counter[str]:
    """Return in how many of the first seeds each kind of anomaly shows."""
    return Counter(kind for seed in range(seeds) for kind in set(kinds_of(runner.judge(seed).verdict)))
