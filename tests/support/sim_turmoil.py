"""Random faults on a simulated set while clients write and read, and what its clients were promised.

The clients are simple-minded: each picks members at random, or the one that a monitor names primary, so that stale
primaries are met as often as new ones.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from random_strategy import RandomStrategy
from sim_values import Values, values_of

from harness.interfaces.link import Link
from harness.sim.server.topology import DisturbanceKind
from harness.sim.server.write_concern import WriteConcern

CONCERNS = (
    WriteConcern(w=1),
    WriteConcern(w=1, j=True),
    WriteConcern(w=2),
    WriteConcern(w=2, wtimeout_ms=500),
    WriteConcern(),
    WriteConcern(),
    WriteConcern(wtimeout_ms=300),
    WriteConcern(j=True),
    WriteConcern(w=2, j=True),
    WriteConcern(w=3, wtimeout_ms=200),
)
LEVELS = ("local", "majority", "linearizable")
_DISTURBANCES: tuple[DisturbanceKind, ...] = (
    "delay",
    "reset",
    "black-hole",
    "drop-request",
    "drop-reply",
    "lose-reply",
)


@dataclass
class Outcome:
    """What was seen in a run."""

    final: frozenset[int] = frozenset()
    acknowledged: dict[WriteConcern, set[int]] = field(default_factory=dict)
    majority_reads: list[tuple[int, int, frozenset[int]]] = field(default_factory=list)
    """Start, end, values."""
    linearizable_reads: list[tuple[int, int, frozenset[int]]] = field(default_factory=list)
    majority_writes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Value to start and end of its acknowledged write."""
    digest: int = 0
    rollbacks: int = 0
    elections: int = 0

    @property
    def lost_of_majority(self) -> set[int]:
        """Values acknowledged by a majority that are not there at the end."""
        return set(self.majority_writes) - self.final

    @property
    def lost_of_one(self) -> set[int]:
        """Values acknowledged at w:1 that are not there at the end."""
        return set().union(*(values for concern, values in self.acknowledged.items() if concern.w == 1)) - self.final

    @property
    def rolled_back_reads(self) -> set[int]:
        """Values seen by majority or linearizable reads that are not there at the end."""
        seen: set[int] = set()
        for _, _, values in (*self.majority_reads, *self.linearizable_reads):
            seen |= values
        return seen - self.final

    @property
    def stale_linearizable_reads(self) -> list[int]:
        """Values acknowledged by a majority before a linearizable read began that did not see them."""
        return [
            value
            for begin, _, values in self.linearizable_reads
            for value, (_, end) in self.majority_writes.items()
            if end < begin and value not in values
        ]


