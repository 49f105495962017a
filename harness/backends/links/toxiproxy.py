"""The links as proxies of a real Toxiproxy server: one proxy for each ordered pair. Only this module speaks to it.

Every source has loopback addresses of its own, one for each member, and its proxies listen there at the member's own
port. So all agree on a member's ``name:port``, and what differs is the address that each process resolves the name to:
members by ``nss_wrapper``, clients by the driver's resolver, which gets :meth:`ToxiproxyNetwork.resolve`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import trio
from requests import RequestException
from toxiproxy import Proxy, Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from harness.backends.links import nss
from harness.backends.links.builtin import claimed
from harness.backends.links.tether import python_environment
from harness.backends.links.topology import Topology
from harness.backends.links.toxics import validate
from harness.backends.links.toxiproxy_server import ToxiproxyMissingError, checked_version, find_or_build, is_url, named
from harness.errors import BackendError
from harness.interfaces.link import Link, LinkCounters, Links, Toxic

_CALL_S = 15.0
_START_S = 10.0
_STARTS = 3
_DOMAIN = "harness.test"
_TAIL_CHARACTERS = 600
_GROUP_ADDRESSES_FROM = 101

_ADDRESS_LOCK = threading.Lock()
"""The client library keeps the server's address in class attributes: one call at a time, whichever set it is for."""

Value = TypeVar("Value")


class Api:
    """Calls of one server through the client library, each in a thread and with a deadline."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.client = Toxiproxy()
        _bypass_http_proxy(host)

    async def call(self, what: str, function: Callable[[], Value]) -> Value:
        """Return what ``function`` returns. Raises BackendError where the server does not do it in time.

        Shielded from cancellation, for links are also healed while everything else is being cancelled.
        """
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CALL_S):
            try:
                return await trio.to_thread.run_sync(self._locked, function, abandon_on_cancel=True)
            except (RequestException, OSError, ValueError, KeyError, ProxyExists, NotFound, InvalidToxic) as error:
                raise BackendError(f"Toxiproxy at {self.host}:{self.port}, {what}: {_in_words(error)}") from error
        raise BackendError(f"Toxiproxy at {self.host}:{self.port}, {what}: no answer within {_CALL_S:g} s")

    def _locked(self, function: Callable[[], Value]) -> Value:
        if not _ADDRESS_LOCK.acquire(timeout=_CALL_S):
            raise OSError("an earlier call has not come back")
        try:
            self.client.update_api_consumer(self.host, self.port)
            return function()
        finally:
            _ADDRESS_LOCK.release()


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _bypass_http_proxy(host: str) -> None:
    """Keep the client library's requests away from an HTTP proxy that the environment may name."""
    for name in ("NO_PROXY", "no_proxy"):
        present = os.environ.get(name, "")
        if host not in present.split(","):
            os.environ[name] = ",".join(filter(None, (present, host)))


