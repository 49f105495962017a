"""What the healed set's oplog tells of a run: which writes of which statements survived.

An entry is matched with what a client sent by session and transaction number, never by value. That a write is not there
proves only that it did not survive: somebody may have read it before it was rolled back.
"""

from __future__ import annotations

import msgspec


class SurvivingWrite(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The writes of one retryable command or one transaction that are in the oplog."""

    session: str
    """``lsid.id`` in hexadecimal, as the recorded commands have it."""
    number: int
    """``txnNumber``."""
    statements: tuple[int, ...] = ()
    """The ids of the statements that survived, ascending; empty for a transaction, which survives as a whole."""
    transaction: bool = False
    """Whether it is a committed transaction."""


class Oplog(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What survived of the numbered writes of a run; ``covers_run`` is whether the oplog goes back to its beginning."""

    writes: tuple[SurvivingWrite, ...] = ()
    covers_run: bool = False
