"""Toxics on links: slow, narrow, torn, sliced or silent connections, and answers that never arrive.

Names, attributes and meaning are Toxiproxy's. The toxics of the first six faults are put on all links of the primary:
from the clients, from the other members, and its own to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.facts import Effect
from harness.faults.effects import (
    Answer,
    answer_lost,
    bytes_swallowed,
    heartbeats_slower,
    members_cut,
    slower,
    unanswered,
)
from harness.faults.probe import Probing, ShakingHands, ask_build_info, say_hello, shake_hands, time_close
from harness.faults.targets import client_links, counters_of, links_of, wait_for_primary
from harness.interfaces.backend import Backend, Capability
from harness.interfaces.fault import FaultContext, Injection
from harness.interfaces.link import Direction, Link, Toxic

LATENCY_MS = 250
JITTER_MS = 50
RATE_KB_PER_S = 8
SLICE_BYTES = 32
SLICE_DELAY_US = 10_000
CLOSE_DELAY_MS = 1500
"""Longer than a healthy close by far, and short enough to be seen within a strike."""

BEYOND_DOUBT_MS = 1_000.0
"""An answer that much slower is no hiccup of a loaded machine, and a second probe would outlast the strike."""

HEARTBEAT_LEAST_MS = 40.0
"""Mean heartbeat round trips of a healthy set on one machine stay well below this."""


async def _timed_close(backend: Backend, member: str) -> Answer:
    return await time_close(backend, member, CLOSE_DELAY_MS / 1000 + 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Toxics on all links of the primary, seen by a probe through the clients' links, or by the members themselves.

    ``least_ms`` is what a probe must have taken longer than before; None where it must not be answered at all.
    """

    name: str
    toxics: tuple[Toxic, ...]
    probing: Probing
    least_ms: float | None
    hold_s: float = 3.0
    needs: frozenset[Capability] = frozenset({"links"})

    async def aim(self, context: FaultContext) -> Injection:
        """Choose the primary; measure the way to it."""
        states, primary = await wait_for_primary(context, self.name)
        links = links_of(primary, context.backend.members, context.groups)
        memory = {
            "primary": primary,
            "links": links,
            "answer": await self.probing(context.backend, primary),
            "heartbeats_ms": await heartbeats_ms(context.backend, primary),
        }
        return Injection(targets=(primary,), before=tuple(states), memory=memory)

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Put the toxics on."""
        for toxic in self.toxics:
            await context.links.add_toxic(injection.memory["links"], toxic)

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Probe again; where the harness has no way of its own to the links, ask the members."""
        memory, primary = injection.memory, injection.memory["primary"]
        if memory["answer"].answered:
            now = await self.probing(context.backend, primary)
            if self.least_ms is not None:
                return await self._slower_twice(context, memory["answer"], now, primary)
            return unanswered(memory["answer"], now, primary, context.now_ns())
        if self.least_ms is None:
            cut = tuple(link for link in memory["links"] if link.source not in context.groups)
            return members_cut(injection.before, await context.backend.observe(), cut, context.now_ns())
        now_ms = await heartbeats_ms(context.backend, primary)
        return heartbeats_slower(memory["heartbeats_ms"], now_ms, primary, HEARTBEAT_LEAST_MS, context.now_ns())

    async def _slower_twice(self, context: FaultContext, before: Answer, now: Answer, primary: str) -> Effect | None:
        # One slow answer may be the machine's own doing, unless it is very slow; a toxic delays every one.
        assert self.least_ms is not None
        effect = slower(before, now, primary, self.least_ms, context.now_ns())
        if effect is None or self.least_ms >= BEYOND_DOUBT_MS:
            return effect
        again = await self.probing(context.backend, primary)
        return slower(before, again, primary, self.least_ms, context.now_ns())

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Take the toxics off."""
        await context.links.heal(injection.memory["links"])
        return None


async def heartbeats_ms(backend: Backend, victim: str) -> tuple[float, ...]:
    """Return the mean heartbeat round trip to ``victim`` of each other member, as they measured it."""
    names = backend.connection(0).members
    found: list[float] = []
    for member in backend.members:
        if member == victim:
            continue
        reply = await backend.admin(member, {"replSetGetStatus": 1})
        found += [
            float(other["pingMs"])
            for other in reply.get("members", ())
            if names.get(str(other.get("name"))) == victim and "pingMs" in other
        ]
    return tuple(found)


def _both(kind: Any, attributes: Mapping[str, int]) -> tuple[Toxic, ...]:
    directions: tuple[Direction, ...] = ("upstream", "downstream")
    return tuple(Toxic(kind=kind, direction=direction, attributes=attributes) for direction in directions)


LATENCY = Disturbance(
    name="latency",
    toxics=(Toxic(kind="latency", attributes={"latency": LATENCY_MS, "jitter": JITTER_MS}),),
    probing=say_hello,
    least_ms=(LATENCY_MS - JITTER_MS) * 0.8,
)
BANDWIDTH = Disturbance(
    name="bandwidth",
    toxics=_both("bandwidth", {"rate": RATE_KB_PER_S}),
    probing=ask_build_info,
    least_ms=150,
)
RESET = Disturbance(name="reset", toxics=_both("reset_peer", {"timeout": 0}), probing=say_hello, least_ms=None)
SLOW_CLOSE = Disturbance(
    name="slow-close",
    toxics=_both("slow_close", {"delay": CLOSE_DELAY_MS}),
    probing=_timed_close,
    least_ms=CLOSE_DELAY_MS * 0.8,
)
BLACK_HOLE = Disturbance(name="black-hole", toxics=_both("timeout", {"timeout": 0}), probing=say_hello, least_ms=None)
SLICE = Disturbance(
    name="slice",
    toxics=_both("slicer", {"average_size": SLICE_BYTES, "size_variation": SLICE_BYTES // 2, "delay": SLICE_DELAY_US}),
    probing=say_hello,
    least_ms=80,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropOneWay:
    """Between the primary and the other members the bytes of one direction vanish; connections stay open."""

    name: str = "drop-one-way"
    hold_s: float = 4.0
    needs: frozenset[Capability] = frozenset({"links"})

    async def aim(self, context: FaultContext) -> Injection:
        """Draw the direction: what the primary sends, or what it is sent."""
        states, primary = await wait_for_primary(context, self.name)
        others = [member for member in context.backend.members if member != primary]
        outbound = context.random.choice((True, False))
        own, theirs = (tuple(Link(primary, o) for o in others), tuple(Link(o, primary) for o in others))
        own_direction: Direction = "upstream" if outbound else "downstream"
        their_direction: Direction = "downstream" if outbound else "upstream"
        dropped = ((own, own_direction), (theirs, their_direction))
        memory = {
            "primary": primary,
            "dropped": dropped,
            "links": (*own, *theirs),
            "counters": [await counters_of(context, links) for links, _ in dropped],
        }
        what = "what it sends" if outbound else "what it is sent"
        return Injection(targets=(f"{primary}: {what}",), before=tuple(states), memory=memory)

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Drop the bytes of that direction."""
        for links, direction in injection.memory["dropped"]:
            await context.links.add_toxic(links, Toxic(kind="timeout", direction=direction, attributes={"timeout": 0}))

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Judge by the members' word, and by the bytes that the links swallowed where they count them."""
        memory, after = injection.memory, await context.backend.observe()
        effect = members_cut(injection.before, after, memory["links"], context.now_ns())
        if effect is None or not context.links.counts:
            return effect
        for (links, direction), before in zip(memory["dropped"], memory["counters"], strict=True):
            now = await counters_of(context, links)
            if swallowed := bytes_swallowed(before, now, direction, memory["primary"], context.now_ns()):
                return swallowed
        return None

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Close the connections that lost bytes, as taking off this toxic does, and let new ones through."""
        await context.links.heal(injection.memory["links"])
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostReply:
    """What the clients send to the primary arrives and is done; its answers are swallowed, then the links close."""

    name: str = "lost-reply"
    shaking_hands: ShakingHands = shake_hands
    hold_s: float = 1.0
    needs: frozenset[Capability] = frozenset({"links"})

    async def aim(self, context: FaultContext) -> Injection:
        """Choose the primary."""
        states, primary = await wait_for_primary(context, self.name)
        links = client_links(primary, context.groups)
        before = await self.shaking_hands(context.backend, primary, f"probe-{context.now_ns()}")
        memory = {
            "primary": primary,
            "links": links,
            "counters": await counters_of(context, links),
            "answer": before.answer,
        }
        return Injection(targets=(primary,), before=tuple(states), memory=memory)

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Swallow the answers."""
        toxic = Toxic(kind="timeout", direction="downstream", attributes={"timeout": 0})
        await context.links.add_toxic(injection.memory["links"], toxic)

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """See answers swallowed: by the links' counters, else by a probe that the server answered in vain."""
        memory, primary = injection.memory, injection.memory["primary"]
        if context.links.counts:
            now = await counters_of(context, memory["links"])
            return bytes_swallowed(memory["counters"], now, "downstream", primary, context.now_ns())
        shake = await self.shaking_hands(context.backend, primary, f"probe-{context.now_ns()}")
        return answer_lost(memory["answer"], shake.answer, primary, context.now_ns(), arrived=shake.arrived)

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Close the connections whose answers are gone, as taking off this toxic does, and let new ones through."""
        await context.links.heal(injection.memory["links"])
        return None