class Server:
    """A Toxiproxy server: our own process, or (``process`` None) one that runs already."""

    def __init__(self, api: Api, version: str, process: subprocess.Popen[bytes] | None) -> None:
        self.api = api
        self.version = version
        self.process = process

    def close(self) -> None:
        """End our own process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


async def attach(url: str) -> Server:
    """Return the server that runs at ``url`` already. Raises BackendError where it does not answer or is too old."""
    parts = urlsplit(url)
    api = Api(parts.hostname or "127.0.0.1", parts.port or 8474)
    version = await _version(api)
    if version is None:
        raise BackendError(f"no Toxiproxy server answers at {url}", next_step="start it, or name a program instead")
    return Server(api, checked_version(version), None)


async def start(program: str, directory: Path) -> Server:
    """Start a server with a free control port. Raises BackendError with the end of its log where it does not start."""
    log = directory / "toxiproxy.log"
    for _ in range(_STARTS):
        host = _own_address()
        port = _free_port(host)
        process = _spawn([program, "-host", host, "-port", str(port)], log)
        api = Api(host, port)
        started = False
        try:
            version = await _await_version(api, process)
            if version is not None:
                server = Server(api, checked_version(version), process)
                started = True
                return server
        finally:
            if not started:
                process.kill()
                process.wait()
    tail = log.read_text(errors="replace")[-_TAIL_CHARACTERS:].strip()
    raise BackendError(f"the Toxiproxy server {program} does not start: {tail}", next_step="use --network builtin")


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the program that the user named, or that we built
            [sys.executable, "-m", "harness.backends.links.tether", str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=python_environment(),
            start_new_session=True,  # ctrl-C is the harness's to handle: it heals first
        )


async def _await_version(api: Api, process: subprocess.Popen[bytes]) -> str | None:
    with trio.move_on_after(_START_S):
        while process.poll() is None:
            version = await _version(api)
            if version is not None:
                return version
            await trio.sleep(0.01)
    return None


async def _version(api: Api) -> str | None:
    said: bytes | None = await api.call("version", api.client.version)
    if said is None:
        return None
    text = said.decode(errors="replace").strip()
    try:
        return str(json.loads(text)["version"])
    except (ValueError, KeyError, TypeError):
        return text


def _own_address() -> str:
    """Return a loopback address of this process's own.

    Nobody else takes a port there between its choice and its use, so no other set's server can answer in our server's
    place; nor can a connect to it before the server listens connect to itself.
    """
    number = os.getpid()
    return f"127.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 254 + 1}"


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


class ToxiproxyLinks:
    """One proxy for each link; see :class:`~harness.interfaces.link.Links`."""

    name = "toxiproxy"
    counts = False
    """Its metrics are of no use as evidence: bytes are added when a connection closes, and left out after an error."""

    def __init__(self, topology: Topology, api: Api, proxies: Mapping[Link, Proxy]) -> None:
        self._topology = topology
        self._api = api
        self._proxies = proxies
        self._toxics: set[tuple[Link, str, str]] = set()

    async def cut(self, links: Iterable[Link]) -> None:
        """Disable the proxies: their connections are closed and new ones are refused."""
        chosen = self._topology.checked(links)
        await self._api.call("cut links", lambda: self._switch(chosen, on=False))

    async def heal(self, links: Iterable[Link]) -> None:
        """Remove the toxics and enable the proxies again."""
        chosen = self._topology.checked(links)

        def heal() -> None:
            for link, kind, direction in sorted(self._toxics):
                if link in chosen:
                    self._proxies[link].destroy_toxic(f"{kind}_{direction}")
            self._switch(chosen, on=True)

        await self._api.call("heal links", heal)
        self._toxics = {entry for entry in self._toxics if entry[0] not in chosen}

    async def heal_all(self) -> None:
        """Heal every link."""
        await self.heal(self._topology.links)

    async def add_toxic(self, links: Iterable[Link], toxic: Toxic) -> None:
        """Disturb these links. Raises FaultError for a toxic that is none, or is there already."""
        validate(toxic)
        chosen = self._topology.checked(links)
        entries = claimed(self._toxics, chosen, toxic)

        def add() -> None:
            for link in chosen:
                self._proxies[link].add_toxic(
                    type=toxic.kind,
                    stream=toxic.direction,
                    toxicity=toxic.toxicity,
                    attributes=dict(toxic.attributes),
                )

        await self._api.call(f"add toxic {toxic.kind}", add)
        self._toxics |= entries

    async def counters(self, link: Link) -> LinkCounters:
        """Return zeros; see :attr:`counts`."""
        self._topology.checked((link,))
        return LinkCounters()

    def _switch(self, links: Iterable[Link], *, on: bool) -> None:
        """Enable or disable proxies, and see that it has happened: the client library passes over refusals."""
        changed = [self._proxies[link] for link in links if self._proxies[link].enabled is not on]
        for proxy in changed:
            proxy.enable() if on else proxy.disable()
        if changed:
            present = self._api.client.proxies()
            for proxy in changed:
                if present[proxy.name].enabled is not on:
                    proxy.enabled = not on
                    raise ValueError(f"proxy {proxy.name} at {proxy.listen} did not {'start' if on else 'stop'}")


class ToxiproxyNetwork:
    """Names that mean another address for every source; see :class:`~harness.interfaces.link.Network`."""

    notes: tuple[str, ...] = ()

    def __init__(
        self, topology: Topology, ports: Mapping[str, int], server: Server, environments: Environments
    ) -> None:
        self._topology = topology
        self._ports = ports
        self._server = server
        self._environments = environments
        self._proxies: dict[Link, Proxy] = {}
        self.links: Links = ToxiproxyLinks(topology, server.api, self._proxies)

    @property
    def version(self) -> str:
        """The version of the server, ``git`` where it was built from its sources."""
        return self._server.version

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes that end with the network."""
        return () if self._server.process is None else (self._server.process.pid,)

    def advertised(self, member: str) -> str:
        """Return the member's name and its real port: every proxy of it listens at that port."""
        return f"{host_name(member)}:{self._ports[member]}"

    def address(self, link: Link) -> tuple[str, int]:
        """Return where the link's source connects to."""
        return source_address(self._topology, link), self._ports[link.destination]

    def member_environment(self, member: str) -> Mapping[str, str]:
        """Return what makes the member's mongod resolve the names to its own links."""
        return self._environments[member]

    def resolve(self, group: str) -> Mapping[str, str]:
        """Return the members' names and the addresses of the group's links."""
        return hosts_of(self._topology, group)

    async def register(self, source: str, process_id: int) -> None:
        """Do nothing: a source is known by the address that it connects to."""

    async def create_proxies(self) -> None:
        """Make a proxy for each link. Raises BackendError where one cannot listen."""
        prefix = f"set-{min(self._ports.values())}"

        def create() -> None:
            for link in self._topology.links:
                host, port = self.address(link)
                try:
                    self._proxies[link] = self._server.api.client.create(
                        name=f"{prefix}-{link.source}-to-{link.destination}",
                        listen=f"{host}:{port}",
                        upstream=f"127.0.0.1:{port}",
                    )
                except KeyError:
                    # The client library reads a proxy out of a refusal, and finds none.
                    raise OSError(f"the server cannot listen at {host}:{port}: is that port taken?") from None

        await self._server.api.call("create a proxy for each link", create)

    async def close(self) -> None:
        """End our own server, or remove our proxies from one that ran already."""
        if self._server.process is None:

            def destroy() -> None:
                while self._proxies:
                    self._proxies.popitem()[1].destroy()

            await self._server.api.call("remove the proxies", destroy)
        self._server.close()


