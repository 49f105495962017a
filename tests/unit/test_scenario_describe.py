"""What is stored of a scenario for its report."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from pathlib import Path

from harness import store
from harness.history import History
from harness.interfaces.checker import Checker
from harness.scenario.describe import describe_scenario
from harness.scenario.record import Call, Expected, Scenario
from harness.verdict import Verdict


class Published:
    """Writes what it ``is`` told,
    and hopes.

    More that a report does not need.
    """


class Hardened:
    pass


def workload(random: random.Random, client: int) -> Iterator[Call]:
    yield Call(function="put")


def judge(history: History) -> Verdict:
    return Verdict(checker="durability", status="holds")


SCENARIO = Scenario(
    name="mine",
    contract="Nothing is lost.",
    section="My own reference",
    variants={"published": functools.partial(Published), "hardened": Hardened},
    operations={},
    workload=workload,
    checkers=(Checker(name="durability", guarantee="Every write is there.", check=judge),),
    settings=("default", "readConcernLevel=majority,w=1"),
    faults=("none", "kill-primary"),
    expected=(
        Expected(verdict="violated", variant="published", setting="w=1", fault="kill-primary", why="it rolls back"),
    ),
    advice={"hardened": "Use it."},
    shortened={"lock": "5 min -> 2 s"},
)


def test_a_scenario_is_described_for_its_report() -> None:
    """Contract, variants in a paragraph, guarantees and the whole matrix with its expectations are kept."""
    text = describe_scenario(SCENARIO)
    assert text.variants == {"published": "Writes what it is told, and hopes.", "hardened": ""}
    assert text.guarantees == {"durability": "Every write is there."}
    assert len(text.matrix) == 8
    (declared,) = [place for place in text.matrix if place.expected]
    assert (declared.variant, declared.setting, declared.fault) == (
        "published",
        "w=1,readConcernLevel=majority",
        "kill-primary",
    )
    assert declared.why == "it rolls back"


def test_the_description_is_read_back_as_it_was_stored(tmp_path: Path) -> None:
    """What is written beside the runs reads back the same."""
    text = describe_scenario(SCENARIO)
    store.write_scenario(tmp_path, text)
    assert store.read_scenarios(tmp_path) == {"mine": text}
