"""Linearizability of a versioned document: the versions force the order, so one sorted pass decides.

The writes stand in the order of their versions, each read right after the write of the version that it saw. Such an
order respects real time if and only if no operation ends before the latest start among those ahead of it. A version
that no completed write was told must have come from a write with unknown outcome; which one is a matching between
missing versions and such writes: a write fits where it began before the deadline of the version, the earliest end of
anything at that version or a later one, and where its document fits what was seen around it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checkers.matching import match
from harness.checkers.model import ILLEGAL, UNKNOWN, Decision, Entry, Step, Witness
from harness.clock import FOREVER_NS

Apply = Callable[[Any, Step], Any]

_MOST_COMPARISONS = 5_000_000
"""Missing versions times writes with unknown outcome; beyond it the search (with its own budget) takes over."""

_UNSEEN: Any = object()


@dataclass(slots=True)
class _Slot:
    """One version: its completed write (None: missing, or the initial version), its reads, its document if seen."""

    version: int
    write: Entry | None = None
    reads: list[Entry] = field(default_factory=list)
    document: Any = _UNSEEN
    filled_by: Entry | None = None

    def members(self) -> list[Entry]:
        head = self.write or self.filled_by
        return ([head] if head else []) + self.reads


def decide_versioned(entries: Sequence[Entry], initial: Any, apply: Apply, *, forgetful: bool) -> Decision | None:
    """Return the order or the witness that there is none; None where only a search can tell.

    ``forgetful`` says that a write's document does not depend on the one before.
    """
    slots = _slots(entries, initial)
    if isinstance(slots, Witness):
        return Decision(witness=slots)
    gaps = [slot for slot in slots[1:] if slot.write is None]
    if not forgetful and any(
        slot.document is _UNSEEN and slots[slot.version - initial[0] + 1].write is None for slot in gaps
    ):
        return None
    witness = _misfit(slots, apply, forgetful) or _overtaken(slots)
    if witness is not None:
        return Decision(witness=witness)
    pending = [entry for entry in entries if not entry.required and entry.step.kind != "read"]
    if len(gaps) * len(pending) > _MOST_COMPARISONS:
        return None
    missing = _fill(slots, gaps, sorted(pending, key=lambda entry: entry.start_ns), apply, forgetful)
    if missing is not None:
        return Decision(witness=_gap(missing, slots, pending))
    return Decision(order=tuple(entry for slot in slots for entry in slot.members()))


def _slots(entries: Sequence[Entry], initial: Any) -> list[_Slot] | Witness:
    """Return a slot for each version from the initial to the last one seen."""
    first, document = initial
    table: defaultdict[int, _Slot] = defaultdict(lambda: _Slot(0))
    table[first] = _Slot(first, document=document)
    for entry in entries:
        if entry.step.result is UNKNOWN or not entry.required:
            continue
        version, seen = entry.step.result
        if version < first or (version == first and entry.step.kind != "read"):
            return Witness(
                kind="duplicate-version",
                entries=(entry,),
                story=(f"Operation {entry.index} was told version {version}; the document began at {first}.",),
            )
        slot = table[version]
        slot.version = version
        if entry.step.kind == "read":
            slot.reads.append(entry)
        elif slot.write is not None:
            return _duplicate(version, slot.write, entry)
        else:
            slot.write, slot.document = entry, seen
    last = max(table)
    writes = sum(entry.step.kind != "read" for entry in entries)
    if last - first > writes:
        return _too_many(last, first, writes, [*table[last].members()])
    for version in range(first, last + 1):
        slot = table[version]
        slot.version = version
        slot.reads.sort(key=lambda entry: (entry.start_ns, entry.index))
        if slot.document is _UNSEEN and slot.reads:
            slot.document = slot.reads[0].step.result[1]
    return [table[version] for version in sorted(table)]


def _too_many(last: int, first: int, writes: int, seen: list[Entry]) -> Witness:
    return Witness(
        kind="version-gap",
        entries=tuple(seen[:1]),
        story=(
            f"Operation {seen[0].index} saw version {last}; the document began at {first}.",
            f"There were {writes} writes in all, those with unknown outcome included.",
        ),
    )


def _duplicate(version: int, one: Entry, other: Entry) -> Witness:
    return Witness(
        kind="duplicate-version",
        entries=(one, other),
        story=(
            f"Operations {one.index} and {other.index} were both accepted as version {version}.",
            "Each accepted write makes the version grow, so one of them overwrote the other or was lost.",
        ),
    )


def _misfit(slots: list[_Slot], apply: Apply, forgetful: bool) -> Witness | None:
    """Return the first read or write whose document is not the one of its version."""
    for before, slot in zip([None, *slots], slots, strict=False):
        for read in slot.reads:
            if read.step.result[1] != slot.document:
                return _wrong_document(slot, read, slot.members())
        if slot.write is None or before is None:
            continue
        known = before.document
        if known is _UNSEEN:
            if not forgetful:
                continue
            known = None
        if apply((before.version, known), slot.write.step) is ILLEGAL:
            return _wrong_document(slot, slot.write, [] if forgetful else before.members())
    return None


def _wrong_document(slot: _Slot, entry: Entry, context: Sequence[Entry]) -> Witness:
    """Return the witness that ``entry`` does not fit, given the first other entry of ``context``."""
    others = [other for other in context if other is not entry][:1]
    return Witness(
        kind="wrong-document",
        entries=(*others, entry),
        story=(
            f"Operation {entry.index} returned {entry.step.result[1]!r} as version {slot.version}.",
            "That is not what was written as that version"
            + (f", as operation {others[0].index} shows." if others else "."),
        ),
    )


def _overtaken(slots: list[_Slot]) -> Witness | None:
    """Return the first operation that had ended before one that must come earlier began."""
    latest: tuple[Entry, int] | None = None
    for slot in slots:
        for entry in slot.members():
            if latest is not None and entry.end_ns < latest[0].start_ns:
                return _inversion(latest, (entry, slot.version))
            if latest is None or entry.start_ns > latest[0].start_ns:
                latest = (entry, slot.version)
    return None


def _inversion(late: tuple[Entry, int], early: tuple[Entry, int]) -> Witness:
    (late_entry, late_version), (early_entry, early_version) = late, early
    kind = "stale-read" if late_entry.step.kind == "read" else "not-linearizable"
    if late_version == early_version:
        kind = "phantom-read"
    verbs = {"read": "read"}
    did = verbs.get(early_entry.step.kind, "wrote"), verbs.get(late_entry.step.kind, "wrote")
    return Witness(
        kind=kind,
        entries=(early_entry, late_entry),
        story=(
            f"Operation {early_entry.index} {did[0]} version {early_version} and ended.",
            f"Only then did operation {late_entry.index} begin, and it {did[1]} version {late_version}.",
        ),
    )


def _fill(slots: list[_Slot], gaps: list[_Slot], pending: list[Entry], apply: Apply, forgetful: bool) -> _Slot | None:
    """Give each missing version a write with unknown outcome; return one that gets none.

    Versions come with growing deadlines and writes with growing starts, so the first try mostly fits.
    """
    deadlines = _deadlines(slots)
    candidates = [
        [
            number
            for number, entry in enumerate(pending)
            if entry.start_ns <= deadlines[gap.version] and _fits(gap, slots, entry, apply, forgetful)
        ]
        for gap in gaps
    ]
    given, unserved = match(candidates)
    if unserved is not None:
        return gaps[unserved]
    for gap, number in zip(gaps, given, strict=True):
        gap.filled_by = pending[number]
    return None


def _deadlines(slots: list[_Slot]) -> dict[int, int]:
    deadlines = {}
    deadline = FOREVER_NS
    for slot in reversed(slots):
        deadline = min([deadline, *(entry.end_ns for entry in slot.members())])
        deadlines[slot.version] = deadline
    return deadlines


def _fits(gap: _Slot, slots: list[_Slot], entry: Entry, apply: Apply, forgetful: bool) -> bool:
    """Whether a write would turn the document before the gap into the one that was seen in it and after it."""
    position = gap.version - slots[0].version
    before = slots[position - 1]
    known = None if before.document is _UNSEEN else before.document
    changed = apply((before.version, known), entry.step)
    if changed is ILLEGAL or changed[0] != gap.version:
        return False
    if gap.document is not _UNSEEN:
        return bool(changed[1] == gap.document)
    after = slots[position + 1]
    return forgetful or after.write is None or apply(changed, after.write.step) is not ILLEGAL


def _gap(slot: _Slot, slots: list[_Slot], pending: list[Entry]) -> Witness:
    after = next((entry for later in slots[slot.version - slots[0].version :] for entry in later.members()), None)
    by = f": operation {after.index} saw or wrote it or a later one" if after else ""
    return Witness(
        kind="version-gap",
        entries=(after,) if after else (),
        story=(
            f"Version {slot.version} was there{by}.",
            f"No accepted write was told version {slot.version}.",
            f"Writes with unknown outcome: {len(pending)}; none is left that can have written it.",
        ),
    )
