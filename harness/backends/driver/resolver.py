"""Name resolution for the host names of the harness's own links, and for those alone.

PyMongo has no resolver hook, and a client must reach each member under the name that the members use, through its
own group's links. So ``socket.getaddrinfo`` is wrapped while at least one client needs it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import BackendError


class Resolver:
    """Host names to addresses, counted by use. One instance a process; see :data:`resolver`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._addresses: dict[str, str] = {}
        self._uses: dict[str, int] = {}
        self._original: Callable[..., Any] | None = None
        self._wrapper: Callable[..., Any] | None = None

    def install(self, names: Mapping[str, str]) -> Callable[[], None]:
        """Resolve each host name of ``names`` to its address until the returned function is called.

        Raises BackendError where a name is in use with another address: a client group needs a process of its own.
        """
        with self._lock:
            self._refuse_conflicts(names)
            for name, address in names.items():
                self._addresses[name] = address
                self._uses[name] = self._uses.get(name, 0) + 1
            if names and self._original is None:
                self._wrap()
        pending = dict(names)
        return lambda: self._release(pending)

    def _refuse_conflicts(self, names: Mapping[str, str]) -> None:
        for name, address in names.items():
            known = self._addresses.get(name, address)
            if known != address:
                raise BackendError(
                    f"connecting a client: {name!r} already resolves to {known} in this process, not to {address}",
                    next_step="run each client group in a process of its own",
                )

    def _release(self, names: dict[str, str]) -> None:
        with self._lock:
            while names:
                name, _ = names.popitem()
                self._uses[name] -= 1
                if not self._uses[name]:
                    del self._uses[name], self._addresses[name]
            # Whoever has wrapped the wrapper since then still calls it; with no names it changes nothing.
            if not self._uses and self._original is not None and socket.getaddrinfo is self._wrapper:
                socket.getaddrinfo = self._original
                self._original = self._wrapper = None

    def _wrap(self) -> None:
        original = socket.getaddrinfo
        addresses = self._addresses

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            return original(addresses.get(host, host), *args, **kwargs)

        self._original = original
        self._wrapper = getaddrinfo
        socket.getaddrinfo = getaddrinfo


resolver = Resolver()
"""The resolver of this process."""
