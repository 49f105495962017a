"""A raw client of the wire protocol, for what no driver sends."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions

HEADER = struct.Struct("<iiii")
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
MORE_TO_COME, EXHAUST_ALLOWED = 2, 1 << 16
CLOSED = "closed"
SILENT = "silent"
TIMEOUT_S = 5.0

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(unicode_decode_error_handler="replace")


def op_msg(*sections: bytes, bits: int = 0, request_id: int = 7, response_to: int = 0, opcode: int = OP_MSG) -> bytes:
    """Return a message of these sections."""
    payload = struct.pack("<I", bits) + b"".join(sections)
    return HEADER.pack(HEADER.size + len(payload), request_id, response_to, opcode) + payload


def body(document: Mapping[str, Any]) -> bytes:
    """Return a body section."""
    return b"\0" + bson.encode(document)


def sequence(name: str, *documents: Mapping[str, Any]) -> bytes:
    """Return a document sequence."""
    payload = name.encode() + b"\0" + b"".join(bson.encode(each) for each in documents)
    return b"\1" + struct.pack("<i", len(payload) + 4) + payload


def op_query(
    namespace: str, document: Mapping[str, Any], *, flags: int = 0, to_return: int = -1, extra: bytes = b""
) -> bytes:
    """Return a legacy query."""
    head = struct.pack("<i", flags) + namespace.encode() + b"\0" + struct.pack("<ii", 0, to_return)
    payload = head + bson.encode(document) + extra
    return HEADER.pack(HEADER.size + len(payload), 7, 0, OP_QUERY) + payload


class Reply:
    """A reply: its ids, flags and document."""

    def __init__(self, header: bytes, payload: bytes) -> None:
        _, self.request_id, self.response_to, self.opcode = HEADER.unpack(header)
        skipped = 5 if self.opcode == OP_MSG else 20
        self.flags = struct.unpack_from("<I", payload)[0]
        size = struct.unpack_from("<i", payload, skipped)[0]
        self.document: dict[str, Any] = bson.decode(payload[skipped : skipped + size], _OPTIONS)


class RawClient:
    """One connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def receive(self, timeout_s: float = TIMEOUT_S) -> Reply:
        """Return the next reply. Raises TimeoutError, and ConnectionError where the other side closed."""
        self.socket.settimeout(timeout_s)
        header = self._exactly(HEADER.size)
        return Reply(header, self._exactly(HEADER.unpack(header)[0] - HEADER.size))

    def ask(self, document: Mapping[str, Any], *, bits: int = 0, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Send a command and return the document of its reply."""
        self.send(op_msg(body(document), bits=bits))
        return self.receive(timeout_s).document

    def outcome(self, data: bytes, timeout_s: float = 1.0) -> Any:
        """Send bytes; return :data:`CLOSED`, :data:`SILENT`, or code, flags and kind of the reply."""
        with contextlib.suppress(ConnectionError):
            self.send(data)
        try:
            reply = self.receive(timeout_s)
        except TimeoutError:
            return SILENT
        except ConnectionError:
            return CLOSED
        document = reply.document
        words = str(document.get("errmsg") or document.get("$err", "")).partition(" First element")[0]
        return [reply.opcode, reply.flags, document["ok"], document.get("code"), document.get("codeName"), words]

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("closed")
            data += part
        return bytes(data)


@contextlib.contextmanager
def raw_client(address: str) -> Iterator[RawClient]:
    """Open a connection and close it."""
    client = RawClient(address)
    try:
        yield client
    finally:
        client.socket.close()


PING = {"ping": 1, "$db": "admin"}


def malformed_messages() -> dict[str, bytes]:
    """Return messages that no driver sends, by what is wrong with them."""
    opcodes = (1, 1000, 2001, 2002, 2005, 2006, 2007, 2010, 2012, 9999)
    unknown = {f"operation {opcode}": op_msg(body(PING), opcode=opcode) for opcode in opcodes}
    return {**_frames(), **_commands(), **_sequences(), **_legacy_and_hello(), **unknown}


def _frames() -> dict[str, bytes]:
    return {
        "good": op_msg(body(PING)),
        "header of 15 bytes": HEADER.pack(15, 7, 0, OP_MSG) + b"x" * 50,
        "header of no bytes": HEADER.pack(0, 7, 0, OP_MSG),
        "negative size": HEADER.pack(-1, 7, 0, OP_MSG),
        "header alone": HEADER.pack(16, 7, 0, OP_MSG),
        "48,000,001 bytes": HEADER.pack(48_000_001, 7, 0, OP_MSG),
        "operation 0": op_msg(body(PING), opcode=0),
        "an answer": op_msg(body(PING), response_to=88),
        "no flags": HEADER.pack(18, 7, 0, OP_MSG) + b"\0\0",
        "no sections": op_msg(),
        "two bodies": op_msg(body(PING), body(PING)),
        "a sequence alone": op_msg(sequence("documents", {})),
        "a security token": op_msg(body(PING), b"\2abcdef"),
        "an unknown section": op_msg(body(PING), b"garbage"),
        "flag 2": op_msg(body(PING), bits=4),
        "flag 15": op_msg(body(PING), bits=1 << 15),
        "flag 17": op_msg(body(PING), bits=1 << 17),
        "exhaust for a ping": op_msg(body(PING), bits=EXHAUST_ALLOWED),
        "more to come": op_msg(body(PING), bits=MORE_TO_COME),
        "no checksum": op_msg(bits=1),
        "a wrong checksum": op_msg(body(PING), b"abcd", bits=1),
    }


def _commands() -> dict[str, bytes]:
    bad_type = bytearray(body(PING))
    bad_type[5] = 0x77
    bad_end = bytearray(body(PING))
    bad_end[-1] = 1
    return {
        "no database": op_msg(body({"ping": 1})),
        "a number as database": op_msg(body({"ping": 1, "$db": 3})),
        "empty database": op_msg(body({"ping": 1, "$db": ""})),
        "database with a dot": op_msg(body({"ping": 1, "$db": "a.b"})),
        "long database": op_msg(body({"ping": 1, "$db": "a" * 64})),
        "empty command": op_msg(body({})),
        "unknown command": op_msg(body({"frobnicate": 1, "$db": "a"})),
        "command in capitals": op_msg(body({"PING": 1, "$db": "a"})),
        "unknown field": op_msg(body({**PING, "frob": 1})),
        "unknown version of the API": op_msg(body({**PING, "apiVersion": "2"})),
        "BSON cut short": op_msg(body(PING)[:-3]),
        "BSON of an unknown type": op_msg(bytes(bad_type)),
        "BSON without an end": op_msg(bytes(bad_end)),
        "BSON of 3 bytes": op_msg(b"\0" + struct.pack("<i", 3) + body(PING)[5:]),
        "BSON beyond the message": op_msg(b"\0" + struct.pack("<i", 10**8) + body(PING)[5:]),
        "BSON beyond 16 MiB and 16 KiB": op_msg(body({"ping": "a" * (17 * 1024 * 1024), "$db": "admin"})),
    }


def _sequences() -> dict[str, bytes]:
    insert = body({"insert": "c", "$db": "raw"})
    return {
        "a sequence in its place": op_msg(insert, sequence("documents", {"a": 1}, {"a": 2})),
        "the same sequence twice": op_msg(insert, sequence("documents", {}), sequence("documents", {})),
        "a sequence beside its field": op_msg(
            body({"insert": "c", "documents": [{}], "$db": "raw"}), sequence("documents", {})
        ),
        "an empty sequence": op_msg(insert, sequence("documents")),
        "a sequence with another name": op_msg(insert, sequence("updates", {})),
        "a short sequence": op_msg(insert, b"\1" + struct.pack("<i", 3) + b"d\0"),
        "a long sequence": op_msg(insert, b"\1" + struct.pack("<i", 300) + b"documents\0"),
        "a document of 16 MiB and a little": op_msg(
            insert, sequence("documents", {"_id": 1, "x": "a" * (16 * 1024 * 1024 + 10)})
        ),
    }


def _legacy_and_hello() -> dict[str, bytes]:
    return {
        "OP_QUERY of a collection": op_query("a.b", {}),
        "OP_QUERY of ping": op_query("admin.$cmd", {"ping": 1}),
        "OP_QUERY for no documents": op_query("admin.$cmd", {"isMaster": 1}, to_return=0),
        "OP_QUERY with rubbish behind": op_query("admin.$cmd", {"isMaster": 1}, extra=b"zz"),
        "OP_QUERY without counts": HEADER.pack(31, 7, 0, OP_QUERY) + b"\0\0\0\0admin.$cmd\0",
        "OP_QUERY without a namespace": HEADER.pack(26, 7, 0, OP_QUERY) + b"\0\0\0\0admin.",
        "hello with half of what awaiting needs": op_msg(body({"hello": 1, "maxAwaitTimeMS": 5, "$db": "admin"})),
        "hello that streams and does not wait": op_msg(body({"hello": 1, "$db": "admin"}), bits=EXHAUST_ALLOWED),
        "hello of a client without a driver": op_msg(body({"hello": 1, "client": {}, "$db": "admin"})),
    }
