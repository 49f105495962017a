"""Runs the scripts of :mod:`eager_replica_set` on the simulated set, through every choice that it leaves open."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from eager_replica_set import Outcome
from sim_values import START_US, values_of

from harness.interfaces.link import Link
from harness.sim.kernel.choices import Label
from harness.sim.kernel.loop import Kernel
from harness.sim.server.configuration import Configuration
from harness.sim.server.errors import CommandError
from harness.sim.server.records import Change, CollectionData, Data
from harness.sim.server.replica_set import ReplicaSet
from harness.sim.server.write_concern import WriteConcern

KINDS = frozenset({"applied", "commit", "known-commit", "durable", "winner", "catch-up"})
ELECTION_US = 1_200_000
ROLLBACK_US = 2_200_000
Script = list[tuple[Any, ...]]


class _Systematic:
    """Follows a list of choices, then takes the first option, and remembers what there was to choose."""

    def __init__(self, prefix: list[int]) -> None:
        self.taken = prefix
        self.sizes: list[int] = []

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def choose(self, kind: str, options: Sequence[Label], default: int, footprints: Sequence[Any] | None) -> int:
        """Return the next choice."""
        if kind not in KINDS:
            return default
        place = len(self.sizes)
        self.sizes.append(len(options))
        if place == len(self.taken):
            self.taken.append(0)
        return self.taken[place]


def outcomes(script: Script) -> tuple[set[Outcome], int]:
    """Return every outcome of a script, and in how many runs they were found."""
    found: set[Outcome] = set()
    prefix: list[int] | None = []
    runs = 0
    while prefix is not None:
        strategy = _Systematic(prefix)
        found.add(_run(script, strategy))
        runs += 1
        prefix = _next(strategy)
    return found, runs


def _next(strategy: _Systematic) -> list[int] | None:
    taken = strategy.taken[: len(strategy.sizes)]
    while taken:
        last = taken.pop()
        if last + 1 < strategy.sizes[len(taken)]:
            return [*taken, last + 1]
    return None


def _run(script: Script, strategy: _Systematic) -> Outcome:
    kernel = Kernel(strategy, start_us=START_US)
    replica_set = ReplicaSet(kernel, Configuration())
    seen: list[object] = []
    kernel.spawn("script", _play(replica_set, script, seen))
    try:
        kernel.run()
    finally:
        kernel.close()
    return tuple(seen)


async def _play(replica_set: ReplicaSet, script: Script, seen: list[object]) -> None:
    for name, *arguments in script:
        await replica_set.kernel.pause()
        result = await _STEPS[name](replica_set, *arguments)
        if result is not None:
            seen.append(result)


async def _write(replica_set: ReplicaSet, number: int, value: int) -> object:
    member = replica_set.in_order[number]
    data = member.last.data
    before = data.collections.get("test.values") or CollectionData(uuid=1)
    after = CollectionData(uuid=1, documents={**before.documents, value: {"_id": value}})
    change = Change(kind="insert", namespace="test.values", key={"_id": value})
    try:
        replica_set.append(member, Data(collections={"test.values": after}), (change,))
    except CommandError:
        return "not primary"
    return None


async def _acknowledge(replica_set: ReplicaSet, number: int) -> object:
    member = replica_set.in_order[number]
    error = await replica_set.await_write_concern(member, member.last, WriteConcern())
    assert error is None
    return None


async def _read(replica_set: ReplicaSet, number: int, level: str) -> object:
    entry = await replica_set.read_entry(replica_set.in_order[number], level=level)
    return tuple(sorted(values_of(entry)))


async def _isolate(replica_set: ReplicaSet, number: int) -> None:
    replica_set.cut(_links(replica_set, number))


async def _rejoin(replica_set: ReplicaSet, number: int) -> None:
    replica_set.heal(_links(replica_set, number))


def _links(replica_set: ReplicaSet, number: int) -> list[Link]:
    name = replica_set.in_order[number].name
    others = [member.name for member in replica_set.in_order if member.name != name]
    return [link for other in others for link in (Link(name, other), Link(other, name))]


async def _lag(replica_set: ReplicaSet, number: int, on: bool) -> None:
    replica_set.lag(replica_set.in_order[number].name, on=on)


async def _kill(replica_set: ReplicaSet, number: int) -> None:
    replica_set.kill(replica_set.in_order[number].name)


async def _restart(replica_set: ReplicaSet, number: int) -> None:
    replica_set.restart(replica_set.in_order[number].name)


async def _elect(replica_set: ReplicaSet) -> object:
    term = max(member.term for member in replica_set.in_order)
    await replica_set.kernel.sleep(ELECTION_US)
    primary = replica_set.primary
    assert primary is not None
    assert primary.term > term
    return primary.name


async def _roll_back(replica_set: ReplicaSet, number: int) -> None:
    await replica_set.kernel.sleep(ROLLBACK_US)


_STEPS: dict[str, Any] = {
    "write": _write,
    "acknowledge": _acknowledge,
    "read": _read,
    "isolate": _isolate,
    "rejoin": _rejoin,
    "lag": _lag,
    "kill": _kill,
    "restart": _restart,
    "elect": _elect,
    "roll_back": _roll_back,
}


def random_script(chance: random.Random) -> Script:
    """Return a script that both sides can play: at most one failover, no wait for a majority that is not there."""
    script: Script = []
    away: dict[int, str] = {}
    lagged: list[int] = []
    for _ in range(chance.randint(5, 9)):
        names = _possible(script, away, lagged)
        name = chance.choice(names)
        if name == "write":
            script.append(("write", 0, 1 + _count(script, "write")))
        elif name == "acknowledge":
            script.append(("acknowledge", 0))
        elif name == "read":
            script.append(_random_read(chance, [n for n in range(3) if away.get(n) != "kill"]))
        elif name in ("isolate", "kill"):
            number = chance.randrange(3)
            away[number] = name
            script.append((name, number))
            if number == 0:
                return script + _failover(chance, away, lagged)
        elif name == "lag":
            lagged.append(chance.choice((1, 2)))
            script.append(("lag", lagged[0], True))
        elif name == "go on":
            script.append(("lag", lagged.pop(), False))
        else:
            number = next(iter(away))
            script.append(("restart" if away.pop(number) == "kill" else "rejoin", number))
    return script


def _possible(script: Script, away: dict[int, str], lagged: list[int]) -> list[str]:
    names = ["write"] * 3 if _count(script, "write") < 2 else []
    if any(n not in away and n not in lagged for n in (1, 2)):
        names += ["acknowledge"] * 2
    if _count(script, "read") < 5:
        names += ["read"] * 4
    names += ["come back"] if away else ["isolate", "kill"]
    return [*names, "go on" if lagged else "lag"]


def _failover(chance: random.Random, away: dict[int, str], lagged: list[int]) -> Script:
    script: Script = []
    others = [1, 2]
    if away == {0: "isolate"} and chance.random() < 0.4:
        script.append(("write", 0, 9))
    if chance.random() < 0.5:
        script.append(_random_read(chance, others))
    script.append(("elect",))
    script += [_random_read(chance, others) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.6:
        script.append(("restart" if away[0] == "kill" else "rejoin", 0))
        if chance.random() < 0.5:
            script.append(_random_read(chance, [0]))
        if not lagged:
            script.append(("roll_back", 0))
            script.append(_random_read(chance, [0]))
    return script


def _random_read(chance: random.Random, members: list[int]) -> tuple[Any, ...]:
    return ("read", chance.choice(members), chance.choice(("local", "majority")))


def _count(script: Script, name: str) -> int:
    return sum(step[0] == name for step in script)
