"""The loopback port of one member: what clients meet there follows what becomes of the member.

A member that is killed has no port and resets its connections; one that is paused lets clients hang; one that clients
are cut from takes connections and resets them at once, as a link of the local backend does.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any, Final

import trio
from bson.objectid import ObjectId

from harness.errors import BackendError
from harness.sim.server.network import address
from harness.wire.conversation import Conversation, reset
from harness.wire.hello import GOSSIP, TopologyVersion, hello_reply
from harness.wire.pump import Pump
from harness.wire.served import Reach, ServedSet

LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 512


def bind(port: int) -> socket.socket:
    """Return a socket that listens on a loopback port; 0 takes any that is free. Raises BackendError."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise BackendError(
            f"cannot listen on {LOOPBACK}:{port}: {error.strerror}",
            next_step="choose another port with --port, or let the system choose with --port 0",
        ) from error
    return listener


class MemberPort:
    """Serves one member. ``hosts`` is the map of all members to addresses, which is filled before clients come."""

    def __init__(
        self,
        served: ServedSet,
        member: str,
        *,
        pump: Pump,
        hosts: dict[str, str],
        numbers: Iterator[int],
        port: int,
    ) -> None:
        self.member = member
        self.served = served
        self.pump = pump
        self.running = trio.Event()
        """Set while the member is not paused."""
        self.running.set()
        self.changed = trio.Event()
        """Set when what the member knows of the topology changes; then another takes its place."""
        self._hosts = hosts
        self._served_at: dict[str, str] = {}
        """Address in the simulator to address on this machine; filled when the port is opened."""
        self._numbers = numbers
        self._listener: socket.socket | None = bind(port)
        self.port: int = self._listener.getsockname()[1]
        self._nursery: trio.Nursery | None = None
        self._accepting: trio.CancelScope | None = None
        self._conversations: dict[int, Conversation] = {}
        self._reach: Reach = "open"
        self._closures = served.closures(member)
        self._view = served.view(member)
        self.version = TopologyVersion(process=_process_id(), counter=1)

    def open(self, nursery: trio.Nursery) -> None:
        """Begin to take connections."""
        self._nursery = nursery
        self._served_at = {address(member): host for member, host in self._hosts.items()}
        self._listen()

    def close(self) -> None:
        """Stop listening."""
        if self._accepting is not None:
            self._accepting.cancel()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def refresh(self) -> None:
        """Follow what became of the member; called whenever the kernel has run."""
        reach, closures = self.served.reach(self.member), self.served.closures(self.member)
        if reach != self._reach or closures != self._closures:
            self._follow(reach, closures)
        view = self.served.view(self.member)
        if view != self._view and reach in {"open", "cut"}:
            self._view = view
            self.version = TopologyVersion(process=self.version.process, counter=self.version.counter + 1)
            self._announce_change()

    def hello(self, command: dict[str, Any], answered: dict[str, Any], connection: int) -> dict[str, Any]:
        """Return what the member answers to a ``hello`` now; its cluster time is in what it ``answered``."""
        reply = hello_reply(
            command,
            self._view,
            version=self.version,
            set_name=self.served.name,
            hosts=self._hosts,
            last_write=self.served.last_write(self.member),
            now_us=self.served.wall_us(self.member),
            connection=connection,
        )
        return {**reply, **{name: answered[name] for name in GOSSIP if name in answered}}

    def with_addresses(self, told: Any) -> Any:
        """Return what a member told, with the addresses that clients reach the members at."""
        if isinstance(told, dict):
            return {name: self.with_addresses(value) for name, value in told.items()}
        if isinstance(told, list):
            return [self.with_addresses(value) for value in told]
        return self._served_at.get(told, told) if isinstance(told, str) else told

    def reset_connections(self) -> None:
        """Reset every open connection."""
        for conversation in tuple(self._conversations.values()):
            conversation.reset()

    def _follow(self, reach: Reach, closures: int) -> None:
        if reach == "cut" or closures != self._closures:
            self.reset_connections()
        if reach == "dead":
            self.close()
            self.version = TopologyVersion(process=_process_id(), counter=1)
        elif self._listener is None:
            self._listener = bind(self.port)
            self._listen()
        if reach == "paused":
            self.running = trio.Event()
        else:
            self.running.set()
        self._reach, self._closures = reach, closures

    def _announce_change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def _listen(self) -> None:
        if self._nursery is not None and self._listener is not None:
            self._accepting = trio.CancelScope()
            self._nursery.start_soon(self._accept, self._listener, self._accepting, self._nursery)

    async def _accept(self, listener: socket.socket, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
        with scope:
            accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
            while True:
                stream = await accepting.accept()
                if self._reach == "cut":
                    reset(stream)
                else:
                    nursery.start_soon(self._converse, stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        number = next(self._numbers)
        conversation = Conversation(self, stream, number)
        self._conversations[number] = conversation
        try:
            await conversation.run()
        finally:
            del self._conversations[number]


def _process_id() -> ObjectId:
    return ObjectId(os.urandom(12))
