"""When faults strike: drawn from the seed before the run, and stored with it, so that it can be repeated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.interfaces.fault import Fault
from harness.seed import stream

SLOT_S = 10.0
"""One strike of each fault is owed for each started span of load of this length."""
SHORT_SLOT_S = 5.0
SHORT_STRIKE_S = 1.0
"""A strike no longer than this comes twice as often: each catches only the operations that are under way."""
SETTLE_S = 1.5
"""Load before the first strike, so that there is something to lose."""
RECOVER_S = 2.0
"""Load after a strike: a set of three needs 1 to 3 s until a former primary has rolled back and follows again."""
JITTER_S = 0.5
"""How far the first strike may move; later ones move within what their slots leave."""
_HOLD_SHARE = 0.7
"""The share of a short slot that its strike may take, so that there is load before and after it."""
_SETTLE_SHARE = 0.4
"""The share of what a short slot leaves beside its strike that comes before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One strike: the fault, its number among that fault's strikes, its start after the load's, its length."""

    fault: Fault
    index: int
    at_s: float
    hold_s: float


def draw_schedule(seed: int, faults: Sequence[Fault], load_s: float) -> tuple[Strike, ...]:
    """Return the strikes of a run with that seed and ``load_s`` seconds of load, in order of time.

    For each fault the load is divided into equal slots of at most 10 s (5 s for short strikes), with a strike in each.
    Strikes of one fault never overlap, and each leaves the set time to recover before the next; strikes of several
    faults overlap on purpose. Where a slot is short, the rest and the strike are shortened. The same arguments give
    the same schedule.
    """
    strikes = [strike for fault in faults for strike in _draw(seed, fault, load_s)]
    return tuple(sorted(strikes, key=lambda strike: (strike.at_s, strike.fault.name)))


def _draw(seed: int, fault: Fault, load_s: float) -> list[Strike]:
    draw = stream(seed, "nemesis", fault.name)
    longest_s = SHORT_SLOT_S if fault.hold_s <= SHORT_STRIKE_S else SLOT_S
    count = max(1, math.ceil(load_s / longest_s))
    slot_s = load_s / count
    hold_s = min(fault.hold_s, slot_s * _HOLD_SHARE)
    spare_s = slot_s - hold_s
    settle_s = min(SETTLE_S, spare_s * _SETTLE_SHARE)
    slack_s = max(0.0, spare_s - settle_s - RECOVER_S)
    strikes = []
    for index in range(count):
        jitter_s = draw.random() * (min(JITTER_S, slack_s) if index == 0 else slack_s)
        at_s = index * slot_s + settle_s + jitter_s
        strikes.append(Strike(fault=fault, index=index, at_s=round(at_s, 3), hold_s=round(hold_s, 3)))
    return strikes


def as_plain(strikes: Sequence[Strike]) -> tuple[dict[str, Any], ...]:
    """Return the schedule as it is stored in ``run.json``."""
    return tuple(
        {"fault": strike.fault.name, "strike": strike.index, "at_s": strike.at_s, "hold_s": strike.hold_s}
        for strike in strikes
    )
