"""One client process in the simulator: a coroutine that performs the calls of its workload and records each.

The twin of ``run/client.py``, which does the same on a thread. Every operation begins where the kernel may let others
run first, so that its interval starts when its client is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.awaiting import foreign_call
from harness.errors import HarnessError, Rejected, ScenarioError
from harness.explore.program import WorkloadItem
from harness.failures import failure_of
from harness.journal import plain
from harness.operation import Failure, Operation, Outcome
from harness.run.client import client_skew_ms, make_context
from harness.run.simulated.cell import START_US, SimulatedCell
from harness.run.simulated.states import ClientTrail, ObservedNetwork
from harness.scenario.record import Call, Context
from harness.seed import stream
from harness.sim.driver import ClientDied, ObjectIds, Recorder, SimEnv, open_client
from harness.sim.kernel import Kernel, TaskCancelled
from harness.sim.server.configuration import OBSERVER
from harness.sim.server.network import Network
from harness.status import classify

OPERATION_GAP_US = 1
"""Time between a return and the next invocation: operations that touch in time would count as concurrent."""


@dataclass(kw_only=True)
class ClientProcess:
    """Client number ``client`` of a run; :meth:`run` is the body of its task.

    ``operations`` gets every operation as it ends, or, of those that never end, as the run does.
    """

    cell: SimulatedCell
    seed: int
    client: int
    items: Sequence[WorkloadItem]
    kernel: Kernel
    network: Network
    operations: list[Operation]
    connection_numbers: Iterator[int]
    trail: ClientTrail | None = None
    """Where it is noted what the client gets to see, for who compares states."""
    crashes: int = 0
    process: int = field(init=False)
    lives: int = field(default=0, init=False)
    recorder: Recorder = field(init=False)
    _context: Context | None = field(default=None, init=False)
    _handle: Any = field(default=None, init=False)
    _env: SimEnv | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.process = self.client
        self.recorder = Recorder(self.kernel, origin_us=START_US)

    @property
    def group(self) -> int:
        """The number of its client group."""
        return self.client % self.cell.client_groups

    async def run(self) -> None:
        """Perform the workload. Raises ScenarioError where the scenario's own code fails."""
        task = self.kernel.current
        begins = None if self.trail is None else self.trail.begin_footprint
        try:
            for item in self.items:
                task.enter(item.id)
                await self.kernel.pause(begins)
                await self._perform(self._context or self._open(), item)
                self.kernel.spend(OPERATION_GAP_US)
        finally:
            task.enter("")
            self._close()

    def _open(self) -> Context:
        cell = self.cell
        self.lives += 1
        draw = stream(self.seed, "pattern", self.client, self.lives)
        driver_draw = stream(self.seed, "driver", self.client, self.lives)
        object_ids = ObjectIds(self.kernel, driver_draw)
        trail = self.trail
        self._handle = open_client(
            self.network if trail is None else ObservedNetwork(self.network, trail),
            self.kernel,
            cell.settings,
            group=cell.groups[self.group],
            random=driver_draw,
            recorder=self.recorder,
            object_ids=object_ids,
            connection_numbers=self.connection_numbers,
        )
        skew_ms = client_skew_ms(cell.settings, self.client, cell.clients)
        self._env = SimEnv(self.kernel, self.recorder, draw, object_ids, skew_ms=skew_ms)
        self._context = make_context(
            cell.scenario,
            cell.variant,
            cell.settings,
            database=self._handle.get_database(cell.database),
            env=self._env,
            random_stream=draw,
            clients=cell.clients,
        )
        self._context.client = self.client
        if trail is not None:
            trail.handle, trail.recorder = self._handle, self.recorder
            self.recorder.on_seen = object_ids.on_seen = trail.note
        return self._context

    async def _perform(self, context: Context, item: WorkloadItem) -> None:
        now_ns = self.kernel_ns
        start_ns = now_ns()
        context.process = self.process
        self.recorder.begin()
        if self.trail is not None:
            self.trail.begins()
        outcome: Outcome = "unfinished"
        result: Any = None
        failure: Failure | None = None
        returned_ns: int | None = None
        try:
            outcome, result, failure = await self._call_pattern(context, item.call)
            if outcome != "crashed":
                returned_ns = now_ns()
        finally:
            calls = self.recorder.end()
            status = classify(calls, outcome)
            self.operations.append(
                Operation(
                    index=item.index,
                    process=self.process,
                    client=self.client,
                    group=self.group,
                    function=item.call.function,
                    arguments=dict(item.call.arguments),
                    start_ns=start_ns,
                    returned_ns=returned_ns,
                    status=status,
                    outcome=outcome,
                    result=result,
                    error=failure,
                    calls=calls,
                )
            )
        if outcome == "crashed":
            self.crashes += 1
            self._close()
        if status == "info" or outcome == "crashed":
            self.process += self.cell.clients
        if self.trail is not None:
            self.trail.ends(self.process)

    def kernel_ns(self) -> int:
        """Return the nanoseconds of virtual time since the run's origin."""
        return self.cell.time_ns(self.kernel.now_us)

    async def _call_pattern(self, context: Context, call: Call) -> tuple[Outcome, Any, Failure | None]:
        function = self.cell.scenario.operations[call.function]
        try:
            return "returned", self._stored(call, await function(context, **call.arguments)), None
        except Rejected as rejection:
            return "rejected", None, failure_of(rejection)
        except ClientDied:
            return "crashed", None, None
        except HarnessError:
            raise
        except Exception as error:
            foreign = foreign_call(error)
            if foreign is not None:
                raise foreign from error
            failure = failure_of(error)
            # Its frames hold the error itself.
            error.__traceback__ = None
            return "raised", None, failure
        finally:
            if self._env is not None:
                await self._env.close()

    def _stored(self, call: Call, result: Any) -> Any:
        if result is None or type(result) in {bool, int, str}:
            return result
        try:
            return plain(result)
        except (TypeError, msgspec.EncodeError) as error:
            raise ScenarioError(
                f"operation {call.function!r} of scenario {self.cell.scenario.name!r} returned a value that cannot be "
                f"stored as JSON: {error}",
                next_step="return plain JSON values: texts, numbers, booleans, lists, and maps with text keys",
            ) from error

    def _close(self) -> None:
        if self._handle is not None:
            self._handle.close_now()
        self._handle = self._context = self._env = None


