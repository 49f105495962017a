"""The parties that the contract tests of the links bring together: echo servers as members, processes as sources."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from components import missing

from harness.backends.links import open_network
from harness.interfaces.link import Link

BYE = b"bye!"
"""What makes an echo server close the connection."""

SOURCE_PROGRAM = r"""
import json, socket, sys, time
open_ones = {}
def ended(error):
    return {"ended": "timeout" if isinstance(error, TimeoutError) else "reset"}
def connect(key, address):
    open_ones[key] = socket.create_connection(tuple(address), timeout=5)
    open_ones[key].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return {}
def exchange(key, text, times, want, timeout_s):
    # A thread-less full duplex exchange: large data must be read while it is sent.
    import selectors
    end, data, got, began = open_ones[key], memoryview(text.encode() * times), bytearray(), time.monotonic()
    end.setblocking(False)
    while True:
        left = began + timeout_s - time.monotonic()
        outcome = "timeout" if left <= 0 else "enough" if len(got) >= want and not data else None
        if outcome: break
        with selectors.DefaultSelector() as selector:
            selector.register(end, selectors.EVENT_READ | (selectors.EVENT_WRITE if data else 0))
            if not selector.select(left): continue
        try:
            if data: data = data[end.send(data):]
        except BlockingIOError: pass
        except OSError: outcome = "reset"; break
        try:
            part = end.recv(1 << 20)
            if not part: outcome = "closed"; break
            got += part
        except BlockingIOError: pass
        except OSError: outcome = "reset"; break
    whole = got == (text.encode() * times)[:len(got)]
    return {"got": len(got), "whole": whole, "ended": outcome, "took_s": time.monotonic() - began}
def close(key):
    open_ones.pop(key).close()
    return {}
for line in sys.stdin:
    request = json.loads(line)
    try: answer = globals()[request.pop("do")](**request)
    except OSError as error: answer = ended(error)
    print(json.dumps(answer), flush=True)
"""


class EchoServer:
    """A member that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.received = bytearray()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(end)
                threading.Thread(target=self._echo, args=(end,), daemon=True).start()

    def _echo(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError), end:
            while data := end.recv(1 << 18):
                self.received += data
                if data == BYE:
                    return
                end.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a source saw: how many bytes came back, whether they were the right ones, and how it ended."""

    ended: str
    got: int = 0
    whole: bool = True
    took_s: float = 0.0


class Source:
    """A process of its own that opens connections."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SOURCE_PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process_id = self._process.pid
        self._keys = 0

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def connect(self, address: tuple[str, int]) -> Conversation | None:
        """Return an open connection, or None where it was refused."""
        self._keys += 1
        answer = self.ask("connect", key=self._keys, address=address)
        return None if answer else Conversation(self, self._keys)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One connection of a source to a member."""

    source: Source
    key: int

    def exchange(self, text: str = "ping", times: int = 1, want: int | None = None, timeout_s: float = 5.0) -> Outcome:
        """Send, and receive as much as was sent (or ``want`` bytes), until the time is up."""
        expected = len(text) * times if want is None else want
        answer = self.source.ask("exchange", key=self.key, text=text, times=times, want=expected, timeout_s=timeout_s)
        return Outcome(**answer)

    def close(self) -> None:
        self.source.ask("close", key=self.key)


@dataclass(slots=True)
class World:
    """A network, the members behind it, and the processes in front of it."""

    network: Any
    members: dict[str, EchoServer]
    directory: Path
    sources: dict[str, Source] = field(default_factory=dict)

    async def start(self, name: str) -> Source:
        """Start the process of a source, and register it."""
        source = Source()
        if name in self.sources:
            self.sources[name].close()
        self.sources[name] = source
        await self.network.register(name, source.process_id)
        return source

    def connect(self, source: str, destination: str) -> Conversation | None:
        """Open a connection over the link."""
        return self.sources[source].connect(self.network.address(Link(source, destination)))

    def reaches(self, source: str, destination: str) -> bool:
        """Tell whether a new connection over the link carries a round trip."""
        conversation = self.connect(source, destination)
        if conversation is None:
            return False
        outcome = conversation.exchange(timeout_s=1.0)
        conversation.close()
        return outcome.ended == "enough"


@contextlib.contextmanager
def echo_servers(count: int) -> Iterator[dict[str, EchoServer]]:
    """Run echo servers as members ``m1``, ``m2``, ..."""
    servers = {f"m{number}": EchoServer() for number in range(1, count + 1)}
    try:
        yield servers
    finally:
        for server in servers.values():
            server.close()


def with_links(
    kind: Any, body: Callable[[World], Awaitable[None]], *, groups: tuple[str, ...] = ("clients",), sources: Any = None
) -> None:
    """Run ``body`` in a world of two members and their client groups, all of them started and registered."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as directory, echo_servers(2) as members, trio.fail_after(60):
            ports = {name: server.port for name, server in members.items()}
            network = await open_network(kind, ports=ports, groups=groups, directory=Path(directory))
            world = World(network, members, Path(directory))
            try:
                if network.links.name != kind:
                    missing(network.notes[0])
                for name in (*members, *groups) if sources is None else sources:
                    await world.start(name)
                await body(world)
            finally:
                for source in world.sources.values():
                    source.close()
                await network.close()

    trio.run(main)
