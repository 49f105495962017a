"""Calling a scenario's own functions, setup and final reads, over a connection that no link carries.

Both read and write at majority, whatever the cell's setting: they are the harness's own words, not the pattern's.
An exception of theirs is a mistake in the scenario file.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
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

OwnFunction = Callable[[Context], Coroutine[Any, Any, Any]]

OWN_SETTINGS = Settings(w="majority", read_concern_level="majority")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a scenario's own functions are called: a run, its database and a way to it."""

    loaded: LoadedScenario
    facts: RunFacts
    connection: Connection
    database: str
    clock: RunClock


async def run_setup(site: Site) -> None:
    """Run the scenario's setup. Raises ScenarioError if it raises."""
    if site.loaded.scenario.setup is not None:
        await trio.to_thread.run_sync(_call, site, "setup", site.loaded.scenario.setup)


async def run_final_reads(site: Site) -> Mapping[str, Any]:
    """Return what the scenario's final reads read, by name. Raises ScenarioError if they raise."""
    scenario = site.loaded.scenario
    if scenario.final_reads is None:
        return {}
    values = await trio.to_thread.run_sync(_call, site, "final_reads", scenario.final_reads)
    if not isinstance(values, Mapping):
        raise ScenarioError(
            f"final_reads of scenario {scenario.name!r} returned {type(values).__name__}",
            next_step="return a map of names to what was read",
        )
    return values


def _call(site: Site, what: str, function: OwnFunction) -> Any:
    scenario, facts = site.loaded.scenario, site.facts
    cancel = CancelFlag()
    recorder = Recorder(site.clock, cancel, site.connection.members)
    client = open_client(site.connection, OWN_SETTINGS, application_name=f"{facts.run}-{what}", recorder=None)
    random_stream = stream(facts.seed, what)
    env = ThreadEnv(cancel, random_stream, 0, recorder)
    try:
        context = make_context(
            scenario,
            facts.cell.variant,
            parse_settings(facts.cell.setting),
            database=client.get_database(site.database),
            env=env,
            random_stream=random_stream,
            clients=facts.clients,
        )
        return _guarded(what, scenario, function, context)
    finally:
        env.close()
        client.close_now()


def _guarded(what: str, scenario: Scenario, function: OwnFunction, context: Context) -> Any:
    try:
        return plain(run_coroutine(function(context)))
    except HarnessError:
        raise
    except Exception as error:
        where = failure_of(error).where
        raise ScenarioError(
            f"{what} of scenario {scenario.name!r} raised {type(error).__name__}: {error} ({where})",
            next_step=f"mend {what} there; what was recorded so far is kept",
        ) from error
