"""Transactions as clients saw them: what every check of isolation is about."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal

TransactionStatus = Literal["ok", "fail", "info"]
Workload = Literal["list-append", "rw-register", "versioned-documents"]

WORKLOADS: tuple[Workload, ...] = ("list-append", "rw-register", "versioned-documents")


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroOperation:
    """One read or write inside a transaction.

    ``kind`` is ``append`` (list-append), ``w`` (rw-register, versioned-documents) or ``r``. ``value`` is what was
    written, or what a read returned: a list of elements, a value, a version. None is a read of a key that nobody had
    written, and in a transaction that did not end ``ok`` a read of which nothing is known.
    """

    kind: Literal["append", "w", "r"]
    key: Hashable
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of one process, with what it did in the order in which it did it.

    ``fail`` had no effect; ``info`` may have had one, at any time after ``start_ns`` (its ``end_ns`` is not read).
    Indexes are unique in a history; they are how anomalies and certificates name a transaction.
    """

    index: int
    process: Hashable
    start_ns: int
    end_ns: int
    status: TransactionStatus
    operations: tuple[MicroOperation, ...]
