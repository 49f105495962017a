"""One seed, many named streams: every random choice of a run is drawn from a stream of its own.

A stream is keyed by its purpose and entity, so that adding a draw in one place never shifts another's.
"""

from __future__ import annotations

import hashlib
import random


def stream(seed: int, *names: str | int) -> random.Random:
    """Return the random stream of ``names`` (purpose, entity, ...) under ``seed``.

    The same arguments give the same stream in every process and under every hash seed.
    """
    key = "\x1f".join(str(part) for part in (seed, *names))
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - reproducible, not secret


def derive(seed: int, *names: str | int) -> int:
    """Return a 32-bit seed that ``names`` get from ``seed``, for a run inside a campaign."""
    return stream(seed, "derive", *names).getrandbits(32)
