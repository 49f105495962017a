"""Three verdicts, and the anomalies that a violated one names.

``violated`` beats ``unknown`` beats ``holds``: what was seen broken stays broken, and what could not be judged
is never called sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

VerdictStatus = Literal["holds", "violated", "unknown"]

_RANK: dict[VerdictStatus, int] = {"holds": 0, "unknown": 1, "violated": 2}


class Anomaly(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way in which the contract was broken, with its evidence.

    ``kind`` is the field's name for it (``lost-write``, ``lost-update``); ``guarantee`` says what was promised;
    ``story`` tells in numbered sentences what happened; ``operations`` are the indexes of the evidence.
    """

    kind: str
    guarantee: str
    story: tuple[str, ...]
    operations: tuple[int, ...] = ()
    details: dict[str, Any] = {}


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a check cost: operations looked at and steps of its search (0 where it needs none)."""

    operations: int
    steps: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one checker says of one history.

    ``reason`` tells why a verdict is ``unknown``. ``certificate`` of ``holds`` is what an independent pass can
    re-verify (an order of operation indexes, counts); ``model_broken`` is the weakest model that a violation breaks.
    ``truncated`` counts the anomalies that were found beyond those listed.
    """

    checker: str
    status: VerdictStatus
    reason: str = ""
    anomalies: tuple[Anomaly, ...] = ()
    truncated: int = 0
    model_broken: str = ""
    certificate: dict[str, Any] | None = None
    cost: Cost | None = None
    vacuous: bool = False
    """``unknown`` because nothing in this history was of the kind that it judges: other runs of the cell may speak."""

    @property
    def anomaly_count(self) -> int:
        """Number of anomalies found, listed or not."""
        return len(self.anomalies) + self.truncated


def merge_status(statuses: Iterable[VerdictStatus]) -> VerdictStatus:
    """Return the verdict on several: violated > unknown > holds. Of none at all: unknown, as nothing was judged."""
    ranked = sorted(statuses, key=_RANK.__getitem__)
    return ranked[-1] if ranked else "unknown"