class Turmoil:
    """One run: ``clients`` clients with ``operations`` each while ``faults`` faults strike."""

    def __init__(
        self,
        seed: int,
        *,
        clients: int = 3,
        operations: int = 12,
        faults: int = 6,
        probability: float = 0.15,
        wild: bool = True,
        **configuration: Any,
    ) -> None:
        self.random = random.Random(seed * 7919 + 1)
        configuration.setdefault("groups", tuple(f"group-{number}" for number in range(clients)))
        self.values = Values(RandomStrategy(seed, probability), **configuration)
        self.set = self.values.set
        self.kernel = self.values.kernel
        self.outcome = Outcome()
        self.names = list(self.set.members)
        self.groups = self.set.configuration.groups
        self._clients = clients
        self._operations = operations
        self._faults = faults
        self._wild = wild
        self._next = 0

    def run(self) -> Outcome:
        """Run it to the end, heal, and read the final values."""
        kernel, outcome = self.kernel, self.outcome
        tasks = [kernel.spawn(f"client {number}", self._client(number)) for number in range(self._clients)]
        tasks.append(kernel.spawn("nemesis", self._nemesis()))
        kernel.spawn("judge", self._judge(tasks))
        try:
            kernel.run()
        finally:
            kernel.close()
        outcome.digest = kernel.digest
        outcome.rollbacks = sum(member.rollback_count for member in self.set.in_order)
        primary = self.set.primary
        outcome.elections = primary.term - 1 if primary is not None else 0
        return outcome

    async def _judge(self, tasks: list[Any]) -> None:
        for task in tasks:
            await self.kernel.join(task)
        await self.set.settle()
        primary = self.set.primary
        assert primary is not None
        self.outcome.final = values_of(self.set.applied(primary))
        for member in self.set.in_order:
            assert values_of(self.set.applied(member)) == self.outcome.final, f"{member.name} has not converged"
            assert values_of(self.set.committed(member)) == self.outcome.final, f"{member.name} has not committed"

    async def _client(self, number: int) -> None:
        group = self.groups[number % len(self.groups)]
        for _ in range(self._operations):
            await self.kernel.sleep(self.random.choice((0, 0, 1_000, 50_000, 400_000)))
            name = self._pick(group)
            if self.random.random() < 0.6:
                await self._write(group, name)
            else:
                await self._read(group, name)

    def _pick(self, group: str) -> str:
        told = [
            name
            for name in self.names
            if (hello := self.values.network.hello(group, name)) is not None and hello["isWritablePrimary"]
        ]
        return self.random.choice(told) if told and self.random.random() < 0.8 else self.random.choice(self.names)

    async def _write(self, group: str, name: str) -> None:
        self._next += 1
        value, concern, begin = self._next, self.random.choice(CONCERNS), self.kernel.now_us
        deadline_us = begin + self.random.choice((1_000_000, 5_000_000))
        reply = await self.values.write(value, name, group=group, concern=concern, deadline_us=deadline_us)
        if reply["ok"] and "writeConcernError" not in reply:
            self.outcome.acknowledged.setdefault(concern, set()).add(value)
            if concern.w == "majority":
                self.outcome.majority_writes[value] = (begin, self.kernel.now_us)

    async def _read(self, group: str, name: str) -> None:
        level, begin = self.random.choice(LEVELS), self.kernel.now_us
        reply = await self.values.read(level, name, group=group, deadline_us=begin + 2_000_000)
        if reply["ok"] and level != "local":
            reads = self.outcome.majority_reads if level == "majority" else self.outcome.linearizable_reads
            reads.append((begin, self.kernel.now_us, reply["values"]))

    async def _nemesis(self) -> None:
        for _ in range(self._faults):
            await self.kernel.sleep(self.random.choice((10_000, 100_000, 700_000, 1_500_000)))
            await self._strike(self.random.choice(self.names))
            await self.kernel.sleep(self.random.choice((0, 200_000, 900_000, 2_500_000)))
            if self.random.random() < 0.5:
                self._relieve(self.random.choice(self.names))

    async def _strike(self, name: str) -> None:
        kind = self.random.randrange(8 if self._wild else 4)
        if kind == 0:
            self.set.cut(self._around(name))
        elif kind == 1:
            self.set.kill(name)
        elif kind == 2 and self.set.members[name].up:
            self.set.pause(name)
        elif kind == 3:
            self.set.lag(name, on=True)
        elif kind == 4:
            self.set.cut(self._some_links())
        elif kind == 5:
            self.values.network.disturb(self._some_links(), self.random.choice(_DISTURBANCES), delay_us=300_000)
        elif kind == 6:
            self.set.set_skew(name, self.random.randrange(-60_000_000, 60_000_000))
        elif kind == 7:
            await self._step_down()

    async def _step_down(self) -> None:
        primary = self.set.primary
        if primary is not None and primary.is_primary:
            force = self.random.random() < 0.5
            await self.values.step_down(primary.name, barred_us=3_000_000, catch_up_us=500_000, force=force)

    def _around(self, name: str) -> list[Link]:
        others = [other for other in self.names if other != name]
        return [link for other in others for link in (Link(name, other), Link(other, name))]

    def _some_links(self) -> list[Link]:
        sources = (*self.names, *self.groups)
        links = [Link(source, name) for source in sources for name in self.names if source != name]
        return self.random.sample(links, self.random.randint(1, 4))

    def _relieve(self, name: str) -> None:
        kind = self.random.randrange(4)
        member = self.set.members[name]
        if kind == 0:
            self.set.heal_all()
        elif kind == 1:
            self.set.lag(name, on=False)
        if not member.up:
            self.set.restart(name)
        if member.paused:
            self.set.resume(name)
