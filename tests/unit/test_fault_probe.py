"""The probe: one command over a plain socket, timed."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import bson
import pytest
import trio

from harness.errors import FaultError
from harness.faults.probe import HELLO, address_of, ask, shake_hands, time_close
from harness.interfaces.backend import Connection

HEADER = struct.Struct("<iiii")


@dataclass
class Server:
    """A server that answers each message with ``{ok: 1}``, swallows it, or hangs up."""

    behaviour: str = "answer"
    requests: list[dict[str, Any]] = field(default_factory=list)
    known: bool = True
    direct_s: float = 0.0
    port: int = 0

    def connection(self, group: int) -> Connection:
        address = f"a.name.that.nobody.resolves:{self.port}"
        resolve = {"a.name.that.nobody.resolves": "127.0.0.1"}
        return Connection(group="clients", seeds=(address,), replica_set="s", members={address: "m1"}, resolve=resolve)

    async def admin(self, member: str, command: Any) -> dict[str, Any]:
        await trio.sleep(self.direct_s)
        return {"cursor": {"firstBatch": [{"appName": "me"}] if self.known else []}}

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            data = await stream.receive_some(65536)
            if self.behaviour == "hang up" or HEADER.unpack(data[:16])[0] < 16:
                return
            self.requests.append(bson.decode(data[21:]))
            if self.behaviour == "swallow":
                await trio.sleep_forever()
            body = bytes(5) + bson.encode({"ok": 1})
            answer = HEADER.pack(16 + len(body), 2, 1, 2013) + body
            for byte in answer:
                await stream.send_all(bytes([byte]))


def against(server: Server, call: Any) -> Any:
    """Return what ``call`` returns while the server is up."""

    async def main() -> Any:
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            server.port = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, server.serve, [listener])
            result = await call()
            nursery.cancel_scope.cancel()
        return result

    return trio.run(main)


def test_an_answer_is_read_to_its_end_and_timed() -> None:
    """The command arrives as it was given, and the answer's bytes are counted even if they come one by one."""
    server = Server()
    answer = against(server, lambda: ask(server, "m1", HELLO, 5.0))
    assert server.requests == [dict(HELLO)]
    assert answer.answered
    assert answer.bytes_received == 16 + 5 + len(bson.encode({"ok": 1}))
    assert 0 < answer.elapsed_ms < 5000
    assert answer.control_ms is not None


def test_the_direct_way_is_timed_too() -> None:
    """Beside the probe's time stands that of a round trip that no link carries, or None if that fails as well."""
    quick, slow = Server(direct_s=0.03), Server(direct_s=60.0)
    assert against(quick, lambda: ask(quick, "m1", HELLO, 5.0)).control_ms >= 30
    assert against(slow, lambda: ask(slow, "m1", HELLO, 0.05)).control_ms is None


@pytest.mark.parametrize(("behaviour", "problem"), [("swallow", "no answer within 0.05 s"), ("hang up", "closed")])
def test_no_answer_is_an_answer_too(behaviour: str, problem: str) -> None:
    """Silence ends with the time given, and a closed connection at once; both say so."""
    server = Server(behaviour)
    answer = against(server, lambda: ask(server, "m1", HELLO, 0.05))
    assert not answer.answered
    assert problem in answer.problem


def test_nobody_at_the_address_is_no_error() -> None:
    """A refused connection is what a probe is there to find out."""
    server = Server()

    async def refused() -> Any:
        server.port = 1
        return await ask(server, "m1", HELLO, 1.0)

    assert against(server, refused).answered is False


def test_a_broken_header_makes_the_server_close() -> None:
    """The time until the end of the connection is what is measured, and the end is the answer."""
    server = Server()
    assert against(server, lambda: time_close(server, "m1", 5.0)).answered


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_handshake_tells_whether_the_server_knows_of_it(known: bool) -> None:
    """The answer may be lost and the request have arrived; the two are told apart."""
    server = Server("swallow", known=known)
    handshake = against(server, lambda: shake_hands(server, "m1", "me"))
    assert server.requests[0]["client"]["application"] == {"name": "me"}
    assert not handshake.answer.answered
    assert handshake.arrived is known


def test_an_unknown_member_has_no_address() -> None:
    """The group and the member are named."""
    with pytest.raises(FaultError, match=r"clients.*m9"):
        address_of(Server().connection(0), "m9")
