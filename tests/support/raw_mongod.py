"""Commands to a mongod as they are: one OP_MSG each over a plain socket, no driver between."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Any, Self

import bson

_OP_MSG = 2013


class RawMongod:
    """A connection to a mongod; calling it runs a command."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def __call__(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send a command, which has its ``$db``, and return the reply."""
        self._number += 1
        body = struct.pack("<I", 0) + b"\x00" + bson.encode(command)
        self._socket.sendall(struct.pack("<iiii", 16 + len(body), self._number, 0, _OP_MSG) + body)
        length = struct.unpack("<i", self._receive(4))[0]
        answer = self._receive(length - 4)
        return bson.decode(answer[12 + 5 :])

    def _receive(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise ConnectionError("the server closed the connection")
            parts += part
        return parts