Environments = Mapping[str, Mapping[str, str]]
"""Member name to the environment variables of its process."""


def host_name(member: str) -> str:
    """Return the host name of a member; ``.test`` is reserved, so no name server knows it."""
    return f"{member}.{_DOMAIN}"


def source_address(topology: Topology, link: Link) -> str:
    """Return the loopback address at which the link's proxy listens: one number for the source, one for the target."""
    if link.source in topology.members:
        source = topology.members.index(link.source) + 1
    else:
        source = topology.groups.index(link.source) + _GROUP_ADDRESSES_FROM
    return f"127.0.{source}.{topology.members.index(link.destination) + 1}"


def hosts_of(topology: Topology, source: str) -> dict[str, str]:
    """Return host name to address as the source sees it; a member reaches itself without a link."""
    return {
        host_name(member): "127.0.0.1" if member == source else source_address(topology, Link(source, member))
        for member in topology.members
    }


def _write_environments(topology: Topology, library: Path, directory: Path) -> dict[str, dict[str, str]]:
    environments = {}
    for member in topology.members:
        path = directory / f"hosts-{member}"
        nss.write_hosts(path, hosts_of(topology, member))
        environments[member] = nss.environment(library, path)
    return environments


async def open_toxiproxy(
    *,
    ports: Mapping[str, int],
    groups: tuple[str, ...],
    directory: Path,
    server: str | None,
    progress: Callable[[str], None],
) -> ToxiproxyNetwork:
    """Find or build a server, start it, and return its network with a proxy for each link.

    Raises ToxiproxyMissingError where this machine lacks what it takes and no server was named, else BackendError.
    """
    wish = named(server)
    library = nss.find_library()
    if library is None:
        missing = BackendError if wish else ToxiproxyMissingError
        raise missing(
            "the members cannot be given Toxiproxy links of their own without the library nss_wrapper",
            next_step=nss.INSTALL,
        )
    topology = Topology(ports, groups)
    environments = _write_environments(topology, library, directory)
    if wish and is_url(wish):
        running = await attach(wish)
    else:
        running = await start(wish or await find_or_build(progress), directory)
    network = ToxiproxyNetwork(topology, ports, running, environments)
    try:
        await network.create_proxies()
    except BaseException:
        await network.close()
        raise
    return network
