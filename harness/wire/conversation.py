"""One connection: its frames are read by one task and answered in order by another.

What mongod does, this does: requests are answered one after the other, an exhaust reply is followed by the next without
being asked, a client that hangs up ends what it was reading, and not what it was writing.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import trio

from harness.errors import HarnessError
from harness.wire import hello, op_msg, op_query
from harness.wire.arguments import check_arguments
from harness.wire.errors import BrokenConnectionError, RefusedError
from harness.wire.framing import (
    HEADER,
    MESSAGE_BYTES_MAX,
    OP_GET_MORE,
    OP_MSG,
    OP_NONE,
    OP_QUERY,
    Frame,
    ReplyIds,
    payload_bytes,
)
from harness.wire.oversized import answer

if TYPE_CHECKING:
    from harness.wire.member_port import MemberPort

_QUEUED_FRAMES: Final = 16
_READ_BYTES: Final = 1 << 16
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""Linger on, for no time: the kernel sends a reset in place of what is still unsent."""
_GOES_ON: Final = frozenset({"insert", "update", "delete", "findAndModify", "commitTransaction", "abortTransaction"})
"""Commands that a client which hangs up does not end."""
_TELLS_ADDRESSES: Final = frozenset({"replSetGetStatus", "replSetGetConfig", "serverStatus"})
"""Commands whose replies name members by the addresses that they have in the simulator."""
_TOLD_WITH_VERSION: Final = frozenset({10058, 10107, 11602, 13435, 13436, 189})
"""Codes that tell of a change of the member's role: their replies carry the version of the topology."""


