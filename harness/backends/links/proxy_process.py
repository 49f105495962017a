"""The process that the built-in links run in, steered by JSON lines: one request a line on stdin, one reply on stdout.

Requests are ``{"id": n, "do": NAME, ...}``; replies ``{"id": n, "ok": VALUE}`` or ``{"id": n, "error": TEXT}``. The
first request is ``open``; its reply names the port of each member's listener. The process ends when its stdin does, so
it does not outlive the harness, however that ends.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from harness.backends.links.forwarder import Forwarder, LinkState, listen, reset
from harness.backends.links.owners import Owners
from harness.backends.links.tether import die_with_parent
from harness.backends.links.topology import Topology
from harness.interfaces.link import Link, Toxic

_READ_BYTES = 64 * 1024
_ACCEPTS_AT_ONCE = 64


class Proxies:
    """A listener for each member, and the states of all links."""

    def __init__(self, ports: Mapping[str, int], groups: tuple[str, ...], seed: int) -> None:
        self._ports = ports
        self._groups = groups
        self._owners = Owners()
        self.forwarder = Forwarder(seed)
        own = [Link(member, member) for member in ports]
        self._states = {link: LinkState(link) for link in (*Topology(ports, groups).links, *own)}
        self.advertised = {member: self._serve(member) for member in ports}

    def _serve(self, member: str) -> int:
        listener = listen()

        def accept(_: int) -> None:
            for _ in range(_ACCEPTS_AT_ONCE):
                try:
                    client, peer = listener.accept()
                except OSError:
                    return
                self._take(member, client, peer)

        self.forwarder.watch(listener.fileno(), accept)
        return int(listener.getsockname()[1])

    def _take(self, member: str, client: socket.socket, peer: tuple[str, int]) -> None:
        source = self._owners.find(peer, client.getsockname())
        if source is None and len(self._groups) == 1:
            source = self._groups[0]
        state = self._states.get(Link(source or "", member))
        if state is None:
            # Carried under a guessed name it could be a way round a cut, and make a true verdict false.
            sys.stderr.write(f"refused a connection to {member} from {peer}: its process is not registered\n")
            sys.stderr.flush()
            reset(client)
        elif state.cut:
            state.refused += 1
            reset(client)
        else:
            self.forwarder.connect(state, client, ("127.0.0.1", self._ports[member]))

    def register(self, request: Mapping[str, Any]) -> None:
        """Remember which process a source is."""
        self._owners.register(request["source"], request["process_id"])

    def cut(self, request: Mapping[str, Any]) -> None:
        """Cut links."""
        for state in self._chosen(request):
            self.forwarder.cut(state)

    def heal(self, request: Mapping[str, Any]) -> None:
        """Heal links."""
        for state in self._chosen(request):
            self.forwarder.heal(state)

    def add_toxic(self, request: Mapping[str, Any]) -> None:
        """Disturb links."""
        toxic = Toxic(**request["toxic"])
        for state in self._chosen(request):
            self.forwarder.add_toxic(state, toxic)

    def counters(self, request: Mapping[str, Any]) -> dict[str, int]:
        """Return the counters of one link."""
        (state,) = self._chosen(request)
        return asdict(state.counters())

    def _chosen(self, request: Mapping[str, Any]) -> list[LinkState]:
        return [self._states[Link(*pair)] for pair in request["links"]]


class Control:
    """The requests on stdin, taken in the loop that also carries the bytes."""

    def __init__(self, proxies: Proxies) -> None:
        self._buffer = b""
        self._known: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "register": proxies.register,
            "cut": proxies.cut,
            "heal": proxies.heal,
            "add_toxic": proxies.add_toxic,
            "counters": proxies.counters,
        }

    def on_readable(self, _: int) -> None:
        """Answer what has been asked. Raises SystemExit at the end of stdin."""
        data = os.read(0, _READ_BYTES)
        if not data:
            raise SystemExit(0)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._answer(json.loads(line))

    def _answer(self, request: Mapping[str, Any]) -> None:
        try:
            reply(request["id"], ok=self._known[request["do"]](request))
        except Exception as error:  # noqa: BLE001 - whatever it is, the harness must hear of it, and bytes must flow on
            reply(request["id"], error=f"{type(error).__name__}: {error}")


def reply(identifier: int, **values: object) -> None:
    """Write one reply."""
    sys.stdout.write(json.dumps({"id": identifier, **values}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Open the proxies that the first line asks for, and carry bytes until stdin ends."""
    die_with_parent(int(sys.argv[1]))
    # Unbuffered: a buffered reader would hide later requests from epoll.
    first = b""
    while not first.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return
        first += byte
    request = json.loads(first)
    proxies = Proxies(request["ports"], tuple(request["groups"]), request["seed"])
    proxies.forwarder.watch(0, Control(proxies).on_readable)
    reply(request["id"], ok=proxies.advertised)
    proxies.forwarder.run()


if __name__ == "__main__":
    main()
