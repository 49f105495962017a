"""OP_QUERY and OP_REPLY: the legacy messages, of which 6.0 keeps the handshake alone.

Source: MongoDB manual, "Legacy Opcodes"; codes and words of refusals are mongod 6.0.5's.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import bson

from harness.wire.documents import decode_at
from harness.wire.errors import BrokenConnectionError, RefusedError
from harness.wire.framing import OP_REPLY, Frame, ReplyIds, make_frame

_COUNTS: Final = struct.Struct("<ii")
_FLAGS: Final = struct.Struct("<I")
_REPLY: Final = struct.Struct("<iqii")
_EXHAUST: Final = 1 << 6
_AWAIT_CAPABLE: Final = 8
_QUERY_FAILURE: Final = 2
_COMMANDS: Final = frozenset({"hello", "isMaster", "ismaster", "buildInfo", "buildinfo"})
_REMOVED: Final = (
    "The client driver may require an upgrade. For more details see "
    "https://dochub.mongodb.org/core/legacy-opcode-removal"
)


def parse_query(frame: Frame) -> dict[str, Any] | None:
    """Return the command with its ``$db``, or None for a query on a collection, which is no longer supported.

    Raises BrokenConnectionError where not even a namespace can be read, RefusedError for what mongod refuses.
    """
    data = frame.payload
    name_end = data.find(b"\0", _FLAGS.size)
    if name_end < 0:
        raise BrokenConnectionError("OP_QUERY without a namespace")
    namespace = data[_FLAGS.size : name_end].decode("utf-8", "replace")
    if not namespace.endswith(".$cmd"):
        return None
    offset = name_end + 1
    if len(data) < offset + _COUNTS.size:
        raise RefusedError(18634, "Not enough data to read")
    to_return = _COUNTS.unpack_from(data, offset)[1]
    offset += _COUNTS.size
    document, offset = _read_document(data, offset)
    if offset < len(data):
        _read_document(data, offset)
    if _FLAGS.unpack_from(data)[0] & _EXHAUST:
        raise RefusedError(18527, f"The 'exhaust' OP_QUERY flag is invalid for commands: {namespace}")
    if to_return not in {1, -1}:
        raise RefusedError(16979, f"Bad numberToReturn ({to_return}) for $cmd type ns - can only be 1 or -1")
    wrapped = document.get("$query")
    command = dict(wrapped if isinstance(wrapped, dict) else document)
    name = next(iter(command), "$db")
    if name not in _COMMANDS:
        raise RefusedError(352, f"Unsupported OP_QUERY command: {name}. {_REMOVED}", "UnsupportedOpQueryCommand")
    return {**command, "$db": namespace.removesuffix(".$cmd")}


def _read_document(data: bytes, offset: int) -> tuple[dict[str, Any], int]:
    if len(data) - offset < _FLAGS.size + 1:
        raise RefusedError(22, "Client Error: Remaining data too small for BSON object", "InvalidBSON")
    try:
        return decode_at(data, offset)
    except RefusedError as error:
        raise RefusedError(
            error.code, f"Client Error: bad object in message: {error.message}", error.code_name
        ) from None


def make_reply(document: dict[str, Any], ids: ReplyIds) -> bytes:
    """Return an OP_REPLY with one document."""
    return _make(document, _AWAIT_CAPABLE, ids)


def make_removed_reply(opcode_name: str, ids: ReplyIds) -> bytes:
    """Return what a legacy operation that was removed is answered."""
    document = {"$err": f"{opcode_name} is no longer supported. {_REMOVED}", "code": 5739101, "ok": 0.0}
    return _make(document, _QUERY_FAILURE, ids)


def _make(document: dict[str, Any], flags: int, ids: ReplyIds) -> bytes:
    payload = _REPLY.pack(flags, 0, 0, 1) + bson.encode(document)
    return make_frame(OP_REPLY, payload, ids)
