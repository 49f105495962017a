"""Aggregation expressions of the simulated server: the rules a reader would look up, without a mongod at hand."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from bson import Decimal128, Int64

from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expressions import Environment, compile_expression, evaluate, let_values, truthy
from harness.sim.documents.values import MISSING

NOW = datetime.datetime(2024, 1, 31, 10, 0, 0, 123000)  # noqa: DTZ001 - as documents hold dates
ENVIRONMENT = Environment(now=NOW)

DOCUMENT: dict[str, Any] = {
    "_id": 1,
    "zero": 0,
    "n": 3,
    "wide": Int64(5),
    "nothing": None,
    "until": NOW - datetime.timedelta(seconds=1),
    "tags": ["a", "b"],
    "items": [{"price": 2}, {"price": 3, "sale": True}, "no document"],
    "nested": {"deep": {"x": 1}},
}


def value(expression: Any, **document: Any) -> Any:
    return evaluate(expression, {**DOCUMENT, **document}, ENVIRONMENT)


def code(expression: Any) -> int:
    with pytest.raises(DocumentError) as raised:
        value(expression)
    return raised.value.code


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$n", 3),
        ("$nested.deep.x", 1),
        ("$items.price", [2, 3]),
        ("$items.sale", [True]),
        ("$tags.x", []),
        ("$tags.0", []),
        ("$nope", MISSING),
        ("$n.x", MISSING),
        ("$$ROOT.n", 3),
        ("$$NOW", NOW),
        ("$$REMOVE", MISSING),
    ],
)
def test_a_path_maps_over_arrays_and_ends_missing(path: str, expected: Any) -> None:
    """A path enters every array on its way, reads no index, and a field that is not there has no value."""
    assert value(path) == expected


def test_missing_is_not_null() -> None:
    """A missing value leaves an object's field out, is null in an array, and sorts below null."""
    assert value({"x": "$nope", "y": "$nothing"}) == {"y": None}
    assert value(["$nope"]) == [None]
    assert value({"$eq": ["$nope", None]}) is False
    assert value({"$lt": ["$nope", None]}) is True
    assert value({"$type": "$nope"}) == "missing"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$add": ["$n", 1]}, 4),
        ({"$add": [2**31 - 1, 1]}, Int64(2**31)),
        ({"$add": ["$n", "$wide"]}, Int64(8)),
        ({"$add": [Int64(2**63 - 1), 1]}, float(2**63)),
        ({"$add": ["$n", Decimal128("0.5")]}, Decimal128("3.5")),
        ({"$multiply": ["$n", 2**31 - 1]}, Int64(3 * (2**31 - 1))),
        ({"$subtract": ["$n", 0.5]}, 2.5),
        ({"$divide": ["$n", 2]}, 1.5),
        ({"$mod": [-7, 3]}, -1),
        ({"$sum": [0.1, 0.2, 0.3]}, 0.6),
        ({"$max": [3.0, "$n"]}, 3),
        ({"$round": [2.5, 0]}, 2.0),
    ],
)
def test_numbers_keep_their_type_until_it_is_too_narrow(expression: Any, expected: Any) -> None:
    """An int32 becomes an int64 and then a double where the result does not fit; decimals stay decimals."""
    result = value(expression)
    assert (type(result), str(result)) == (type(expected), str(expected))


def test_null_and_dates_in_arithmetic() -> None:
    """Null makes a sum null; a number moves a date by milliseconds; dates subtract to an int64 of milliseconds."""
    assert value({"$add": ["$n", "$nope"]}) is None
    assert value({"$add": ["$$NOW", 1000, 500]}) == NOW + datetime.timedelta(milliseconds=1500)
    assert value({"$subtract": ["$$NOW", "$until"]}) == Int64(1000)
    assert type(value({"$subtract": ["$$NOW", "$until"]})) is Int64


def test_a_lease_is_taken_only_when_it_ran_out() -> None:
    """The usual form of a lock in an update's pipeline works: ``$cond`` over a date and ``$$NOW``."""
    lease = {"$cond": [{"$lte": ["$until", "$$NOW"]}, "mine", "$owner"]}
    assert value(lease) == "mine"
    assert value(lease, until=NOW + datetime.timedelta(milliseconds=1), owner="other") == "other"


