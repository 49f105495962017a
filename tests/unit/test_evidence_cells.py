"""What the kept evidence of cells calls as promised."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "evidence_cells.py"


@pytest.fixture(scope="module")
def as_promised():
    """Return the judgement of a kept line."""
    return runpy.run_path(str(SCRIPT))["as_promised"]


@pytest.mark.parametrize(
    ("expected", "status", "searched", "promised"),
    [
        ("holds", "holds", False, True),
        ("holds", "violated", False, False),
        ("holds", "unknown", False, False),
        ("violated", "holds", False, False),
        ("may-violate", "holds", False, True),
        ("may-violate", "unknown", False, False),
        ("holds", "holds", True, True),
        ("holds", "unknown", True, False),
        ("holds", "violated", True, False),
        ("violated", "holds", True, True),
        ("violated", "unknown", True, False),
    ],
)
def test_only_a_verdict_is_as_promised(as_promised, expected, status, searched, promised):
    """A search may be too small for what is declared violated; one that was stopped has kept no promise."""
    line = {"expected": expected, "status": status} | ({"complete": status != "unknown"} if searched else {})
    assert as_promised(line) is promised
