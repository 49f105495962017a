"""One simulated member: its role and what is known of its log.

What is lazily open is kept as ranges. ``last`` is what the member holds for certain; what it may hold beyond that is
told by :class:`~harness.sim.server.replication.Replication`. Likewise for its journal (``durable``) and the commit
point that it knows (``commit``).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from harness.sim.server.records import Data, Document, OplogEntry

if TYPE_CHECKING:
    from harness.sim.kernel.loop import Timer

Role = Literal["PRIMARY", "SECONDARY", "ROLLBACK", "DOWN"]

Moment = tuple[int, int]
"""The number of a step of the run, and the virtual time."""


class Member:
    """A member. Everything here is changed by the replication core alone; commands read ``name`` to ``epoch``."""

    __slots__ = (
        "ceiling",
        "clock",
        "commit",
        "commit_ceiling",
        "committed_moment",
        "connection_closures",
        "deaf",
        "durable",
        "election_barred_until_us",
        "epoch",
        "followers",
        "ghosts",
        "hears",
        "incarnation",
        "kept_sessions",
        "known",
        "lagged",
        "last",
        "name",
        "notice_timer",
        "observed_moment",
        "paused",
        "priority",
        "reporters",
        "role",
        "rollback_count",
        "rollback_timer",
        "skew_us",
        "source",
        "step_down_timer",
        "stepping_down",
        "term",
        "up",
        "via",
    )

    def __init__(self, name: str, entry: OplogEntry, skew_us: int) -> None:  # noqa: PLR0915 - one field a line
        self.name = name
        self.role: Role = "SECONDARY"
        self.term = 0
        self.up = True
        """Whether the process lives."""
        self.paused = False
        """Whether the process is stopped (SIGSTOP)."""
        self.incarnation = 0
        """Grows when the process dies, and when it closes all connections: commands that ran there have no reply."""
        self.epoch = 0
        """Grows with each change of role: open transactions, and what commands relied on, are gone."""
        self.last = entry
        """What it has applied for certain; exact for a primary."""
        self.ceiling = entry
        """What it may have applied, without what it may pull now."""
        self.durable = entry
        """What its journal has for certain, without what has become so by time."""
        self.known: deque[tuple[int, OplogEntry]] = deque()
        """When it was certain to have applied what, as far as the journal may lag behind."""
        self.commit = entry
        """The commit point that it knows for certain: its committed snapshot."""
        self.commit_ceiling = entry
        """The commit point that it may know, without what it may hear now."""
        self.observed_moment: Moment = (-1, 0)
        """When ``last`` was made exact; it stays so until others can run."""
        self.committed_moment: Moment = (-1, 0)
        self.clock = entry.timestamp
        self.skew_us = skew_us
        self.priority = 1
        self.source: Member | None = None
        """The primary whose log it follows."""
        self.via: Member | None = None
        """From whom it pulls: the source, or a secondary on the way to it."""
        self.hears: Member | None = None
        """The primary of which it hears, so that it does not run for election."""
        self.followers: tuple[Member, ...] = ()
        """Of a primary: who pulls everything that it has."""
        self.reporters: tuple[Member, ...] = ()
        """Of a primary: who pulls nothing now (lag), but reports what it has."""
        self.lagged = False
        self.deaf = False
        """Just resumed: it runs queued commands before it notices that the set went on without it."""
        self.stepping_down = False
        """It takes no writes, while it waits for a secondary to take over."""
        self.election_barred_until_us = 0
        self.rollback_count = 0
        self.connection_closures = 0
        self.step_down_timer: Timer | None = None
        self.rollback_timer: Timer | None = None
        self.notice_timer: Timer | None = None
        self.ghosts: tuple[tuple[str, Any, Document], ...] = ()
        """Defects: documents that a rollback left."""
        self.kept_sessions: Data | None = None
        """Defects: data whose session records a rollback left."""

    @property
    def is_primary(self) -> bool:
        """Whether it believes to be primary and takes writes."""
        return self.role == "PRIMARY" and not self.stepping_down

    @property
    def is_readable(self) -> bool:
        """Whether it answers reads at all."""
        return self.role in ("PRIMARY", "SECONDARY")

    @property
    def running(self) -> bool:
        """Whether its process lives and is not stopped."""
        return self.up and not self.paused

    def __repr__(self) -> str:
        return f"<{self.name} {self.role} term {self.term} at {self.last.index}>"
