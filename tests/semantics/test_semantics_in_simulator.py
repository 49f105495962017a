"""Every rule of the table has a probe, and in the simulator each probe shows what its rule allows, and all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import semantics_table
from semantic_registry import RULES
from semantics_row import row
from simulated_powers import outcomes_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "semantics.md"
SEEDS_AT_LEAST = 20
SEEDS_AT_MOST = 3_000


def test_every_row_names_probes_that_there_are():
    """No row names a probe that nobody wrote."""
    assert sorted(semantics_table.probed() - semantics_table.known()) == []


def test_a_row_needs_probes_or_the_reason_why_it_has_none():
    """A rule cannot be left out in silence, nor be excused and probed at once."""
    with pytest.raises(ValueError, match="'a topic' needs probes"):
        row("a topic", "A rule.", besides="said elsewhere")
    with pytest.raises(ValueError, match="'a topic' needs probes"):
        row("a topic", "A rule.", "a_probe", unprobed="a reason")


def test_few_rows_are_not_probed():
    """What the table excuses is what neither of the two sides can do."""
    excused = [each.topic for section in semantics_table.SECTIONS for each in section.rows if each.unprobed]
    assert excused == ["client-side time limits", "250, 133"]


def test_every_script_belongs_to_a_row():
    """No script is written for a rule that nobody can look up."""
    assert sorted(set(RULES) - semantics_table.probed()) == []


def test_the_page_is_that_of_the_table():
    """What the documentation says is what is tested: print ``semantics_table.page()`` into it after a change."""
    assert PAGE.read_text() == semantics_table.page()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RULES))
def test_a_probe_shows_what_its_rule_allows_and_all_of_it(name: str):
    """No outcome is beyond the rule, whatever is left open; and each one that it allows comes about."""
    allowed = RULES[name].allowed
    unseen = list(allowed)
    for number, outcome in enumerate(outcomes_of(name, SEEDS_AT_MOST)):
        assert outcome in allowed
        if outcome in unseen:
            unseen.remove(outcome)
        if not unseen and number >= SEEDS_AT_LEAST:
            break
    assert unseen == []
