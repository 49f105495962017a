"""Proving a finding of the simulator on real servers: its shrunk workload, its order of commands, its strikes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import trio

from harness.clock import NANOSECONDS_PER_SECOND
from harness.errors import UsageError
from harness.facts import FaultWindow, PrimaryChange, WorkloadCall
from harness.faults.catalogue import parse_faults
from harness.faults.schedule import Strike
from harness.history import History
from harness.run.turns import SET, Order, Turn, Turns, order_of
from harness.scenario.load import LoadedScenario
from harness.scenario.record import Call


class TurnPacing:
    """Strikes when the order says so."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def wait_for_start(self, strike: Strike) -> None:
        """Wait until everything before the strike has happened."""
        await self._wait(Turn("strike", strike.fault.name, strike.index))

    def struck(self, strike: Strike) -> None:
        """Let go on what waits for the strike."""
        self._turns.happen(Turn("strike", strike.fault.name, strike.index))

    async def wait_for_end(self, strike: Strike) -> None:
        """Wait until everything before its healing has happened."""
        await self._wait(Turn("heal", strike.fault.name, strike.index))

    def healed(self, strike: Strike) -> None:
        """Let go on what waits for the healing."""
        self._turns.happen(Turn("heal", strike.fault.name, strike.index))

    async def _wait(self, turn: Turn) -> None:
        await trio.to_thread.run_sync(partial(self._turns.wait, turn), abandon_on_cancel=True)


@dataclass(kw_only=True)
class ProofPlan:
    """One attempt: the order to keep, and the strikes in it."""

    order: Order
    pacing: TurnPacing
    strikes: tuple[Strike, ...]
    _primaries: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def primary_seen(self, change: PrimaryChange) -> None:
        """Note that another primary was seen; the first is the one that the run begins with."""
        if change.member is None:
            return
        with self._lock:
            number, self._primaries = self._primaries, self._primaries + 1
        if number:
            self.order.turns.happen(Turn("elect", SET, number))


def plan_proof(history: History, calls: Sequence[WorkloadCall], fault: str) -> ProofPlan:
    """Return one attempt at what ``history``, of a simulated run with these calls, shows.

    Raises UsageError for a run with more than one client group: the groups' processes cannot keep one order.
    """
    if history.facts is not None and history.facts.client_groups > 1:
        raise UsageError(
            "a run with several client groups cannot be proved: their commands are sent by different processes",
            next_step="simulate the cell with one client group, or run it on real servers with `harness run`",
        )
    ids = {call.index: call.id for call in calls}
    turns = Turns(order_of(history, ids))
    by_client: dict[int, list[str]] = {}
    for call in calls:
        by_client.setdefault(call.client, []).append(call.id)
    faults = {each.name: each for each in parse_faults(fault)}
    return ProofPlan(
        order=Order(turns=turns, operation_ids=by_client),
        pacing=TurnPacing(turns),
        strikes=tuple(_strike(window, faults) for window in history.fault_windows),
    )


def _strike(window: FaultWindow, faults: Mapping[str, Any]) -> Strike:
    end_ns = window.end_ns or window.start_ns
    return Strike(
        fault=faults[window.fault],
        index=window.strike,
        at_s=window.start_ns / NANOSECONDS_PER_SECOND,
        hold_s=(end_ns - window.start_ns) / NANOSECONDS_PER_SECOND,
    )


def with_calls(loaded: LoadedScenario, calls: Sequence[WorkloadCall]) -> LoadedScenario:
    """Return the scenario with these calls as its whole workload."""

    def workload(_random: Any, client: int) -> Any:
        own = [call for call in calls if call.client == client]
        return iter([Call(function=call.function, arguments=call.arguments) for call in own])

    return replace(loaded, scenario=replace(loaded.scenario, workload=workload, think_ms=0))
