"""A probe: one command over a connection of its own through the links of a client group, timed.

It speaks the wire protocol over a plain socket, so that nothing of the driver (its pool, its retries, its monitors)
stands between the probe and the link that it looks at.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bson
import trio

from harness.errors import BackendError, FaultError
from harness.faults.effects import Answer
from harness.interfaces.backend import Backend, Connection

HELLO: Mapping[str, Any] = {"hello": 1, "$db": "admin"}
BUILD_INFO: Mapping[str, Any] = {"buildInfo": 1, "$db": "admin"}

HANDSHAKE_TIMEOUT_S = 0.5

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
_NO_FLAGS_KIND_0 = b"\x00" * 5
_LARGEST_REPLY_BYTES = 48_000_000
_CHUNK_BYTES = 65536


Exchange = Callable[[trio.SocketStream], Awaitable[int]]
"""What is said over an open connection; returns the number of bytes received."""

Probing = Callable[[Backend, str], Awaitable[Answer]]
"""Probes a member through the links of the first client group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """A probe that named itself; ``arrived`` tells whether the server knows of it."""

    answer: Answer
    arrived: bool


ShakingHands = Callable[[Backend, str, str], Awaitable[Handshake]]
"""Probes a member under an application name."""


async def say_hello(backend: Backend, member: str) -> Answer:
    """Probe with the shortest exchange there is."""
    return await ask(backend, member, HELLO, 0.6)


async def ask_build_info(backend: Backend, member: str) -> Answer:
    """Probe with an answer of some kilobytes."""
    return await ask(backend, member, BUILD_INFO, 1.2)


async def shake_hands(backend: Backend, member: str, application_name: str) -> Handshake:
    """Probe under a name, and look on the server, over a connection that no link carries, whether it has that name."""
    metadata = {
        "application": {"name": application_name},
        "driver": {"name": "harness-probe", "version": "1"},
        "os": {"type": "unknown"},
    }
    answers: list[Answer] = []
    arrived = False

    async def probe() -> None:
        answers.append(await ask(backend, member, {**HELLO, "client": metadata}, HANDSHAKE_TIMEOUT_S))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe)
        await trio.sleep(HANDSHAKE_TIMEOUT_S / 2)
        with contextlib.suppress(BackendError):
            arrived = await _knows(backend, member, application_name)
    return Handshake(answer=answers[0], arrived=arrived)


async def _knows(backend: Backend, member: str, application_name: str) -> bool:
    command = {
        "aggregate": 1,
        "pipeline": [
            {"$currentOp": {"allUsers": True, "idleConnections": True}},
            {"$match": {"appName": application_name}},
        ],
        "cursor": {},
    }
    reply = await backend.admin(member, command)
    return bool(reply["cursor"]["firstBatch"])


def address_of(connection: Connection, member: str) -> tuple[str, int]:
    """Return host and port under which that client group reaches the member. Raises FaultError if unknown."""
    for address, name in connection.members.items():
        if name == member:
            host, _, port = address.rpartition(":")
            return connection.resolve.get(host, host), int(port)
    raise FaultError(f"client group {connection.group!r} has no address for {member}")


async def ask(backend: Backend, member: str, command: Mapping[str, Any], timeout_s: float) -> Answer:
    """Send one command to ``member`` through the links of the first client group; return how it went."""

    async def exchange(stream: trio.SocketStream) -> int:
        await stream.send_all(_message(command))
        return await _receive_reply(stream)

    return await _timed(backend, member, timeout_s, exchange)


async def time_close(backend: Backend, member: str, timeout_s: float) -> Answer:
    """Make ``member`` close a connection through the links of the first client group; return when that was seen.

    A header that announces less than a header's length makes a mongod hang up at once.
    """

    async def exchange(stream: trio.SocketStream) -> int:
        await stream.send_all(_HEADER.pack(1, 1, 0, _OP_MSG))
        received = 0
        while chunk := await stream.receive_some(_CHUNK_BYTES):
            received += len(chunk)
        return received

    return await _timed(backend, member, timeout_s, exchange)


async def _timed(backend: Backend, member: str, timeout_s: float, exchange: Exchange) -> Answer:
    started = trio.current_time()
    received, problem = 0, ""
    with trio.move_on_after(timeout_s) as scope:
        try:
            host, port = address_of(backend.connection(0), member)
            async with await trio.open_tcp_stream(host, port) as stream:
                received = await exchange(stream)
        except (OSError, trio.BrokenResourceError) as error:
            problem = str(error) or type(error).__name__
    if scope.cancelled_caught:
        problem = f"no answer within {timeout_s:g} s"
    return Answer(
        answered=not problem,
        elapsed_ms=(trio.current_time() - started) * 1000,
        control_ms=await _direct_ms(backend, member, timeout_s),
        bytes_received=received,
        problem=problem,
    )


async def _direct_ms(backend: Backend, member: str, timeout_s: float) -> float | None:
    started = trio.current_time()
    with trio.move_on_after(timeout_s), contextlib.suppress(BackendError, OSError):
        await backend.admin(member, {"hello": 1})
        return (trio.current_time() - started) * 1000
    return None


def _message(command: Mapping[str, Any]) -> bytes:
    body = _NO_FLAGS_KIND_0 + bson.encode(dict(command))
    return _HEADER.pack(_HEADER.size + len(body), 1, 0, _OP_MSG) + body


async def _receive_reply(stream: trio.SocketStream) -> int:
    header = await _receive_exactly(stream, _HEADER.size)
    length = _HEADER.unpack(header)[0]
    if not _HEADER.size <= length <= _LARGEST_REPLY_BYTES:
        raise OSError(f"the reply announces {length} bytes")
    await _receive_exactly(stream, length - _HEADER.size)
    return int(length)


async def _receive_exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = await stream.receive_some(min(count - len(data), _CHUNK_BYTES))
        if not chunk:
            raise OSError("the connection was closed")
        data += chunk
    return bytes(data)
