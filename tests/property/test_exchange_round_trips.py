"""Histories through every format and back; the quick reader against the exact one; damaged files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from exchange_strategies import edn_values, events, usual_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.exchange.edn import Keyword
from harness.exchange.edn_history import read_any_edn, read_edn, write_edn
from harness.exchange.edn_lines import read_lines
from harness.exchange.events import Events
from harness.exchange.files import read_history, write_history
from harness.exchange.jepsen_log import read_log, write_log
from harness.exchange.judging import judge_model
from harness.exchange.pairing import Imported, pair
from harness.exchange.unpairing import unpair
from harness.operation import Operation

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text("abc:/ ", max_size=4), st.lists(st.integers(0, 9))
)
GOOD = (
    b"{:type :invoke, :f :write, :value 1, :process 0, :time 10, :index 0}\n"
    b"{:type :ok, :f :write, :value 1, :process 0, :time 20, :index 1}\n"
    b"{:type :invoke, :f :read, :value nil, :process 1, :time 30, :index 2}\n"
    b'{:type :info, :f :read, :value nil, :process 1, :time 35, :index 3, :error [:timeout "x"]}\n'
    b"{:process :nemesis, :type :info, :f :start, :value nil, :time 37, :index 4}\n"
    b"{:type :invoke, :f :cas, :value [1 2], :process 0, :time 40, :index 5}\n"
    b"{:type :ok, :f :cas, :value [1 2], :process 0, :time 50, :index 6}\n"
)


DELIMITERS = (b"{", b"}", b"[", b'"', b":", b"#", b"\\", b";")
OUTCOMES = ("an error", "holds", "violated", "unknown")


def outcome(read: Callable[[], Imported]) -> str:
    """Return the verdict on what is read, or that it was refused; any error that is not ours is raised."""
    try:
        return judge_model(read(), "cas-register").status
    except HarnessError:
        return "an error"


def operations(imported: Imported) -> list[Operation]:
    """Return the operations, numbered in order: a format may number them anew."""
    return [
        msgspec.structs.replace(operation, index=number) for number, operation in enumerate(imported.history.operations)
    ]


@pytest.mark.slow
@given(events(edn_values()))
def test_events_survive_edn(history: Events) -> None:
    """Events with values of every kind are the same after EDN."""
    assert read_edn(write_edn(history), "text") == history


@pytest.mark.slow
@given(events(edn_values()))
def test_events_survive_log_lines(history: Events) -> None:
    """Log lines keep all of an event but its time and index."""
    found = read_log(write_log(history), "text")
    for column in ("types", "functions", "values", "processes"):
        assert getattr(found, column) == getattr(history, column)


@pytest.mark.slow
@given(events(usual_values()), st.randoms(use_true_random=False))
def test_the_quick_reader_agrees_with_the_exact_one(history: Events, chance: random.Random) -> None:
    """Whatever the order of keys, the quick reader reads a usual history, and as the exact reader does."""
    keys = ["process", "type", "f", "value", "time", "index"]
    chance.shuffle(keys)
    lines = []
    for line in write_edn(history).decode().splitlines():
        event = _parts(line)
        lines.append("{" + ", ".join(f":{key} {event[key]}" for key in keys) + "}\n")
    content = "".join(lines).encode()
    quick = read_lines(content, "text")
    assert quick is not None
    assert quick == read_any_edn(content, "text") == history


def _parts(line: str) -> dict[str, str]:
    words = {}
    rest = line[1:-1]
    for key, following in zip(
        ("process", "type", "f", "value", "time", "index"), ("type", "f", "value", "time", "index", ""), strict=True
    ):
        before, _, rest = rest.partition(f", :{following} ") if following else (rest, "", "")
        words[key] = before.removeprefix(f":{key} ")
        rest = f":{following} {rest}"
    return words


@pytest.mark.slow
@given(st.lists(st.sampled_from(["[1 2]", "[1] [2]", "[[1]", "[2]]", "1 2", "nil", "[:r 1]", "[r]", "-0", "01"])))
def test_values_that_are_none_never_shift_others(words: list[str]) -> None:
    """Where a value is broken the quick reader gives up or agrees: two broken values never make one whole."""
    line = "{{:type :invoke, :f :read, :value {}, :process {}}}\n"
    content = "".join(line.format(word, number) for number, word in enumerate(words)).encode()
    quick = read_lines(content, "text")
    if quick is not None:
        assert quick == read_any_edn(content, "text")


@pytest.mark.slow
@given(events(PLAIN | st.lists(PLAIN, max_size=3)))
def test_histories_survive_edn(history: Events) -> None:
    """A history is the same after it was written as EDN and read again."""
    first = pair(history)
    again = pair(read_edn(write_edn(unpair(first.history)), "text"))
    assert operations(again) == operations(first)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=events(PLAIN), suffix=st.sampled_from([".edn", ".edn.gz", ".jsonl", ".jsonl.gz"]))
def test_histories_survive_files(history: Events, suffix: str, tmp_path: Path) -> None:
    """A history is the same after it was written to a file of any format with times, and guessed and read again."""
    first, path = pair(history), tmp_path / f"history{suffix}"
    path.unlink(missing_ok=True)
    write_history(path, first)
    assert operations(read_history(path)) == operations(first)


@pytest.mark.parametrize("suffix", [".edn", ".jsonl.gz", ".log"])
@pytest.mark.slow
@given(position=st.integers(0, len(GOOD) * 2), byte=st.integers(-1, 255), cut=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_a_damaged_file_is_an_error_or_a_verdict(
    suffix: str, position: int, byte: int, cut: bool, tmp_path: Path
) -> None:
    """Whatever byte of a good file is changed, removed or the last: an error of ours or a verdict, nothing else."""
    whole = tmp_path / f"whole{suffix}"
    if not whole.exists():
        write_history(whole, pair(read_edn(GOOD, "good")))
    content = whole.read_bytes()
    at = position % len(content)
    damaged = content[:at] + (bytes([byte]) if byte >= 0 else b"") + (b"" if cut else content[at + 1 :])
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damaged)
    assert outcome(lambda: read_history(path)) in OUTCOMES


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.sampled_from(DELIMITERS))))
@settings(max_examples=300, deadline=None)
def test_brackets_and_quotes_anywhere_are_an_error_or_a_verdict(insertions: list[tuple[int, bytes]]) -> None:
    """The characters that open and close values, put anywhere, never bring down the reader."""
    content = GOOD
    for position, character in insertions:
        content = content[:position] + character + content[position:]
    assert outcome(lambda: pair(read_edn(content, "text"))) in OUTCOMES


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["order", "amount", "until"]), PLAIN, min_size=1))
def test_named_arguments_survive_edn(arguments: dict[str, Any]) -> None:
    """An operation of ours with named arguments is a map with keywords in EDN, and named again after."""
    history = Events(
        types=["invoke"],
        functions=["claim"],
        values=[{Keyword(name): value for name, value in arguments.items()}],
        processes=[0],
        times=[5],
        indexes=[0],
        lines=[1],
    )
    first = pair(history)
    assert first.history.operations[0].arguments == arguments
    assert operations(pair(read_edn(write_edn(unpair(first.history)), "text"))) == operations(first)
