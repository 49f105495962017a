"""One client process: a thread that performs the calls of its workload one after the other and records each.

An exception out of a pattern is a result. An operation whose outcome is unknown ends its process number; the client
goes on under a new one, as a real caller that lost its answer would start over.
"""

from __future__ import annotations

import functools
import inspect
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.backends.driver import (
    CancelFlag,
    Cancelled,
    ClientDied,
    Recorder,
    ThreadEnv,
    failure_of,
    open_client,
    run_coroutine,
)
from harness.clock import RunClock
from harness.errors import HarnessError, Rejected, ScenarioError
from harness.interfaces.backend import Connection
from harness.journal import Completed, Invoked, JournalWriter
from harness.operation import Failure, Outcome, Status
from harness.run.turns import Order
from harness.scenario.record import Call, Context, Scenario
from harness.seed import stream
from harness.settings import Settings
from harness.status import classify


@dataclass(slots=True)
class Tally:
    """What one client has done so far. Written by its thread alone, read by anybody."""

    ok: int = 0
    fail: int = 0
    info: int = 0
    crashes: int = 0

    def count(self, status: Status) -> None:
        """Count one more operation with that status."""
        setattr(self, status, getattr(self, status) + 1)


@dataclass(frozen=True, kw_only=True)
class ClientPlan:
    """What every client of a group shares."""

    scenario: Scenario
    variant: str
    settings: Settings
    connection: Connection
    group: int
    clients: int
    """Clients of the whole run, over all groups."""
    seed: int
    think_ms: float
    database: str
    application_name: str
    clock: RunClock
    journal: JournalWriter
    order: Order | None = None
    """The order in which commands go through, where a simulated run is proved."""


@dataclass(slots=True)
class Control:
    """How the clients of a group are told to end: ``stopping`` after the current operation, ``cancel`` at once."""

    stopping: threading.Event = field(default_factory=threading.Event)
    cancel: CancelFlag = field(default_factory=CancelFlag)


class ClientProcess:
    """Client number ``client`` of a run; :meth:`run` is the body of its thread."""

    def __init__(self, plan: ClientPlan, client: int, control: Control) -> None:
        self.client = client
        self.tally = Tally()
        self._plan = plan
        self._control = control
        self._process = client
        self._invocations = 0
        self._gate = plan.order.turns.gate() if plan.order else None
        self._recorder = Recorder(plan.clock, control.cancel, plan.connection.members, self._gate)
        self._think = stream(plan.seed, "think", client)
        self._handle: Any = None
        self._env: ThreadEnv | None = None
        self._context: Context | None = None
        self._lives = 0

    def arm_crash(self) -> None:
        """Make this client die at the end of its next database call. May be called from any thread."""
        self._recorder.arm_crash()

    def run(self) -> None:
        """Perform the workload until told to stop. Raises ScenarioError where the scenario's own code fails."""
        workload = self._start_workload()
        try:
            while not self._control.stopping.is_set():
                context = self._context or self._open()
                call = self._next_call(workload)
                if call is None:
                    return
                self._perform(context, call)
                self._pause()
        except Cancelled:
            return
        finally:
            self._close()

    def _start_workload(self) -> Iterator[Call]:
        plan = self._plan
        try:
            return iter(plan.scenario.workload(stream(plan.seed, "workload", self.client), self.client))
        except Exception as error:
            raise _workload_error(plan.scenario, error) from error

    def _next_call(self, workload: Iterator[Call]) -> Call | None:
        scenario = self._plan.scenario
        try:
            call = next(workload, None)
        except Exception as error:
            raise _workload_error(scenario, error) from error
        if call is not None:
            check_call(scenario, call)
        return call

    def _open(self) -> Context:
        plan = self._plan
        self._lives += 1
        random_stream = stream(plan.seed, "pattern", self.client, self._lives)
        self._handle = open_client(
            plan.connection, plan.settings, application_name=plan.application_name, recorder=self._recorder
        )
        skew_ms = client_skew_ms(plan.settings, self.client, plan.clients)
        self._env = ThreadEnv(self._control.cancel, random_stream, skew_ms, self._recorder)
        self._context = make_context(
            plan.scenario,
            plan.variant,
            plan.settings,
            database=self._handle.get_database(plan.database),
            env=self._env,
            random_stream=random_stream,
            clients=plan.clients,
        )
        self._context.client = self.client
        return self._context

    def _perform(self, context: Context, call: Call) -> None:
        plan, clock = self._plan, self._plan.clock
        index = self._invocations * plan.clients + self.client
        self._invocations += 1
        context.process = self._process
        plan.journal.append(
            Invoked(
                index=index,
                process=self._process,
                client=self.client,
                group=plan.group,
                function=call.function,
                arguments=dict(call.arguments),
                start_ns=clock.now_ns(),
            )
        )
        self._recorder.begin()
        if self._gate is not None and plan.order is not None:
            self._gate.begin(plan.order.operation_ids[self.client][self._invocations - 1])
        try:
            outcome, result, failure = self._call_pattern(context, call)
            returned_ns = clock.now_ns() if outcome in {"returned", "rejected", "raised"} else None
        finally:
            calls = self._recorder.end()
        status = classify(calls, outcome)
        self._record(
            Completed(
                index=index,
                returned_ns=returned_ns,
                status=status,
                outcome=outcome,
                result=result,
                error=failure,
                calls=calls,
            ),
            call,
        )
        self._after(status, outcome)

    def _call_pattern(self, context: Context, call: Call) -> tuple[Outcome, Any, Failure | None]:
        function = self._plan.scenario.operations[call.function]
        try:
            return "returned", run_coroutine(function(context, **call.arguments)), None
        except Rejected as rejection:
            return "rejected", None, failure_of(rejection)
        except ClientDied:
            return "crashed", None, None
        except Cancelled:
            return "unfinished", None, None
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a pattern raises is a result to be judged
            return "raised", None, failure_of(error)
        finally:
            if self._env is not None:
                self._env.close()

    def _record(self, event: Completed, call: Call) -> None:
        try:
            self._plan.journal.append(event)
        except (TypeError, msgspec.EncodeError) as error:
            raise ScenarioError(
                f"operation {call.function!r} of scenario {self._plan.scenario.name!r} returned a value that cannot be "
                f"stored as JSON: {error}",
                next_step="return plain JSON values: texts, numbers, booleans, lists, and maps with text keys",
            ) from error

    def _after(self, status: Status, outcome: Outcome) -> None:
        self.tally.count(status)
        if outcome == "crashed":
            self.tally.crashes += 1
            self._close()
        if status == "info" or outcome == "crashed":
            self._process += self._plan.clients
        if outcome == "unfinished":
            raise Cancelled

    def _pause(self) -> None:
        if self._plan.think_ms > 0:
            self._control.stopping.wait(self._think.expovariate(1.0) * self._plan.think_ms / 1000)

    def _close(self) -> None:
        if self._handle is not None:
            self._handle.close_now()
        self._handle = self._context = self._env = None


