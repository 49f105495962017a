"""Commands to one member over connections of the harness's own, that no link carries.

This is no driver: no discovery, no retries, no sessions. A member is asked and answers, or it does not within the
time given; a paused one never does. Trio's sockets make that cancellable, where a blocking driver call in a thread
would go on for as long as its time-out. Wire format: MongoDB's OP_MSG, one body section, no checksum.
"""

from __future__ import annotations

import itertools
import select
import socket
import struct
from collections.abc import Mapping
from typing import Any

import bson
import bson.errors
import trio

from harness.errors import BackendError

LOOPBACK = "127.0.0.1"
MESSAGE_BYTES_MAX = 48_000_000
NOT_WRITABLE_PRIMARY = 10107

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
_BODY = 5
"""Flag bits (four bytes) and the kind of the section (one byte) stand before the document."""
_request_ids = itertools.count(1)


class UnreachableError(BackendError):
    """A member did not answer: dead, paused, or closing its connections (rollback, step-down)."""


class CommandFailedError(BackendError):
    """A member answered that the command failed; ``code`` and ``reply`` are the server's."""

    def __init__(self, member: str, command: str, reply: Mapping[str, Any]) -> None:
        self.code = int(reply.get("code", 0))
        self.reply = dict(reply)
        words = str(reply.get("errmsg", "no message"))
        super().__init__(f"{member} refused {command}: {words} (code {self.code} {reply.get('codeName', '')})")


class MemberChannel:
    """Sends commands to the mongod at a loopback port; may be used by several tasks at once.

    Connections are kept for the next command. One whose command failed, timed out or was cancelled is closed: its
    answer may still come, and would be taken for the answer of the next.
    """

    def __init__(self, member: str, port: int) -> None:
        self.member = member
        self.port = port
        self._idle: list[trio.socket.SocketType] = []
        self._closed = False

    async def command(self, database: str, command: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """Return the reply, whose ``ok`` is 1. Raises UnreachableError and CommandFailedError."""
        name = next(iter(command))
        try:
            with trio.fail_after(timeout_s):
                reply = await self._round_trip({**command, "$db": database})
        except trio.TooSlowError:
            raise UnreachableError(f"{self.member} did not answer {name} within {timeout_s:g} s") from None
        except OSError as error:
            raise UnreachableError(f"{self.member} did not answer {name}: {error}") from error
        if reply.get("ok") != 1:
            raise CommandFailedError(self.member, name, reply)
        return reply

    def drop_idle(self) -> None:
        """Close the idle connections: the process that they lead to is gone."""
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Close the idle connections, and from now on each one after its command."""
        self._closed = True
        self.drop_idle()

    async def _round_trip(self, document: Mapping[str, Any]) -> dict[str, Any]:
        connection = self._take_idle() or await self._connect()
        keep = False
        try:
            reply = await _exchange(connection, document)
            keep = not self._closed
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()
        return reply

    def _take_idle(self) -> trio.socket.SocketType | None:
        while self._idle:
            connection = self._idle.pop()
            # An idle connection that can be read has been closed by the server (it restarted, or rolled back).
            poll = select.poll()
            poll.register(connection.fileno(), select.POLLIN)
            if not poll.poll(0):
                return connection
            connection.close()
        return None

    async def _connect(self) -> trio.socket.SocketType:
        connection = trio.socket.socket()
        try:
            await connection.connect((LOOPBACK, self.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            connection.close()
            raise
        return connection


async def _exchange(connection: trio.socket.SocketType, document: Mapping[str, Any]) -> dict[str, Any]:
    body = b"\0\0\0\0\0" + bson.encode(document)
    message = _HEADER.pack(_HEADER.size + len(body), next(_request_ids), 0, _OP_MSG) + body
    while message:
        message = message[await connection.send(message) :]
    size = _HEADER.unpack(await _receive(connection, _HEADER.size))[0]
    if not _HEADER.size + _BODY < size <= MESSAGE_BYTES_MAX:
        raise OSError(f"the answer claims a size of {size} bytes")
    try:
        return bson.decode((await _receive(connection, size - _HEADER.size))[_BODY:])
    except bson.errors.BSONError as error:
        raise OSError(f"the answer is no document: {error}") from error


async def _receive(connection: trio.socket.SocketType, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = await connection.recv(size - len(data))
        if not part:
            raise OSError("it closed the connection")
        data += part
    return bytes(data)
