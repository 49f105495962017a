"""What a simulated replica set is made of: members, client groups, and the times that a real set is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.sim.server.defects import Defects

OBSERVER: Final = "observer"
"""The client group that always exists and that no fault cuts off: setup, final reads, observers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A simulated replica set. Times are those of the real sets that the harness starts, where they have one."""

    members: tuple[str, ...] = ("m1", "m2", "m3")
    groups: tuple[str, ...] = ("clients",)
    """The client groups whose links can be cut; :data:`OBSERVER` is there besides."""
    election_timeout_us: int = 1_000_000
    journal_interval_us: int = 100_000
    journal_default: bool = True
    """``writeConcernMajorityJournalDefault``."""
    latency_us: int = 500
    """One command, there and back."""
    transaction_lifetime_us: int = 60_000_000
    lock_timeout_us: int = 5_000
    oplog_limit: int | None = None
    """How many entries an oplog keeps at least; None keeps all, with the data as it was after each."""
    ttl_interval_us: int = 60_000_000
    clock_skew_us: Mapping[str, int] = field(default_factory=dict)
    defects: Defects = field(default_factory=Defects)
    check_invariants: bool = True
    """Off only where a wrong server is to be caught by what its clients see."""

    @property
    def majority(self) -> int:
        """How many members are a majority of them."""
        return len(self.members) // 2 + 1
