"""The pattern API is PyMongo's asynchronous API: compared signature by signature."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase

from harness.backends.driver.change_stream import ChangeStream
from harness.backends.driver.client import Client
from harness.backends.driver.collection import Collection
from harness.backends.driver.cursor import CommandCursor, Cursor
from harness.backends.driver.database import Database
from harness.backends.driver.session import Session
from harness.interfaces import pattern_api
from harness.sim.driver.change_stream import ChangeStream as SimulatedChangeStream
from harness.sim.driver.client import Client as SimulatedClient
from harness.sim.driver.collection import Collection as SimulatedCollection
from harness.sim.driver.command_cursor import CommandCursor as SimulatedCommandCursor
from harness.sim.driver.cursor import Cursor as SimulatedCursor
from harness.sim.driver.database import Database as SimulatedDatabase
from harness.sim.driver.options import NOT_OFFERED
from harness.sim.driver.session import Session as SimulatedSession

PAIRS = {
    "Client": (pattern_api.Client, Client, AsyncMongoClient),
    "Database": (pattern_api.Database, Database, AsyncDatabase),
    "Collection": (pattern_api.Collection, Collection, AsyncCollection),
    "Cursor": (pattern_api.Cursor, Cursor, AsyncCursor),
    "CommandCursor": (pattern_api.CommandCursor, CommandCursor, AsyncCommandCursor),
    "Session": (pattern_api.Session, Session, AsyncClientSession),
    "ChangeStream": (pattern_api.ChangeStream, ChangeStream, AsyncChangeStream),
}
SIMULATED = {
    "Client": SimulatedClient,
    "Database": SimulatedDatabase,
    "Collection": SimulatedCollection,
    "Cursor": SimulatedCursor,
    "CommandCursor": SimulatedCommandCursor,
    "Session": SimulatedSession,
    "ChangeStream": SimulatedChangeStream,
}
SPECIAL = {"__getitem__", "__getattr__", "__aenter__", "__aexit__", "__aiter__", "__anext__", "__bool__"}
HARNESS_OWN = {("Client", "close_now")}
"""What the harness itself calls on its handles; no pattern sees it in the protocol."""


def _members(kind):
    names = {name for name in dir(kind) if not name.startswith("_")}
    names |= SPECIAL & {name for base in kind.__mro__ if base is not object for name in vars(base)}
    return sorted(names)


SIDES = {
    title: {"protocol": protocol, "driver": driver, "simulator": SIMULATED[title]}
    for title, (protocol, driver, _) in PAIRS.items()
}
OURS = [
    (title, side, name)
    for title, sides in SIDES.items()
    for side, kind in sides.items()
    # The simulator's objects have members for each other's use: of them those that a pattern sees are compared.
    for name in _members(sides["protocol"] if side == "simulator" else kind)
    if (title, name) not in HARNESS_OWN
]


def _parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize(("title", "side", "name"), OURS, ids=str)
def test_member_is_pymongos(title, side, name):
    """Each public member exists in PyMongo with the same parameters, kinds, defaults and coroutine-ness."""
    theirs = PAIRS[title][2]
    our_member = inspect.getattr_static(SIDES[title][side], name)
    their_member = inspect.getattr_static(theirs, name)
    assert inspect.isfunction(our_member) == inspect.isfunction(their_member)
    if inspect.isfunction(our_member):
        assert _parameters(our_member) == _parameters(their_member)
        assert inspect.iscoroutinefunction(our_member) == inspect.iscoroutinefunction(their_member)


@pytest.mark.parametrize("title", PAIRS)
def test_driver_offers_the_whole_protocol(title):
    """Whatever the protocol names, a handle on real servers has."""
    protocol, driver, _ = PAIRS[title]
    assert set(_members(protocol)) <= set(_members(driver))


@pytest.mark.parametrize("title", PAIRS)
def test_simulator_offers_the_whole_protocol(title):
    """Whatever the protocol names, a simulated object has."""
    assert set(_members(PAIRS[title][0])) <= set(_members(SIMULATED[title]))


@pytest.mark.parametrize("title", NOT_OFFERED)
def test_simulator_knows_what_the_protocol_leaves_out(title):
    """What PyMongo has and the protocol has not is refused as a name of a part, as on real servers."""
    protocol, _, theirs = PAIRS[title]
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert NOT_OFFERED[title] == public - set(dir(protocol))


@pytest.mark.parametrize(
    "name",
    [
        *("find_one", "find", "insert_one", "insert_many", "update_one", "update_many", "replace_one", "delete_one"),
        *("delete_many", "find_one_and_update", "find_one_and_replace", "find_one_and_delete", "bulk_write", "drop"),
        *("aggregate", "count_documents", "distinct", "create_index", "watch", "with_options", "database", "full_name"),
    ],
)
def test_collection_has_what_patterns_need(name):
    """The methods that the catalogue of patterns uses are all there."""
    assert name in _members(pattern_api.Collection)


@pytest.mark.slow
def test_protocols_need_no_driver():
    """The interfaces can be imported without PyMongo: the simulator's patterns need none."""
    code = "import sys, harness.interfaces.pattern_api; sys.exit(any(n in sys.modules for n in ('pymongo', 'bson')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
