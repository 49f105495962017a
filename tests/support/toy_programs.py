"""Toy programs under the real kernel: a few documents, clients that race on them, and a verdict on what came out.

Every operation on a document is a step of its own that lasts 1 ms. A toy judges its own history, offers keys of its
states, and is small enough that its optimum is known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.explore.program import REAL_TIME_ORDER, Execution, Workload, make_workload
from harness.explore.state_keys import RealTimeOrder, key_of
from harness.history import History
from harness.operation import Attempt, DatabaseCall, Failure, Operation
from harness.scenario.record import Call
from harness.sim.kernel import Kernel, StateKeys, Strategy

STEP_US = 1_000
LEASE_US = 50_000


@dataclass
class ToyRun:
    """One execution: the documents, and what every client got so far."""

    kernel: Kernel
    documents: dict[str, Any]
    results: dict[int, list[Any]] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    order: RealTimeOrder = field(default_factory=RealTimeOrder)
    deadlines: dict[str, int] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    client_of_task: dict[str, int] = field(default_factory=dict)
    notes: dict[int, list[DatabaseCall]] = field(default_factory=dict)
    """By client, the database calls of the operation that is under way."""

    async def read(self, client: int, document: str) -> Any:
        """Return the document."""
        return await self.apply(client, "find", document, lambda: self.documents[document])

    async def write(self, client: int, document: str, value: Any) -> None:
        """Replace the document, blindly."""

        def replace() -> None:
            self.documents[document] = value

        await self.apply(client, "update", document, replace)

    async def apply(self, client: int, command: str, document: str, action: Callable[[], Any]) -> Any:
        """Take one step on a document: others may run first, then ``action`` happens at once."""
        kernel = self.kernel
        if client in self.started:
            await kernel.pause(((document, command != "find"),))
        # The first step of a client begins where its task does: others could run before that already.
        self.started.add(client)
        if not self.notes[client]:
            self.order.begins(client)
        start_ns = kernel.now_us * 1_000
        kernel.spend(STEP_US)
        result = action()
        self.results.setdefault(client, []).append(result)
        self.note(client, command, document, start_ns)
        return result

    def note(self, client: int, command: str, document: str, start_ns: int, failure: Failure | None = None) -> None:
        """Record a database call of the operation that is under way."""
        request = {command: "toys", "$db": "toys", "filter": {"_id": document}}
        end_ns = self.kernel.now_us * 1_000
        reply = None if failure else {"ok": 1}
        attempt = Attempt(
            command=command,
            request=request,
            server="m1",
            start_ns=start_ns,
            end_ns=end_ns,
            reply=reply,
            failure=failure,
        )
        name = {"find": "toys.find_one", "update": "toys.update_one"}.get(command, f"toys.{command}")
        self.notes[client].append(DatabaseCall(name=name, start_ns=start_ns, end_ns=end_ns, attempts=(attempt,)))

    def key(self, current: str, *, real_time_order: bool, symmetric: bool) -> int:
        """Return the 128-bit key of the state."""
        now_us = self.kernel.now_us
        clients: list[tuple[Any, ...]] = [
            (
                self.results.get(client, []),
                task == current,
                self.order.of(client) if real_time_order else (),
                client in self.started,
                0 if symmetric else client,
            )
            for task, client in self.client_of_task.items()
        ]
        if symmetric:
            clients.sort(key=repr)
        deadlines = {name: at_us - now_us for name, at_us in sorted(self.deadlines.items())}
        return key_of(sorted(self.documents.items()), clients, deadlines, now_us)


class ToyProgram:
    """A program; subclasses say what the clients do and what must not happen."""

    documents: ClassVar[Mapping[str, Any]] = {}
    anomaly: ClassVar[str] = ""
    requirements: frozenset[str] = frozenset()
    symmetric = False
    offers_keys = True
    keeps_order = True
    """Whether the keys keep real-time order where it is required."""
    states: set[int] | None = None
    """Where a set is put here, it gets the key of the state before each step and of the last."""

    def calls(self) -> Sequence[Sequence[Call]]:
        """Return the calls of every client."""
        raise NotImplementedError

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Perform one call."""
        raise NotImplementedError

    def is_violated(self, run: ToyRun) -> bool:
        """Whether what came out must not be."""
        raise NotImplementedError

    def workload(self) -> Workload:
        """Return the calls of every client as a workload."""
        return make_workload(self.calls())

    def execute(self, workload: Workload, strategy: Strategy, *, keep_events: bool = False) -> Execution:
        """Execute and judge."""
        kernel = Kernel(strategy, keep_events=keep_events)
        run = ToyRun(kernel, dict(self.documents))
        if self.offers_keys:
            keep_order = REAL_TIME_ORDER in self.requirements and self.keeps_order
            kernel.state_keys = StateKeys(
                lambda current: run.key(current, real_time_order=keep_order, symmetric=self.symmetric),
                frozenset({REAL_TIME_ORDER}) if keep_order else frozenset(),
            )
        if self.states is not None:
            kernel.after_step = lambda: self._note_state(run)
        for client in workload.clients:
            run.client_of_task[f"client {client}"] = client
            kernel.spawn(f"client {client}", self._client(run, client, workload))
        try:
            kernel.run()
        finally:
            kernel.close()
        run.operations.sort(key=lambda operation: (operation.start_ns, operation.index))
        violated = self.is_violated(run)
        return Execution(
            deviations=tuple(kernel.deviations),
            digest=f"{kernel.digest:016x}",
            decisions=kernel.decisions,
            steps=kernel.steps,
            status="violated" if violated else "holds",
            anomalies=(self.anomaly,) if violated else (),
            history=History(operations=tuple(run.operations)),
            facts=tuple(sorted(run.documents.items())),
            events=tuple(kernel.events or ()),
        )

    def _note_state(self, run: ToyRun) -> None:
        assert self.states is not None
        self.states.add(run.key("", real_time_order=False, symmetric=self.symmetric))

    async def _client(self, run: ToyRun, client: int, workload: Workload) -> None:
        kernel = run.kernel
        task = kernel.current
        for item in workload.of(client):
            task.enter(item.id)
            run.notes[client] = []
            start_ns = kernel.now_us * 1_000
            result = await self.perform(run, client, item.call)
            run.order.ends(client)
            calls = tuple(run.notes[client])
            run.operations.append(
                Operation(
                    index=item.index,
                    process=client,
                    client=client,
                    function=item.call.function,
                    arguments=dict(item.call.arguments),
                    start_ns=calls[0].start_ns if calls else start_ns,
                    returned_ns=kernel.now_us * 1_000,
                    status="ok",
                    outcome="returned",
                    result=result,
                    calls=calls,
                )
            )


