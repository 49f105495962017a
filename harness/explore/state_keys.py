"""Building keys of states: for programs that let an exhaustive search tell where it has been.

A client is a function of what it got so far, so its part of a key is the chain of its results; it needs not be looked
into. Where a checker judges by real time, the key keeps which operations had ended when each began, and no more.
"""

from __future__ import annotations

import hashlib
from typing import Final

_BYTES: Final = 16


def key_of(*parts: object) -> int:
    """Return a 128-bit key of plain values: numbers, texts, bytes, tuples, lists and dicts in their order.

    Values that have one ``repr`` have one key; a value whose ``repr`` shows its address has none to rely on.
    """
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=_BYTES).digest(), "big")


class RealTimeOrder:
    """Which operations of each client had ended when an operation began: all of real time that an order can break."""

    def __init__(self) -> None:
        self._ended: dict[int, int] = {}
        self._seen: dict[int, list[tuple[tuple[int, int], ...]]] = {}

    def begins(self, client: int) -> None:
        """Note that an operation of ``client`` begins."""
        ended = tuple(sorted((other, count) for other, count in self._ended.items() if other != client))
        self._seen.setdefault(client, []).append(ended)

    def ends(self, client: int) -> None:
        """Note that the operation of ``client`` has ended."""
        self._ended[client] = self._ended.get(client, 0) + 1

    def of(self, client: int) -> tuple[tuple[tuple[tuple[int, int], ...], ...], int]:
        """Return what is to be part of the key of a client."""
        return (tuple(self._seen.get(client, [])), self._ended.get(client, 0))
