"""OP_MSG: the message that commands and their replies travel in.

A body section (kind 0) and any number of document sequences (kind 1). Source: MongoDB specifications, "OP_MSG"; codes
and words of refusals are mongod 6.0.5's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import bson

from harness.wire.documents import decode_at
from harness.wire.errors import BrokenConnectionError, RefusedError
from harness.wire.framing import OP_MSG, Frame, ReplyIds, crc32c, make_frame

CHECKSUM_PRESENT: Final = 1
MORE_TO_COME: Final = 2
EXHAUST_ALLOWED: Final = 1 << 16
_REQUIRED_BITS: Final = 0xFFFF
_KNOWN_REQUIRED: Final = CHECKSUM_PRESENT | MORE_TO_COME

_FLAGS: Final = struct.Struct("<I")
_INT32: Final = struct.Struct("<i")
_BODY, _SEQUENCE, _TOKEN = 0, 1, 2
_SEQUENCED: Final = {"insert": "documents", "update": "updates", "delete": "deletes"}
"""The commands whose arrays may come as a sequence, and the field that it stands for."""


@dataclass(frozen=True, slots=True)
class Flags:
    """What the flag bits of a request ask for."""

    checksum: bool
    more_to_come: bool
    exhaust_allowed: bool


def parse_flags(frame: Frame) -> Flags:
    """Return the flags. Raises BrokenConnectionError for bits that must be understood and a checksum that is wrong."""
    if len(frame.payload) < _FLAGS.size:
        raise BrokenConnectionError("OP_MSG without flags")
    bits = _FLAGS.unpack_from(frame.payload)[0]
    if bits & _REQUIRED_BITS & ~_KNOWN_REQUIRED:
        raise BrokenConnectionError(f"flag bits {bits:#x}")
    checksum = bool(bits & CHECKSUM_PRESENT)
    if checksum and len(frame.payload) > 2 * _FLAGS.size:
        claimed = _FLAGS.unpack(frame.payload[-_FLAGS.size :])[0]
        if crc32c(frame.header + frame.payload[: -_FLAGS.size]) != claimed:
            raise BrokenConnectionError("a checksum that does not fit its message")
    return Flags(
        checksum=checksum, more_to_come=bool(bits & MORE_TO_COME), exhaust_allowed=bool(bits & EXHAUST_ALLOWED)
    )


def parse_command(frame: Frame, flags: Flags) -> dict[str, Any]:
    """Return the command, sequences put in their places. Raises RefusedError for what mongod refuses."""
    data = frame.payload
    if flags.checksum:
        if len(data) <= 2 * _FLAGS.size:
            raise RefusedError(51252, "Invalid message size for an OpMsg containing a checksum")
        data = data[: -_FLAGS.size]
    body: dict[str, Any] | None = None
    sequences: dict[str, list[dict[str, Any]]] = {}
    offset = _FLAGS.size
    while offset < len(data):
        kind = data[offset]
        if kind == _BODY:
            if body is not None:
                raise RefusedError(40430, "Multiple body sections in message")
            body, offset = decode_at(data, offset + 1)
        elif kind == _SEQUENCE:
            offset = _read_sequence(data, offset + 1, sequences)
        elif kind == _TOKEN:
            raise RefusedError(13, "Unsupported Security Token provided", "Unauthorized")
        else:
            raise RefusedError(40432, f"Unknown section kind {kind}")
    if body is None:
        raise RefusedError(40587, "OP_MSG messages must have a body")
    return _merge(body, sequences)


def _read_sequence(data: bytes, offset: int, sequences: dict[str, list[dict[str, Any]]]) -> int:
    available = len(data) - offset - _INT32.size
    size = (_INT32.unpack_from(data, offset)[0] if available >= 0 else 0) - _INT32.size
    if not 0 <= size <= available:
        raise RefusedError(
            15,
            f"Invalid advance ({size & 0xFFFFFFFF}) past end of buffer[{max(available, 0)}] at offset: 0",
            "Overflow",
        )
    offset += _INT32.size
    section = data[offset : offset + size]
    name_end = section.find(b"\0")
    if name_end < 0:
        raise RefusedError(22, "No null terminator in the name of a document sequence", "InvalidBSON")
    name = section[:name_end].decode("utf-8", "replace")
    if name in sequences:
        raise RefusedError(40431, f"Duplicate document sequence: {name}")
    documents: list[dict[str, Any]] = []
    position = name_end + 1
    while position < len(section):
        document, position = decode_at(section, position)
        documents.append(document)
    sequences[name] = documents
    return offset + size


def _merge(body: dict[str, Any], sequences: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    field = _SEQUENCED.get(next(iter(body), ""))
    for name, documents in sequences.items():
        if name in body:
            raise RefusedError(40433, f"Duplicate field between body and document sequence {name}")
        # Commands that take no sequence do not look at them, as mongod's do not.
        if field is not None:
            body[name] = documents
    return body


def make_reply(document: dict[str, Any], ids: ReplyIds, *, checksum: bool = False, more_to_come: bool = False) -> bytes:
    """Return a reply; it has a checksum where its request had one, as mongod's do."""
    bits = (CHECKSUM_PRESENT if checksum else 0) | (MORE_TO_COME if more_to_come else 0)
    payload = _FLAGS.pack(bits) + b"\0" + bson.encode(document)
    frame = make_frame(OP_MSG, payload, ids, extra_bytes=_FLAGS.size if checksum else 0)
    return frame + _FLAGS.pack(crc32c(frame)) if checksum else frame