def total_of(run: ToyRun, function: str) -> int:
    """Return how many operations with that name did what they were asked for."""
    return sum(1 for operation in run.operations if operation.function == function and operation.result)


@dataclass
class Counter(ToyProgram):
    """Every client reads a counter and writes it back plus one: an update may be lost."""

    clients: int = 2
    increments: int = 4
    counters: tuple[tuple[str, ...], ...] = ()
    """For each client the counter of each increment; without it all are on one."""
    symmetric: bool = False
    offers_keys: bool = True
    requirements: frozenset[str] = frozenset()
    documents: ClassVar[Mapping[str, Any]] = {"a": 0, "b": 0, "c": 0}
    anomaly: ClassVar[str] = "lost-update"

    def calls(self) -> Sequence[Sequence[Call]]:
        """Return increments alone."""
        rows = self.counters or (("a",) * self.increments,) * self.clients
        return [[Call(function="increment", arguments={"counter": name}) for name in row] for row in rows]

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Read, then write."""
        counter = call.arguments["counter"]
        value = await run.read(client, counter)
        await run.write(client, counter, value + 1)
        return True

    def is_violated(self, run: ToyRun) -> bool:
        """Whether the counters add up to less than was counted."""
        return sum(run.documents.values()) != len(run.operations)


@dataclass
class FaultyCounter(Counter):
    """The same, where a write may fail in two ways and is then repeated, and a failover may lose the last write."""

    documents: ClassVar[Mapping[str, Any]] = {"a": 0, "before": 0, "strikes": 1, "failovers": 1}

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Read, then write; again where the write seems to have failed."""
        while True:
            self._fail_over(run)
            value = await run.read(client, "a")
            self._fail_over(run)
            if await run.apply(client, "update", "a", lambda value=value: self._write(run, value + 1)):
                return True

    @staticmethod
    def _fail_over(run: ToyRun) -> None:
        documents = run.documents
        if documents["failovers"] and run.kernel.choose("failover", ("none", "now")):
            documents["failovers"] -= 1
            documents["a"] = documents["before"]

    @staticmethod
    def _write(run: ToyRun, value: int) -> bool:
        documents = run.documents
        struck = run.kernel.choose("fault", ("none", "lost-reply", "not-applied")) if documents["strikes"] else 0
        documents["strikes"] -= struck > 0
        if struck != 2:
            documents["before"], documents["a"] = documents["a"], value
        return struck == 0

    def is_violated(self, run: ToyRun) -> bool:
        """Whether the counter is not what was counted."""
        return bool(run.documents["a"] != len(run.operations))


