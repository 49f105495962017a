"""What counts as the effect of a strike: pure rules over what observers saw before and after it.

A rule returns an Effect, or None where the strike left no trace that it would accept. Each asks for what a fault
that did nothing could not show: a cut is proved by members that do not hear each other any more, and not by an
election alone, which may have had another cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.facts import Effect
from harness.interfaces.backend import MemberState, primary_of
from harness.interfaces.link import Direction, Link, LinkCounters

MEMBER_STATES = "member states"
LINK_COUNTERS = "link counters"
PROBE = "probe"
FAILPOINT_COUNTER = "failpoint counter"
JOURNAL = "journal"
HEARTBEATS = "heartbeat round trips"

PRIMARY = "PRIMARY"
SECONDARY = "SECONDARY"

States = Sequence[MemberState]

_SLOW_CONTROL_MS = 250.0
"""Where a direct round trip takes this long, a probe that waits half a second or more may have been late, not lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a probe met with: whether it was answered, after how long, and by how many bytes.

    ``control_ms`` is what a round trip to the same member took at the same time over a connection that no link
    carries, None where that was not answered: what slows both is not the link.
    """

    answered: bool
    elapsed_ms: float
    control_ms: float | None = None
    bytes_received: int = 0
    problem: str = ""


def state_of(states: States, member: str) -> MemberState:
    """Return the state of ``member``, an unreachable one if it was not observed."""
    return next((state for state in states if state.member == member), MemberState(member=member, reachable=False))


def successor(before: States, after: States, victim: str) -> MemberState | None:
    """Return the member other than ``victim`` that has become primary in a higher term than any seen before."""
    highest = max((state.term for state in before if state.term is not None), default=0)
    newer = [
        state
        for state in after
        if state.member != victim and state.reachable and state.role == PRIMARY and (state.term or 0) > highest
    ]
    return max(newer, key=lambda state: state.term or 0, default=None)


def hears(states: States, listener: str, speaker: str) -> bool | None:
    """Whether ``listener`` holds ``speaker`` to be up by its own heartbeats; None where the listener is silent."""
    state = state_of(states, listener)
    return speaker in state.heard_from if state.reachable else None


def _lost_sight(before: States, after: States, cut: Iterable[Link]) -> bool:
    pairs = [link for link in cut if hears(after, link.source, link.destination) is not None]
    heard_before = any(hears(before, *pair) for pair in pairs)
    return heard_before and not any(hears(after, *pair) for pair in pairs)


def primary_replaced(before: States, after: States, cut: Sequence[Link], time_ns: int) -> Effect | None:
    """See the primary of ``before`` replaced, or giving up, while nobody was heard over the ``cut`` member links."""
    was = primary_of(before)
    if was is None or not _lost_sight(before, after, cut):
        return None
    victim = was.member
    heir, old = successor(before, after, victim), state_of(after, victim)
    if heir is not None:
        still = " while it still called itself primary" if old.role == PRIMARY else ""
        text = f"{heir.member} became primary in term {heir.term}; {victim} was cut off{still}"
        return _seen(text, time_ns, primary=heir.member, term=heir.term)
    if old.reachable and old.role not in {"", PRIMARY}:
        return _seen(f"{victim} was cut off and stepped down to {old.role}", time_ns, role=old.role)
    return None


def members_cut(before: States, after: States, cut: Sequence[Link], time_ns: int) -> Effect | None:
    """See that members do not hear each other over the ``cut`` links, and did before."""
    if not _lost_sight(before, after, cut):
        return None
    pairs = ", ".join(f"{link.source} of {link.destination}" for link in cut)
    return _seen(f"by their heartbeats members lost sight of each other: {pairs}", time_ns)


def members_cut_one_way(before: States, after: States, cut: Sequence[Link], time_ns: int) -> Effect | None:
    """See that nothing is heard over the ``cut`` links, while an opposite link still carries heartbeats."""
    if not any(hears(after, link.destination, link.source) for link in cut):
        return None
    return members_cut(before, after, cut, time_ns)


def members_dead(before: States, after: States, victims: Sequence[str], time_ns: int) -> Effect | None:
    """See that none of the ``victims`` answers, and that their processes, where they are known, are gone."""
    if not all(_dead(state_of(before, victim), state_of(after, victim)) for victim in victims):
        return None
    return _seen(f"{_and(victims)} did not answer, the process gone", time_ns)


def _dead(was: MemberState, now: MemberState) -> bool:
    # A member that is merely slow to answer keeps its process.
    return not now.reachable and (was.process_id is None or was.process_id != now.process_id)


def majority_dead(before: States, after: States, victims: Sequence[str], time_ns: int) -> Effect | None:
    """See a majority dead and, therefore, no member primary."""
    if members_dead(before, after, victims, time_ns) is None or primary_of(after) is not None:
        return None
    return _seen(f"{_and(victims)} did not answer and no member was primary", time_ns)


def primary_dead(before: States, after: States, victim: str, time_ns: int) -> Effect | None:
    """See the primary dead, or back as another process, and another member elected."""
    heir, old, was = successor(before, after, victim), state_of(after, victim), state_of(before, victim)
    if heir is None:
        return None
    if _dead(was, old):
        what = "did not answer, its process gone"
    elif old.reachable and None not in {old.process_id, was.process_id} and old.process_id != was.process_id:
        what = f"came back as another process ({was.process_id}, now {old.process_id})"
    else:
        return None
    return _seen(f"{victim} {what}; {heir.member} became primary in term {heir.term}", time_ns, primary=heir.member)


def primary_halted(before: States, after: States, victim: str, time_ns: int) -> Effect | None:
    """See the primary silent although its process is there, and another member elected."""
    heir, old, was = successor(before, after, victim), state_of(after, victim), state_of(before, victim)
    if heir is None or old.reachable or old.process_id != was.process_id:
        return None
    text = f"{victim} did not answer, its process alive; {heir.member} became primary in term {heir.term}"
    return _seen(text, time_ns, primary=heir.member)


def handed_over(before: States, after: States, victim: str, time_ns: int) -> Effect | None:
    """See the primary alive but primary no more, and another one in a higher term."""
    heir, old = successor(before, after, victim), state_of(after, victim)
    if heir is None or not old.reachable or old.role == PRIMARY:
        return None
    return _seen(f"{victim} stepped down; {heir.member} became primary in term {heir.term}", time_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The states of the members at one time of a strike."""

    time_ns: int
    states: tuple[MemberState, ...]


def held_back(samples: Sequence[Sample], victim: str, least_lag_ns: int) -> Effect | None:
    """See that ``victim`` lacks what the primary had applied ``least_lag_ns`` before the last sample.

    A member that merely trails the primary by a batch does not count: it has caught up by then.
    """
    if not samples or not (now := state_of(samples[-1].states, victim)).reachable or now.applied is None:
        return None
    for sample in samples:
        primary = primary_of(sample.states)
        if primary is None or primary.applied is None or primary.member == victim:
            continue
        age_ns = samples[-1].time_ns - sample.time_ns
        if age_ns >= least_lag_ns and now.applied < primary.applied:
            text = f"{victim} had not applied after {age_ns // 1_000_000} ms what {primary.member} had"
            return _seen(text, samples[-1].time_ns, applied=now.applied, primary_applied=primary.applied)
    return None


def unanswered(before: Answer, now: Answer, victim: str, time_ns: int) -> Effect | None:
    """See a probe through a client link unanswered by ``victim``, which answered before and answers directly."""
    if not before.answered or now.answered or now.control_ms is None or now.control_ms >= _SLOW_CONTROL_MS:
        return None
    text = (
        f"a round trip from the clients to {victim} failed ({now.problem}), a direct one took {now.control_ms:.0f} ms"
    )
    return Effect(observer=PROBE, description=text, time_ns=time_ns, details={"elapsed_ms": round(now.elapsed_ms, 1)})


