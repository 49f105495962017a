"""The zoo: every known bug is shrunk to its optimum, and the optimum is what an independent search finds."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from bugs import BUG_BY_NAME, BUGS
from optimum import find_optimum, is_stale, read_optima
from shrunk import SLACK, shrink_bug

from harness.scenario.load import load_scenario

OPTIMA = read_optima()
QUICK_S = 5.0
"""What a bug's optimum may have cost to be searched again here."""
LARGER = [name for name, optimum in OPTIMA.items() if optimum.operations > 1]
SLICE = sorted(random.Random(4).sample(LARGER, 10))
EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "zoo.jsonl"
SHARE = 0.95


def quick_optima() -> list[str]:
    """Return the bugs of every source whose optimum is found fast, the largest optima first, three of each."""
    by_source: dict[str, list[str]] = {}
    for bug in BUGS:
        if bug.name in OPTIMA and OPTIMA[bug.name].seconds <= QUICK_S:
            by_source.setdefault(bug.source, []).append(bug.name)
    largest = {source: sorted(names, key=lambda name: OPTIMA[name].size)[-3:] for source, names in by_source.items()}
    return [name for names in largest.values() for name in names]


def test_the_zoo_is_large_enough() -> None:
    """At least 20 bugs, at least 12 of them of scenarios, each with an optimum."""
    assert len(BUG_BY_NAME) == len(BUGS) >= 20
    assert sum(bug.source in {"scenarios", "patterns"} for bug in BUGS) >= 12
    assert list(OPTIMA) == [bug.name for bug in BUGS]


@pytest.mark.parametrize("name", list(BUG_BY_NAME))
def test_an_optimum_is_of_the_workload_that_is_drawn(name: str) -> None:
    """The workload of the seed is the one whose parts were searched, and what is kept is a part of it."""
    optimum = OPTIMA[name]
    workload = BUG_BY_NAME[name].program(optimum.seed).workload()
    assert not is_stale(BUG_BY_NAME[name], optimum), "python tests/zoo/optimum.py --stale finds it anew"
    assert len(workload.keep(optimum.kept)) == optimum.operations


@pytest.mark.slow
@pytest.mark.parametrize("name", quick_optima())
def test_an_optimum_is_found_again(name: str) -> None:
    """The exhaustive search comes to as many operations as are kept: no fewer, and no more."""
    optimum = OPTIMA[name]
    assert find_optimum(BUG_BY_NAME[name], optimum.seed).operations == optimum.operations


@pytest.mark.slow
@pytest.mark.parametrize("name", SLICE)
def test_a_bug_is_shrunk_to_its_optimum(name: str) -> None:
    """A run that shows the bug comes down to at most one operation more than the optimum."""
    [shrunk] = shrink_bug(BUG_BY_NAME[name], OPTIMA[name], 1)
    assert shrunk.beyond(OPTIMA[name]) <= SLACK, (shrunk, OPTIMA[name])


def test_the_evidence_is_of_the_whole_zoo() -> None:
    """What docs/evidence keeps is of these bugs and optima; 95 % of the bugs come to at most one operation more."""
    lines = {line["bug"]: line for line in map(json.loads, EVIDENCE.read_text().splitlines())}
    assert set(lines) == set(BUG_BY_NAME)
    assert {name: tuple(line["optimum"]) for name, line in lines.items()} == {n: o.size for n, o in OPTIMA.items()}
    reached = [
        name
        for name, line in lines.items()
        if line["runs"] and all(run["operations"] <= line["optimum"][0] + SLACK for run in line["runs"])
    ]
    assert len(reached) >= SHARE * len(lines)


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("scenarios/[!z]*.py")), ids=lambda path: path.stem)
def test_a_scenario_of_the_zoo_is_valid(path: Path) -> None:
    """Each file loads as a user's own would, and a bug is in it."""
    assert load_scenario(str(path)).scenario.name == path.stem
    assert any(bug.scenario == path.stem for bug in BUGS)
