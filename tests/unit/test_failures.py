"""Failure records: what is kept of an exception of the driver or the pattern, and of a failed command."""

from __future__ import annotations

import json

import pytest
from bson import ObjectId, Timestamp
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from harness.backends.driver import failure_of
from harness.failures import failure_of_attempt


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (AutoReconnect("gone"), False),
        (NetworkTimeout("slow"), False),
        (ServerSelectionTimeoutError("nobody"), False),
        (NotPrimaryError("not primary", {"ok": 0, "code": 10107}), True),
        (OperationFailure("bad", 2, {"ok": 0, "code": 2}), True),
        (ExecutionTimeout("slow", 50, {"ok": 0, "code": 50}), True),
        (WTimeoutError("waited", 64, {"code": 64}), True),
        (InvalidOperation("mine"), True),
        (KeyError("mine"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_answered(error, answered):
    """Only where no reply arrived may the server have done anything."""
    assert failure_of(error).answered is answered


def test_code_labels_types_and_reply():
    """Class names (the shared roots left out), code, labels and the error document are kept, in plain values."""
    details = {"ok": 0, "code": 112, "errorLabels": ["TransientTransactionError"], "at": Timestamp(1, 2)}
    failure = failure_of(OperationFailure("conflict", 112, details))
    assert failure.types == ("OperationFailure", "PyMongoError")
    assert (failure.code, failure.labels) == (112, ("TransientTransactionError",))
    assert failure.reply["at"] == {"$timestamp": {"t": 1, "i": 2}}
    assert failure_of(NotPrimaryError("no", {"code": 10107})).code == 10107
    assert failure_of(DuplicateKeyError("dup", 11000)).types[:3] == (
        "DuplicateKeyError",
        "WriteError",
        "OperationFailure",
    )


def test_bulk_details_are_plain():
    """The details of a failed bulk hold the documents that were sent; they are kept as JSON values."""
    error = BulkWriteError({"nInserted": 1, "writeErrors": [{"index": 1, "op": {"_id": ObjectId("0" * 24)}}]})
    assert json.loads(json.dumps(failure_of(error).reply))["writeErrors"][0]["op"]["_id"] == {"$oid": "0" * 24}


def _raises_in_pattern():
    raise KeyError("mine")


def test_where_is_the_patterns_own_line():
    """The place is the innermost frame of the pattern, not the driver's or the standard library's below it."""
    with pytest.raises(KeyError) as caught:
        _raises_in_pattern()
    line = _raises_in_pattern.__code__.co_firstlineno + 1
    assert failure_of(caught.value).where.endswith(f"test_failures.py:{line}")
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    assert "test_failures.py:" in failure_of(caught.value).where
    with pytest.raises(TypeError) as caught:
        ObjectId(5)
    assert "test_failures.py:" in failure_of(caught.value).where


def test_exception_that_was_never_raised_has_no_place():
    """Without a traceback there is no place to tell."""
    assert failure_of(KeyError()).where == ""


@pytest.mark.parametrize(
    ("document", "types", "answered", "code"),
    [
        ({"ok": 0, "code": 10107, "errmsg": "no"}, "NotPrimaryError", True, 10107),
        ({"ok": 0, "code": 11000, "errmsg": "dup"}, "DuplicateKeyError", True, 11000),
        ({"ok": 0, "code": 50, "errmsg": "slow"}, "ExecutionTimeout", True, 50),
        ({"ok": 0, "code": 43, "errmsg": "gone"}, "CursorNotFound", True, 43),
        ({"ok": 0, "code": 2, "errmsg": "bad"}, "OperationFailure", True, 2),
        ({"ok": 0, "errmsg": "old server"}, "OperationFailure", True, None),
        ({"errmsg": "closed", "errtype": "AutoReconnect"}, "AutoReconnect", False, None),
        ({"errmsg": "slow", "errtype": "NetworkTimeout"}, "NetworkTimeout", False, None),
        ({"errmsg": "reset", "errtype": "ConnectionResetError"}, "ConnectionResetError", False, None),
        ({"errmsg": "?", "errtype": "NoSuchType"}, "ConnectionFailure", False, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_failure_documents_of_monitoring(document, types, answered, code):
    """A failed command is told by its document: a server's answer by its code, a network error by its type."""
    failure = failure_of_attempt(document)
    assert (failure.types[0], failure.answered, failure.code) == (types, answered, code)
    assert (failure.reply is not None) == answered


def test_bare_write_concern_error_is_put_back():
    """PyMongo hands a commit's writeConcernError over bare; the record has it where the server had it."""
    failure = failure_of_attempt({"code": 64, "errmsg": "waited", "errInfo": {"wtimeout": True}, "errorLabels": ["L"]})
    assert failure.reply["writeConcernError"]["code"] == 64
    assert (failure.types[0], failure.labels, failure.reply["ok"]) == ("WTimeoutError", ("L",), 1)


def test_missing_failure_document_proves_nothing():
    """Where monitoring has nothing to tell, there was no answer as far as the record knows."""
    assert failure_of_attempt(None).answered is False
