"""The loop that carries bytes: non-blocking sockets under one epoll, and a heap of timers for the toxics.

A connection has two lines, one per direction. A line without toxics is two system calls per chunk and no copy; a line
with toxics has a :class:`~harness.backends.links.toxics.Chain` between its read and its write. As in Toxiproxy the
end of one direction closes the whole connection, each direction's end through that direction's own chain.

The loop is written on epoll and not on trio because it was measured: 25 us of processor time per database call
against 40 us, which on two cores is the difference between 0.95 and 0.8 of a direct connection's updates.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.backends.links.toxics import CHUNK_BYTES, Chain, Chunk, Ending, make_stage
from harness.clock import NANOSECONDS_PER_SECOND
from harness.interfaces.link import Direction, Link, LinkCounters, Toxic
from harness.seed import stream

_BUFFER_BYTES = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_IP_BIND_ADDRESS_NO_PORT = 24
_FROM_ADDRESS = "127.0.0.2"
_DEAD = select.EPOLLHUP | select.EPOLLERR

Handler = Callable[[int], None]


@dataclass(slots=True)
class Tally:
    """Bytes of one direction of a link: taken from the source, and passed to the destination."""

    taken: int = 0
    passed: int = 0


@dataclass(slots=True, eq=False)
class LinkState:
    """One link: whether it is cut, its toxics, its open connections and its counters."""

    link: Link
    cut: bool = False
    toxics: list[Toxic] = field(default_factory=list)
    open: set[Connection] = field(default_factory=set)
    connections: int = 0
    refused: int = 0
    upstream: Tally = field(default_factory=Tally)
    downstream: Tally = field(default_factory=Tally)

    def counters(self) -> LinkCounters:
        """Return the counters; bytes that still wait in a line count neither as passed nor as swallowed."""
        waiting_up = sum(connection.upstream.waiting_bytes() for connection in self.open)
        waiting_down = sum(connection.downstream.waiting_bytes() for connection in self.open)
        return LinkCounters(
            connections=self.connections,
            refused=self.refused,
            bytes_upstream=self.upstream.passed,
            bytes_downstream=self.downstream.passed,
            swallowed_upstream=self.upstream.taken - self.upstream.passed - waiting_up,
            swallowed_downstream=self.downstream.taken - self.downstream.passed - waiting_down,
        )


class Endpoint:
    """One socket of a connection: the line that reads from it and the line that writes to it."""

    __slots__ = ("descriptor", "incoming", "interest", "outgoing", "plain", "socket")

    incoming: Line
    outgoing: Line

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.descriptor = end.fileno()
        self.interest: int | None = None
        """The events that epoll watches; None where it does not watch the socket."""
        self.plain = False
        """What is read here goes straight to the other socket: no toxic, nothing waiting."""


class Line:
    """One direction of one connection."""

    __slots__ = (
        "chain", "connection", "direction", "ended", "ending", "finished", "outbox", "source", "tally", "target",
        "timer_ns",
    )  # fmt: skip

    def __init__(self, connection: Connection, direction: Direction, source: Endpoint, target: Endpoint) -> None:
        self.connection = connection
        self.direction = direction
        self.source = source
        self.target = target
        self.tally: Tally = getattr(connection.state, direction)
        self.chain: Chain | None = None
        self.outbox = bytearray()
        """What has left the chain and the target has not taken yet."""
        self.ended = False
        """The source has ended: nothing is read any more."""
        self.ending = False
        """The end has left the chain: the line finishes when the outbox is empty."""
        self.finished = False
        self.timer_ns: int | None = None

    def waiting_bytes(self) -> int:
        """Return how many bytes were read and are not passed on yet."""
        return len(self.outbox) + (self.chain.queued_bytes if self.chain else 0)

    def wants_input(self) -> bool:
        """Tell whether the source is to be read now."""
        if self.ended or self.finished or self.outbox or self.connection.connecting:
            return False
        return self.chain is None or self.chain.queued_bytes < self.chain.capacity_bytes


class Connection:
    """Two sockets and the two lines between them; ``number`` counts the connections of the link."""

    __slots__ = ("client", "closed", "connecting", "downstream", "number", "server", "state", "upstream")

    def __init__(self, state: LinkState, number: int, client: socket.socket, server: socket.socket) -> None:
        self.state = state
        self.number = number
        self.connecting = True
        self.closed = False
        self.client = Endpoint(client)
        self.server = Endpoint(server)
        self.upstream = Line(self, "upstream", self.client, self.server)
        self.downstream = Line(self, "downstream", self.server, self.client)
        self.client.incoming = self.server.outgoing = self.upstream
        self.server.incoming = self.client.outgoing = self.downstream

    def lines(self) -> tuple[Line, Line]:
        """Return both directions."""
        return self.upstream, self.downstream


def reset(end: socket.socket) -> None:
    """Close a socket so that its peer sees a reset."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    end.close()


