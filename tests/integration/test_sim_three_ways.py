"""One probe, three ways: the driver model on the simulator, PyMongo on the wire front, PyMongo on mongod.

Where the second differs from the third, the error is in the servers' model; where the first differs from the second, it
is in the driver's.
"""

from __future__ import annotations

from typing import Any

import pytest
from probe_registry import PROBES
from three_ways import harness_serve, mongod_set, on_simulator, through_pymongo

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

PROBES_AT_LEAST = 60


@pytest.fixture(scope="module")
def mongod(tmp_path_factory):
    """Start a real set of three members for the probes."""
    with mongod_set(tmp_path_factory.mktemp("three-ways")) as connection_string:
        yield connection_string


@pytest.fixture(scope="module")
def wire():
    """Serve a simulated set of three members for the probes."""
    with harness_serve() as served:
        yield served.connection_string


def test_there_are_probes() -> None:
    """The probes that the modules register are here."""
    assert len(PROBES) >= PROBES_AT_LEAST


@pytest.mark.parametrize("name", sorted(PROBES))
def test_three_ways_agree(name: str, mongod: str, wire: str) -> None:
    """Outcome, code, labels and result are the same on mongod, on the wire front, and in the simulator."""
    real: Any = through_pymongo(mongod, name)
    assert through_pymongo(wire, name) == real
    assert on_simulator(name) == real
