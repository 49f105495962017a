"""The built-in links, seen from the harness: it starts the proxy process and steers it over its pipes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import trio

import harness
from harness.backends.links.tether import python_environment
from harness.backends.links.topology import Topology
from harness.backends.links.toxics import validate
from harness.errors import BackendError, FaultError
from harness.interfaces.link import Link, LinkCounters, Links, Toxic

_ANSWER_S = 10.0
_END_S = 2.0
_TAIL_CHARACTERS = 2000


class ProxyProcess:
    """The process that carries the bytes. One request at a time, each shielded: half a line would break the pipe."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "links.log"
        with self._log.open("wb") as log:
            # Popen itself, not trio's: that forks in a worker thread, with whose end the kernel would kill the proxy.
            self._process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
                [sys.executable, "-m", "harness.backends.links.proxy_process", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=python_environment(),
                start_new_session=True,  # ctrl-C is the harness's to handle: it heals first
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = _taken_over(self._process.stdin)
        self._replies = _taken_over(self._process.stdout)
        self._lock = trio.Lock()
        self._numbers = itertools.count()
        self._buffer = b""
        self.process_id = self._process.pid

    async def ask(self, do: str, **arguments: object) -> Any:
        """Send one request and return the answer. Raises BackendError where the process is gone or does not answer."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _ANSWER_S):
            async with self._lock:
                number = next(self._numbers)
                line = json.dumps({"id": number, "do": do, **arguments}) + "\n"
                try:
                    await self._requests.send_all(line.encode())
                    answer = await self._receive(number)
                except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError) as error:
                    raise self._gone(do) from error
            if "error" in answer:
                raise BackendError(f"built-in links, {do}: {answer['error']}")
            return answer["ok"]
        raise BackendError(f"built-in links, {do}: no answer within {_ANSWER_S:g} s", next_step=f"see {self._log}")

    async def _receive(self, number: int) -> Mapping[str, Any]:
        while True:
            while b"\n" not in self._buffer:
                data = await self._replies.receive_some()
                if not data:
                    raise EOFError
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\n")
            answer: Mapping[str, Any] = json.loads(line)
            # An answer that came too late for its own request is passed over.
            if answer["id"] == number:
                return answer

    def _gone(self, do: str) -> BackendError:
        try:
            tail = self._log.read_text(errors="replace")[-_TAIL_CHARACTERS:].strip()
        except OSError:
            tail = ""
        said = f"; it said: {tail}" if tail else ""
        return BackendError(f"built-in links, {do}: the proxy process {self.process_id} has ended{said}")

    async def close(self) -> None:
        """End the process: by the end of its stdin, else by force."""
        with trio.CancelScope(shield=True):
            await self._requests.aclose()
            await self._replies.aclose()
            with trio.move_on_after(_END_S):
                while self._process.poll() is None:
                    await trio.sleep(0.005)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()


def _taken_over(pipe: IO[bytes]) -> trio.lowlevel.FdStream:
    with pipe:
        return trio.lowlevel.FdStream(os.dup(pipe.fileno()))


class BuiltinLinks:
    """The links that the proxy process carries; see :class:`~harness.interfaces.link.Links`."""

    name = "builtin"
    counts = True

    def __init__(self, topology: Topology, process: ProxyProcess) -> None:
        self._topology = topology
        self._process = process
        self._toxics: set[tuple[Link, str, str]] = set()

    async def cut(self, links: Iterable[Link]) -> None:
        """Reset the open connections of these links; new ones are reset as soon as they are made."""
        await self._process.ask("cut", links=self._topology.checked(links))

    async def heal(self, links: Iterable[Link]) -> None:
        """Let these links carry connections again, and remove their toxics."""
        healed = self._topology.checked(links)
        await self._process.ask("heal", links=healed)
        self._toxics = {entry for entry in self._toxics if entry[0] not in healed}

    async def heal_all(self) -> None:
        """Heal every link."""
        await self.heal(self._topology.links)

    async def add_toxic(self, links: Iterable[Link], toxic: Toxic) -> None:
        """Disturb these links. Raises FaultError for a toxic that is none, or is there already."""
        validate(toxic)
        struck = self._topology.checked(links)
        entries = claimed(self._toxics, struck, toxic)
        described = {**asdict(toxic), "attributes": dict(toxic.attributes)}
        await self._process.ask("add_toxic", links=struck, toxic=described)
        self._toxics |= entries

    async def counters(self, link: Link) -> LinkCounters:
        """Return what the link has carried up to now."""
        return LinkCounters(**await self._process.ask("counters", links=self._topology.checked((link,))))


def claimed(present: set[tuple[Link, str, str]], links: Iterable[Link], toxic: Toxic) -> set[tuple[Link, str, str]]:
    """Return the entries of a toxic on ``links``. Raises FaultError where one is ``present``: heal first."""
    entries: set[tuple[Link, str, str]] = {(link, toxic.kind, toxic.direction) for link in links}
    if taken := sorted(entries & present):
        source, destination = taken[0][0]
        raise FaultError(
            f"link {source} -> {destination} has a toxic {toxic.kind} {toxic.direction} already",
            next_step="heal the link first",
        )
    return entries


class BuiltinNetwork:
    """Proxies at the members' advertised addresses; see :class:`~harness.interfaces.link.Network`."""

    def __init__(
        self, topology: Topology, process: ProxyProcess, advertised: Mapping[str, int], notes: tuple[str, ...]
    ) -> None:
        self.links: Links = BuiltinLinks(topology, process)
        self.notes = notes
        self._topology = topology
        self._process = process
        self._advertised = advertised

    @property
    def version(self) -> str:
        """The harness's own version."""
        return harness.__version__

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes that end with the network."""
        return (self._process.process_id,)

    def advertised(self, member: str) -> str:
        """Return the address of the member's proxy."""
        return f"127.0.0.1:{self._advertised[member]}"

    def address(self, link: Link) -> tuple[str, int]:
        """Return where the link's source connects to; here the proxy tells the sources apart by itself."""
        return "127.0.0.1", self._advertised[link.destination]

    def member_environment(self, member: str) -> Mapping[str, str]:  # noqa: ARG002 - no member needs anything
        """Return nothing: addresses are numbers."""
        return {}

    def resolve(self, group: str) -> Mapping[str, str]:  # noqa: ARG002 - no group needs anything
        """Return nothing: addresses are numbers."""
        return {}

    async def register(self, source: str, process_id: int) -> None:
        """Tell which process a source is; its connections are known by it from now on. Raises FaultError if unknown."""
        known = (*self._topology.members, *self._topology.groups)
        if source not in known:
            raise FaultError(f"no member or client group is called {source!r}", next_step=f"known: {', '.join(known)}")
        await self._process.ask("register", source=source, process_id=process_id)

    async def close(self) -> None:
        """End the proxy process."""
        await self._process.close()


async def open_builtin(
    *, ports: Mapping[str, int], groups: tuple[str, ...], directory: Path, seed: int, notes: tuple[str, ...] = ()
) -> BuiltinNetwork:
    """Start the proxy process and return its network. Raises BackendError where it does not start."""
    process = ProxyProcess(directory)
    try:
        advertised = await process.ask("open", ports=dict(ports), groups=groups, seed=seed)
    except BaseException:
        await process.close()
        raise
    return BuiltinNetwork(Topology(ports, groups), process, advertised, notes)
