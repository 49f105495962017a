"""Every pattern class in ``scenarios/`` is production code: it runs unchanged on PyMongo's own client under asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError, PyMongoError
from single_member_set import single_member_set

from harness import Rejected, Scenario, real_env
from harness.checkers import run_checkers
from harness.history import History, build_history
from harness.journal import Completed, FinalRead, Invoked, JournalEvent, plain
from harness.operation import Failure
from harness.scenario.record import Call, Context
from harness.seed import stream
from harness.settings import Settings

SCENARIO_FILES = sorted((Path(__file__).parents[2] / "scenarios").glob("*.py"))
CLIENTS = 4
CALLS_PER_CLIENT = 60

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


def load_file(path: Path) -> ModuleType:
    """Run a scenario file as a module of its own, as its path alone names it."""
    spec = importlib.util.spec_from_file_location(f"scenario_under_asyncio_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCENARIOS = {path.stem: load_file(path).SCENARIO for path in SCENARIO_FILES}
PATTERNS = [(name, variant) for name, scenario in SCENARIOS.items() for variant in scenario.variants]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a replica set with one member; give its address."""
    with single_member_set(tmp_path_factory.mktemp("mongod")) as connection:
        yield f"mongodb://{connection.seeds[0]}/?replicaSet={connection.replica_set}"


@dataclass(kw_only=True)
class AsyncioRun:
    """One run of a scenario's workload by asyncio tasks, each with a PyMongo client of its own."""

    scenario: Scenario
    variant: str
    uri: str
    settings: Settings = field(default_factory=Settings)
    clients: int = CLIENTS
    calls_per_client: int = CALLS_PER_CLIENT
    think_ms: float = 0.5
    events: list[JournalEvent] = field(default_factory=list)

    async def history(self) -> History:
        """Set up, drive the workload, read the final state; return what was recorded."""
        async with AsyncMongoClient(self.uri) as client:
            database = client[f"{self.scenario.name}-{self.variant}"]
            await client.drop_database(database.name)
            context = self._context(database, client=-1)
            if self.scenario.setup:
                await self.scenario.setup(context)
            indexes = itertools.count()
            async with asyncio.TaskGroup() as group:
                for number in range(self.clients):
                    group.create_task(self._client(number, database.name, indexes))
            final = await self.scenario.final_reads(context) if self.scenario.final_reads else {}
        self.events += [FinalRead(name=name, value=plain(value)) for name, value in final.items()]
        return build_history(self.events)

    def _context(self, database: Any, *, client: int) -> Context:
        return Context(
            database=database,
            pattern=self.scenario.variants[self.variant](database, env=real_env),
            env=real_env,
            settings=self.settings,
            variant=self.variant,
            random=stream(1, "pattern", client),
            client=client,
            process=client,
            clients=self.clients,
        )

    async def _client(self, number: int, database: str, indexes: Iterator[int]) -> None:
        retries = {"retryWrites": self.settings.driver_retries_writes, "retryReads": self.settings.driver_retries_reads}
        think = stream(1, "think", number)
        async with AsyncMongoClient(self.uri, **retries) as client:
            context = self._context(client[database], client=number)
            calls = self.scenario.workload(stream(1, "workload", number), number)
            for call in itertools.islice(calls, self.calls_per_client):
                await self._perform(context, call, next(indexes))
                await asyncio.sleep(think.expovariate(1.0) * self.think_ms / 1000)

    async def _perform(self, context: Context, call: Call, index: int) -> None:
        self.events.append(
            Invoked(
                index=index,
                process=context.process,
                client=context.client,
                function=call.function,
                arguments=dict(call.arguments),
                start_ns=time.monotonic_ns(),
            )
        )
        result = error = None
        outcome = "returned"
        try:
            result = await self.scenario.operations[call.function](context, **call.arguments)
        except Rejected as rejection:
            outcome, error = "rejected", Failure(types=("Rejected",), message=str(rejection))
        except PyMongoError as failure:
            outcome, error = "raised", _failure_of(failure)
        self.events.append(
            Completed(
                index=index,
                returned_ns=time.monotonic_ns(),
                status={"returned": "ok", "rejected": "fail"}.get(outcome, "info"),
                outcome=outcome,
                result=result,
                error=error,
            )
        )


def _failure_of(error: PyMongoError) -> Failure:
    types = tuple(base.__name__ for base in type(error).__mro__)
    return Failure(
        types=types, message=str(error), code=getattr(error, "code", None), labels=tuple(error._error_labels)
    )


def run(name: str, variant: str, uri: str, **options: Any) -> History:
    """Run a scenario under asyncio; return its history."""
    return asyncio.run(AsyncioRun(scenario=SCENARIOS[name], variant=variant, uri=uri, **options).history())


