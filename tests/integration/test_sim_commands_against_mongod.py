"""The simulated server's commands against mongod: the same sequences, the same replies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_cases import CASES
from command_replies import run_case
from raw_mongod import RawMongod
from simulated_set import SimulatedSet
from single_member_set import single_member_set

pytestmark = [pytest.mark.mongod, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawMongod]:
    """Connect to a real set of one member."""
    directory: Path = tmp_path_factory.mktemp("mongod")
    with single_member_set(directory) as connection, RawMongod(int(connection.seeds[0].partition(":")[2])) as raw:
        yield raw


@pytest.mark.parametrize("name", CASES)
def test_the_simulated_set_answers_as_the_real_one(name: str, mongod: RawMongod) -> None:
    """Each step of the sequence has the same reply, but for times, ids and which server it is."""
    database = f"case{list(CASES).index(name)}"
    real = run_case(CASES[name], mongod, database)
    mongod({"killAllSessions": [], "$db": "admin"})
    simulated = run_case(CASES[name], SimulatedSet(members=("m1",)), database)
    for number, (expected, reply) in enumerate(zip(real, simulated, strict=True)):
        assert reply == expected, f"step {number}: {_shown(CASES[name][number])}"


def _shown(step: Any) -> str:
    return "a step made of earlier replies" if callable(step) else str(step)
