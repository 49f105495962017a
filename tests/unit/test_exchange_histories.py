"""Histories from elsewhere: what their events mean, and every defect of a file named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HistoryError, UsageError
from harness.exchange.edn_history import read_any_edn, read_edn
from harness.exchange.edn_lines import read_lines
from harness.exchange.files import read_history, write_history
from harness.exchange.jepsen_log import read_log
from harness.exchange.judging import judge_model
from harness.exchange.pairing import Imported, Trust, pair
from harness.exchange.unpairing import unpair

WRITE = "{:type :invoke, :f :write, :value 1, :process 0, :time 10, :index 0}\n"
WRITTEN = "{:type :ok, :f :write, :value 1, :process 0, :time 20, :index 1}\n"


def imported(text: str, *, trust: Trust = "both", independent: bool = False) -> Imported:
    """Return the history of a text in EDN."""
    return pair(read_edn(text.encode(), "text"), trust=trust, independent=independent)


def test_a_history_is_paired() -> None:
    """Each operation has its arguments, interval, status and result; one without an end is open."""
    history = imported(
        WRITE + "{:type :invoke, :f :read, :value nil, :process 1, :time 15, :index 1}\n"
        "{:type :ok, :f :write, :value 1, :process 0, :time 20, :index 2}\n"
        "{:type :ok, :f :read, :value 7, :process 1, :time 25, :index 3}\n"
        "{:type :invoke, :f :cas, :value [1 2], :process 0, :time 30, :index 4}\n"
    ).history
    write, read, cas = history.operations
    assert (write.function, write.arguments, write.start_ns, write.returned_ns) == ("write", {"value": 1}, 10, 20)
    assert (read.arguments, read.result, read.status, read.index) == ({}, 7, "ok", 1)
    assert (cas.status, cas.outcome, cas.returned_ns) == ("info", "unfinished", None)


def test_without_times_the_lines_are_the_order() -> None:
    """Where a file has neither times nor indexes, the position of an event is both."""
    history = imported(
        "{:type :invoke :f :write :value 1 :process 0}\n\n{:process 0, :type :fail, :f :write, :value 1}\n"
    ).history
    (write,) = history.operations
    assert (write.start_ns, write.returned_ns, write.index, write.status) == (0, 1, 0, "fail")


@pytest.mark.parametrize("opening", ["[", "("])
def test_one_vector_of_operations_is_a_history(opening: str) -> None:
    """A file may be one vector or list of maps; lines of errors count within it."""
    closing = {"[": "]", "(": ")"}[opening]
    assert len(imported(opening + WRITE + WRITTEN + closing).history.operations) == 1
    with pytest.raises(HistoryError, match=r"line 2: .*:type is one of"):
        imported(opening + WRITE + WRITTEN.replace(":ok", ":okay") + closing)


def test_records_are_operations() -> None:
    """Jepsen's records are read by the quick reader as by the exact one."""
    text = b"#jepsen.history.Op{:index 0, :time 5, :type :invoke, :process 0, :f :read, :value nil}\n"
    quick = read_lines(text, "text")
    assert quick is not None
    assert quick == read_any_edn(text, "text")


def test_a_tagged_pair_is_a_key_and_its_value() -> None:
    """Values with the tag of jepsen.independent name their key, without being told."""
    text = (WRITE + WRITTEN).replace(":value 1", ":value #jepsen.independent/tuple [3 1]")
    (write,) = imported(text).history.operations
    assert (write.arguments, write.result) == ({"key": 3, "value": 1}, 1)


def test_the_nemesis_stands_apart() -> None:
    """A nemesis is no client; what begins and ends a fault is a window."""
    found = imported(
        WRITE
        + "{:type :info, :f :start-partition, :value nil, :process :nemesis, :time 11, :index 1}\n"
        + "{:type :info, :f :start-partition, :value [:isolated], :process :nemesis, :time 12, :index 2}\n"
        + WRITTEN.replace(":index 1", ":index 3")
        + "{:type :info, :f :stop-partition, :value nil, :process :nemesis, :time 30, :index 4}\n"
        + "{:type :info, :f :stop-partition, :value nil, :process :nemesis, :time 31, :index 5}\n"
    )
    assert len(found.history.operations) == 1
    assert [(w.fault, w.strike, w.start_ns, w.end_ns) for w in found.history.fault_windows] == [
        ("partition", 1, 11, 31)
    ]
    assert found.nemesis is not None
    assert len(found.nemesis) == 4