@pytest.mark.parametrize(("name", "variant"), PATTERNS)
def test_pattern_runs_on_pymongo_asynchronous_client(name: str, variant: str, uri: str):
    """A pattern class needs nothing of the harness but its default ``env``; it returns plain JSON and reads back."""
    history = run(name, variant, uri)
    assert len(history.operations) == CLIENTS * CALLS_PER_CLIENT
    assert set(history.final) >= {need for checker in SCENARIOS[name].checkers for need in checker.needs_final}
    returned = [operation for operation in history.operations if operation.outcome == "returned"]
    assert len(returned) >= len(history.operations) / 4
    assert all(operation.result == plain(operation.result) for operation in returned)
    raised = {operation.error.types[0] for operation in history.operations if operation.outcome == "raised"}
    assert raised <= {DuplicateKeyError.__name__}, "an unexpected exception of the driver"


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_hardened_pattern_keeps_its_contract_on_a_quiet_set(name: str, uri: str):
    """Without faults no checker has anything against the hardened variant."""
    verdicts = run_checkers(run(name, "hardened", uri), SCENARIOS[name].checkers)
    assert {verdict.checker: verdict.anomalies for verdict in verdicts if verdict.status != "holds"} == {}


@pytest.mark.parametrize("name", ["immutable_document", "lww_register", "optimistic_lock", "transfer"])
def test_published_pattern_shows_its_anomaly_without_any_fault(name: str, uri: str):
    """What the published pattern does wrong shows under mere concurrency, as its scenario declares."""
    scenario = SCENARIOS[name]
    verdicts = run_checkers(run(name, "published", uri), scenario.checkers)
    expected = scenario.expectation("published", Settings(), "none")
    assert expected is not None
    assert expected.verdict == "violated"
    assert expected.anomaly in {anomaly.kind for verdict in verdicts for anomaly in verdict.anomalies}


# What a caller does after an answer that leaves the outcome open: the write was applied, and its reply is an error.


@contextlib.asynccontextmanager
async def applied_but_refused(client: AsyncMongoClient[Any], command: str) -> AsyncIterator[None]:
    """Let the next ``command`` of this client be applied and answered with "interrupted, as the primary changes"."""
    refusal = {"code": 11602, "errmsg": "interrupted"}
    failpoint = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
    data = {"failCommands": [command], "writeConcernError": refusal, "appName": client.options.pool_options.appname}
    await client.admin.command({**failpoint, "data": data})
    try:
        yield
    finally:
        await client.admin.command({**failpoint, "mode": "off"})


def call_after_lost_answer(name: str, variant: str, uri: str, command: str, call: Call) -> tuple[Any, dict[str, Any]]:
    """Do one call of which the first ``command`` is applied and refused, its caller starting over; return both."""

    async def perform() -> tuple[Any, dict[str, Any]]:
        run = AsyncioRun(scenario=SCENARIOS[name], variant=variant, uri=uri, settings=Settings(retry="application"))
        async with AsyncMongoClient(uri, retryWrites=False, appname=f"lost-answer-{name}-{variant}") as client:
            database = client[f"lost-answer-{name}-{variant}"]
            await client.drop_database(database.name)
            context = run._context(database, client=0)
            await run.scenario.setup(context)
            async with applied_but_refused(client, command):
                try:
                    result = await run.scenario.operations[call.function](context, **call.arguments)
                except Rejected as rejection:
                    result = rejection
            return result, dict(await run.scenario.final_reads(context))

    return asyncio.run(perform())


@pytest.mark.parametrize(("variant", "told"), [("published", False), ("hardened", True)])
def test_claim_after_a_lost_answer(variant: str, told: bool, uri: str):
    """The published claim is refused by its own first try; the hardened one finds that the order is its own."""
    call = Call(function="claim", arguments={"order": "1-1"})
    result, final = call_after_lost_answer("find_and_modify", variant, uri, "findAndModify", call)
    assert final["orders"]["1-1"]["status"] == "processing"
    assert final["orders"]["1-1"]["version"] == 1
    assert isinstance(result, dict) is told


@pytest.mark.parametrize(("variant", "counter"), [("published", 2), ("hardened", 1)])
def test_increment_after_a_lost_answer(variant: str, counter: int, uri: str):
    """The published update is applied twice when its caller starts over; the hardened one knows its key again."""
    call = Call(function="increment", arguments={"document": "document-0", "token": "once"})
    result, final = call_after_lost_answer("optimistic_lock", variant, uri, "findAndModify", call)
    assert final["documents"]["document-0"]["counter"] == counter
    assert result["counter"] == counter
    assert result["version"] == final["documents"]["document-0"]["version"]


@pytest.mark.parametrize(("variant", "paid"), [("published", 14), ("hardened", 7)])
def test_transfer_is_paid_once_per_key(variant: str, paid: int, uri: str):
    """A caller who starts over with the same key pays twice in the published transfer and once in the hardened."""

    async def pay_twice() -> dict[str, Any]:
        run = AsyncioRun(scenario=SCENARIOS["transfer"], variant=variant, uri=uri)
        async with AsyncMongoClient(uri) as client:
            database = client[f"paid-twice-{variant}"]
            await client.drop_database(database.name)
            context = run._context(database, client=0)
            await run.scenario.setup(context)
            for _ in range(2):
                await context.pattern.transfer_funds("account-0", "account-1", 7, "the-key")
            return dict(await run.scenario.final_reads(context))

    final = asyncio.run(pay_twice())
    assert final["balances"]["account-1"] - final["balances"]["account-0"] == 2 * paid
    assert sum(entry["amount"] for entry in final["ledger"]) == paid
