"""Free ports that stay free while a member is down."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from harness.backends.local.wire import LOOPBACK
from harness.errors import BackendError

_LOWEST = 10_240
_HIGHEST = 65_535
_FEWEST = 1_000
_TRIES = 2_000


def free_ports(count: int) -> tuple[int, ...]:
    """Return that many ports on which nothing listens now; raises BackendError where none is found.

    They lie outside the range from which the system draws the ports of outgoing connections: in it, a killed
    member's port can be taken by any client before the member is started again.
    """
    candidates = _candidates()
    found: set[int] = set()
    for _ in range(_TRIES):
        port = candidates[secrets.randbelow(len(candidates))]
        if _is_free(port):
            found.add(port)
        if len(found) == count:
            return tuple(found)
    raise BackendError(f"no {count} free ports on {LOOPBACK}", next_step="see what listens there: ss -ltn")


def _candidates() -> range:
    first, last = _outgoing_range()
    below, above = range(_LOWEST, first), range(last + 1, _HIGHEST)
    widest = max(below, above, key=len)
    return widest if len(widest) >= _FEWEST else range(_LOWEST, _HIGHEST)


def _outgoing_range() -> tuple[int, int]:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        first, last = map(int, text.split())
    except (OSError, ValueError):
        return 32_768, 60_999
    return first, last


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
