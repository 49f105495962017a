"""Commands to one member: answers, refusals, silence, and connections that went stale."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import bson
import pytest
import trio
import trio.testing

from harness.backends.local.wire import CommandFailedError, MemberChannel, UnreachableError

Handler = Callable[[trio.SocketStream, int], Awaitable[None]]


async def read_command(stream: trio.SocketStream) -> dict[str, Any] | None:
    """Return the next command; None at the end of the connection."""
    data = b""
    while len(data) < 16 or len(data) < struct.unpack("<i", data[:4])[0]:
        part = await stream.receive_some()
        if not part:
            return None
        data += part
    return bson.decode(data[21:])


async def answer(stream: trio.SocketStream, document: dict[str, Any]) -> None:
    """Send a reply."""
    body = b"\0" * 5 + bson.encode(document)
    await stream.send_all(struct.pack("<iiii", 16 + len(body), 1, 1, 2013) + body)


@asynccontextmanager
async def member(handler: Handler):
    """Make a member that treats its n-th connection with ``handler(stream, n)``."""
    count = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal count
        count += 1
        await handler(stream, count)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(serve, 0, host="127.0.0.1", task_status=task_status)
        )
        channel = MemberChannel("m1", listeners[0].socket.getsockname()[1])
        try:
            yield channel
        finally:
            channel.close()
            nursery.cancel_scope.cancel()


def test_a_connection_is_used_again():
    """Commands travel one after the other over one connection, with the database that was named."""
    seen = []

    async def echo(stream, number):
        while (command := await read_command(stream)) is not None:
            seen.append((number, command))
            await answer(stream, {"ok": 1.0, "n": len(seen)})

    async def main():
        async with member(echo) as channel:
            assert (await channel.command("admin", {"ping": 1}, timeout_s=2))["n"] == 1
            assert (await channel.command("other", {"ping": 1}, timeout_s=2))["n"] == 2

    trio.run(main)
    assert seen == [(1, {"ping": 1, "$db": "admin"}), (1, {"ping": 1, "$db": "other"})]


def test_a_refusal_carries_the_servers_code():
    """ok: 0 is an error that names member, command, message and code."""

    async def refuse(stream, number):
        await read_command(stream)
        await answer(stream, {"ok": 0.0, "code": 125, "codeName": "CommandFailed", "errmsg": "Election failed."})

    async def main():
        async with member(refuse) as channel:
            await channel.command("admin", {"replSetStepUp": 1}, timeout_s=2)

    with pytest.raises(CommandFailedError, match="m1 refused replSetStepUp: Election failed") as caught:
        run_unwrapped(main)
    assert caught.value.code == 125


def test_silence_ends_at_the_time_out():
    """A member that takes the connection and never answers, as a paused one does, is unreachable in time."""

    async def silent(stream, number):
        await trio.sleep_forever()

    async def main():
        async with member(silent) as channel:
            await channel.command("admin", {"ping": 1}, timeout_s=0.02)

    with pytest.raises(UnreachableError, match=r"m1 did not answer ping within 0\.02 s"):
        run_unwrapped(main)


def test_an_answer_that_came_too_late_is_never_taken_for_the_next():
    """After a time-out the connection is dropped: the next command gets its own answer, on a new one."""
    given_up = trio.Event()

    async def late_then_prompt(stream, number):
        await read_command(stream)
        if number == 1:
            await given_up.wait()
        await answer(stream, {"ok": 1.0, "connection": number})

    async def main():
        async with member(late_then_prompt) as channel:
            with pytest.raises(UnreachableError):
                await channel.command("admin", {"ping": 1}, timeout_s=0.02)
            given_up.set()
            await trio.testing.wait_all_tasks_blocked()
            assert (await channel.command("admin", {"ping": 1}, timeout_s=2))["connection"] == 2

    trio.run(main)


def test_a_connection_that_the_server_closed_is_not_used_again():
    """After a restart or rollback of the member the next command succeeds at once, over a new connection."""
    closed = trio.Event()

    async def one_answer(stream, number):
        await read_command(stream)
        await answer(stream, {"ok": 1.0, "connection": number})
        await stream.aclose()
        closed.set()

    async def main():
        async with member(one_answer) as channel:
            assert (await channel.command("admin", {"ping": 1}, timeout_s=2))["connection"] == 1
            await closed.wait()
            assert (await channel.command("admin", {"ping": 1}, timeout_s=2))["connection"] == 2

    trio.run(main)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_stranger_on_the_port_is_unreachable(sent):
    """Something else that listens there, or closes, is told as an unreachable member."""

    async def stranger(stream, number):
        await read_command(stream)
        await stream.send_all(sent)
        await stream.aclose()

    async def main():
        async with member(stranger) as channel:
            await channel.command("admin", {"ping": 1}, timeout_s=2)

    with pytest.raises(UnreachableError):
        run_unwrapped(main)


def test_nobody_listening_is_unreachable():
    """A dead member is unreachable at once."""

    async def main():
        await MemberChannel("m1", 1).command("admin", {"ping": 1}, timeout_s=2)

    with pytest.raises(UnreachableError, match="refused"):
        trio.run(main)


def run_unwrapped(main):
    """Run, and raise the one error inside the group that the test's own nursery makes."""
    try:
        trio.run(main)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
