"""The journal of a member: what is on disk for certain, and what a crash may therefore not take.

The journal is flushed every ``journalCommitInterval``; a write that asks for it, or whose majority implies it, flushes
everything before it. Source: the manual's page "Journaling", and what kill -9 was measured to take from mongod 6.0.5.
"""

from __future__ import annotations

from typing import Final

from harness.sim.server.member import Member
from harness.sim.server.oplog import newer, older
from harness.sim.server.records import OplogEntry

FLUSH_US: Final = 20_000
"""What a flush itself may take: entries up to 115 ms old were lost with an interval of 100 ms."""


def note_applied(member: Member, entry: OplogEntry, now_us: int, interval_us: int) -> None:
    """Take notice that a member has applied ``entry`` by now."""
    flushed_us = now_us - interval_us - FLUSH_US
    known = member.known
    while known and known[0][0] <= flushed_us:
        member.durable = newer(member.durable, known.popleft()[1])
    known.append((now_us, entry))


def on_disk(member: Member, now_us: int, interval_us: int) -> OplogEntry:
    """Return what the member's journal has for certain."""
    flushed_us = now_us - interval_us - FLUSH_US
    certain = member.durable
    for applied_us, entry in member.known:
        if applied_us <= flushed_us:
            certain = newer(certain, entry)
    if member.role == "PRIMARY":
        entry = member.last
        while entry.previous is not None and entry.term == member.term and entry.at_us > flushed_us:
            entry = entry.previous
        if entry.term == member.term:
            certain = newer(certain, entry)
    return certain


def flush(member: Member, entry: OplogEntry) -> None:
    """Let the journal have everything up to ``entry``."""
    if member.durable.index < entry.index:
        member.durable = entry


def cut_back(member: Member, entry: OplogEntry) -> None:
    """Let the journal end at ``entry``, as after a rollback."""
    member.durable = older(member.durable, entry)
    member.known.clear()
