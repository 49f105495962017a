"""The report's words: values of unknown origin are made visible, bounded and harmless."""

from __future__ import annotations

import pytest

from harness.operation import Failure, Operation
from harness.report import words


def operation(**changes: object) -> Operation:
    fields: dict[str, object] = {
        "index": 3,
        "process": 1,
        "client": 1,
        "function": "claim",
        "arguments": {"order": 7},
        "start_ns": 0,
        "returned_ns": 5_000_000,
        "status": "ok",
        "outcome": "returned",
        "result": {"_id": 7},
    }
    return Operation(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\\nlines"),
        ("sep\u2028arator", "sep\\u2028arator"),
        ("over\u202eride", "over\\u202eride"),
        ("null\x00", "null\\u0000"),
        ("umlaut ä and 漢", "umlaut ä and 漢"),
        ("lone \ud800 surrogate", "lone \\ud800 surrogate"),
    ],
)
def test_characters_that_do_not_show_are_written_as_escapes(text: str, shown: str) -> None:
    """No control, separator or reordering mark of a value reaches a reader as itself."""
    assert words.sentence(text) == shown


def test_a_long_text_is_cut_and_says_by_how_much() -> None:
    """A huge value costs a bounded number of characters, and the cut is not silent."""
    assert words.sentence("x" * 1_000, 10) == "x" * 10 + "… (990 more characters)"


def test_an_operation_is_told_with_arguments_and_ending() -> None:
    """A reader sees what was asked and what the caller got."""
    assert words.call(operation()) == "claim(order=7)"
    assert words.ending(operation()) == 'returned {"_id":7}'
    failed = operation(
        status="info",
        outcome="raised",
        error=Failure(types=("NetworkTimeout", "AutoReconnect"), message="m1: timed out", answered=False),
    )
    assert words.ending(failed) == "raised NetworkTimeout: m1: timed out"
    assert words.ending(operation(outcome="unfinished", returned_ns=None)) == "had not ended when the record did"


@pytest.mark.parametrize(
    ("microseconds", "shown"), [(840, "840 µs"), (1_240, "1.2 ms"), (12_400, "12 ms"), (1_100_000, "1.10 s")]
)
def test_a_span_has_the_unit_that_fits(microseconds: float, shown: str) -> None:
    """Latencies are read without counting zeros."""
    assert words.duration(microseconds) == shown


def test_lists_name_a_few_and_count_the_rest() -> None:
    """A list in a sentence stays short."""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.listed(["a", "b", "c", "d"], limit=2) == "a, b and 2 more"


def test_an_anchor_holds_letters_digits_and_hyphens_alone() -> None:
    """Nothing in a name can break out of an attribute or a fragment."""
    assert words.slug("finding", 'a"><script>', "lost-write") == "finding-a-script-lost-write"
    assert words.slug("finding", "漢") == "finding-x"
