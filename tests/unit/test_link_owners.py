"""Finding the process at the other end of a loopback connection."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from harness.backends.links import owners
from harness.backends.links.owners import Owners, has_socket, inode_by_table


@contextlib.contextmanager
def connection(
    target: str = "127.0.0.1", family: int = socket.AF_INET
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a connection: the end that called, and the one that was called."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(family) as caller:
        caller.connect((target, listener.getsockname()[1]))
        called, _ = listener.accept()
        with called:
            yield caller, called


@pytest.fixture
def owned() -> Iterator[Owners]:
    """Make owners that know nobody yet."""
    made = Owners()
    yield made
    made.close()


def test_the_owner_is_found_among_the_registered_processes(owned: Owners) -> None:
    """The process that has the calling socket open is found, and none of the others."""
    with (
        connection() as (_, called),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        owned.register("other", other.pid)
        assert owned.find(called.getpeername(), called.getsockname()) is None
        owned.register("me", os.getpid())
        assert owned.find(called.getpeername(), called.getsockname()) == "me"
        owned.register("me", other.pid)
        assert owned.find(called.getpeername(), called.getsockname()) is None
        other.kill()


def test_a_socket_that_does_not_exist_has_no_owner(owned: Owners) -> None:
    """A connection that is gone already belongs to nobody."""
    owned.register("me", os.getpid())
    assert owned.find(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


def test_the_kernels_table_tells_the_same_as_netlink(owned: Owners, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where netlink is refused, the slower way finds the same socket."""

    def refuse(*_: object) -> int:
        raise PermissionError

    with connection() as (caller, called):
        assert inode_by_table(called.getpeername(), called.getsockname()) == os.fstat(caller.fileno()).st_ino
        monkeypatch.setattr(owners, "inode_by_netlink", refuse)
        owned.register("me", os.getpid())
        assert owned.find(called.getpeername(), called.getsockname()) == "me"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_a_socket_that_speaks_ipv6_to_an_ipv4_address_is_found(owned: Owners) -> None:
    """Some programs open IPv6 sockets for everything; both ways find these as well."""
    with connection("::ffff:127.0.0.1", socket.AF_INET6) as (caller, called):
        inode = os.fstat(caller.fileno()).st_ino
        assert inode_by_table(called.getpeername(), called.getsockname()) == inode
        owned.register("me", os.getpid())
        assert owned.find(called.getpeername(), called.getsockname()) == "me"


def test_a_process_that_has_ended_owns_nothing() -> None:
    """A dead process id is no error."""
    assert not has_socket(2**22 + 1, 1)


def test_a_search_takes_less_than_5_ms(owned: Owners) -> None:
    """The search happens before each connection's first byte, so it must be short; the median of 20 counts."""
    owned.register("me", os.getpid())
    times = []
    with connection() as (_, called):
        for _ in range(20):
            began = time.perf_counter()
            owned.find(called.getpeername(), called.getsockname())
            times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.005
