"""A network without servers behind it: replies are scripted, what was sent is kept. For tests of the driver model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from bson import ObjectId

from harness.settings import Settings, parse_settings
from harness.sim.driver import Client, ObjectIds, Recorder, SimEnv, open_client
from harness.sim.kernel import Event, Kernel
from harness.sim.server.errors import NetworkFailure, NetworkFailureKind

LATENCY_US = 500
OK: dict[str, Any] = {"ok": 1.0}

Answer = dict[str, Any] | Exception | Callable[[str, dict[str, Any]], dict[str, Any]]


def failure(kind: NetworkFailureKind) -> NetworkFailure:
    """Return a broken connection: ``refused``, ``reset`` or ``timeout``."""
    return NetworkFailure(kind, member="m1", sent=kind != "refused")


def refusal(code: int, name: str = "Refused", *labels: str) -> dict[str, Any]:
    """Return a reply with a top-level error."""
    reply: dict[str, Any] = {"ok": 0.0, "errmsg": f"error {code}", "code": code, "codeName": name}
    return {**reply, "errorLabels": list(labels)} if labels else reply


def election_id(term: int) -> ObjectId:
    """Return the election id that a primary of that term tells."""
    return ObjectId((0x7FFFFFFF).to_bytes(4, "big") + term.to_bytes(8, "big"))


class ScriptedNetwork:
    """Three members, of which ``primary`` is primary; each command takes the next of ``answers``, then ``default``."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.members = ("m1", "m2", "m3")
        self.topology_changed = Event()
        self.topology_version = 0
        self.topology_changed_us = 0
        self.terms: dict[str, int] = {"m1": 1}
        self.unreachable: set[str] = set()
        self.answers: deque[Answer] = deque()
        self.default: Answer = lambda _member, command: answer_plainly(command)
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.connections: list[int] = []

    def change(self, primaries: dict[str, int], unreachable: set[str] | None = None) -> None:
        """Let these members be primaries of these terms, and the unreachable ones be so."""
        self.terms = primaries
        self.unreachable = unreachable or set()
        self.topology_version += 1
        self.topology_changed_us = self.kernel.now_us
        self.kernel.signal(self.topology_changed)

    def hello(self, group: str, member: str) -> dict[str, Any] | None:
        """Return the member's hello."""
        if member in self.unreachable:
            return None
        if member in self.terms:
            return {"isWritablePrimary": True, "secondary": False, "electionId": election_id(self.terms[member])}
        return {"isWritablePrimary": False, "secondary": True}

    async def request(
        self,
        group: str,
        member: str,
        command: dict[str, Any],
        *,
        connection: int,
        deadline_us: int | None,
        footprint: Any = None,
    ) -> dict[str, Any]:
        """Answer from the script."""
        await self.kernel.pause()
        self.sent.append((member, command))
        self.connections.append(connection)
        self.kernel.spend(LATENCY_US)
        answer = self.answers.popleft() if self.answers else self.default
        if isinstance(answer, NetworkFailure) and answer.kind == "timeout" and deadline_us is not None:
            await self.kernel.sleep_until(deadline_us)
        if isinstance(answer, Exception):
            raise answer
        return answer(member, command) if callable(answer) else answer

    @property
    def names(self) -> list[str]:
        """The names of the commands that were sent."""
        return [next(iter(command)) for _, command in self.sent]

    @property
    def targets(self) -> list[str]:
        """The members that they were sent to."""
        return [member for member, _ in self.sent]

    @property
    def commands(self) -> list[dict[str, Any]]:
        """The commands that were sent."""
        return [command for _, command in self.sent]


def answer_plainly(command: dict[str, Any]) -> dict[str, Any]:
    """Return the reply of a server on which every command succeeds and every query finds one document."""
    name = next(iter(command))
    namespace = f"{command['$db']}.{command[name]}"
    found = {"cursor": {"id": 0, "ns": namespace, "firstBatch": [{"_id": 1, "n": 1}]}, "ok": 1.0}
    replies: dict[str, dict[str, Any]] = {
        "insert": {"n": len(command.get("documents", ())), "ok": 1.0},
        "update": {"n": len(command.get("updates", ())), "nModified": len(command.get("updates", ())), "ok": 1.0},
        "delete": {"n": len(command.get("deletes", ())), "ok": 1.0},
        "findAndModify": {"lastErrorObject": {"n": 1, "updatedExisting": True}, "value": {"_id": 1}, "ok": 1.0},
        "find": found,
        "aggregate": found,
        "listCollections": found,
        "listIndexes": found,
        "distinct": {"values": [1, 2], "ok": 1.0},
        "count": {"n": 1, "ok": 1.0},
    }
    return replies.get(name, OK)


class Rig:
    """A kernel, a scripted network and one client of it, recorded. ``settings`` are written as on the command line."""

    def __init__(self, settings: str | Settings = "", *, strategy: Any = None, seed: int = 1) -> None:
        self.kernel = Kernel(strategy, start_us=1_700_000_000_000_000)
        self.origin_us = self.kernel.now_us
        self.network = ScriptedNetwork(self.kernel)
        self.recorder = Recorder(self.kernel, origin_us=self.origin_us)
        self.random = Random(seed)
        self.object_ids = ObjectIds(self.kernel, self.random)
        self.client: Client = open_client(
            self.network,
            self.kernel,
            parse_settings(settings) if isinstance(settings, str) else settings,
            group="clients",
            random=self.random,
            recorder=self.recorder,
            object_ids=self.object_ids,
        )
        self.env = SimEnv(self.kernel, self.recorder, self.random, self.object_ids)
        self.orders = self.client["shop"]["orders"]

    def run(self, body: Any, *, name: str = "client 1") -> Any:
        """Run a coroutine as a client's task to its end and return its result; raises what it raises."""
        task = self.kernel.spawn(name, body)
        self.kernel.run()
        return task.result

    def error(self, body: Any) -> BaseException:
        """Run a coroutine that must raise, and return what it raised."""

        async def caught() -> BaseException | None:
            try:
                await body
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
                return error
            return None

        raised = self.run(caught())
        assert raised is not None, "nothing was raised"
        return raised  # type: ignore[no-any-return]

    @property
    def elapsed_us(self) -> int:
        """Virtual time that has passed."""
        return self.kernel.now_us - self.origin_us
