"""Which process is at the other end of a loopback connection: the kernel tells the socket, ``/proc`` its owner.

Needs no privilege for processes of the same user. The socket is asked for by its four-tuple over netlink (about 10
microseconds); where that is not to be had, ``/proc/net/tcp`` is read, which takes milliseconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

Address = tuple[str, int]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_ALL = 0xFFFFFFFF
_INODE_OFFSET_BYTES = 16 + 4 + 48 + 16
"""Netlink header, then family, state, timer and retransmissions, then the socket's identity, then four numbers."""
_ANSWER_BYTES = 4096


class Owners:
    """The processes of the sources, and the search for the one that owns a socket."""

    def __init__(self) -> None:
        self._process_ids: dict[str, int] = {}
        self._netlink: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)

    def register(self, source: str, process_id: int) -> None:
        """Remember the process of a source; it replaces an earlier one."""
        self._process_ids[source] = process_id

    def find(self, peer: Address, local: Address) -> str | None:
        """Return the source whose process has the socket bound to ``peer`` and connected to ``local``, or None."""
        inode = self._inode(peer, local)
        if not inode:
            return None
        for source, process_id in self._process_ids.items():
            if has_socket(process_id, inode):
                return source
        return None

    def close(self) -> None:
        """Release the netlink socket."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _inode(self, peer: Address, local: Address) -> int:
        if self._netlink is not None:
            try:
                return inode_by_netlink(self._netlink, peer, local)
            except OSError:
                self.close()
        return inode_by_table(peer, local)


def inode_by_netlink(netlink: socket.socket, peer: Address, local: Address) -> int:
    """Return the inode of the socket ``peer`` -> ``local``, 0 where there is none. Raises OSError if refused."""
    identity = (
        struct.pack("!HH", peer[1], local[1])
        + socket.inet_aton(peer[0]).ljust(16, b"\0")
        + socket.inet_aton(local[0]).ljust(16, b"\0")
        + struct.pack("=III", 0, _ALL, _ALL)
    )
    body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL) + identity
    header = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    netlink.send(header + body)
    answer = netlink.recv(_ANSWER_BYTES)
    (kind,) = struct.unpack_from("=H", answer, 4)
    if kind == _NLMSG_ERROR:
        (code,) = struct.unpack_from("=i", answer, 16)
        if code == -errno.ENOENT:
            return 0
        raise OSError(-code, "the kernel refused to look up a socket")
    return int(struct.unpack_from("=I", answer, _INODE_OFFSET_BYTES)[0])


def inode_by_table(peer: Address, local: Address) -> int:
    """Return the inode of the socket ``peer`` -> ``local`` from the kernel's tables of sockets, 0 where there is none.

    The second table has the sockets that speak IPv6 to IPv4 addresses.
    """
    for name, prefix in (("tcp", ""), ("tcp6", "0000000000000000FFFF0000")):
        wanted = (prefix + _in_table(peer), prefix + _in_table(local))
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", name).read_text().splitlines()[1:]:
                fields = line.split()
                if (fields[1], fields[2]) == wanted:
                    return int(fields[9])
    return 0


def _in_table(address: Address) -> str:
    (word,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{word:08X}:{address[1]:04X}"


def has_socket(process_id: int, inode: int) -> bool:
    """Tell whether the process has the socket among its open files; False where it is gone."""
    wanted = f"socket:[{inode}]"
    directory = f"/proc/{process_id}/fd"
    return any(target == wanted for target in _open_files(directory))


def _open_files(directory: str) -> Iterable[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - a hundred times per connection: no objects are made of it
    except OSError:
        return
    # The newest descriptors have the highest numbers, and the wanted socket has just been opened.
    for name in reversed(names):
        with contextlib.suppress(OSError):
            yield os.readlink(f"{directory}/{name}")  # noqa: PTH115 - as above
