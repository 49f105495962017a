"""Where a Toxiproxy server comes from, which ones are taken, and what is said where there is none."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trio
from components import missing

from harness.backends.links import nss, open_network, toxiproxy_server
from harness.backends.links.topology import Topology
from harness.backends.links.toxiproxy import host_name, hosts_of
from harness.backends.links.toxiproxy_server import checked_version, find_or_build, go_version, named
from harness.errors import BackendError
from harness.interfaces.link import Network

PORTS = {"m1": 1, "m2": 2}


def program(path: Path, text: str = "exit 0") -> Path:
    """Write a shell script that can be executed."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a machine with nothing on its PATH and no earlier build; return the directory of its programs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TOXIPROXY_SERVER", raising=False)
    return programs


def open_it(directory: Path, server: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Open a Toxiproxy network and close it; return the name of its links and its notes."""

    async def main() -> tuple[str, tuple[str, ...]]:
        network: Network = await open_network(
            "toxiproxy", ports=PORTS, groups=("clients",), directory=directory, server=server, progress=said.append
        )
        await network.close()
        return network.links.name, network.notes

    said: list[str] = []
    return trio.run(main)


@pytest.mark.parametrize("said", ["git", "2.1.0", "v2.12.0", "2.12", "3.0.0-rc1"])
def test_servers_that_are_new_enough_are_taken(said: str) -> None:
    """Every version from 2.1 on, and one built from its sources, which calls itself git."""
    assert checked_version(said) == said


@pytest.mark.parametrize("said", ["1.2.1", "2.0.0", "", "<html>", "banana"])
def test_servers_that_are_too_old_or_unreadable_are_refused(said: str) -> None:
    """The error names what the server said and what to do."""
    with pytest.raises(BackendError, match="or newer is needed") as caught:
        checked_version(said)
    assert caught.value.next_step


def test_a_named_server_that_is_missing_is_an_error() -> None:
    """Whoever names a server means that one: no other is taken in its place."""
    with pytest.raises(BackendError, match="/no/such/server"):
        named("/no/such/server")
    with pytest.raises(BackendError, match="TOXIPROXY_SERVER"):
        named(None, {"TOXIPROXY_SERVER": "/no/such/server"})
    assert named(None, {}) is None


def test_the_path_comes_before_an_earlier_build(bare: Path, tmp_path: Path) -> None:
    """A server of the user's own is preferred; without one the earlier build is taken and Go is not asked."""
    built = tmp_path / "cache" / "mongodb-pattern-harness" / "bin" / f"toxiproxy-server-{toxiproxy_server.VERSION}"
    built.parent.mkdir(parents=True)
    program(built)
    assert trio.run(find_or_build, print) == str(built)
    own = program(bare / "toxiproxy-server")
    assert trio.run(find_or_build, print) == str(own)


@pytest.mark.slow
def test_without_server_and_go_the_built_in_links_serve_and_say_so(bare: Path, tmp_path: Path) -> None:
    """The note says what is missing and what would help."""
    name, notes = open_it(tmp_path)
    assert name == "builtin"
    assert "Go 1.22" in notes[0] or nss.INSTALL in notes[0]


@pytest.mark.slow
def test_without_the_library_the_built_in_links_serve_and_say_so(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note names the package; with a server that was named it is an error instead."""
    monkeypatch.setattr(nss, "library_directories", lambda: ())
    name, notes = open_it(tmp_path)
    assert name == "builtin"
    assert nss.INSTALL in notes[0]
    server = program(bare / "my-server")
    with pytest.raises(BackendError, match="nss_wrapper") as caught:
        open_it(tmp_path, server=str(server))
    assert nss.INSTALL in caught.value.next_step


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo go version go1.19.8 linux/amd64", "too old"),
        ('[ "$1" = version ] && echo go1.22 && exit; exit 1', "failed"),
    ],
)
def test_a_go_that_cannot_build_is_said(bare: Path, script: str, words: str) -> None:
    """Too old, or failing: both say what to do."""
    program(bare / "go", script)
    with pytest.raises(toxiproxy_server.ToxiproxyMissingError, match=words) as caught:
        trio.run(find_or_build, lambda _: None)
    assert "Go 1.22" in caught.value.next_step


def test_a_build_is_kept_for_the_next_time(bare: Path, tmp_path: Path) -> None:
    """What Go builds is put in the user's cache, announced once, and found again without Go."""
    said: list[str] = []
    go = program(bare / "go", '[ "$1" = version ] && echo go1.30 && exit; echo x > "$GOBIN/server"')
    built = trio.run(find_or_build, said.append)
    go.unlink()
    assert trio.run(find_or_build, said.append) == built
    assert Path(built).read_text() == "x\n"
    assert [path.name for path in Path(built).parent.iterdir()] == [Path(built).name]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("said", "version"), [("go version go1.26.8 linux/amd64", (1, 26)), ("go1.9", (1, 9)), ("", (0, 0))]
)
def test_the_version_of_go_is_read(said: str, version: tuple[int, int]) -> None:
    """Minor versions compare as numbers."""
    assert go_version(said) == version


@pytest.mark.slow
def test_a_program_that_is_no_server_is_an_error_with_its_last_words(bare: Path, tmp_path: Path) -> None:
    """A server that ends at once is not waited for, and what it said is shown."""
    if nss.find_library() is None:
        missing("libnss_wrapper is not installed")
    server = program(bare / "broken", "echo cannot find the flux capacitor >&2; exit 1")
    with pytest.raises(BackendError, match="flux capacitor"):
        open_it(tmp_path, server=str(server))


@contextmanager
def server_that_says(body: bytes) -> Iterator[str]:
    """Yield the URL of a server that answers everything so."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("body", [b'{"version": "1.2.1"}', b"2.0.0", b"hello"])
def test_a_running_server_that_is_too_old_is_refused(body: bytes, tmp_path: Path) -> None:
    """Also one at a URL is asked for its version first, in either form that servers have answered in."""
    if nss.find_library() is None:
        missing("libnss_wrapper is not installed")
    with server_that_says(body) as url, pytest.raises(BackendError, match="newer is needed"):
        open_it(tmp_path, server=url)


def test_a_url_where_nobody_answers_is_an_error(tmp_path: Path) -> None:
    """It names the URL."""
    if nss.find_library() is None:
        missing("libnss_wrapper is not installed")
    with pytest.raises(BackendError, match=r"http://127\.0\.0\.1:1"):
        open_it(tmp_path, server="http://127.0.0.1:1")


def test_the_lookups_of_two_sources_never_share_an_address() -> None:
    """Every link has an address of its own, all on the loopback network, and a member reaches itself directly."""
    topology = Topology(["m1", "m2", "m3", "m4", "m5"], ["clients-1", "clients-2"])
    seen = [(source, hosts_of(topology, source)) for source in (*topology.members, *topology.groups)]
    assert all(hosts[host_name(source)] == "127.0.0.1" for source, hosts in seen if source in topology.members)
    others = [a for source, hosts in seen for name, a in hosts.items() if name != host_name(source)]
    assert len(set(others)) == len(others) == len(topology.links)
    assert all(address.startswith("127.0.") for address in others)


def test_a_preload_that_is_there_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is put in front of whatever the user preloads."""
    monkeypatch.setenv("LD_PRELOAD", "/lib/mine.so")
    assert nss.environment(Path("/lib/libnss_wrapper.so"), Path("/x/hosts")) == {
        "LD_PRELOAD": "/lib/libnss_wrapper.so:/lib/mine.so",
        "NSS_WRAPPER_HOSTS": "/x/hosts",
    }


@pytest.mark.toxiproxy
@pytest.mark.slow
def test_an_http_proxy_in_the_environment_does_not_stand_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines behind a company's proxy must still reach their own loopback address."""
    try:
        server = named(None) or trio.run(find_or_build, print)
    except toxiproxy_server.ToxiproxyMissingError as error:
        missing(error.message)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    assert open_it(tmp_path, server=server) == ("toxiproxy", ())
