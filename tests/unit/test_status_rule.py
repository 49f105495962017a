"""The status rule: what the record of the database calls proves about an operation's effect."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest

from harness.operation import Attempt, DatabaseCall, Failure
from harness.status import NOT_APPLIED_CODES, classify

LSID = "0f" * 16

SINGLE_REQUESTS = {
    "insert": {"insert": "orders", "documents": [{"_id": 1}]},
    "update": {"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}, "multi": False}]},
    "delete": {"delete": "orders", "deletes": [{"q": {"_id": 1}, "limit": 1}]},
    "findAndModify": {"findAndModify": "orders", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}},
}
MULTI_REQUESTS = {
    "insert two": {"insert": "orders", "documents": [{"_id": 1}, {"_id": 2}]},
    "update two": {"update": "orders", "updates": [{"q": {}, "u": {}, "multi": False}] * 2},
    "update many": {"update": "orders", "updates": [{"q": {}, "u": {"$set": {"n": 1}}, "multi": True}]},
    "delete two": {"delete": "orders", "deletes": [{"q": {}, "limit": 1}] * 2},
    "delete many": {"delete": "orders", "deletes": [{"q": {}, "limit": 0}]},
    "bulk": {"bulkWrite": 1, "ops": [{"insert": 0, "document": {}}]},
    "merge": {"aggregate": "orders", "pipeline": [{"$merge": {"into": "totals"}}]},
    "out": {"aggregate": "orders", "pipeline": [{"$match": {}}, {"$out": "totals"}]},
}
STATE_CHANGES = (91, 189, 10058, 10107, 11600, 11602, 13435, 13436)
CONFLICTS = (24, 112, 225, 251, 11000)
REFUSALS = (2, 9, 14, 28, 40, 66, 121)
UNPROVEN = (6, 7, 50, 64, 89, 262, 9001, 11601)


def _attempt(request, reply=None, failure=None, **extra):
    command = next(iter(request))
    return Attempt(command=command, request={**request, **extra}, server="m1", start_ns=0, reply=reply, failure=failure)


def _top_level(code, **extra):
    reply = {"ok": 0, "code": code, "errmsg": "refused", **extra}
    return {"failure": Failure(types=("OperationFailure",), message="refused", code=code, reply=reply)}


def _concern_error(code):
    return {"reply": {"ok": 1, "n": 1, "writeConcernError": {"code": code, "errmsg": "waited"}}}


def _write_errors(code, count=1):
    return {"reply": {"ok": 1, "n": 0, "writeErrors": [{"index": i, "code": code} for i in range(count)]}}


LOST = {"failure": Failure(types=("AutoReconnect",), message="connection closed", answered=False)}
NOTHING = {"reply": {"ok": 1, "n": 0, "lastErrorObject": {"n": 0, "updatedExisting": False}}}
DONE = {"reply": {"ok": 1, "n": 1, "lastErrorObject": {"n": 1, "updatedExisting": True}}}


def _status(*attempts, outcome="raised"):
    return classify((DatabaseCall(name="orders.write", start_ns=0, attempts=attempts),), outcome)


# --- one attempt -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"), list(product(SINGLE_REQUESTS, (*STATE_CHANGES, *CONFLICTS, *REFUSALS))), ids=str
)
def test_top_level_refusal_of_a_single_statement_is_fail(name, code):
    """A single-statement write refused at top level with a code that means "not applied" is proved without effect."""
    assert _status(_attempt(SINGLE_REQUESTS[name], **_top_level(code))) == "fail"


@pytest.mark.parametrize(("name", "code"), list(product(SINGLE_REQUESTS, UNPROVEN)), ids=str)
def test_top_level_code_that_proves_nothing_is_info(name, code):
    """A top-level code of which the server may have applied the write leaves the outcome unknown."""
    assert _status(_attempt(SINGLE_REQUESTS[name], **_top_level(code))) == "info"


@pytest.mark.parametrize(("name", "code"), list(product(MULTI_REQUESTS, (10107, 11000, 2))), ids=str)
def test_top_level_refusal_of_several_statements_is_info(name, code):
    """A multi-statement write (updateMany and deleteMany too) that erred may have been applied in part."""
    assert _status(_attempt(MULTI_REQUESTS[name], **_top_level(code))) == "info"


@pytest.mark.parametrize(
    ("name", "code"), list(product({**SINGLE_REQUESTS, **MULTI_REQUESTS}, (64, 79, 100, 189, 11602, 10107))), ids=str
)
def test_write_concern_error_is_info(name, code):
    """With any writeConcernError the write was applied on the primary and may stay."""
    request = {**SINGLE_REQUESTS, **MULTI_REQUESTS}[name]
    assert _status(_attempt(request, **_concern_error(code))) == "info"


@pytest.mark.parametrize("code", [10107, 11000])
def test_write_concern_error_beside_a_refusal_is_info(code):
    """A refusal that carries a writeConcernError as well proves nothing."""
    refused = _top_level(code, writeConcernError={"code": 64})
    assert _status(_attempt(SINGLE_REQUESTS["findAndModify"], **refused)) == "info"


@pytest.mark.parametrize("name", ["insert", "update", "delete"])
@pytest.mark.parametrize("code", [11000, 121, 66, 112])
def test_one_write_error_of_a_single_statement_is_fail(name, code):
    """The one entry in writeErrors of a single-statement write says that this statement was not applied."""
    assert _status(_attempt(SINGLE_REQUESTS[name], **_write_errors(code))) == "fail"


@pytest.mark.parametrize("name", ["insert two", "update two", "update many", "delete two", "delete many"])
@pytest.mark.parametrize("count", [1, 2])
def test_write_errors_of_several_statements_are_info(name, count):
    """With several statements, those before or beside the failed ones may have been applied."""
    assert _status(_attempt(MULTI_REQUESTS[name], **_write_errors(11000, count))) == "info"


def test_more_errors_than_statements_prove_nothing():
    """Two writeErrors for one statement do not fit: nothing is proved by a reply that cannot be."""
    assert _status(_attempt(SINGLE_REQUESTS["insert"], **_write_errors(11000, 2))) == "info"


def test_write_error_and_write_concern_error_together_are_info():
    """One writeErrors entry proves nothing where a writeConcernError stands beside it."""
    both = {"reply": {**_write_errors(11000)["reply"], "writeConcernError": {"code": 64}}}
    assert _status(_attempt(SINGLE_REQUESTS["insert"], **both)) == "info"


@pytest.mark.parametrize("name", ["update", "delete", "findAndModify", "update two", "update many", "delete many"])
def test_nothing_matched_is_fail(name):
    """A write that was answered without error and matched nothing had no effect, of however many statements."""
    assert _status(_attempt({**SINGLE_REQUESTS, **MULTI_REQUESTS}[name], **NOTHING)) == "fail"


def test_bulk_write_command_that_did_nothing_is_fail():
    """The bulkWrite command proves by its counts that nothing was done."""
    counts = dict.fromkeys(("nInserted", "nMatched", "nModified", "nUpserted", "nDeleted", "nErrors"), 0)
    assert _status(_attempt(MULTI_REQUESTS["bulk"], reply={"ok": 1, **counts})) == "fail"
    assert _status(_attempt(MULTI_REQUESTS["bulk"], reply={"ok": 1, **counts, "nErrors": 1})) == "info"


@pytest.mark.parametrize("name", SINGLE_REQUESTS)
def test_applied_write_is_info(name):
    """An operation that raised after one of its writes was applied is not without effect."""
    assert _status(_attempt(SINGLE_REQUESTS[name], **DONE)) == "info"


def test_upsert_is_an_effect():
    """An upserted id is an effect, even beside n = 0."""
    upserted = {"reply": {"ok": 1, "n": 0, "upserted": [{"index": 0, "_id": 5}]}}
    assert _status(_attempt(SINGLE_REQUESTS["update"], **upserted)) == "info"


@pytest.mark.parametrize("name", {**SINGLE_REQUESTS, **MULTI_REQUESTS})
def test_attempt_without_an_answer_is_info(name):
    """Where no reply arrived, the server may have done anything."""
    request = {**SINGLE_REQUESTS, **MULTI_REQUESTS}[name]
    assert _status(_attempt(request, **LOST)) == "info"
    assert _status(_attempt(request)) == "info"


# --- retries ------------------------------------------------------------------------------------------------------

FIRST_ATTEMPTS = {
    "lost": (LOST, False),
    "writeConcernError 11602": (_concern_error(11602), False),
    "top-level 10107": (_top_level(10107), True),
    "top-level 11600": (_top_level(11600), True),
    "top-level 262": (_top_level(262), False),
}
RETRIES = {
    "lost": (LOST, False),
    "top-level 10107": (_top_level(10107), True),
    "top-level 189": (_top_level(189), True),
    "top-level 91": (_top_level(91), True),
    "top-level 11000": (_top_level(11000), True),
    "writeErrors 11000": (_write_errors(11000), True),
    "writeConcernError 64": (_concern_error(64), False),
    "nothing matched": (NOTHING, True),
    "applied": (DONE, False),
}


@pytest.mark.parametrize("single", [True, False], ids=["single", "multi"])
@pytest.mark.parametrize("retry", RETRIES)
@pytest.mark.parametrize("first", FIRST_ATTEMPTS)
def test_retry_table(first, retry, single):
    """Both attempts must prove that nothing was applied: an insert whose reply was lost is info, whatever follows."""
    request = SINGLE_REQUESTS["insert"] if single else MULTI_REQUESTS["insert two"]
    (first_answer, first_proves), (retry_answer, retry_proves) = FIRST_ATTEMPTS[first], RETRIES[retry]
    expected = "fail" if single and first_proves and retry_proves else "info"
    assert _status(_attempt(request, **first_answer), _attempt(request, **retry_answer)) == expected


def test_every_write_must_be_without_effect():
    """One refused write beside one that was applied leaves the operation info."""
    refused = _attempt(SINGLE_REQUESTS["insert"], **_top_level(10107))
    assert _status(refused, _attempt(SINGLE_REQUESTS["update"], **NOTHING)) == "fail"
    assert _status(refused, _attempt(SINGLE_REQUESTS["update"], **DONE)) == "info"


# --- outcomes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["rejected", "raised", "crashed"])
def test_operation_without_a_write_is_fail(outcome):
    """What never tried to write cannot have had an effect, lost replies of reads included."""
    read = _attempt({"find": "orders", "filter": {}}, **LOST)
    count = _attempt({"aggregate": "orders", "pipeline": [{"$count": "n"}]}, **LOST)
    assert _status(outcome=outcome) == "fail"
    assert _status(read, count, _attempt({"abortTransaction": 1}, **LOST), outcome=outcome) == "fail"


@pytest.mark.parametrize("outcome", ["rejected", "raised", "crashed"])
def test_every_end_but_a_return_is_judged_by_the_record(outcome):
    """A rejection is the pattern's word, not a proof."""
    assert _status(_attempt(SINGLE_REQUESTS["insert"], **DONE), outcome=outcome) == "info"
    assert _status(_attempt(SINGLE_REQUESTS["insert"], **_top_level(10107)), outcome=outcome) == "fail"


