"""Frames: the header that every message of the wire protocol begins with, and the CRC that may end it.

Source: MongoDB manual, "MongoDB Wire Protocol"; what is refused and what is closed was seen on mongod 6.0.5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from harness.wire.errors import BrokenConnectionError

MESSAGE_BYTES_MAX: Final = 48_000_000
HEADER: Final = struct.Struct("<iiii")
"""Length of the whole message, id of the request, id of the request that it answers, operation code."""

OP_NONE: Final = 0
OP_REPLY: Final = 1
OP_QUERY: Final = 2004
OP_GET_MORE: Final = 2005
OP_MSG: Final = 2013

_ACCEPTED: Final = frozenset({OP_NONE, OP_QUERY, OP_GET_MORE, OP_MSG})
"""The others are closed on: the legacy writes, OP_COMPRESSED where no compressor was negotiated, and unknown ones."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it came; ``payload`` is what follows the header."""

    header: bytes
    payload: bytes

    @property
    def request_id(self) -> int:
        """What the answer names."""
        return int(HEADER.unpack(self.header)[1])

    @property
    def opcode(self) -> int:
        """The kind of message."""
        return int(HEADER.unpack(self.header)[3])


class ReplyIds(NamedTuple):
    """The id of a reply, and the id of what it answers."""

    request_id: int
    response_to: int


def payload_bytes(header: bytes) -> int:
    """Return how many bytes follow a header. Raises BrokenConnectionError for a header that mongod closes on."""
    length, _, response_to, opcode = HEADER.unpack(header)
    if not HEADER.size < length <= MESSAGE_BYTES_MAX:
        raise BrokenConnectionError(f"a message of {length} bytes")
    if response_to != 0 and opcode == OP_MSG:
        raise BrokenConnectionError("a request that claims to be an answer")
    if opcode not in _ACCEPTED:
        raise BrokenConnectionError(f"operation code {opcode}")
    return int(length) - HEADER.size


def make_frame(opcode: int, payload: bytes, ids: ReplyIds, *, extra_bytes: int = 0) -> bytes:
    """Return a message; ``extra_bytes`` (a checksum) are counted in its length and appended by the caller."""
    length = HEADER.size + len(payload) + extra_bytes
    return HEADER.pack(length, *ids, opcode) + payload


def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE: Final = _make_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of ``data``, which is the checksum of OP_MSG."""
    value = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF
