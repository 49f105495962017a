"""Host names of the harness's own links, and no others, resolve to the addresses of a client group."""

from __future__ import annotations

import socket
import threading

import pytest

from harness.backends.driver.resolver import Resolver
from harness.errors import BackendError


@pytest.fixture
def asked(monkeypatch):
    """Put a recording double in the place of the system's resolver; return what it was asked for."""
    hosts = []

    def getaddrinfo(host, *args, **kwargs):
        hosts.append(host)
        return [(socket.AF_INET, args, kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return hosts


def test_only_given_names_are_resolved(asked):
    """A name of the links becomes its address; every other host goes to the system as it is."""
    release = Resolver().install({"m1": "127.0.0.11"})
    socket.getaddrinfo("m1", 27017, type=socket.SOCK_STREAM)
    socket.getaddrinfo("localhost", 80)
    socket.getaddrinfo(None, 80)
    socket.getaddrinfo(b"m1", 80)
    release()
    assert asked == ["127.0.0.11", "localhost", None, b"m1"]


def test_wrapper_is_taken_back(asked):
    """Once the last client is closed the system's own function is back, and not before; releasing twice is harmless."""
    original = socket.getaddrinfo
    resolver = Resolver()
    first, second = resolver.install({"m1": "127.0.0.11"}), resolver.install({"m1": "127.0.0.11", "m2": "127.0.0.12"})
    first()
    first()
    socket.getaddrinfo("m1", 1)
    assert socket.getaddrinfo is not original
    second()
    assert socket.getaddrinfo is original
    assert asked == ["127.0.0.11"]


def test_nothing_is_wrapped_without_names(asked):
    """A connection that needs no help leaves the system's function alone."""
    original = socket.getaddrinfo
    release = Resolver().install({})
    assert socket.getaddrinfo is original
    release()


def test_conflicting_address_is_refused(asked):
    """One process cannot be two client groups: a name in use with another address is refused, and nothing changes."""
    resolver = Resolver()
    release = resolver.install({"m1": "127.0.0.11"})
    with pytest.raises(BackendError, match="m1"):
        resolver.install({"m0": "127.0.0.10", "m1": "127.0.0.21"})
    socket.getaddrinfo("m0", 1)
    release()
    resolver.install({"m1": "127.0.0.21"})()
    assert asked == ["m0"]


def test_foreign_wrapper_survives(asked):
    """Where somebody wrapped the wrapper, releasing does not throw their function away, and a later use works."""
    resolver = Resolver()
    release = resolver.install({"m1": "127.0.0.11"})
    inner = socket.getaddrinfo

    def foreign(host, *args, **kwargs):
        return inner(host, *args, **kwargs)

    socket.getaddrinfo = foreign
    release()
    assert socket.getaddrinfo is foreign
    socket.getaddrinfo("m1", 1)
    resolver.install({"m1": "127.0.0.12"})
    socket.getaddrinfo("m1", 1)
    assert asked == ["m1", "127.0.0.12"]


def test_many_threads(asked):
    """Clients that open and close at once leave the count, and the function, as they were."""
    original = socket.getaddrinfo
    resolver = Resolver()

    def open_and_close():
        for _ in range(200):
            release = resolver.install({"m1": "127.0.0.11"})
            socket.getaddrinfo("m1", 1)
            release()

    threads = [threading.Thread(target=open_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert socket.getaddrinfo is original
    assert set(asked) == {"127.0.0.11"}