def test_returned_operation_is_ok():
    """What returned is ok, even where it swallowed an error on its way."""
    assert _status(_attempt(SINGLE_REQUESTS["insert"], **LOST), outcome="returned") == "ok"
    assert classify((), "returned") == "ok"


def test_operation_that_never_ended_is_info():
    """Of an operation cut off in its middle nothing is proved, since its record is cut off too."""
    assert classify((), "unfinished") == "info"


@pytest.mark.parametrize(("outcome", "expected"), [("returned", "info"), ("raised", "info")])
@pytest.mark.parametrize("name", ["insert", "update many"])
def test_unacknowledged_write_is_info(name, outcome, expected):
    """A w:0 write acknowledges nothing, so that even an operation that returned is indeterminate."""
    request = {**SINGLE_REQUESTS, **MULTI_REQUESTS}[name]
    assert _status(_attempt(request, writeConcern={"w": 0}), outcome=outcome) == expected


def test_unknown_command_counts_as_a_write():
    """Of a command that the rule does not know nothing is proved."""
    assert _status(_attempt({"applyOps": []}, **_top_level(10107))) == "info"


# --- definitions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code", "expected"),
    [
        ({"create": "orders"}, 48, "fail"),
        ({"drop": "orders"}, 26, "fail"),
        ({"dropIndexes": "orders"}, 27, "fail"),
        ({"createIndexes": "orders", "indexes": []}, 11000, "fail"),
        ({"createIndexes": "orders", "indexes": []}, 10107, "fail"),
        ({"createIndexes": "orders", "indexes": []}, 11602, "info"),
        ({"dropDatabase": 1}, 91, "info"),
    ],
)
def test_definitions(request_, code, expected):
    """A refused definition did nothing; an interrupted one (an index build goes on by itself) may be half done."""
    assert _status(_attempt(request_, **_top_level(code))) == expected


