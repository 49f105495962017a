"""A model of a replica set for tests of faults: no process, no socket, no time of its own.

It answers what an observer would see of a healthy set under load, and lets each power that a fault uses have the
consequence that it has on a real one: a primary without a majority is replaced, a cut link is not heard over, a
killed process has another number when it is back. ``calls`` records every power that was used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import BackendError
from harness.faults.effects import Answer
from harness.faults.probe import Handshake
from harness.interfaces.backend import Capability, Connection, MemberState
from harness.interfaces.link import Link, LinkCounters, Toxic

ALL: frozenset[Capability] = frozenset(
    {"links", "kill", "pause", "stepdown", "failpoint", "client-groups", "crash-client"}
)
HEALTHY_MS = 2.0
TRAFFIC_BYTES = 1000


@dataclass
class FakeLinks:
    """Links that remember what was done to them; each look at a counter is preceded by some traffic."""

    counts: bool = True
    name: str = "fake"
    down: set[Link] = field(default_factory=set)
    toxics: dict[Link, list[Toxic]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fail: set[str] = field(default_factory=set)
    """Names of methods that raise."""
    _totals: dict[Link, Counter[str]] = field(default_factory=dict)

    def _used(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fail:
            raise BackendError(f"{call} was told to fail")

    async def cut(self, links: Iterable[Link]) -> None:
        self._used("cut")
        self.down |= set(links)

    async def heal(self, links: Iterable[Link]) -> None:
        self._used("heal")
        for link in links:
            self.down.discard(link)
            self.toxics.pop(link, None)

    async def heal_all(self) -> None:
        self._used("heal_all")
        self.down.clear()
        self.toxics.clear()

    async def add_toxic(self, links: Iterable[Link], toxic: Toxic) -> None:
        self._used("add_toxic")
        for link in links:
            self.toxics.setdefault(link, []).append(toxic)

    def drops(self, link: Link, direction: str) -> bool:
        return any(toxic.kind == "timeout" and toxic.direction == direction for toxic in self.toxics.get(link, ()))

    def passes(self, link: Link) -> bool:
        """Whether a request over the link is answered."""
        kinds = {toxic.kind for toxic in self.toxics.get(link, ())}
        return link not in self.down and not kinds & {"timeout", "reset_peer"}

    async def counters(self, link: Link) -> LinkCounters:
        total = self._totals.setdefault(link, Counter())
        total["refused"] += link in self.down
        total["up"] += TRAFFIC_BYTES * self.drops(link, "upstream")
        total["down"] += TRAFFIC_BYTES * self.drops(link, "downstream")
        return LinkCounters(
            refused=total["refused"], swallowed_upstream=total["up"], swallowed_downstream=total["down"]
        )


@dataclass
class FakeBackend:
    """A set of ``size`` members of which the first is primary in term 1, with every power there is."""

    size: int = 3
    name: str = "fake"
    capabilities: frozenset[Capability] = ALL
    notes: tuple[str, ...] = ()
    writing: bool = True
    """Whether clients write, so that every observation finds the primary ahead of the last one."""
    links: FakeLinks = field(default_factory=FakeLinks)
    term: int = 1
    primary: str | None = "m1"
    dead: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    on: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """(member, failpoint) to its data."""
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: list[str] = field(default_factory=list)
    fail: set[str] = field(default_factory=set)
    """``kill m2``: calls that raise."""
    observations: int = 0

    def __post_init__(self) -> None:
        self.members = tuple(f"m{number}" for number in range(1, self.size + 1))
        self.process_ids = {member: 100 * number for number, member in enumerate(self.members, start=1)}
        self.applied = dict.fromkeys(self.members, 1)

    @property
    def harmed(self) -> list[str]:
        """What is still wrong with it, in words."""
        harm = [f"{member} dead" for member in sorted(self.dead)]
        harm += [f"{member} paused" for member in sorted(self.paused)]
        harm += [f"{name} on at {member}" for member, name in sorted(self.on)]
        harm += [f"{link} cut" for link in sorted(self.links.down)]
        return harm + [f"{link} toxic" for link in sorted(self.links.toxics)]

    def _used(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fail:
            raise BackendError(f"{call} was told to fail")

    async def kill(self, member: str) -> None:
        self._used(f"kill {member}")
        self.dead.add(member)

    async def restart(self, member: str) -> None:
        self._used(f"restart {member}")
        if member in self.dead:
            self.dead.discard(member)
            self.process_ids[member] += 1

    async def pause(self, member: str) -> None:
        self._used(f"pause {member}")
        self.paused.add(member)

    async def resume(self, member: str) -> None:
        self._used(f"resume {member}")
        self.paused.discard(member)

    async def admin(self, member: str, command: Mapping[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        self._used(f"{name} {member}")
        if not self._alive(member):
            raise BackendError(f"{member} does not answer")
        if name == "configureFailPoint":
            return self._configure(member, command)
        if name == "replSetStepDown":
            self._elect([other for other in self.members if other != member])
        if name == "replSetGetStatus":
            return {
                "members": [{"name": f"{other}:1", "pingMs": self._ping_ms(member, other)} for other in self.members]
            }
        return {"ok": 1}

    def _configure(self, member: str, command: Mapping[str, Any]) -> dict[str, Any]:
        key = (member, command["configureFailPoint"])
        if command["mode"] == "off":
            self.hits[key] += 3 * (key in self.on)
            self.on.pop(key, None)
        else:
            self.on[key] = command["data"]
        return {"ok": 1, "count": self.hits[key]}

    def _ping_ms(self, source: str, destination: str) -> float:
        return HEALTHY_MS + self._slowness_ms(Link(source, destination)) if source != destination else 0

    def _alive(self, member: str) -> bool:
        return member not in self.dead | self.paused

    def _hears(self, listener: str, speaker: str) -> bool:
        return listener == speaker or (self._alive(speaker) and self.links.passes(Link(listener, speaker)))

    def _reaches_majority(self, member: str) -> bool:
        heard = [other for other in self.members if self._hears(member, other) and self._hears(other, member)]
        return self._alive(member) and len(heard) > len(self.members) // 2

    def _elect(self, candidates: Iterable[str]) -> None:
        self.primary = next((member for member in candidates if self._reaches_majority(member)), None)
        if self.primary is not None:
            self.term += 1

    async def observe(self) -> tuple[MemberState, ...]:
        self.observations += 1
        if self.primary is None or not self._reaches_majority(self.primary):
            self._elect(self.members)
        if self.primary is not None:
            self.applied[self.primary] += self.writing
            for member in self.members:
                if self._hears(member, self.primary) and (member, "stopReplProducer") not in self.on:
                    self.applied[member] = self.applied[self.primary]
        return tuple(self._state(member) for member in self.members)

    def _state(self, member: str) -> MemberState:
        process_id = None if member in self.dead else self.process_ids[member]
        if not self._alive(member):
            return MemberState(member=member, reachable=False, process_id=process_id)
        return MemberState(
            member=member,
            reachable=True,
            role="PRIMARY" if member == self.primary else "SECONDARY",
            term=self.term,
            applied=(self.term, 0, self.applied[member]),
            heard_from=tuple(other for other in self.members if self._hears(member, other)),
            process_id=process_id,
        )

    def connection(self, group: int) -> Connection:
        addresses = {f"{member}:1": member for member in self.members}
        return Connection(group=f"clients-{group}", seeds=tuple(addresses), replica_set="fake", members=addresses)

    def _slowness_ms(self, link: Link) -> float:
        costs = {"latency": 250.0, "bandwidth": 400.0, "slicer": 200.0, "slow_close": 1500.0}
        return max((costs.get(toxic.kind, 0.0) for toxic in self.links.toxics.get(link, ())), default=0.0)

    async def probe(self, member: str) -> Answer:
        """Stand in for a probe over the first client group's link."""
        link = Link("clients", member)
        control_ms = HEALTHY_MS if self._alive(member) else None
        if not self._alive(member) or not self.links.passes(link):
            return Answer(answered=False, elapsed_ms=500.0, control_ms=control_ms, problem="no answer")
        return Answer(answered=True, elapsed_ms=HEALTHY_MS + self._slowness_ms(link), control_ms=control_ms)

    async def shake_hands(self, member: str) -> Handshake:
        """Stand in for a probe that named itself."""
        arrived = self._alive(member) and not self.links.drops(Link("clients", member), "upstream")
        return Handshake(answer=await self.probe(member), arrived=arrived)