DEFECTS = {
    "cut inside an operation": (WRITE + WRITTEN[:30], 2, "cut"),
    "cut inside a vector": ("[" + WRITE + WRITTEN, 3, "cut"),
    "a key that is misspelt": (WRITE.replace(":value", ":vaule"), 1, "unknown key :vaule; did you mean :value"),
    "no type": ("{:f :read, :process 0, :value nil}", 1, "not nothing"),
    "a type of another name": (WRITE.replace(":invoke", ":begin"), 1, ":begin|'begin'"),
    "a process that is a string": (WRITE.replace(":process 0", ':process "a"'), 1, ":process is a number"),
    "a process below zero": (WRITE.replace(":process 0", ":process -1"), 1, ":process is a number"),
    "a time with a fraction": (WRITE.replace(":time 10", ":time 1.5"), 1, ":time is a number"),
    "a time beyond all": (WRITE.replace(":time 10", ":time 99999999999999999999"), 1, ":time is a number"),
    "an index that is a keyword": (WRITE.replace(":index 0", ":index :a"), 1, ":index is a number"),
    "a number in place of an operation": (WRITE + WRITTEN + "17\n", 3, "an operation is a map"),
    "a completion without an invocation": (WRITTEN, 1, "never invoked"),
    "a second completion": (WRITE + WRITTEN + WRITTEN.replace(":index 1", ":index 2"), 3, "never invoked"),
    "two open operations": (WRITE + WRITE.replace(":index 0", ":index 1"), 2, "on line 1"),
    "a completion of another function": (WRITE + WRITTEN.replace(":write", ":read"), 2, "'write', .* line 1"),
    "a clock that goes backwards": (WRITE + WRITTEN.replace(":time 20", ":time 9"), 2, "clock went backwards"),
    "an index twice": (WRITE + WRITTEN.replace(":index 1", ":index 0"), 2, "follows :index 0"),
    "an index that is missing": (WRITE + WRITTEN.replace(", :index 1", ""), 2, "has no :index"),
    "a time that is missing": (WRITE + WRITTEN.replace(", :time 20", ""), 2, "has no :time"),
    "a read without a value": (
        "{:type :invoke, :f :read, :process 0}\n{:type :ok, :f :read, :process 0}\n",
        2,
        "it has no :value",
    ),
    "text that is not UTF-8": ("{:a\n\udcff", 2, "not UTF-8"),
}


@pytest.mark.parametrize(("text", "line", "problem"), DEFECTS.values(), ids=DEFECTS.keys())
def test_a_defect_is_named_by_its_line(text: str, line: int, problem: str) -> None:
    """Each defect of a file is an error that names the line, what is wrong there and what to do."""
    with pytest.raises(HistoryError, match=f"text, line {line}: .*{problem}") as raised:
        pair(read_edn(text.encode(errors="surrogateescape"), "text"))
    assert raised.value.next_step


def test_an_empty_file_is_refused() -> None:
    """A file without operations is no history that holds."""
    with pytest.raises(HistoryError, match="no operations"):
        imported("; nothing\n")


UNFIT = {
    "a function of another model": (WRITE.replace(":write", ":enqueue"), "knows read, write, cas, not enqueue"),
    "a write that completed with another": (
        WRITE + WRITTEN.replace("1, :process", "2, :process"),
        "completed with 2",
    ),
    "a compare-and-set of one value": (WRITE.replace(":write", ":cas"), r"\[expected new\]"),
    "a read that brings a value": (WRITE.replace(":write", ":read"), "--independent"),
    "named arguments": (WRITE.replace(":value 1", ":value {:order 7}"), "its arguments are order"),
    "an operation without a key": (
        WRITE.replace(":value 1", ":value #jepsen.independent/tuple [3 1]")
        + WRITE.replace(":process 0", ":process 1").replace(":index 0", ":index 1"),
        "it has no key",
    ),
}


@pytest.mark.parametrize(("text", "problem"), UNFIT.values(), ids=UNFIT.keys())
def test_values_that_do_not_fit_the_model_are_refused(text: str, problem: str) -> None:
    """What the model cannot have done is an error with line and operation, never a verdict."""
    with pytest.raises(HistoryError, match=f"text, line [12]: .*{problem}.*operation [01]"):
        judge_model(imported(text), "cas-register")


def test_a_boolean_is_no_number() -> None:
    """What was written as true cannot be read as 1, though the two are equal to Python."""
    text = (
        (WRITE + WRITTEN).replace(":value 1", ":value true")
        + "{:type :invoke, :f :read, :value nil, :process 0, :time 30, :index 2}\n"
        + "{:type :ok, :f :read, :value VALUE, :process 0, :time 40, :index 3}\n"
    )
    assert judge_model(imported(text.replace("VALUE", "1")), "register").status == "violated"
    assert judge_model(imported(text.replace("VALUE", "true")), "register").status == "holds"


def test_lines_or_times_are_trusted_as_told() -> None:
    """Where lines and times disagree, whoever reads says what counts, and the verdict follows."""
    stale = (
        "{:type :invoke, :f :write, :value 1, :process 0, :time 30}\n"
        "{:type :ok, :f :write, :value 1, :process 0, :time 40}\n"
        "{:type :invoke, :f :read, :value nil, :process 1, :time 10}\n"
        "{:type :ok, :f :read, :value nil, :process 1, :time 20}\n"
    )
    assert judge_model(imported(stale, trust="lines"), "register").status == "violated"
    assert judge_model(imported(stale, trust="times"), "register").status == "holds"


def test_keys_that_are_not_judged_are_noted() -> None:
    """A key that nobody knows is kept, and whoever reads is told."""
    found = imported(WRITE.replace("}", ", :shard 7}") + WRITTEN.replace("}", ', :node "n1"}'))
    assert [note for note in found.notes if "shard" in note]
    assert not [note for note in found.notes if "node" in note]


