"""Every rule of the table has a probe, and in the simulator each probe shows what its rule allows."""

from __future__ import annotations

from pathlib import Path

import pytest
import semantics_table
from semantic_registry import RULES
from simulated_powers import outcomes_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "semantics.md"
SEEDS = 20


def test_every_row_is_probed_or_says_why_not():
    """No rule is left out in silence, and no probe is named that there is not."""
    rows = [row for section in semantics_table.SECTIONS for row in section.rows]
    assert [row.topic for row in rows if not row.probes and not row.besides] == []
    assert sorted(semantics_table.probed() - semantics_table.known()) == []


def test_every_script_belongs_to_a_row():
    """No script is written for a rule that nobody can look up."""
    assert sorted(set(RULES) - semantics_table.probed()) == []


def test_the_page_is_that_of_the_table():
    """What the documentation says is what is tested: print ``semantics_table.page()`` into it after a change."""
    assert PAGE.read_text() == semantics_table.page()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RULES))
def test_a_probe_shows_what_its_rule_allows(name: str):
    """Whatever the simulator leaves open, no outcome is beyond the rule."""
    assert [outcome for outcome in outcomes_of(name, SEEDS) if outcome not in RULES[name].allowed] == []
