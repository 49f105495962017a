"""What the wire front needs of a replica set, so that its connections know no more of it than this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from harness.wire.hello import MemberView

Reach = Literal["open", "paused", "dead", "cut"]
"""What a client meets at a member's port: somebody who answers, who hangs, nobody, or a link that is cut."""


class ServedSet(Protocol):
    """A replica set. All but :meth:`request` may be called at any time between two runs of the kernel."""

    @property
    def name(self) -> str:
        """The name of the set."""
        ...

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the members, in the order of the configuration."""
        ...

    def reach(self, member: str) -> Reach:
        """Return what clients meet at the member's port."""
        ...

    def closures(self, member: str) -> int:
        """Return how many times the member has closed all its connections: when it died, when it rolled back."""
        ...

    def view(self, member: str) -> MemberView:
        """Return what the member knows of itself and the set."""
        ...

    def last_write(self, member: str) -> Mapping[str, Any]:
        """Return ``lastWrite`` of the member's ``hello``."""
        ...

    def wall_us(self, member: str) -> int:
        """Return the member's wall clock in microseconds since 1970."""
        ...

    def connection_ended(self, connection: int) -> None:
        """Take notice that nothing comes over a connection any more."""
        ...

    async def request(self, member: str, command: dict[str, Any], connection: int) -> dict[str, Any]:
        """Run a command on the member, inside the kernel, and return the reply.

        Raises BrokenConnectionError where the connection ends without one.
        """
        ...