@dataclass
class Lease(ToyProgram):
    """A lease without fencing token: who was slow writes what another has overtaken. Optimum: 2 calls, 2 deviations."""

    clients: int = 5
    transactions: int = 6
    documents: ClassVar[Mapping[str, Any]] = {"lease": None, "resource": 0}
    anomaly: ClassVar[str] = "lost-update"

    def calls(self) -> Sequence[Sequence[Call]]:
        """Return transactions alone."""
        return [[Call(function="transact")] * self.transactions] * self.clients

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Acquire, read, write, release; or give up where the lease is held."""
        if not await run.apply(client, "findAndModify", "lease", lambda: self._acquire(run, client)):
            return False
        value = await run.read(client, "resource")
        await run.write(client, "resource", value + 1)
        await run.apply(client, "findAndModify", "lease", lambda: self._release(run, client))
        return True

    @staticmethod
    def _acquire(run: ToyRun, client: int) -> bool:
        now_us = run.kernel.now_us
        lease = run.documents["lease"]
        if lease is not None and lease[1] > now_us:
            return False
        run.documents["lease"] = (client, now_us + LEASE_US)
        run.deadlines["lease"] = now_us + LEASE_US
        run.kernel.call_at(now_us + LEASE_US, "lease", lambda: None)
        return True

    @staticmethod
    def _release(run: ToyRun, client: int) -> bool:
        lease = run.documents["lease"]
        if lease is None or lease[0] != client:
            return False
        run.documents["lease"] = None
        return True

    def is_violated(self, run: ToyRun) -> bool:
        """Whether a write was lost."""
        return bool(run.documents["resource"] != total_of(run, "transact"))


@dataclass
class Starvation(ToyProgram):
    """Reads and writes of one counter; it must not happen that others take 20 steps between two of one client."""

    clients: int = 3
    increments: int = 12
    patience: int = 20
    documents: ClassVar[Mapping[str, Any]] = {"a": 0}
    anomaly: ClassVar[str] = "starvation"

    def calls(self) -> Sequence[Sequence[Call]]:
        """Return increments alone."""
        return [[Call(function="increment")] * self.increments] * self.clients

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Read and note how much the counter grew until the write."""
        value = await run.read(client, "a")
        return await run.apply(client, "update", "a", lambda: self._add(run, value))

    @staticmethod
    def _add(run: ToyRun, seen: int) -> int:
        run.documents["a"] += 1
        return int(run.documents["a"]) - seen - 1

    def is_violated(self, run: ToyRun) -> bool:
        """Whether a client was overtaken too often."""
        return any(operation.result >= self.patience for operation in run.operations)


