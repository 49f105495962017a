"""Partitions: links between members, or between clients and a member, are cut.

Which links are cut is told by grudges, pure functions of the members' names. A grudge is directed: ``Link(a, b)`` in
it means that ``a`` can no longer open or keep a connection to ``b``. The shapes are Jepsen's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import FaultError
from harness.facts import Effect
from harness.faults.effects import (
    Answer,
    States,
    connections_refused,
    members_cut,
    members_cut_one_way,
    primary_replaced,
    unanswered,
)
from harness.faults.probe import Probing, say_hello
from harness.faults.targets import client_links, counters_of, wait_for_primary
from harness.interfaces.backend import Capability
from harness.interfaces.fault import FaultContext, Injection
from harness.interfaces.link import Link

Grudge = tuple[Link, ...]


def between(side: Sequence[str], other: Sequence[str]) -> Grudge:
    """Return the links between two sets of members, in both directions."""
    return tuple(link for a in side for b in other for link in (Link(a, b), Link(b, a)))


def isolate(members: Sequence[str], victim: str) -> Grudge:
    """Return the links between ``victim`` and all other members, in both directions."""
    return between((victim,), [member for member in members if member != victim])


def halves(members: Sequence[str]) -> Grudge:
    """Return the links between the smaller first half of ``members`` and the majority that follows it."""
    middle = len(members) // 2
    return between(members[:middle], members[middle:])


def ring(members: Sequence[str]) -> Grudge:
    """Return the links to cut so that every member reaches a majority, and no two the same one.

    Members reach their neighbours in a ring, in the order given. With five, each reaches one on either side. With
    three, a majority is oneself and one other, so each reaches the next alone: every pair is cut in one direction.
    """
    count = len(members)
    others = count // 2
    behind = others // 2
    reach = {(i, (i + offset) % count) for i in range(count) for offset in range(-behind, others - behind + 1)}
    return tuple(
        Link(a, b) for i, a in enumerate(members) for j, b in enumerate(members) if i != j and (i, j) not in reach
    )


def bridge(members: Sequence[str]) -> Grudge:
    """Return the links to cut so that the middle one of ``members`` reaches all, and the two halves only it.

    With three members one pair is cut, and the set keeps a primary: the bridge hands its entries on.
    """
    middle = len(members) // 2
    return between(members[:middle], members[middle + 1 :])


def one_way(members: Sequence[str], victim: str, *, silenced: bool) -> Grudge:
    """Return the links of one direction between ``victim`` and the others.

    ``silenced``: what the victim initiates is lost; otherwise what the others initiate towards it.
    """
    others = [member for member in members if member != victim]
    return tuple(Link(victim, other) if silenced else Link(other, victim) for other in others)


def in_words(cut: Grudge) -> tuple[str, ...]:
    """Return what a grudge separates, as a reader says it.

    ``m1 from m2 and m3`` where it parts two sides, else its links: ``m1↔m3`` for both directions, ``m1→m2`` for one.
    """
    links = frozenset(cut)
    mutual = {link for link in links if Link(link.destination, link.source) in links}
    cut_from = {a: frozenset(link.destination for link in mutual if link.source == a) for a, _ in sorted(mutual)}
    sides = sorted(set(cut_from.values()), key=lambda side: (len(side), sorted(side)))
    if mutual == links and len(sides) == 2 and not sides[0] & sides[1]:  # noqa: PLR2004 - two sides
        return (" from ".join(" and ".join(sorted(side)) for side in sides),)
    return tuple(f"{a}{'↔' if (a, b) in mutual else '→'}{b}" for a, b in sorted(links) if (a, b) not in mutual or a < b)


Choose = Callable[[random.Random, tuple[str, ...], str], Grudge]
"""Draws the grudge of one strike from a random stream, the members and the primary."""
Rule = Callable[[States, States, Grudge, int], Effect | None]
"""Judges the states before and after, the grudge and the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPartition:
    """Links between members are cut; clients keep all of theirs."""

    name: str
    choose: Choose
    rule: Rule
    hold_s: float = 5.0
    """An election takes 1 to 3.5 s on a loaded machine, and operations must still be seen on both sides after it."""
    needs: frozenset[Capability] = frozenset({"links"})

    async def aim(self, context: FaultContext) -> Injection:
        """Draw the grudge."""
        states, primary = await wait_for_primary(context, self.name)
        cut = self.choose(context.random, context.backend.members, primary)
        return Injection(targets=in_words(cut), before=tuple(states), memory={"cut": cut})

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Cut the links."""
        await context.links.cut(injection.memory["cut"])

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Judge by what the members say of each other."""
        memory, after = injection.memory, await context.backend.observe()
        return self.rule(injection.before, after, memory["cut"], context.now_ns())

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Heal the links that were cut."""
        await context.links.heal(injection.memory["cut"])
        return None


def _shuffled(draw: random.Random, members: tuple[str, ...]) -> list[str]:
    return draw.sample(members, k=len(members))


PARTITION_PRIMARY = MemberPartition(
    name="partition-primary",
    choose=lambda _draw, members, primary: isolate(members, primary),
    rule=primary_replaced,
)
PARTITION_MAJORITY = MemberPartition(
    name="partition-majority",
    choose=lambda draw, members, _primary: halves(_shuffled(draw, members)),
    rule=members_cut,
)
PARTITION_RING = MemberPartition(
    name="partition-ring",
    choose=lambda draw, members, _primary: ring(_shuffled(draw, members)),
    rule=members_cut,
)
PARTITION_BRIDGE = MemberPartition(
    name="partition-bridge",
    choose=lambda draw, members, _primary: bridge(_shuffled(draw, members)),
    rule=members_cut,
)
PARTITION_ONE_WAY = MemberPartition(
    name="partition-one-way",
    choose=lambda draw, members, primary: one_way(members, primary, silenced=draw.choice((False, True))),
    rule=members_cut_one_way,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPartition:
    """No client group reaches the primary; the members reach each other, so it stays primary."""

    name: str = "partition-clients"
    probing: Probing = say_hello
    hold_s: float = 3.0
    needs: frozenset[Capability] = frozenset({"links"})

    async def aim(self, context: FaultContext) -> Injection:
        """Choose the primary; try the way to it."""
        states, primary = await wait_for_primary(context, self.name)
        cut = client_links(primary, context.groups)
        memory = {
            "cut": cut,
            "primary": primary,
            "counters": await counters_of(context, cut),
            "answer": await self.probing(context.backend, primary),
        }
        targets = tuple(f"{link.source}→{link.destination}" for link in cut)
        return Injection(targets=targets, before=tuple(states), memory=memory)

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Cut the clients' links to it."""
        await context.links.cut(injection.memory["cut"])

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Try the way to it again; where the harness has none of its own, look at what the links refused."""
        memory, primary = injection.memory, injection.memory["primary"]
        refused = await counters_of(context, memory["cut"])
        effect = connections_refused(memory["counters"], refused, primary, context.now_ns())
        if effect is not None or not memory["answer"].answered:
            return effect
        answer: Answer = await self.probing(context.backend, primary)
        return unanswered(memory["answer"], answer, primary, context.now_ns())

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Heal the links."""
        await context.links.heal(injection.memory["cut"])
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitClients:
    """The primary is cut off together with every second client group; the other groups stay with the majority."""

    name: str = "split-clients"
    hold_s: float = 4.0
    needs: frozenset[Capability] = frozenset({"links", "client-groups"})

    async def aim(self, context: FaultContext) -> Injection:
        """Choose the sides. Raises FaultError where there is one client group only."""
        if len(context.groups) < 2:  # noqa: PLR2004 - one on each side
            raise FaultError(
                f"{self.name} needs a client group on each side, there is only one",
                next_step="add --client-groups 2",
            )
        states, primary = await wait_for_primary(context, self.name)
        apart = isolate(context.backend.members, primary)
        cut = (*apart, *self._client_side(context, primary))
        targets = (primary, *context.groups[::2])
        return Injection(targets=targets, before=tuple(states), memory={"cut": cut, "apart": apart})

    @staticmethod
    def _client_side(context: FaultContext, primary: str) -> Grudge:
        others = [member for member in context.backend.members if member != primary]
        stale = tuple(Link(group, other) for group in context.groups[::2] for other in others)
        return (*stale, *client_links(primary, context.groups[1::2]))

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Cut the links across."""
        await context.links.cut(injection.memory["cut"])

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Judge by the members' word: the primary was replaced while it was cut off."""
        memory, after = injection.memory, await context.backend.observe()
        return primary_replaced(injection.before, after, memory["apart"], context.now_ns())

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Heal the links."""
        await context.links.heal(injection.memory["cut"])
        return None
