"""Transactions from files: what each did, and what is refused because a client cannot have seen it."""

from __future__ import annotations

import pytest

from harness.checkers.isolation.transactions import MicroOperation, Transaction
from harness.errors import HistoryError, UsageError
from harness.exchange.edn_history import read_edn
from harness.exchange.pairing import pair
from harness.exchange.transactions import transactions_of


def transactions(invoked: str, ended: str, *, ending: str = "ok", workload: str = "list-append") -> list[Transaction]:
    """Return the transactions of a history of one, invoked on line 1 and ended on line 2."""
    text = (
        f"{{:type :invoke, :f :txn, :value {invoked}, :process 3, :time 10}}\n"
        f"{{:type :{ending}, :f :txn, :value {ended}, :process 3, :time 20}}\n"
    )
    return transactions_of(pair(read_edn(text.encode(), "text")), workload)


def test_a_transaction_has_what_its_completion_says() -> None:
    """Reads come from the completion, writes are those that were asked for."""
    (found,) = transactions("[[:append 1 5] [:r 2 nil]]", "[[:append 1 5] [:r 2 [3 4]]]")
    assert (found.index, found.process, found.start_ns, found.end_ns, found.status) == (0, 3, 10, 20, "ok")
    assert found.operations == (
        MicroOperation(kind="append", key=1, value=5),
        MicroOperation(kind="r", key=2, value=(3, 4)),
    )


@pytest.mark.parametrize("ending", ["fail", "info"])
def test_reads_of_what_did_not_end_are_unknown(ending: str) -> None:
    """Of a transaction that failed, or whose end is unknown, the writes are known and the reads are not."""
    (found,) = transactions("[[:w 1 5] [:r 2 nil]]", "[[:w 1 5] [:r 2 7]]", ending=ending, workload="rw-register")
    assert found.status == ending
    assert found.operations == (
        MicroOperation(kind="w", key=1, value=5),
        MicroOperation(kind="r", key=2, value=None),
    )


MALFORMED = {
    "a read that completed as an append": ("[[:r 1 nil]]", "[[:append 1 1]]", 2, "micro-operation 1 was invoked as"),
    "another key": ("[[:r 1 nil]]", "[[:r 2 [1]]]", 2, "micro-operation 1 was invoked as"),
    "another value": ("[[:append 1 1]]", "[[:append 1 2]]", 2, "micro-operation 1 was invoked as"),
    "fewer micro-operations": ("[[:append 1 1] [:r 1 nil]]", "[[:append 1 1]]", 2, "completed with 1"),
    "a write of another workload": ("[[:w 1 1]]", "[[:w 1 1]]", 1, r"not \[:w 1 1\]"),
    "two parts": ("[[:r 1]]", "[[:r 1]]", 1, "a micro-operation is"),
    "no micro-operation": ("[7]", "[7]", 1, "a micro-operation is"),
    "no vector": ("7", "7", 1, "a transaction is a vector"),
    "a read that knows its value": ("[[:r 1 [1]]]", "[[:r 1 [1]]]", 1, "knows its value"),
    "a write of nothing": ("[[:append 1 nil]]", "[[:append 1 nil]]", 1, "writes nothing"),
    "a read of a list that is a number": ("[[:r 1 nil]]", "[[:r 1 5]]", 2, "returns a vector, not 5"),
}


@pytest.mark.parametrize(("invoked", "ended", "line", "problem"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_transaction_is_named_by_its_line(invoked: str, ended: str, line: int, problem: str) -> None:
    """What no client can have asked for or seen is an error with the line on which it stands, never a verdict."""
    with pytest.raises(HistoryError, match=f"text, line {line}: .*{problem}.*operation 0"):
        transactions(invoked, ended)


def test_another_function_is_no_transaction() -> None:
    """An operation that is no transaction is refused: leaving it out could hide what it did."""
    text = "{:type :invoke, :f :read, :value nil, :process 0}"
    with pytest.raises(HistoryError, match="line 1: a transaction is invoked as txn, not read"):
        transactions_of(pair(read_edn(text.encode(), "text")), "list-append")


def test_an_unknown_workload_is_a_usage_error() -> None:
    """A workload that files do not have is refused with the names of those that they have."""
    with pytest.raises(UsageError, match="unknown workload 'bank'"):
        transactions("[]", "[]", workload="bank")
