"""The wire front as a whole: the ports of all members, and the pump that moves the simulated set under them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from harness.sim.kernel import Kernel
from harness.wire.member_port import LOOPBACK, MemberPort
from harness.wire.pump import Clock, Pump
from harness.wire.served import ServedSet


class Front:
    """A set that is being served; ``ports`` are by member, in the order of the configuration."""

    def __init__(self, served: ServedSet, kernel: Kernel, clock: Clock, ports: Sequence[int]) -> None:
        self.served = served
        self.pump = Pump(kernel, clock, self._refresh)
        self.ports: dict[str, MemberPort] = {}
        hosts: dict[str, str] = {}
        numbers = itertools.count(1)
        try:
            for member, number in zip(served.members, ports, strict=True):
                port = MemberPort(served, member, pump=self.pump, hosts=hosts, numbers=numbers, port=number)
                self.ports[member] = port
                hosts[member] = f"{LOOPBACK}:{port.port}"
        except BaseException:
            self.close()
            raise
        self.hosts = hosts

    @property
    def connection_string(self) -> str:
        """What a driver connects with."""
        return f"mongodb://{','.join(self.hosts.values())}/?replicaSet={self.served.name}"

    async def run(self, nursery: trio.Nursery) -> None:
        """Take connections and move the set until cancelled."""
        for port in self.ports.values():
            port.open(nursery)
        await self.pump.run()

    def close(self) -> None:
        """Stop listening."""
        for port in self.ports.values():
            port.close()

    def _refresh(self) -> None:
        for port in self.ports.values():
            port.refresh()


def ports_from(first: int, members: int) -> tuple[int, ...]:
    """Return the ports of so many members: ``first`` and those that follow it, or 0 for each if the system chooses."""
    return (0,) * members if first == 0 else tuple(range(first, first + members))


@asynccontextmanager
async def serving(served: ServedSet, kernel: Kernel, clock: Clock, ports: Sequence[int]) -> AsyncIterator[Front]:
    """Serve a set while the context lasts. Raises BackendError for a port that is taken."""
    front = Front(served, kernel, clock, ports)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(front.run, nursery)
            yield front
            nursery.cancel_scope.cancel()
    finally:
        front.close()
        kernel.close()