# --- transactions -------------------------------------------------------------------------------------------------


def _in_transaction(request, number=1, start=False, **answer):
    extra = {"lsid": LSID, "txnNumber": number, "autocommit": False, **({"startTransaction": True} if start else {})}
    return _attempt(request, **answer, **extra)


def _commit(number=1, **answer):
    return _in_transaction({"commitTransaction": 1}, number, **answer)


WRITE = _in_transaction(SINGLE_REQUESTS["update"], start=True, **DONE)
ABORTED_BY_CONFLICT = _in_transaction(SINGLE_REQUESTS["update"], **_top_level(112))
EMPTY_WRITE = _in_transaction(SINGLE_REQUESTS["update"], start=True, **NOTHING)
LOST_WRITE = _in_transaction(MULTI_REQUESTS["update many"], **LOST)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ((WRITE,), "fail"),
        ((WRITE, LOST_WRITE), "fail"),
        ((WRITE, ABORTED_BY_CONFLICT), "fail"),
        ((WRITE, _commit(**_top_level(251))), "fail"),
        ((WRITE, _commit(**_top_level(251)), _commit(**_top_level(251))), "fail"),
        ((WRITE, _commit(**DONE)), "info"),
        ((WRITE, _commit(**LOST)), "info"),
        ((WRITE, _commit(**LOST), _commit(**_top_level(251))), "info"),
        ((WRITE, _commit(**_top_level(10107)), _commit(**_top_level(251))), "info"),
        ((WRITE, _commit(**_top_level(10107))), "info"),
        ((WRITE, _commit(**_concern_error(64))), "info"),
        ((WRITE, _commit(**_top_level(251, writeConcernError={"code": 64}))), "info"),
        ((EMPTY_WRITE, _commit(**DONE)), "fail"),
        ((EMPTY_WRITE, _commit(**LOST)), "fail"),
        ((_commit(**LOST),), "info"),
        ((_in_transaction({"find": "orders"}, start=True, **DONE), _commit(**LOST)), "fail"),
        ((_in_transaction({"find": "orders"}, **DONE), _commit(**LOST)), "info"),
    ],
    ids=[
        "no commit was sent",
        "no commit was sent, a statement lost",
        "no commit was sent after a conflict",
        "commit refused by 251",
        "every commit refused by 251",
        "committed",
        "commit lost",
        "commit lost, then 251",
        "commit answered by another code, then 251",
        "commit answered by another code",
        "commit with a writeConcernError",
        "251 with a writeConcernError",
        "committed, but no statement matched",
        "commit lost, but no statement matched",
        "commit of statements that are not in the record",
        "commit lost of a transaction that only read",
        "commit lost of a transaction whose start is not in the record",
    ],
)
def test_transactions(attempts, expected):
    """The statements of a transaction count as not applied where the record proves that it was never committed."""
    assert _status(*attempts) == expected