def make_context(
    scenario: Scenario,
    variant: str,
    settings: Settings,
    *,
    database: Any,
    env: Any,
    random_stream: random.Random,
    clients: int,
) -> Context:
    """Return the context of a scenario's functions, its pattern made. Raises ScenarioError if that raises."""
    try:
        pattern = scenario.variants[variant](database, env=env)
    except Exception as error:
        raise ScenarioError(
            f"making the pattern of variant {variant!r} of scenario {scenario.name!r} raised "
            f"{type(error).__name__}: {error} ({failure_of(error).where})",
            next_step="a pattern class is called as PatternClass(database, env=env)",
        ) from error
    return Context(
        database=database,
        pattern=pattern,
        env=env,
        settings=settings,
        variant=variant,
        random=random_stream,
        clients=clients,
    )


def client_skew_ms(settings: Settings, client: int, clients: int) -> int:
    """Return the clock skew of a client: spread evenly from 0 for the first to ``clockSkewMS`` for the last."""
    return round(settings.client_clock_skew_ms * client / max(1, clients - 1))


def check_call(scenario: Scenario, call: Call) -> None:
    """Raise ScenarioError where a call of the workload does not fit the scenario's operations."""
    function = scenario.operations.get(call.function)
    if function is None:
        raise ScenarioError(
            f"the workload of scenario {scenario.name!r} asks for the operation {call.function!r}, which it lacks",
            next_step=f"its operations are {', '.join(sorted(scenario.operations))}",
        )
    try:
        _check_names(function, tuple(call.arguments))
    except TypeError as error:
        raise ScenarioError(
            f"the workload of scenario {scenario.name!r} calls {call.function!r} wrongly: {error}",
            next_step=f"its parameters are {_signature(function)}",
        ) from error


@functools.lru_cache(maxsize=256)
def _check_names(function: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Raise TypeError where the function cannot be called with a context and arguments of these names."""
    _signature(function).bind(None, **dict.fromkeys(names))


@functools.lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _workload_error(scenario: Scenario, error: Exception) -> ScenarioError:
    return ScenarioError(
        f"the workload of scenario {scenario.name!r} raised {type(error).__name__}: {error} "
        f"({failure_of(error).where})",
        next_step="mend the workload function; what was recorded so far is kept",
    )
