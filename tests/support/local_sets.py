"""What tests of real sets share: a mongod or the reason why there is none, and links that do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class NoLinks:
    """Stands where links would be."""

    name = "none"
    counts = False


class DirectNetwork:
    """A network without proxies: every member advertises the port that it listens on."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.ports = ports
        self.links: Any = NoLinks()
        self.notes = ("no links in this test",)
        self.version = "0"
        self.registered: list[tuple[str, int]] = []
        self.closed = 0

    def advertised(self, member: str) -> str:
        return f"127.0.0.1:{self.ports[member]}"

    def member_environment(self, member: str) -> Mapping[str, str]:
        return {"HARNESS_TEST_MEMBER": member}

    def resolve(self, group: str) -> Mapping[str, str]:
        return {}

    async def register(self, source: str, process_id: int) -> None:
        self.registered.append((source, process_id))

    async def close(self) -> None:
        self.closed += 1


async def open_direct(kind: str, *, ports: Mapping[str, int], groups: tuple[str, ...], directory: Path) -> Any:
    """Return a network without proxies, in place of ``harness.backends.links.open_network``."""
    return DirectNetwork(ports)


def is_alive(process_id: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"