class Forwarder:
    """The event loop. ``watch`` adds other descriptors to it; ``seed`` is that of jitter and toxicity."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._endpoints: dict[int, Endpoint] = {}
        self._stale: set[int] = set()
        self._timers: list[tuple[int, int, Line]] = []
        self._order = itertools.count()
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)

    def watch(self, descriptor: int, handler: Handler) -> None:
        """Call ``handler`` whenever the descriptor can be read or is at its end."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, select.EPOLLIN)

    def run(self) -> None:
        """Run until a handler raises."""
        endpoints, stale, carry, readable = self._endpoints, self._stale, self._carry, select.EPOLLIN
        while True:
            stale.clear()
            for descriptor, events in self._epoll.poll(self._until_timer_s() if self._timers else -1):
                endpoint = endpoints.get(descriptor)
                if endpoint is None:
                    if descriptor in self._handlers:
                        self._handlers[descriptor](events)
                elif descriptor in stale:
                    # Closed by an earlier event of this round, and opened again: the event was not this socket's.
                    continue
                elif endpoint.plain and events == readable:
                    carry(endpoint)
                else:
                    self._on_event(endpoint, events)
            if self._timers:
                self._run_timers()

    def connect(self, state: LinkState, client: socket.socket, address: tuple[str, int]) -> None:
        """Carry a new connection of the link from ``client`` to ``address``; reset it where nobody listens there."""
        state.connections += 1
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # From an address of its own: a connect to the free port of a member that is down could otherwise get that very
        # port as its own, connect to itself, and keep the member from coming back.
        server.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        server.bind((_FROM_ADDRESS, 0))
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(state, state.connections, client, server)
        server.connect_ex(address)
        state.open.add(connection)
        for endpoint in (connection.client, connection.server):
            self._endpoints[endpoint.descriptor] = endpoint
            endpoint.interest = select.EPOLLOUT if endpoint is connection.server else 0
            self._epoll.register(endpoint.descriptor, endpoint.interest)

    def cut(self, state: LinkState) -> None:
        """Reset the link's open connections and refuse new ones."""
        state.cut = True
        for connection in tuple(state.open):
            self._reset(connection)

    def heal(self, state: LinkState) -> None:
        """Take connections again and remove the toxics; what waited in them is passed on, or its connection ends."""
        state.cut = False
        state.toxics = []
        for connection in tuple(state.open):
            for line in connection.lines():
                chain, line.chain = line.chain, None
                if chain is not None and not connection.closed and not connection.connecting:
                    self._pass_on(line, chain.dismantle())

    def add_toxic(self, state: LinkState, toxic: Toxic) -> None:
        """Disturb the link's open connections, and those to come."""
        state.toxics.append(toxic)
        for connection in tuple(state.open):
            if not connection.connecting:
                self._strike(connection, toxic)

    def _strike(self, connection: Connection, toxic: Toxic) -> None:
        line: Line = getattr(connection, toxic.direction)
        link = connection.state.link
        source = stream(self._seed, *link, toxic.kind, toxic.direction, connection.number)
        if source.random() >= toxic.toxicity or line.ended or line.finished:
            return
        line.chain = line.chain or Chain()
        line.chain.add(make_stage(toxic, source), time.monotonic_ns())
        self._schedule(line)
        self._update(connection)

    def _carry(self, endpoint: Endpoint) -> None:
        """Read and write at once: the path of nearly every byte, so it is kept short."""
        line = endpoint.incoming
        try:
            count = endpoint.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._source_ended(line)
            return
        line.tally.taken += count
        self._write(line, self._view[:count])

    def _on_event(self, endpoint: Endpoint, events: int) -> None:
        connection = endpoint.incoming.connection
        if connection.connecting:
            self._on_connecting(connection, endpoint, events)
            return
        if events & select.EPOLLIN:
            self._read(endpoint.incoming)
        elif events & _DEAD:
            # Its death would be reported for ever, and nothing is read from it now that would tell.
            self._forget(endpoint)
            self._source_ended(endpoint.incoming)
            self._finish(endpoint.outgoing)
        if events & select.EPOLLOUT and not connection.closed:
            self._drain(endpoint.outgoing)

    def _on_connecting(self, connection: Connection, endpoint: Endpoint, events: int) -> None:
        failed = endpoint.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed or events & _DEAD or endpoint is connection.client:
            self._reset(connection)
            return
        connection.connecting = False
        for toxic in connection.state.toxics:
            self._strike(connection, toxic)
        self._update(connection)

    def _read(self, line: Line) -> None:
        chain = line.chain
        if chain is None:
            self._carry(line.source)
            return
        try:
            data = line.source.socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._source_ended(line)
            return
        line.tally.taken += len(data)
        now_ns = time.monotonic_ns()
        chain.arrive(now_ns, data)
        self._pass_on(line, chain.advance(now_ns))

    def _source_ended(self, line: Line) -> None:
        if line.ended or line.finished:
            return
        line.ended = True
        if line.chain is None:
            self._pass_on(line, [Ending.CLOSE])
        else:
            now_ns = time.monotonic_ns()
            line.chain.end(now_ns, Ending.CLOSE)
            self._pass_on(line, line.chain.advance(now_ns))

    def _pass_on(self, line: Line, items: list[Chunk | Ending]) -> None:
        for item in items:
            if line.finished or line.connection.closed:
                return
            if item is Ending.RESET:
                self._reset(line.connection)
            elif item is Ending.CLOSE:
                line.ending = True
                if not line.outbox:
                    self._finish(line)
            elif isinstance(item, Chunk):
                self._write(line, memoryview(item.data))
        if not line.connection.closed:
            self._schedule(line)
            self._update(line.connection)

    def _write(self, line: Line, data: memoryview) -> None:
        sent = 0
        if not line.outbox:
            try:
                sent = line.target.socket.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self._finish(line)
                return
            line.tally.passed += sent
        if sent < len(data):
            line.outbox += data[sent:]
            self._update(line.connection)

    def _drain(self, line: Line) -> None:
        if line.outbox:
            try:
                sent = line.target.socket.send(line.outbox)
            except BlockingIOError:
                return
            except OSError:
                self._finish(line)
                return
            line.tally.passed += sent
            del line.outbox[:sent]
        if not line.outbox:
            if line.ending:
                self._finish(line)
            else:
                self._update(line.connection)

    def _finish(self, line: Line) -> None:
        """End the line: its target sees the end, and so does whatever the target still says."""
        if line.finished:
            return
        line.finished = True
        line.outbox.clear()
        with contextlib.suppress(OSError):
            line.target.socket.shutdown(socket.SHUT_RDWR)
        connection = line.connection
        if connection.upstream.finished and connection.downstream.finished:
            self._close(connection)
        else:
            self._update(connection)

    def _reset(self, connection: Connection) -> None:
        for endpoint in (connection.client, connection.server):
            with contextlib.suppress(OSError):
                endpoint.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        if connection.closed:
            return
        connection.closed = True
        connection.state.open.discard(connection)
        for endpoint in (connection.client, connection.server):
            self._forget(endpoint)
            del self._endpoints[endpoint.descriptor]
            self._stale.add(endpoint.descriptor)
            endpoint.socket.close()

    def _forget(self, endpoint: Endpoint) -> None:
        if endpoint.interest is not None:
            endpoint.interest = None
            self._epoll.unregister(endpoint.descriptor)

    def _update(self, connection: Connection) -> None:
        """Let epoll watch for what the lines can go on with."""
        for endpoint in (connection.client, connection.server):
            wanted = endpoint.incoming.wants_input()
            endpoint.plain = wanted and endpoint.incoming.chain is None
            interest = select.EPOLLIN if wanted else 0
            if endpoint.outgoing.outbox:
                interest |= select.EPOLLOUT
            if endpoint.interest is not None and interest != endpoint.interest:
                endpoint.interest = interest
                self._epoll.modify(endpoint.descriptor, interest)

    def _schedule(self, line: Line) -> None:
        next_ns = line.chain.next_ns() if line.chain else None
        if next_ns is not None and (line.timer_ns is None or next_ns < line.timer_ns):
            line.timer_ns = next_ns
            heapq.heappush(self._timers, (next_ns, next(self._order), line))

    def _until_timer_s(self) -> float:
        return max(0, self._timers[0][0] - time.monotonic_ns()) / NANOSECONDS_PER_SECOND

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic_ns():
            due_ns, _, line = heapq.heappop(self._timers)
            if line.timer_ns != due_ns:
                continue
            line.timer_ns = None
            if line.chain is not None and not line.finished and not line.connection.closed:
                self._pass_on(line, line.chain.advance(time.monotonic_ns()))


def listen() -> socket.socket:
    """Return a listening socket on a free port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    listener.setblocking(False)
    os.set_inheritable(listener.fileno(), False)
    return listener
