"""The links of one replica set: every ordered pair of processes can be cut, slowed or broken on its own.

Owns the built-in proxy (``proxy_process`` and what it runs, ``builtin`` on the harness's side) and the use of a real
Toxiproxy server (``toxiproxy``, ``toxiproxy_server``, ``nss``). May import ``harness.interfaces`` and below, and trio.
Start reading at :func:`open_network`, then :mod:`harness.interfaces.link`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from harness.interfaces.link import Network


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def open_network(
    kind: Literal["builtin", "toxiproxy"],
    *,
    ports: Mapping[str, int],
    groups: tuple[str, ...],
    directory: Path,
    server: str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = _to_stderr,
) -> Network:
    """Make the links of a set whose members are about to start, and return them.

    ``ports``: member name to the port on 127.0.0.1 where its mongod will listen; ``groups``: the client groups;
    ``directory``: an existing private directory for logs and hosts files; ``server``: a Toxiproxy server, as a path
    or as the URL of one that runs on this machine; ``seed``: of jitter and toxicity (built-in links); ``progress``
    gets a line before something that takes long. Where Toxiproxy was asked for without naming a server, and this
    machine can neither run nor build one, the built-in links serve and ``notes`` says why. Must be called from the
    trio thread that outlives the network: the proxies end with it.

    Raises BackendError where the proxies do not start, or where a server that was named is missing or too old.
    """
    from harness.backends.links.builtin import open_builtin

    if kind == "builtin":
        return await open_builtin(ports=ports, groups=groups, directory=directory, seed=seed)
    from harness.backends.links.toxiproxy import open_toxiproxy
    from harness.backends.links.toxiproxy_server import ToxiproxyMissingError

    try:
        return await open_toxiproxy(ports=ports, groups=groups, directory=directory, server=server, progress=progress)
    except ToxiproxyMissingError as missing:
        note = f"Toxiproxy cannot be used ({missing.message}); the built-in links serve instead: {missing.next_step}"
        return await open_builtin(ports=ports, groups=groups, directory=directory, seed=seed, notes=(note,))
