"""A script on the simulator: a set of its own, a client through the driver model, powers through the set's."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from probe_registry import plain
from random_strategy import RandomStrategy
from semantic_registry import NO_ANSWER, RULES, primaries_of

from harness.interfaces.link import Link
from harness.settings import parse_settings
from harness.sim.documents.values import normalise
from harness.sim.driver import ObjectIds, Recorder, SimEnv, open_client
from harness.sim.kernel import Kernel
from harness.sim.kernel.choices import TIME, Label
from harness.sim.server.commands.dispatch import Dispatcher
from harness.sim.server.configuration import OBSERVER, Configuration
from harness.sim.server.errors import NetworkFailure
from harness.sim.server.network import Network
from harness.sim.server.read_concern import SNAPSHOT_HISTORY_S
from harness.sim.server.replica_set import ReplicaSet

START_US = 1_790_000_000_000_000
RESTLESS = (0.1, 0.35, 0.7)
"""How often a choice is not the default, in runs that are to show what else may come of a script; by seed."""


class Restless(RandomStrategy):
    """Deviates at random; lets time pass while somebody can go on only where a script is ``hasty``."""

    def __init__(self, seed: int, *, hasty: bool) -> None:
        super().__init__(seed, RESTLESS[seed % len(RESTLESS)])
        self._hasty = hasty

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        """Return an option."""
        chosen = super().choose(kind, options, default, footprints)
        return default if options[chosen] == TIME and not self._hasty else chosen


class SimulatedPowers:
    """Powers over a simulated set."""

    def __init__(self, kernel: Kernel, replica_set: ReplicaSet, network: Network) -> None:
        self._kernel = kernel
        self._set = replica_set
        self._network = network
        self._numbers = itertools.count(1_000)
        stream = random.Random(2)
        self.env: Any = SimEnv(kernel, Recorder(kernel), stream, ObjectIds(kernel, stream))

    def client(self, settings: str) -> Any:
        stream = random.Random(next(self._numbers))
        return open_client(self._network, self._kernel, parse_settings(settings), group="clients", random=stream)

    async def roles(self) -> dict[str, str]:
        return {state.member: state.role for state in self._set.observe() if state.reachable}

    async def terms(self) -> dict[str, int]:
        return {state.member: state.term or 0 for state in self._set.observe() if state.reachable}

    async def primaries(self) -> list[tuple[str, int]]:
        return primaries_of(self._set.observe())

    async def sync_sources(self) -> dict[str, str]:
        return {state.member: state.sync_source for state in self._set.observe() if state.reachable}

    async def rollback_id(self, member: str) -> int | None:
        return next(state.rollback_id for state in self._set.observe() if state.member == member)

    async def command(self, member: str, database: str, command: Mapping[str, Any]) -> dict[str, Any]:
        try:
            reply = await self._network.request(
                OBSERVER,
                member,
                normalise({**command, "$db": database}),
                connection=next(self._numbers),
                deadline_us=None,
            )
        except NetworkFailure:
            return {"ok": 0, "code": NO_ANSWER}
        return dict(reply)

    async def kill(self, member: str) -> None:
        self._set.kill(member)

    async def restart(self, member: str) -> None:
        self._set.restart(member)

    async def pause(self, member: str) -> None:
        self._set.pause(member)

    async def resume(self, member: str) -> None:
        self._set.resume(member)

    async def lag(self, member: str, *, on: bool) -> None:
        self._set.lag(member, on)

    async def cut(self, member: str, *others: str) -> None:
        self._set.cut([link for other in others for link in (Link(member, other), Link(other, member))])

    async def heal(self) -> None:
        self._set.heal_all()

    async def settle(self) -> None:
        await self._set.settle()

    async def set_clock(self, member: str, ahead_s: float) -> None:
        self._set.set_skew(member, round(ahead_s * 1_000_000))

    async def set_priority(self, member: str, priority: int) -> None:
        self._set.set_priority(member, priority)

    async def yield_often(self) -> None:
        """Do nothing: here every document of a scan is a place where others may run."""

    async def shorten_transactions(self) -> float:
        return self._set.configuration.transaction_lifetime_us / 1e6 + 1

    async def shorten_with_transaction(self) -> None:
        """Do nothing: its two minutes are virtual ones."""

    async def shorten_history(self) -> float:
        return SNAPSHOT_HISTORY_S + 1


def outcomes_of(name: str, seeds: int) -> Iterator[Any]:
    """Yield the outcomes of a script without a deviation, and of so many runs that deviate."""
    for limit in RULES[name].oplog_limits:
        for seed in (None, *range(seeds)):
            yield simulate(name, seed, oplog_limit=limit)


def simulate(name: str, seed: int | None = None, *, oplog_limit: int | None = None) -> Any:
    """Run a script on a set of its own and return its outcome; ``seed`` lets choices deviate, else none does."""
    kernel = Kernel(None if seed is None else Restless(seed, hasty=RULES[name].hasty), start_us=START_US)
    replica_set = ReplicaSet(kernel, Configuration(oplog_limit=oplog_limit))
    network = Network(replica_set, Dispatcher(replica_set))
    client = open_client(network, kernel, parse_settings(""), group="clients", random=random.Random(1))
    powers = SimulatedPowers(kernel, replica_set, network)
    task = kernel.spawn("script", RULES[name].script(client["s"], client, powers))
    try:
        kernel.run()
    finally:
        kernel.close()
    return plain(task.result)
