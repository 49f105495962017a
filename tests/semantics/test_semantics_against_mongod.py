"""What mongod does under each probe is what its rule allows, and among what the simulator can do."""

from __future__ import annotations

from typing import Any

import pytest
import rule_modules
from real_powers import RealSet, real_set
from semantic_registry import RULES
from simulated_powers import outcomes_of

pytestmark = [pytest.mark.mongod, pytest.mark.slow, pytest.mark.timeout(300)]

SEEDS = 2_000
"""Seeds at most: mostly the first run shows it."""
TOGETHER = sorted(name for name, rule in RULES.items() if not rule.moves_clocks)
APART = sorted(set(RULES) - set(TOGETHER))


@pytest.fixture(scope="module")
def real(tmp_path_factory: Any) -> Any:
    """Start one set for the probes of this file."""
    with real_set(tmp_path_factory.mktemp("semantics")) as running:
        yield running


def test_there_are_rules() -> None:
    """The rules that the modules register are here."""
    assert len(TOGETHER) >= 10 * len(rule_modules.RULE_MODULES)


@pytest.mark.parametrize("name", TOGETHER)
def test_mongod_and_the_simulator_agree(real: RealSet, name: str) -> None:
    """The outcome on mongod is allowed by the rule, and one that the simulator produces."""
    check(real, name)


@pytest.mark.parametrize("name", APART)
def test_mongod_and_the_simulator_agree_on_clocks(tmp_path: Any, name: str) -> None:
    """So it is on a set whose cluster time a clock pushes ahead, for good: each such probe has a set of its own."""
    with real_set(tmp_path) as running:
        check(running, name)


def check(running: RealSet, name: str) -> None:
    """Compare one probe on that set with the rule, and with the simulator."""
    outcome = running.run(name)
    assert outcome in RULES[name].allowed
    assert any(simulated == outcome for simulated in outcomes_of(name, SEEDS))
