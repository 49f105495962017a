"""Links that several faults disturb at once: healing one fault must not heal what another still holds.

A link knows cut and healed, and no owner. So each fault of a run gets a view of the links of its own, which notes
what it did; when one heals a link, what the others hold on it is put back at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from harness.interfaces.backend import Backend
from harness.interfaces.link import Link, LinkCounters, Links, Toxic


class LinkClaims:
    """What each fault of a run holds on each link: toxics, and None for a cut."""

    def __init__(self) -> None:
        self._held: defaultdict[Link, list[tuple[str, Toxic | None]]] = defaultdict(list)

    def claim(self, fault: str, links: Iterable[Link], disturbance: Toxic | None) -> None:
        """Note that ``fault`` holds a toxic (None: a cut) on ``links``."""
        for link in links:
            self._held[link].append((fault, disturbance))

    def release(self, fault: str, links: Iterable[Link]) -> None:
        """Forget what ``fault`` holds on ``links``."""
        for link in links:
            self._held[link] = [claim for claim in self._held[link] if claim[0] != fault]

    def remaining(self, links: Iterable[Link]) -> list[tuple[Link, Toxic | None]]:
        """Return what is still held on ``links``, in the order in which it was claimed."""
        return [(link, disturbance) for link in links for _, disturbance in self._held[link]]


class SharedLinks:
    """The links as one fault sees and disturbs them."""

    def __init__(self, backend: Backend, claims: LinkClaims, fault: str) -> None:
        self._backend = backend
        self._claims = claims
        self._fault = fault

    @property
    def _links(self) -> Links:
        return self._backend.links

    @property
    def name(self) -> str:
        """``builtin`` or ``toxiproxy``."""
        return self._links.name

    @property
    def counts(self) -> bool:
        """Whether the links count."""
        return self._links.counts

    async def cut(self, links: Iterable[Link]) -> None:
        """Cut these links for this fault."""
        links = tuple(links)
        self._claims.claim(self._fault, links, None)
        await self._links.cut(links)

    async def add_toxic(self, links: Iterable[Link], toxic: Toxic) -> None:
        """Disturb these links for this fault."""
        links = tuple(links)
        await self._links.add_toxic(links, toxic)
        self._claims.claim(self._fault, links, toxic)

    async def heal(self, links: Iterable[Link]) -> None:
        """Undo what this fault did to these links, and put back what others hold on them."""
        links = tuple(links)
        self._claims.release(self._fault, links)
        await self._links.heal(links)
        for link, disturbance in self._claims.remaining(links):
            if disturbance is None:
                await self._links.cut((link,))
            else:
                await self._links.add_toxic((link,), disturbance)

    async def heal_all(self) -> None:
        """Heal every link, for all faults."""
        await self._links.heal_all()

    async def counters(self, link: Link) -> LinkCounters:
        """Return what the link has carried."""
        return await self._links.counters(link)
