"""The connections of one client: numbers under which a member knows them, and what is still under way on them."""

from __future__ import annotations

from collections.abc import Iterator

from harness.sim.kernel.loop import Kernel, Task


class Connection:
    """A connection to ``member``. ``pending`` is the unacknowledged write that the member reads before all later."""

    __slots__ = ("broken", "member", "number", "pending", "used")

    def __init__(self, member: str, number: int) -> None:
        self.member = member
        self.number = number
        self.used = False
        """Whether a command has gone over it: before that it may yet be refused."""
        self.broken = False
        self.pending: Task | None = None

    async def settle(self, kernel: Kernel) -> None:
        """Wait until the member has read what was sent before."""
        if self.pending is not None:
            await kernel.join(self.pending)
            self.pending = None


class Connections:
    """Pools of connections, one a member; the one used last is taken first. ``numbers`` are unique within a run."""

    __slots__ = ("_free", "_numbers")

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._free: dict[str, list[Connection]] = {}

    def take(self, member: str) -> Connection:
        """Return a connection to that member for use."""
        free = self._free.get(member)
        return free.pop() if free else Connection(member, next(self._numbers))

    def give_back(self, connection: Connection) -> None:
        """Take a connection back that can be used again."""
        self._free.setdefault(connection.member, []).append(connection)

    def clear(self, member: str) -> None:
        """Forget the connections to a member that is not there any more."""
        self._free.pop(member, None)