def answer_lost(before: Answer, now: Answer, victim: str, time_ns: int, *, arrived: bool) -> Effect | None:
    """See that ``victim`` knows of a probe whose answer did not come back, as it had before."""
    if not arrived or unanswered(before, now, victim, time_ns) is None:
        return None
    text = f"{victim} handled the request of a probe from the clients, and its answer never arrived"
    return Effect(observer=PROBE, description=text, time_ns=time_ns)


def slower(before: Answer, now: Answer, victim: str, least_ms: float, time_ns: int) -> Effect | None:
    """See a probe through a client link take ``least_ms`` longer than before, and than a direct one takes now."""
    if not before.answered or now.control_ms is None:
        return None
    if now.elapsed_ms - max(before.elapsed_ms, now.control_ms) < least_ms:
        return None
    text = (
        f"a round trip from the clients to {victim} took {now.elapsed_ms:.0f} ms; "
        f"before it took {before.elapsed_ms:.0f} ms, a direct one takes {now.control_ms:.0f} ms"
    )
    return Effect(observer=PROBE, description=text, time_ns=time_ns)


def heartbeats_slower(
    before_ms: Sequence[float], now_ms: Sequence[float], victim: str, least_ms: float, time_ns: int
) -> Effect | None:
    """See the other members' mean heartbeat round trip to ``victim`` grown by at least ``least_ms``."""
    if not before_ms or not now_ms or max(now_ms) - max(before_ms) < least_ms:
        return None
    text = f"heartbeats to {victim} took {max(now_ms):.0f} ms on average, before {max(before_ms):.0f} ms"
    return Effect(observer=HEARTBEATS, description=text, time_ns=time_ns)


def bytes_swallowed(
    before: Sequence[LinkCounters], now: Sequence[LinkCounters], direction: Direction, victim: str, time_ns: int
) -> Effect | None:
    """See in the links' own counters bytes that were taken and not passed on."""
    count = _swallowed(now, direction) - _swallowed(before, direction)
    if count <= 0:
        return None
    what = "sent to" if direction == "upstream" else "of the answers of"
    text = f"{count} bytes {what} {victim} were swallowed"
    return Effect(observer=LINK_COUNTERS, description=text, time_ns=time_ns, details={"bytes": count})


def _swallowed(counters: Sequence[LinkCounters], direction: Direction) -> int:
    return sum(c.swallowed_upstream if direction == "upstream" else c.swallowed_downstream for c in counters)


def connections_refused(
    before: Sequence[LinkCounters], now: Sequence[LinkCounters], victim: str, time_ns: int
) -> Effect | None:
    """See in the links' own counters connections that were refused."""
    count = sum(c.refused for c in now) - sum(c.refused for c in before)
    if count <= 0:
        return None
    text = f"{count} connections of clients to {victim} were refused"
    return Effect(observer=LINK_COUNTERS, description=text, time_ns=time_ns, details={"connections": count})


def failpoint_hits(before: int, now: int, victim: str, what: str, time_ns: int) -> Effect | None:
    """See in the server's own counter how often the failpoint struck."""
    if now <= before:
        return None
    text = f"the failpoint of {victim} struck {now - before} times: {what}"
    return Effect(observer=FAILPOINT_COUNTER, description=text, time_ns=time_ns, details={"hits": now - before})


def clients_died(before: int, now: int, client: int, time_ns: int) -> Effect | None:
    """See more dead client processes in the journal than before."""
    if now <= before:
        return None
    return Effect(observer=JOURNAL, description=f"the process of client {client} died", time_ns=time_ns)


def _seen(description: str, time_ns: int, **details: Any) -> Effect:
    return Effect(observer=MEMBER_STATES, description=description, time_ns=time_ns, details=details)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
