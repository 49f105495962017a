"""Carrying out one strike in virtual time, and mutants: faults whose injector does nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import trio
from fake_backend import FakeBackend
from trio.testing import MockClock

from harness.clock import RunClock
from harness.errors import HarnessError
from harness.facts import FaultWindow
from harness.faults.nemesis import run_nemesis
from harness.faults.schedule import Strike
from harness.history import build_history
from harness.interfaces.fault import Fault, FaultContext, Injection

APPLICATION = "run-1"


@dataclass(frozen=True)
class Mutant:
    """The same fault with an injector that touches nothing."""

    fault: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fault, name)

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        """Do nothing."""


def with_fake_probes(fault: Fault, backend: FakeBackend) -> Fault:
    """Return the fault with probes that ask the model in place of a socket."""
    names = {field.name for field in fields(fault)}
    if "probing" in names:
        return replace(fault, probing=lambda _, member: backend.probe(member))
    if "shaking_hands" in names:
        return replace(fault, shaking_hands=lambda _, member, __: backend.shake_hands(member))
    return fault


class Crashes:
    """Client processes of the model: one that is told to die has died."""

    def __init__(self) -> None:
        self.clients: list[int] = []

    def crash(self, client: int) -> None:
        self.clients.append(client)

    def count(self) -> int:
        return len(self.clients)


def context(
    backend: Any, *, seed: int = 1, groups: Sequence[str] = ("clients", "clients-2"), **more: Any
) -> FaultContext:
    """Return a context whose clock is trio's."""
    crashes = Crashes()
    given: dict[str, Any] = {
        "crash_client": crashes.crash,
        "client_crashes": crashes.count,
        "clients": 5,
        "application_name": APPLICATION,
        **more,
    }
    return FaultContext(
        backend=backend,
        random=random.Random(seed),
        now_ns=lambda: int(trio.current_time() * 1e9),
        groups=tuple(groups),
        **given,
    )


@dataclass
class Outcome:
    """What a nemesis left behind."""

    windows: tuple[FaultWindow, ...]
    statuses: list[str]
    error: HarnessError | None = None


def strike_all(strikes: Sequence[Strike], contexts: Any) -> Outcome:
    """Run a nemesis in virtual time; ``contexts`` is a context for all faults, or a function of the fault."""
    events: list[Any] = []
    statuses: list[str] = []
    context_for = contexts if callable(contexts) else (lambda _: contexts)

    async def main() -> None:
        await run_nemesis(strikes, context_for, events.append, RunClock.start(), statuses.append)

    error = None
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    except HarnessError as raised:
        error = raised
    return Outcome(windows=build_history(events).fault_windows, statuses=statuses, error=error)


def strike_once(fault: Fault, backend: FakeBackend, **more: Any) -> FaultWindow:
    """Carry out one strike against the model; it must have been healed."""
    struck = with_fake_probes(getattr(fault, "fault", fault), backend)
    if isinstance(fault, Mutant):
        struck = Mutant(struck)
    strike = Strike(fault=struck, index=0, at_s=0.0, hold_s=fault.hold_s)
    outcome = strike_all([strike], context(backend, **more))
    assert outcome.error is None
    (window,) = outcome.windows
    return window
