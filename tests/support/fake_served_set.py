"""A replica set that does nothing but answer, for tests of what stands between it and the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson.timestamp import Timestamp

from harness.sim.kernel import Event, Kernel
from harness.wire.errors import BrokenConnectionError
from harness.wire.hello import MemberView
from harness.wire.served import Reach


class FakeServedSet:
    """Answers ``ping``, ``slow`` (after ``micros``), ``hang`` (when told) and ``break``, and counts what it ran."""

    def __init__(self, kernel: Kernel, members: tuple[str, ...] = ("m1", "m2", "m3")) -> None:
        self.name = "fake"
        self.members = members
        self.kernel = kernel
        self.reaches: dict[str, Reach] = dict.fromkeys(members, "open")
        self.closed = dict.fromkeys(members, 0)
        self.primary = members[0]
        self.term = 1
        self.ran: list[str] = []
        self.ended: list[str] = []
        self.connections_ended: list[int] = []
        self.released = Event()

    def reach(self, member: str) -> Reach:
        return self.reaches[member]

    def closures(self, member: str) -> int:
        return self.closed[member]

    def view(self, member: str) -> MemberView:
        role = "PRIMARY" if member == self.primary else "SECONDARY"
        return MemberView(
            member=member, role=role, primary=self.primary, term=self.term if member == self.primary else 0
        )

    def last_write(self, member: str) -> Mapping[str, Any]:
        return {"opTime": {"ts": Timestamp(1, 1), "t": self.term}}

    def wall_us(self, member: str) -> int:
        return self.kernel.now_us

    def connection_ended(self, connection: int) -> None:
        self.connections_ended.append(connection)

    async def request(self, member: str, command: dict[str, Any], connection: int) -> dict[str, Any]:
        name = next(iter(command))
        self.ran.append(name)
        if name == "slow":
            await self.kernel.sleep(command["micros"])
        elif name in {"hang", "insert"}:
            await self.kernel.wait(self.released)
        elif name == "break":
            raise BrokenConnectionError("asked to")
        elif name == "crash":
            raise ValueError("asked to")
        elif name == "demoted":
            return {"ok": 0.0, "errmsg": "not primary", "code": 10107, "codeName": "NotWritablePrimary"}
        elif name not in {"ping", "hello"}:
            return {"ok": 0.0, "errmsg": f"no such command: '{name}'", "code": 59, "codeName": "CommandNotFound"}
        self.ended.append(name)
        return {"echo": [key for key in command if key != "$db"], "ok": 1.0}
