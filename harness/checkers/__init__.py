"""The checkers: pure functions of a history that say ``holds``, ``violated`` or ``unknown``.

A checker is made by a factory that a scenario configures with small functions; it knows nothing of scenarios, and
nothing here imports the driver. May import the history, operation and verdict layers and ``interfaces.checker``.
Start reading with ``durability.py``, then ``linearizability.py``; ``compose.py`` runs them, ``kinds.py`` lists what
they find.
"""

from __future__ import annotations

from harness.checkers.claims import SOME_ITEM, single_claim
from harness.checkers.compose import run_checkers
from harness.checkers.conservation import Transfer, conservation
from harness.checkers.convergence import Stamped, last_write_wins
from harness.checkers.durability import durability, rejected_yet_applied
from harness.checkers.errors_seen import unexpected_errors
from harness.checkers.kinds import ANOMALY_KINDS
from harness.checkers.linearizability import entries_of, linearizable
from harness.checkers.model import ILLEGAL, UNKNOWN, Entry, Model, Step
from harness.checkers.models import register, versioned_document
from harness.checkers.resolution import Resolved, resolve
from harness.checkers.search import verify_linearization
from harness.checkers.updates import Update, lost_updates
from harness.checkers.versions import versions

__all__ = [
    "ANOMALY_KINDS",
    "ILLEGAL",
    "SOME_ITEM",
    "UNKNOWN",
    "Entry",
    "Model",
    "Resolved",
    "Stamped",
    "Step",
    "Transfer",
    "Update",
    "conservation",
    "durability",
    "entries_of",
    "last_write_wins",
    "linearizable",
    "lost_updates",
    "register",
    "rejected_yet_applied",
    "resolve",
    "run_checkers",
    "single_claim",
    "unexpected_errors",
    "verify_linearization",
    "versioned_document",
    "versions",
]