class Conversation:
    """Answers one client at one member's port."""

    def __init__(self, port: MemberPort, stream: trio.SocketStream, number: int) -> None:
        self._port = port
        self._stream = stream
        self._number = number
        self._caller = port.pump.caller(f"connection {number} to {port.member}")
        self._scope = trio.CancelScope()
        self._reply_ids = itertools.count(1)
        self._client_known = False
        self._hung_up = False
        self._message_bytes = 0
        self._running = ""
        """The command that is being run in the kernel, or empty."""
        self._interrupt = trio.CancelScope()

    async def run(self) -> None:
        """Answer until the client or the member ends it."""
        try:
            with self._scope:
                await self._serve()
        finally:
            self._caller.close(finish=self._running in _GOES_ON)
            self._port.served.connection_ended(self._number)
            # Says the end before what is unread can make a reset of it, as mongod does.
            with contextlib.suppress(OSError, trio.ClosedResourceError):
                self._stream.socket.shutdown(socket.SHUT_RDWR)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    def reset(self) -> None:
        """End it from the member's side: the client sees a reset."""
        self._scope.cancel()
        reset(self._stream)

    async def _serve(self) -> None:
        sending, receiving = trio.open_memory_channel[Frame](_QUEUED_FRAMES)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, sending)
            with contextlib.suppress(BrokenConnectionError, trio.BrokenResourceError, trio.ClosedResourceError):
                async for frame in receiving:
                    await self._answer(frame)
            nursery.cancel_scope.cancel()

    async def _read(self, frames: trio.MemorySendChannel[Frame]) -> None:
        async with frames:
            try:
                await self._read_frames(frames)
            except BrokenConnectionError:
                return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            self._hang_up()

    async def _read_frames(self, frames: trio.MemorySendChannel[Frame]) -> None:
        while (header := await self._receive(HEADER.size)) is not None:
            payload = await self._receive(payload_bytes(header))
            if payload is None:
                return
            await frames.send(Frame(header, payload))

    async def _receive(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            part = await self._stream.receive_some(min(size - len(data), _READ_BYTES))
            if not part:
                return None
            data += part
        return bytes(data)

    def _hang_up(self) -> None:
        self._hung_up = True
        if self._running not in _GOES_ON:
            self._interrupt.cancel()

    async def _answer(self, frame: Frame) -> None:
        self._message_bytes = len(frame.payload)
        if frame.opcode == OP_MSG:
            await self._answer_message(frame)
        elif frame.opcode == OP_QUERY:
            await self._answer_query(frame)
        elif frame.opcode == OP_GET_MORE:
            if frame.payload.find(b"\0", 4) < 0:
                raise BrokenConnectionError("OP_GET_MORE without a namespace")
            await self._send(op_query.make_removed_reply("OP_GET_MORE", self._ids(frame.request_id)))
        else:
            assert frame.opcode == OP_NONE

    def _ids(self, response_to: int) -> ReplyIds:
        return ReplyIds(next(self._reply_ids), response_to)

    async def _answer_query(self, frame: Frame) -> None:
        try:
            command = op_query.parse_query(frame)
            if command is None:
                await self._send(op_query.make_removed_reply("OP_QUERY", self._ids(frame.request_id)))
                return
            reply = await self._run(command, exhaust=False)
        except RefusedError as error:
            reply = error.reply()
        await self._send(op_query.make_reply(reply, self._ids(frame.request_id)))

    async def _answer_message(self, frame: Frame) -> None:
        flags = op_msg.parse_flags(frame)
        command: dict[str, Any] = {}
        try:
            command = op_msg.parse_command(frame, flags)
            reply = await self._run(command, exhaust=flags.exhaust_allowed)
        except RefusedError as error:
            reply = error.reply()
        if flags.more_to_come:
            return
        response_to = frame.request_id
        while True:
            following = _following(command, reply) if flags.exhaust_allowed else None
            ids = self._ids(response_to)
            await self._send(self._encode(reply, ids, checksum=flags.checksum, more_to_come=following is not None))
            if following is None or self._hung_up:
                return
            command, response_to = following, ids.request_id
            try:
                reply = await self._run(dict(command), exhaust=True)
            except RefusedError as error:
                reply = error.reply()

    def _encode(self, reply: dict[str, Any], ids: ReplyIds, *, checksum: bool, more_to_come: bool) -> bytes:
        message = op_msg.make_reply(reply, ids, checksum=checksum, more_to_come=more_to_come)
        if len(message) <= MESSAGE_BYTES_MAX:
            return message
        error = RefusedError(
            10334, f"the reply has {len(message)} bytes, more than a message may", "BSONObjectTooLarge"
        )
        return op_msg.make_reply(error.reply(), ids, checksum=checksum)

    async def _send(self, message: bytes) -> None:
        await self._port.running.wait()
        await self._stream.send_all(message)

    async def _run(self, command: dict[str, Any], *, exhaust: bool) -> dict[str, Any]:
        check_arguments(command)
        name = next(iter(command))
        if self._hung_up and name not in _GOES_ON:
            raise BrokenConnectionError("the client has hung up")
        self._running = name
        with trio.CancelScope() as self._interrupt:
            if name in hello.NAMES:
                reply = await self._hello(command, exhaust=exhaust)
            else:
                reply = self._with_version(await self._request(command))
            self._running = ""
            return reply
        raise BrokenConnectionError("the client hung up")

    async def _hello(self, command: dict[str, Any], *, exhaust: bool) -> dict[str, Any]:
        port = self._port
        hello.check_client(command, known=self._client_known)
        awaiting = hello.parse_awaiting(command, exhaust=exhaust)
        self._client_known = self._client_known or "client" in command
        if awaiting is not None and not port.version.is_news_for(awaiting):
            with trio.move_on_after(awaiting.max_await_ms / 1000):
                await port.changed.wait()
        # Asked in the kernel as any command is, so that fail points strike it and a paused member does not answer.
        reply = await self._request(command)
        return port.hello(command, reply, self._number) if reply["ok"] == 1 else reply

    async def _request(self, command: dict[str, Any]) -> dict[str, Any]:
        port = self._port
        try:
            reply: dict[str, Any] = await self._caller.call(
                lambda: answer(
                    command,
                    self._message_bytes,
                    lambda accepted: port.served.request(port.member, accepted, self._number),
                )
            )
        except (BrokenConnectionError, RefusedError, HarnessError):
            raise
        except Exception as error:
            # A defect of the simulator must not take the other clients down.
            sys.stderr.write("".join(traceback.format_exception(error)))
            raise RefusedError(8, f"the simulator failed: {type(error).__name__}: {error}", "UnknownError") from error
        return port.with_addresses(reply) if next(iter(command)) in _TELLS_ADDRESSES else reply

    def _with_version(self, reply: dict[str, Any]) -> dict[str, Any]:
        codes = {reply.get("code"), (reply.get("writeConcernError") or {}).get("code")}
        if codes & _TOLD_WITH_VERSION:
            return {**reply, "topologyVersion": self._port.version.document()}
        return reply


def reset(stream: trio.SocketStream) -> None:
    """Close a connection so that the other side sees a reset, whatever it has still to read."""
    with contextlib.suppress(OSError, trio.ClosedResourceError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    stream.socket.close()


def _following(command: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any] | None:
    """Return the command whose reply follows this one unasked, None where this is the last."""
    name = next(iter(command), "")
    if reply.get("ok") != 1:
        return None
    if name in hello.NAMES:
        return {**command, "topologyVersion": reply["topologyVersion"]}
    if name == "getMore" and reply.get("cursor", {}).get("id"):
        return command
    return None
