"""Running checkers side by side: none brings down another, and none judges what was not read."""

from __future__ import annotations

import subprocess
import sys

import pytest
from checker_histories import history, operation

from harness.checkers import durability, run_checkers, single_claim
from harness.errors import CheckError
from harness.history import History
from harness.interfaces.checker import Checker
from harness.verdict import Verdict

WRITES = durability(
    writes=lambda one: one.arguments["token"],
    survivors=lambda final: final.get("tokens", []),
    needs_final=("tokens",),
)


def test_a_checker_that_crashes_is_unknown_and_the_others_are_heard() -> None:
    """The reason names the error and where it was raised."""

    def crash(_: History) -> Verdict:
        raise ZeroDivisionError("by nothing")

    broken = Checker(name="broken", guarantee="", check=crash)
    verdicts = run_checkers(history(operation(0, "insert", 0, 1, token="a"), tokens=["a"]), [broken, WRITES])
    assert [verdict.status for verdict in verdicts] == ["unknown", "holds"]
    assert "ZeroDivisionError: by nothing at " in verdicts[0].reason
    assert "test_checker_compose.py:" in verdicts[0].reason


def test_a_missing_final_read_is_unknown_even_if_a_scenario_takes_it_for_empty() -> None:
    """Where the final state was never read, nothing counts as lost."""
    (verdict,) = run_checkers(history(operation(0, "insert", 0, 1, token="a")), [WRITES])
    assert verdict.status == "unknown"
    assert verdict.reason == "the record has no final read of tokens: the run did not come to its end"
    assert WRITES.check(history(operation(0, "insert", 0, 1, token="a"))).status == "unknown"


def test_what_the_operations_show_counts_without_final_reads() -> None:
    """Two clients that were told the same are a violation, however the run ended."""
    claims = single_claim(
        item=lambda one: one.arguments["order"], claimed=lambda final: final["orders"], needs_final=("orders",)
    )
    twice = history(operation(0, "claim", 0, 1, order="o"), operation(1, "claim", 2, 3, order="o"))
    once = history(operation(0, "claim", 0, 1, order="o"))
    assert [run_checkers(one, [claims])[0].status for one in (twice, once)] == ["violated", "unknown"]


def test_two_checkers_of_one_name_are_refused() -> None:
    """Verdicts that could not be told apart are an error of the scenario."""
    with pytest.raises(CheckError, match="durability"):
        run_checkers(history(), [WRITES, WRITES])


def test_the_checkers_need_no_driver() -> None:
    """A stored history can be judged where neither PyMongo nor trio is installed."""
    code = "import sys, harness.checkers; print(sorted({'pymongo', 'bson', 'trio'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
