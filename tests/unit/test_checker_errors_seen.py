"""Unexpected errors: what a contract must say it raises, and what any caller of a replica set must live with."""

from __future__ import annotations

import msgspec
import pytest
from checker_histories import history, operation

from harness.checkers import unexpected_errors
from harness.operation import Failure, Operation


def raising(index: int, failure: Failure, function: str = "put") -> Operation:
    """Return an operation that raised."""
    return msgspec.structs.replace(operation(index, function, index, index + 1, status="info"), error=failure)


DUPLICATE = Failure(
    types=("DuplicateKeyError", "WriteError", "OperationFailure", "PyMongoError"),
    message="E11000",
    code=11000,
    where="lww.py:12",
)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(types=("NetworkTimeout", "AutoReconnect", "ConnectionFailure", "PyMongoError"), message=""),
        Failure(types=("ServerSelectionTimeoutError", "AutoReconnect", "ConnectionFailure"), message=""),
        Failure(types=("NotPrimaryError", "AutoReconnect"), message="", code=10107),
        Failure(types=("WTimeoutError", "WriteConcernError", "OperationFailure"), message="", code=64),
        Failure(types=("ExecutionTimeout", "OperationFailure"), message="", code=50),
        Failure(types=("OperationFailure",), message="", code=11602),
        Failure(types=("OperationFailure",), message="", code=112, labels=("TransientTransactionError",)),
        Failure(types=("BulkWriteError",), message="", code=65, reply={"writeErrors": [], "writeConcernErrors": [{}]}),
    ],
    ids=lambda failure: f"{failure.types[0]}-{failure.code}",
)
def test_unavailability_is_expected(failure: Failure) -> None:
    """An error that says the set was not available just then is no finding."""
    assert unexpected_errors().check(history(raising(0, failure))).status == "holds"


def test_an_undeclared_error_is_found_once_for_each_class_code_and_function() -> None:
    """Ten duplicates of one function and one of another are two findings, counted, each with its place in the code."""
    raised = [raising(n, DUPLICATE) for n in range(10)] + [raising(10, DUPLICATE, "other")]
    verdict = unexpected_errors().check(history(*raised))
    assert [(one.details["function"], one.details["count"]) for one in verdict.anomalies] == [("put", 10), ("other", 1)]
    assert "lww.py:12" in verdict.anomalies[0].story[0]
    assert verdict.anomalies[0].operations == (0,)


@pytest.mark.parametrize("declared", ["DuplicateKeyError", "WriteError"])
def test_a_declared_class_covers_its_subclasses(declared: str) -> None:
    """What the contract provides for, by its own name or a base class, is no finding."""
    assert unexpected_errors((declared,)).check(history(raising(0, DUPLICATE))).status == "holds"


def test_a_bulk_error_with_write_errors_is_unexpected() -> None:
    """Only a bulk write whose sole trouble was its confirmation counts as unavailability."""
    failure = Failure(
        types=("BulkWriteError",), message="", code=65, reply={"writeErrors": [{}], "writeConcernErrors": [{}]}
    )
    assert unexpected_errors().check(history(raising(0, failure))).status == "violated"


def test_rejections_and_crashes_are_no_errors() -> None:
    """A rejection is an answer, and a client that was killed got none."""
    rejected = operation(0, "put", 0, 1, status="fail", outcome="rejected")
    crashed = operation(1, "put", 2, None, status="info", outcome="crashed")
    assert unexpected_errors().check(history(rejected, crashed)).status == "holds"


def test_without_operations_there_is_nothing_to_judge() -> None:
    """An empty record never holds."""
    assert unexpected_errors().check(history()).status == "unknown"