def test_variables_are_bound_inside_their_body_only() -> None:
    """``$let``, ``$map``, ``$filter`` and ``$reduce`` bind names, nested ones hide outer ones, others are unknown."""
    assert value({"$let": {"vars": {"n": 10}, "in": {"$add": ["$$n", "$n"]}}}) == 13
    assert value({"$map": {"input": "$items", "as": "i", "in": "$$i.price"}}) == [2, 3, None]
    assert value({"$filter": {"input": "$items", "cond": "$$this.sale"}}) == [{"price": 3, "sale": True}]
    total = {"$reduce": {"input": "$items.price", "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}}
    assert value(total) == 5
    inner = {"$map": {"input": [1], "in": {"$map": {"input": [2, 3], "in": "$$this"}}}}
    assert value(inner) == [[2, 3]]
    assert code({"$let": {"vars": {"a": 1, "b": "$$a"}, "in": "$$b"}}) == 17276
    assert code("$$this") == 17276


def test_errors_of_constants_need_no_document() -> None:
    """A constant part that fails is an error of the statement, though no document reaches it."""
    with pytest.raises(DocumentError) as raised:
        compile_expression({"$and": ["$zero", {"$divide": [1, 0]}]}, ENVIRONMENT)
    assert raised.value.code == 2
    compute = compile_expression({"$and": ["$zero", {"$divide": ["$n", 0]}]}, ENVIRONMENT)
    assert compute(DOCUMENT) is False


def test_constants_of_commutative_operators_come_last() -> None:
    """A constant that decides ``$and`` or ``$or`` spares the operands before it, as mongod's optimizer has it."""
    assert value({"$and": [{"$divide": ["$n", 0]}, False]}) is False
    assert value({"$or": [{"$divide": ["$n", 0]}, True]}) is True


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$divide": ["$n", "$zero"]}, 2),
        ({"$subtract": ["$tags", 1]}, 14),
        ({"$add": ["$n", "$tags"]}, 16554),
        ({"$concat": ["$tags"]}, 16702),
        ({"$size": "$n"}, 17124),
        ({"$arrayElemAt": ["$tags", 1.5]}, 28691),
        ({"$toInt": "$tags"}, 241),
        ({"$eq": [1]}, 16020),
        ({"$slice": ["$tags"]}, 28667),
        ({"$switch": {"branches": [{"case": "$zero", "then": 1}]}}, 40066),
        ({"$mergeObjects": ["$n"]}, 40400),
        ({"$noSuchOperator": 1}, 168),
        ({"$add": [1], "x": 1}, 15983),
        ({"a.b": 1}, 16412),
        ("$", 16872),
        ("$a..b", 15998),
        ("$$CLUSTER_TIME", 51144),
    ],
)
def test_errors_have_the_codes_of_mongod(expression: Any, expected: int) -> None:
    """What mongod refuses is refused with its code."""
    assert code(expression) == expected


def test_what_is_not_modelled_is_named() -> None:
    """An operator that mongod has and the model lacks is an error that names it, never a wrong value."""
    with pytest.raises(UnsupportedOperator, match=r"\$dateToString"):
        value({"$dateToString": {"date": "$$NOW"}})
    with pytest.raises(UnsupportedOperator, match=r"\$\$NOW"):
        evaluate("$$NOW", {})


def test_sets_and_objects() -> None:
    """Sets keep one of equal elements, in BSON order; merging keeps the place of a field and its last value."""
    assert value({"$setUnion": ["$tags", ["b", 1]]}) == [1, "a", "b"]
    assert value({"$setDifference": [["b", "c", "b"], ["a"]]}) == ["b", "c"]
    merged = value({"$mergeObjects": [{"a": 1, "b": 2}, None, {"a": 3}]})
    assert list(merged.items()) == [("a", 3), ("b", 2)]


def test_values_of_let() -> None:
    """A command's ``let`` is computed before any document is seen, each variable from those before it."""
    assert let_values({"a": {"$add": [1, 2]}, "b": ["$$a"]}, ENVIRONMENT) == {"a": 3, "b": [3]}
    with pytest.raises(DocumentError) as raised:
        let_values({"a": "$field"}, ENVIRONMENT)
    assert raised.value.code == 4890500
    environment = Environment(now=NOW, let={"limit": 3})
    assert evaluate({"$gte": ["$n", "$$limit"]}, DOCUMENT, environment) is True


@pytest.mark.parametrize("expected", [True, False])
def test_truth(expected: bool) -> None:
    """All values are true but false, null, a missing one and the zeros of every type."""
    truths = [True, 1, -0.5, float("nan"), "", [], {}, Decimal128("0.1"), NOW]
    falsehoods = [False, None, MISSING, 0, 0.0, -0.0, Int64(0), Decimal128("0.00")]
    assert {truthy(item) for item in (truths if expected else falsehoods)} == {expected}


def test_documents_are_left_alone() -> None:
    """No expression changes the document that it reads."""
    before = repr(DOCUMENT)
    value({"$concatArrays": ["$tags", ["c"]]})
    value({"$setField": {"field": "n", "input": "$$ROOT", "value": 9}})
    value({"$mergeObjects": ["$nested", {"deep": 1}]})
    assert repr(DOCUMENT) == before