def test_transactions_are_told_apart():
    """A second try that committed is an effect, whatever became of the first."""
    first = (_in_transaction(SINGLE_REQUESTS["update"], 1, start=True, **DONE), _commit(1, **_top_level(251)))
    second = (_in_transaction(SINGLE_REQUESTS["update"], 2, start=True, **DONE), _commit(2, **DONE))
    assert _status(*first, *second) == "info"
    assert _status(*first, second[0]) == "fail"


def test_write_outside_a_transaction_is_judged_by_itself():
    """A transaction without effect does not excuse a write beside it."""
    assert _status(WRITE, _attempt(SINGLE_REQUESTS["insert"], **DONE)) == "info"


def test_code_table_is_the_documented_one():
    """The family of state changes, the conflicts and the refusals are all in the table; ambiguous codes are not."""
    assert NOT_APPLIED_CODES.issuperset({*STATE_CHANGES, *CONFLICTS, *REFUSALS})
    assert NOT_APPLIED_CODES.isdisjoint(UNPROVEN)


@pytest.mark.slow
def test_rule_needs_no_driver():
    """The rule is pure: importing it leaves PyMongo, bson and trio out."""
    code = "import sys, harness.status; sys.exit(any(n in sys.modules for n in ('pymongo', 'bson', 'trio')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
