"""Which links a set has: every member and every client group as a source, every member as a destination."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.errors import FaultError
from harness.interfaces.link import Link


class Topology:
    """The members and client groups of one set, and the links between them."""

    def __init__(self, members: Iterable[str], groups: Iterable[str]) -> None:
        self.members = tuple(members)
        self.groups = tuple(groups)
        self.links = tuple(
            Link(source, destination)
            for source in (*self.members, *self.groups)
            for destination in self.members
            if source != destination
        )
        self._known = frozenset(self.links)

    def checked(self, links: Iterable[Link]) -> tuple[Link, ...]:
        """Return ``links`` without repetitions. Raises FaultError for one that the set does not have.

        A member's link to itself is not one of them: a member must find its own address in the configuration, or it
        leaves the set, so that link is never disturbed.
        """
        unique = tuple(dict.fromkeys(Link(*link) for link in links))
        for link in unique:
            if link not in self._known:
                own = link.source == link.destination
                reason = "a member's link to itself is never disturbed" if own else "the set has no such link"
                raise FaultError(
                    f"link {link.source} -> {link.destination}: {reason}",
                    next_step=f"sources: {', '.join((*self.members, *self.groups))}; "
                    f"destinations: {', '.join(self.members)}",
                )
        return unique


def addresses(ports: Mapping[str, int]) -> str:
    """Return the members and their ports in words, for messages."""
    return ", ".join(f"{member} at port {port}" for member, port in ports.items())
