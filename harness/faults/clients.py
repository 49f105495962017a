"""Clients: a client process dies between two database calls of one operation, and starts again."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import FaultError
from harness.facts import Effect
from harness.faults.effects import clients_died
from harness.interfaces.backend import Capability
from harness.interfaces.fault import FaultContext, Injection


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashClient:
    """One client dies; what it held in memory is gone, and it goes on under a new process number."""

    name: str = "crash-client"
    hold_s: float = 1.0
    needs: frozenset[Capability] = frozenset({"crash-client"})

    async def aim(self, context: FaultContext) -> Injection:
        """Draw a client. Raises FaultError where there is none."""
        if context.crash_client is None or context.clients < 1:
            raise FaultError(f"{self.name} found no client to strike")
        client = context.random.randrange(context.clients)
        memory = {"client": client, "crashes": context.client_crashes()}
        before = tuple(await context.backend.observe())
        return Injection(targets=(f"client {client}",), before=before, memory=memory)

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Let it die at its next database call."""
        if context.crash_client is None:
            raise FaultError(f"{self.name} found no client to strike")
        context.crash_client(injection.memory["client"])

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Judge by the journal's count of dead clients."""
        memory = injection.memory
        return clients_died(memory["crashes"], context.client_crashes(), memory["client"], context.now_ns())

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        """Look once more: a client restarts by itself."""
        return await self.observe(context, injection)
