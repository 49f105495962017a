"""Which numbered writes of a run are in the log of the healed set, as ``local.oplog.rs`` tells it on real servers."""

from __future__ import annotations

from collections.abc import Iterator

from harness.oplog import Oplog, SurvivingWrite
from harness.sim.server.records import OplogEntry


def surviving_writes(last: OplogEntry, after: OplogEntry) -> Oplog:
    """Return what the log that ends with ``last`` has of numbered writes since the entry ``after``."""
    statements: dict[tuple[str, int], set[int]] = {}
    transactions: set[tuple[str, int]] = set()
    entry: OplogEntry | None = last
    while entry is not None and entry.index > after.index:
        if entry.transaction >= 0:
            key = (entry.session, entry.transaction)
            transactions.add(key)
            statements.setdefault(key, set())
        for session, number, ids in _retryable(entry):
            statements.setdefault((session, number), set()).update(ids)
        entry = entry.previous
    writes = [
        SurvivingWrite(
            session=session,
            number=number,
            statements=tuple(sorted(ids)),
            transaction=(session, number) in transactions,
        )
        for (session, number), ids in reversed(statements.items())
    ]
    return Oplog(writes=tuple(writes), covers_run=entry is not None and entry.index == after.index)


def _retryable(entry: OplogEntry) -> Iterator[tuple[str, int, set[int]]]:
    """Yield what the entry added to the records of sessions: statements that were not there before it."""
    before = {} if entry.previous is None else entry.previous.data.sessions
    for session, record in entry.data.sessions.items():
        old = before.get(session)
        if record is old or record.state != "retryable":
            continue
        known = set() if old is None or old.number != record.number else set(old.statements)
        yield session, record.number, set(record.statements) - known