@dataclass
class WriteSkew(ToyProgram):
    """Two are on duty, and each may leave if the other stays: both leave. Every document is written by one alone."""

    clients: int = 2
    rounds: int = 1
    documents: ClassVar[Mapping[str, Any]] = {"0": True, "1": True}
    anomaly: ClassVar[str] = "nobody-on-duty"

    def calls(self) -> Sequence[Sequence[Call]]:
        """Return requests to leave; the clients share two posts."""
        return [
            [Call(function="leave", arguments={"post": str(client % 2)})] * self.rounds
            for client in range(self.clients)
        ]

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Look at both posts, leave if the other one is manned."""
        post = call.arguments["post"]
        own = await run.read(client, post)
        other = await run.read(client, "1" if post == "0" else "0")
        if own and other:
            await run.write(client, post, False)
            return True
        return False

    def is_violated(self, run: ToyRun) -> bool:
        """Whether nobody is left."""
        return not any(run.documents.values())


@dataclass
class Register(ToyProgram):
    """Writes that a primary acknowledges alone, and a fault that loses what was not replicated yet.

    Replication follows with the next write. Optimum: 1 call, 1 deviation.
    """

    clients: int = 3
    writes: int = 5
    strikes: int = 1
    documents: ClassVar[Mapping[str, Any]] = {"primary": (), "secondary": (), "left": 1}
    anomaly: ClassVar[str] = "lost-write"

    def calls(self) -> Sequence[Sequence[Call]]:
        """Return writes of unique values."""
        return [
            [Call(function="write", arguments={"value": f"{client}-{number}"}) for number in range(self.writes)]
            for client in range(self.clients)
        ]

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Append; the primary may be replaced right after its answer."""
        value = call.arguments["value"]
        await run.apply(client, "update", "primary", lambda: self._append(run, value))
        options = ("none", "failover", "lost-reply")
        if run.documents["left"] and (chosen := run.kernel.choose("fault", options)):
            run.documents["left"] -= 1
            if options[chosen] == "failover":
                run.documents["primary"] = run.documents["secondary"]
        return True

    @staticmethod
    def _append(run: ToyRun, value: str) -> None:
        run.documents["secondary"] = run.documents["primary"]
        run.documents["primary"] = (*run.documents["primary"], value)

    def is_violated(self, run: ToyRun) -> bool:
        """Whether an acknowledged write is gone."""
        return len(run.documents["primary"]) < len(run.operations)


@dataclass
class StaleRead(ToyProgram):
    """A reader may read an old copy after a write was acknowledged: wrong in real time only."""

    keeps_order: bool = True
    requirements: frozenset[str] = frozenset({REAL_TIME_ORDER})
    documents: ClassVar[Mapping[str, Any]] = {"new": 0, "old": 0}
    anomaly: ClassVar[str] = "stale-read"

    def calls(self) -> Sequence[Sequence[Call]]:
        """Return a writer and a reader."""
        return [[Call(function="write")], [Call(function="read")]]

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Write one copy, or read the other."""
        if call.function == "write":
            await run.write(client, "new", 1)
            return 1
        return await run.read(client, "old")

    def is_violated(self, run: ToyRun) -> bool:
        """Whether a read that began after the write had ended did not see it."""
        writes = [o for o in run.operations if o.function == "write"]
        reads = [o for o in run.operations if o.function == "read"]
        return any(w.returned_ns <= r.start_ns and r.result == 0 for w in writes for r in reads)


@dataclass
class Hashed(Counter):
    """A program that walks through a set of texts: another order under another hash seed."""

    seed: int = 0

    async def perform(self, run: ToyRun, client: int, call: Call) -> Any:
        """Read the counters in the order of a set."""
        for name in {f"counter-{number}" for number in range(8)}:
            run.kernel.note(sum(map(ord, name)))
            run.kernel.choose(f"look at {name}", ("no", "yes"))
        return await super().perform(run, client, call)


def lease(seed: int, clients: int = 3, transactions: int = 3) -> Lease:
    """Return the program of a seed."""
    return Lease(clients, transactions)


def hashed(seed: int) -> Hashed:
    """Return the program of a seed."""
    return Hashed(2, 1, seed=seed)


class HashSeed(Counter):
    """Its digest is the hash seed of its process."""

    def execute(self, workload: Workload, strategy: Strategy, *, keep_events: bool = False) -> Execution:
        """Execute nothing."""
        digest = os.environ.get("PYTHONHASHSEED", "random")
        return Execution(deviations=(), digest=digest, decisions=0, steps=0, status="holds")


def hash_seed(seed: int) -> HashSeed:
    """Return the program of a seed."""
    return HashSeed()
