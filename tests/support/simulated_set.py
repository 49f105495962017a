"""A simulated set for tests of its commands: each command runs to its end before the next."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from harness.sim.documents.values import normalise
from harness.sim.kernel import Kernel, Strategy
from harness.sim.kernel.choices import RUN
from harness.sim.server.commands.dispatch import Dispatcher
from harness.sim.server.configuration import Configuration
from harness.sim.server.replica_set import ReplicaSet

START_US = 1_795_000_000_000_000
"""Where virtual time begins in these tests: a day in 2026, in microseconds since 1970."""


class SimulatedSet:
    """A set under a kernel of its own. Calling it runs one command on its primary, or on ``member``."""

    def __init__(self, *, strategy: Strategy | None = None, **configuration: Any) -> None:
        self.kernel = Kernel(strategy, start_us=START_US)
        self.replica_set = ReplicaSet(self.kernel, Configuration(**configuration))
        self.dispatch = Dispatcher(self.replica_set)

    def __call__(self, command: dict[str, Any], *, member: str = "") -> dict[str, Any]:
        """Run a command to its end and return the reply."""
        return self.run(self.command(command, member=member))

    async def command(self, command: dict[str, Any], *, member: str = "") -> dict[str, Any]:
        """Run a command and return the reply; for tasks that run beside others."""
        server = self.replica_set.members[member] if member else self.replica_set.primary
        assert server is not None, "no member is primary"
        return await self.dispatch(server, normalise({**command, "$db": command.get("$db", "test")}), 1)

    def run(self, body: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end and return what it returns."""
        task = self.kernel.spawn("test", body)
        self.kernel.run()
        return task.result

    def run_together(self, *bodies: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run coroutines side by side, each a client of its own; return what each returns."""
        tasks = [self.kernel.spawn(f"client {number}", body) for number, body in enumerate(bodies)]
        self.kernel.run()
        return [task.result for task in tasks]

    def documents(self, namespace: str, *, member: str = "") -> list[dict[str, Any]]:
        """Return what a member certainly has of a collection."""
        server = self.replica_set.members[member] if member else self.replica_set.primary
        assert server is not None, "no member is primary"
        collection = server.last.data.collections.get(namespace)
        return list(collection.documents.values()) if collection is not None else []

    def advance(self, duration_us: int) -> None:
        """Let virtual time pass."""
        self.run(self.kernel.sleep(duration_us))


class Choosing:
    """A strategy that takes given labels where it is asked for their kind, and the default elsewhere."""

    def __init__(self, **labels: str | int | Callable[[], str | int]) -> None:
        self._labels = labels

    def begin(self, kernel: Kernel) -> None:
        """Need nothing of it."""

    def choose(self, kind: str, options: Any, default: int, footprints: Any) -> int:
        """Return the option that was asked for, where there is one."""
        wanted = self._labels.get(kind)
        label = wanted() if callable(wanted) else wanted
        return options.index(label) if label in options else default


class Interleaving:
    """Lets the tasks go on in the order of ``turns``, by name; when they are used up, by default."""

    def __init__(self, *turns: str) -> None:
        self._turns = list(turns)

    def begin(self, kernel: Any) -> None:
        """Need nothing of it."""

    def choose(self, kind: str, options: Any, default: int, footprints: Any) -> int:
        """Return the task whose turn it is."""
        if kind != RUN or not self._turns or self._turns[0] not in options:
            return default
        return int(options.index(self._turns.pop(0)))


def documents_of(reply: dict[str, Any]) -> list[Any]:
    """Return the documents of a reply with a cursor."""
    cursor = reply["cursor"]
    documents: list[Any] = cursor.get("firstBatch", cursor.get("nextBatch"))
    return documents
