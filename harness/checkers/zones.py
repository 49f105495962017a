"""Linearizability of a register whose written values are unique, in O(n log n), after Gibbons and Korach (1997).

A value's cluster is its write and the reads of it. In any linearization a cluster is one block, write first, so only
the order of clusters is open. Cluster A must come before B if and only if some operation of A ends before some
operation of B starts: ``finish(A) < start(B)``, with ``finish`` the earliest end and ``start`` the latest start in a
cluster. That relation has a cycle only if two clusters must each come before the other: let A1 -> A2 -> ... -> A1 be
a shortest cycle of three or more; as none of its steps goes back, ``finish(A[i+1]) >= start(A[i]) > finish(A[i-1])``
all the way round, which is impossible. Stamps are closed: an operation that ends when another starts overlaps it.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checkers.model import UNKNOWN, Decision, Entry, Witness

_BEFORE_TIME = -1


@dataclass(slots=True)
class _Cluster:
    """One value: its write (None for the initial value) and its reads."""

    value: Any
    write: Entry | None = None
    reads: list[Entry] = field(default_factory=list)
    finish: int = 0
    start: int = 0

    def close(self) -> None:
        self.reads.sort(key=lambda entry: (entry.start_ns, entry.index))
        members = self.members
        self.start = max((entry.start_ns for entry in members), default=_BEFORE_TIME)
        self.finish = min((entry.end_ns for entry in members), default=_BEFORE_TIME)
        if self.write is None:
            self.finish = _BEFORE_TIME

    @property
    def members(self) -> list[Entry]:
        return [self.write, *self.reads] if self.write else self.reads

    def first_to_end(self) -> Entry | None:
        return min(self.members, key=lambda entry: entry.end_ns) if self.write else None

    def last_to_start(self) -> Entry:
        return max(self.members, key=lambda entry: entry.start_ns)


def decide_register(entries: Sequence[Entry], initial: Any) -> Decision | None:
    """Return the order of a register history or the witness that there is none; None if values are not unique."""
    if any(entry.step.kind not in {"read", "write"} for entry in entries):
        return None
    writes = [entry for entry in entries if entry.step.kind == "write"]
    if len({entry.step.value for entry in writes} | {initial}) != len(writes) + 1:
        return None
    clusters: defaultdict[Any, _Cluster] = defaultdict(lambda: _Cluster(value=None))
    clusters[initial].value = initial
    for entry in writes:
        clusters[entry.step.value].write = entry
    for entry in entries:
        if entry.step.kind == "read" and entry.step.result is not UNKNOWN:
            clusters[entry.step.result].reads.append(entry)
    relevant = []
    for value, cluster in clusters.items():
        cluster.value = value
        if cluster.write is not None and not cluster.write.required and not cluster.reads:
            continue
        if witness := _unexplained(cluster, initial):
            return Decision(witness=witness)
        cluster.close()
        relevant.append(cluster)
    return _order(relevant)


def _unexplained(cluster: _Cluster, initial: Any) -> Witness | None:
    if not cluster.reads or cluster.value == initial:
        return None
    first = min(cluster.reads, key=lambda entry: entry.end_ns)
    if cluster.write is None:
        return Witness(
            kind="phantom-read",
            entries=(first,),
            story=(f"{cluster.value!r} was read, and no operation wrote it or may have written it.",),
        )
    if first.end_ns < cluster.write.start_ns:
        return Witness(
            kind="phantom-read",
            entries=(cluster.write, first),
            story=(f"The read of {cluster.value!r} ended before the only write of it began.",),
        )
    return None


def _order(clusters: list[_Cluster]) -> Decision:
    by_finish = [(cluster.finish, number) for number, cluster in enumerate(clusters)]
    by_start = [(cluster.start, number) for number, cluster in enumerate(clusters)]
    heapq.heapify(by_finish)
    heapq.heapify(by_start)
    placed = [False] * len(clusters)
    order: list[Entry] = []
    for _ in clusters:
        number, blocked_by = _next_cluster(clusters, by_finish, by_start, placed)
        if blocked_by is not None:
            return Decision(witness=_conflict(clusters[number], clusters[blocked_by]))
        placed[number] = True
        order.extend(clusters[number].members)
    return Decision(order=tuple(order))


def _next_cluster(
    clusters: list[_Cluster], by_finish: list[tuple[int, int]], by_start: list[tuple[int, int]], placed: list[bool]
) -> tuple[int, int | None]:
    """Return a cluster that may come first among the rest; or two that must each come before the other.

    Any cluster without a predecessor may be taken: sources of an acyclic relation can go in any order. For all but
    the cluster that finishes earliest that one's finish is the only test; for itself it is the second earliest. Where
    neither test passes, those two stand against each other: every other start lies beyond the earliest finish.
    """
    _drop_placed(by_finish, placed)
    _drop_placed(by_start, placed)
    earliest_finish, earliest = by_finish[0]
    start, number = by_start[0]
    if number != earliest and start <= earliest_finish:
        return number, None
    heapq.heappop(by_finish)
    _drop_placed(by_finish, placed)
    second = by_finish[0] if by_finish else None
    heapq.heappush(by_finish, (earliest_finish, earliest))
    if second is None or clusters[earliest].start <= second[0]:
        return earliest, None
    return earliest, second[1]


def _drop_placed(heap: list[tuple[int, int]], placed: list[bool]) -> None:
    while heap and placed[heap[0][1]]:
        heapq.heappop(heap)


def _conflict(one: _Cluster, other: _Cluster) -> Witness:
    sentences = []
    evidence: list[Entry] = []
    for before, after in ((one, other), (other, one)):
        ended, began = before.first_to_end(), after.last_to_start()
        evidence.extend(entry for entry in (before.write, ended, began) if entry is not None)
        if ended is None:
            sentences.append(f"{before.value!r} was there from the start, so it comes before {after.value!r}.")
            continue
        sentences.append(
            f"{before.value!r} comes before {after.value!r}: operation {ended.index} on it had ended when "
            f"operation {began.index} on {after.value!r} began."
        )
    return Witness(
        kind="stale-read",
        entries=tuple(dict.fromkeys(evidence)),
        story=(*sentences, "Each value was written once, so no order has both."),
    )
