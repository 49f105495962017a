"""EDN values: every notation read exactly, text that is none refused with its line, values written back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from exchange_strategies import edn_values
from hypothesis import given

from harness.errors import HistoryError
from harness.exchange.edn import Character, EdnList, EdnSet, Keyword, Reader, Symbol, Tagged, write_value


def read(text: str) -> Any:
    """Return the one value of a text."""
    reader = Reader(text, "text")
    value = reader.value()
    assert reader.at_end()
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        ("-17", -17),
        ("+5", 5),
        ("12345678901234567890N", 12345678901234567890),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1.50M", Decimal("1.50")),
        ("##Inf", float("inf")),
        (":read", Keyword("read")),
        (":jepsen/op", Keyword("jepsen/op")),
        ("foo/bar", Symbol("foo/bar")),
        (r"\a", Character("a")),
        (r"\newline", Character("\n")),
        (r'"a \"b\" \n \u00e4 \ud83d\ude00"', 'a "b" \n ä 😀'),
        ("[1, 2 [3]]", [1, 2, [3]]),
        ("(1 2)", EdnList((1, 2))),
        ("#{1 2}", EdnSet((1, 2))),
        ('{:a 1, [1 2] "x"}', {Keyword("a"): 1, (1, 2): "x"}),
        ('#inst "2026-01-01"', Tagged("inst", "2026-01-01")),
        ("#jepsen.history.Op{:f :read}", Tagged("jepsen.history.Op", {Keyword("f"): Keyword("read")})),
        ("#_ skipped [1 #_2 ; a comment\n 3]", [1, 3]),
    ],
)
def test_every_notation_is_read(text: str, value: Any) -> None:
    """Each notation of EDN becomes its value, of its own type."""
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("[1\n2", 2, "cut"),
        ('"abc', 1, "not closed"),
        ("[1\n)]", 2, "unexpected"),
        ("{:a}", 1, "a key without a value"),
        ("{:a 1\n :a 2}", 1, "the same key twice"),
        ("#{1 1}", 1, "the same element twice"),
        ("007", 1, "no number"),
        ("1/2", 1, "no number"),
        ("1-2", 1, "no number"),
        (r"\nonsense", 1, "no character"),
        (r'"\q"', 1, "escape"),
        (r'"\ud800"', 1, "escape"),
        ("##Nothing", 1, "no number"),
        ("{{} 1}", 1, "cannot be one"),
        (":", 1, "no keyword"),
        ("#", 1, "tag is missing"),
        ("[" * 200, 1, "nested"),
        ("", 1, "cut"),
        ("9" * 5000, 1, "no number"),
    ],
)
def test_what_is_no_edn_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    """Text that is no EDN is an error that says what is wrong, and on which line."""
    with pytest.raises(HistoryError, match=f"line {line}: .*{problem}"):
        read(text)


@given(edn_values())
def test_values_survive_a_round_trip(value: Any) -> None:
    """What is written is read back as the same value, on one line."""
    text = write_value(value)
    assert "\n" not in text
    assert read(text) == value


def test_what_edn_cannot_hold_is_refused() -> None:
    """A value without a notation, and a keyword that could not be read back, are errors."""
    with pytest.raises(HistoryError, match="type object"):
        write_value(object())
    with pytest.raises(HistoryError, match="name of a keyword"):
        write_value(Keyword("two words"))
