"""Calling a scenario's own functions, setup and final reads, over a connection that no link carries.

Both read and write at majority, whatever the cell's setting: they are the harness's own words, not the pattern's.
An exception of theirs is a mistake in the scenario file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from harness.backends.driver import CancelFlag, Recorder, ThreadEnv, failure_of, open_client, run_coroutine
from harness.clock import RunClock
from harness.errors import HarnessError, ScenarioError
from harness.facts import RunFacts
from harness.interfaces.backend import Connection
from harness.journal import plain
from harness.run.client import make_context
from harness.scenario.load import LoadedScenario
from harness.scenario.record import Context, Scenario
from harness.seed import stream
from harness.settings import Settings, parse_settings

OWN_SETTINGS = Settings(w="majority", read_concern_level="majority")


async def run_setup(
    loaded: LoadedScenario, facts: RunFacts, connection: Connection, database: str, clock: RunClock
) -> None:
    """Run the scenario's setup. Raises ScenarioError if it raises."""
    if loaded.scenario.setup is not None:
        await trio.to_thread.run_sync(_call, "setup", loaded, facts, connection, database, clock)


async def run_final_reads(
    loaded: LoadedScenario, facts: RunFacts, connection: Connection, database: str, clock: RunClock
) -> Mapping[str, Any]:
    """Return what the scenario's final reads read, by name. Raises ScenarioError if they raise."""
    if loaded.scenario.final_reads is None:
        return {}
    values = await trio.to_thread.run_sync(_call, "final_reads", loaded, facts, connection, database, clock)
    if not isinstance(values, Mapping):
        raise ScenarioError(
            f"final_reads of scenario {loaded.scenario.name!r} returned {type(values).__name__}",
            next_step="return a map of names to what was read",
        )
    return values


def _call(
    what: str, loaded: LoadedScenario, facts: RunFacts, connection: Connection, database: str, clock: RunClock
) -> Any:
    scenario = loaded.scenario
    cancel = CancelFlag()
    recorder = Recorder(clock, cancel, connection.members)
    client = open_client(connection, OWN_SETTINGS, application_name=f"{facts.run}-{what}", recorder=None)
    random_stream = stream(facts.seed, what)
    env = ThreadEnv(cancel, random_stream, 0, recorder)
    try:
        context = make_context(
            scenario,
            facts.cell.variant,
            parse_settings(facts.cell.setting),
            database=client.get_database(database),
            env=env,
            random_stream=random_stream,
            clients=facts.clients,
        )
        return _guarded(what, scenario, getattr(scenario, what), context)
    finally:
        env.close()
        client.close_now()


def _guarded(what: str, scenario: Scenario, function: Callable[[Context], Awaitable[Any]], context: Context) -> Any:
    try:
        return plain(run_coroutine(function(context)))  # type: ignore[arg-type]
    except HarnessError:
        raise
    except Exception as error:
        where = failure_of(error).where
        raise ScenarioError(
            f"{what} of scenario {scenario.name!r} raised {type(error).__name__}: {error} ({where})",
            next_step=f"mend {what} there; what was recorded so far is kept",
        ) from error
