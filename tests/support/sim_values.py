"""A dispatcher with two commands, for tests of the replication core: write a value, read all values."""

from __future__ import annotations

from typing import Any

from harness.sim.kernel.choices import Strategy
from harness.sim.kernel.loop import Kernel
from harness.sim.server.configuration import Configuration
from harness.sim.server.errors import CommandError, MemberGone, NetworkFailure
from harness.sim.server.member import Member
from harness.sim.server.network import Network
from harness.sim.server.records import Change, CollectionData, Data, OplogEntry
from harness.sim.server.replica_set import ReplicaSet
from harness.sim.server.write_concern import WriteConcern

NAMESPACE = "test.values"
START_US = 1_700_000_000_000_000


class Values:
    """A replica set that holds a set of values, reached through the network."""

    def __init__(self, strategy: Strategy | None = None, **configuration: Any) -> None:
        self.kernel = Kernel(strategy, start_us=START_US)
        self.set = ReplicaSet(self.kernel, Configuration(**configuration))
        self.network = Network(self.set, self._dispatch)

    async def _dispatch(self, member: Member, command: dict[str, Any], connection: int) -> dict[str, Any]:
        try:
            if "write" in command:
                return await self._write(member, command)
            return await self._read(member, command)
        except CommandError as error:
            return {"ok": 0.0, "code": error.code, "errmsg": error.message}

    async def _write(self, member: Member, command: dict[str, Any]) -> dict[str, Any]:
        value = command["write"]
        data = self.set.applied(member).data
        collection = data.collections.get(NAMESPACE) or CollectionData(uuid=1)
        document = {"_id": value}
        after = CollectionData(uuid=1, documents={**collection.documents, value: document})
        change = Change(kind="insert", namespace=NAMESPACE, key=document, document=document)
        entry = self.set.append(member, Data(collections={NAMESPACE: after}), (change,))
        concern = command.get("concern") or WriteConcern()
        error = await self.set.await_write_concern(member, entry, concern, deadline_us=command.get("until_us"))
        reply: dict[str, Any] = {"ok": 1.0, "time": entry.timestamp}
        return reply if error is None else {**reply, "writeConcernError": error}

    async def _read(self, member: Member, command: dict[str, Any]) -> dict[str, Any]:
        level = command["read"]
        entry = await self.set.read_entry(
            member,
            level=level,
            after_cluster_time=command.get("after"),
            at_cluster_time=command.get("at"),
            deadline_us=command.get("until_us"),
        )
        if level == "linearizable":
            await self.set.confirm_linearizable(member, command.get("until_us"))
        return {"ok": 1.0, "values": values_of(entry), "time": entry.timestamp}

    async def write(
        self, value: int, member: str = "m1", *, group: str = "clients", deadline_us: int | None = None, **command: Any
    ) -> dict[str, Any]:
        """Write a value; a failure of the network is a reply with its kind."""
        return await self._request(group, member, {"write": value, **command}, deadline_us)

    async def read(
        self,
        level: str = "local",
        member: str = "m1",
        *,
        group: str = "clients",
        deadline_us: int | None = None,
        **command: Any,
    ) -> dict[str, Any]:
        """Read all values."""
        return await self._request(group, member, {"read": level, **command}, deadline_us)

    async def _request(
        self, group: str, member: str, command: dict[str, Any], deadline_us: int | None
    ) -> dict[str, Any]:
        try:
            return await self.network.request(group, member, command, connection=1, deadline_us=deadline_us)
        except NetworkFailure as failure:
            return {"ok": 0.0, "network": failure.kind, "sent": failure.sent}

    async def step_down(self, member: str, **options: Any) -> int:
        """Ask a primary to step down; return the code of the answer, 0 for success."""
        try:
            await self.set.step_down(member, **options)
        except CommandError as error:
            return error.code
        except MemberGone:
            return -1
        return 0

    def run(self, body: Any) -> Any:
        """Run a coroutine as the one client, and return its result."""
        task = self.kernel.spawn("client 1", body)
        try:
            self.kernel.run()
        finally:
            self.kernel.close()
        return task.result


def values_of(entry: OplogEntry) -> frozenset[int]:
    """Return the values that are there after an entry."""
    collection = entry.data.collections.get(NAMESPACE)
    return frozenset(collection.documents) if collection is not None else frozenset()