async def run_own_function(
    cell: SimulatedCell, kernel: Kernel, network: Network, what: str, function: Callable[[Context], Any]
) -> Any:
    """Call a scenario's ``setup`` or ``final_reads`` over a way that nothing disturbs; return its result, plain.

    Raises ScenarioError, with file and line, where it raises.
    """
    draw = stream(cell.setup_seed, what)
    driver_draw = stream(cell.setup_seed, what, "driver")
    object_ids = ObjectIds(kernel, driver_draw)
    handle = open_client(network, kernel, cell.own_settings, group=OBSERVER, random=driver_draw, object_ids=object_ids)
    env = SimEnv(kernel, Recorder(kernel, origin_us=START_US), draw, object_ids)
    context = make_context(
        cell.scenario,
        cell.variant,
        cell.settings,
        database=handle.get_database(cell.database),
        env=env,
        random_stream=draw,
        clients=cell.clients,
    )
    try:
        return plain(await function(context))
    except (HarnessError, TaskCancelled):
        raise
    except Exception as error:
        raise ScenarioError(
            f"{what} of scenario {cell.scenario.name!r} raised {type(error).__name__}: {error} "
            f"({failure_of(error).where})",
            next_step=f"mend {what} there; `harness run {cell.scenario.name}` on a real set says whether it runs there",
        ) from error
    finally:
        await env.close()
        handle.close_now()