def test_one_key_is_judged_alone() -> None:
    """With a key only its operations are judged; one that is not there is a usage error that names those that are."""
    path = Path(__file__).parents[1] / "histories" / "jepsen" / "cas-register-one-bad-key.edn"
    found = read_history(path, independent=True)
    assert judge_model(found, "cas-register", key=4).status == "holds"
    assert judge_model(found, "cas-register", key=3).status == "violated"
    with pytest.raises(UsageError, match="has the key 5") as raised:
        judge_model(found, "cas-register", key=5)
    assert "3, 4" in str(raised.value)


LOG_DEFECTS = {
    "a type of another name": "INFO jepsen.util - 3\t:begin\t:read\tnil",
    "no process": "INFO x - :invoke :read nil",
    "three values": "INFO jepsen.util - 3\t:invoke\t:read\tnil :error 3",
    "a value that is cut": "INFO jepsen.util - 3\t:invoke\t:cas\t[1 ",
}


@pytest.mark.parametrize("line", LOG_DEFECTS.values(), ids=LOG_DEFECTS.keys())
def test_a_broken_log_line_is_refused(line: str) -> None:
    """A line that means to be an operation and is none is an error with its number, others are passed over."""
    with pytest.raises(HistoryError, match="log, line 2:"):
        read_log(f"INFO main - starting\n{line}\n".encode(), "log")


def test_log_lines_are_set_apart_by_tabs_or_blanks() -> None:
    """Both separators are read, errors follow the value, other lines are passed over."""
    events = read_log(
        b"INFO [10:00:00] jepsen.core - Run\nINFO [10:00] jepsen.util - 3 :invoke :write 1\n"
        b"INFO jepsen.util - 3\t:info\t:write\t1\t:timed-out\n",
        "log",
    )
    assert (list(events.types), list(events.processes), list(events.values)) == (["invoke", "info"], [3, 3], [1, 1])
    assert events.lines == [2, 3]
    assert events.extras == {1: {"error": "timed-out"}}


INVOKED = '{"event":"invoke","index":%d,"process":%d,"client":0,"function":"read","start_ns":1}'
COMPLETED = '{"event":"complete","index":%d,"returned_ns":%d,"status":"ok","outcome":"returned"}'
JOURNAL_DEFECTS = {
    "a completion without an invocation": (COMPLETED % (3, 5), "never invoked"),
    "an operation twice": (INVOKED % (0, 1), "invoked again"),
    "two open operations": (INVOKED % (1, 0), "still has operation 0 open"),
    "an end before its beginning": (COMPLETED % (0, 0), "ends before it begins"),
    "no event": ('{"event":"nonsense"}', "not a journal event"),
}


@pytest.mark.parametrize(("line", "problem"), JOURNAL_DEFECTS.values(), ids=JOURNAL_DEFECTS.keys())
def test_a_defect_of_a_journal_is_named_by_its_line(line: str, problem: str, tmp_path: Path) -> None:
    """A journal is held to the same rules, and its errors name the line."""
    path = tmp_path / "history.jsonl"
    path.write_text(f"{INVOKED % (0, 0)}\n{line}\n")
    with pytest.raises(HistoryError, match=f"line 2: .*{problem}"):
        read_history(path)


def test_a_journal_that_was_never_closed_is_noted(tmp_path: Path) -> None:
    """The history of a harness that died is read, marked incomplete, and the reader is told."""
    path = tmp_path / "history.jsonl"
    path.write_text(f'{INVOKED % (0, 0)}\n{{"event":"comp')
    found = read_history(path)
    assert not found.history.complete
    assert "never closed" in found.notes[0]


@pytest.mark.parametrize("value", ['#inst "2026-01-01"', "{[1] 2}", "##Inf", "123456789012345678901234567890"])
def test_a_journal_refuses_what_json_lacks(value: str, tmp_path: Path) -> None:
    """A value that a journal would change is refused, with the format that can hold it."""
    with pytest.raises(HistoryError, match="cannot hold") as raised:
        write_history(tmp_path / "out.jsonl", imported(WRITE.replace(":value 1", f":value {value}")))
    assert ".edn" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x1f\x8bnonsense"])
def test_what_is_no_history_is_refused(content: bytes, tmp_path: Path) -> None:
    """A file of no known format is an error that names the formats, or says that it is damaged."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises((UsageError, HistoryError)):
        read_history(path)


def test_moments_that_touch_stay_concurrent() -> None:
    """Of one moment, invocations are written before completions, but what a process does next follows what it did."""
    text = (
        WRITE + "{:type :ok, :f :write, :value 1, :process 0, :time 20}\n"
        "{:type :invoke, :f :write, :value 2, :process 0, :time 20}\n"
        "{:type :invoke, :f :read, :value nil, :process 1, :time 20}\n"
    ).replace(", :index 0", "")
    events = unpair(imported(text).history)
    assert list(zip(events.types, events.processes, strict=True)) == [
        ("invoke", 0), ("invoke", 1), ("ok", 0), ("invoke", 0)
    ]  # fmt: skip
