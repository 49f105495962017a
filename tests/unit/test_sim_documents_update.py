"""Updates, replacements and upserts of the simulator's document engine."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import pytest
from bson import Int64, ObjectId, Timestamp
from document_cases_updates import UPDATES, UPSERTS

from harness.sim.documents import replace, update, values
from harness.sim.documents.errors import DocumentError, UnsupportedOperator

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, 500_000)  # noqa: DTZ001 - stored dates are naive UTC
STAMP = Timestamp(1_700_000_000, 3)
NEW_ID = ObjectId("65e1c4a2b3c4d5e6f7a8b9c0")


def updated(document: dict[str, Any], change: Any, query: Any = None, **options: Any) -> update.UpdateOutcome:
    return update.apply(document, change, query or {}, now=NOW, timestamp=lambda: STAMP, **options)


def upserted(query: dict[str, Any], change: Any) -> dict[str, Any]:
    return update.upsert_document(query, change, lambda: NEW_ID, now=NOW, timestamp=lambda: STAMP)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"$set": {"n": 2}}, {"_id": 1, "n": 2, "sub": {"x": 1}}),
        ({"$inc": {"n": 1, "m": 2}}, {"_id": 1, "n": 2, "sub": {"x": 1}, "m": 2}),
        ({"$set": {"z": 1, "b": 1}, "$inc": {"k": 1}}, {"_id": 1, "n": 1, "sub": {"x": 1}, "b": 1, "k": 1, "z": 1}),
        ({"$set": {"sub.y": 2}}, {"_id": 1, "n": 1, "sub": {"x": 1, "y": 2}}),
        ({"$unset": {"n": ""}}, {"_id": 1, "sub": {"x": 1}}),
        ({"$rename": {"n": "m"}}, {"_id": 1, "sub": {"x": 1}, "m": 1}),
        ({"$currentDate": {"at": True}}, {"_id": 1, "n": 1, "sub": {"x": 1}, "at": NOW}),
        ({"$currentDate": {"at": {"$type": "timestamp"}}}, {"_id": 1, "n": 1, "sub": {"x": 1}, "at": STAMP}),
        ({"m": 5}, {"_id": 1, "m": 5}),
        ([{"$set": {"m": {"$add": ["$n", 1]}}}], {"_id": 1, "n": 1, "sub": {"x": 1}, "m": 2}),
    ],
)
def test_an_update_makes_the_document(change: Any, expected: dict[str, Any]) -> None:
    """The result has mongod's values, in mongod's order of fields."""
    outcome = updated({"_id": 1, "n": 1, "sub": {"x": 1}}, change)
    assert outcome.changed
    assert values.identical(outcome.document, expected)


@pytest.mark.parametrize(
    "change",
    [{"$set": {"n": 1}}, {"$inc": {"n": 0}}, {"$min": {"n": 5}}, {"$setOnInsert": {"z": 1}}, {"_id": 1, "n": 1}],
)
def test_an_update_that_changes_nothing_returns_the_same_object(change: Any) -> None:
    """No change is told as none, and costs no copy."""
    document = {"_id": 1, "n": 1}
    outcome = updated(document, change)
    assert not outcome.changed
    assert outcome.document is document


@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        ({"$inc": {"s": 1}}, 14, "TypeMismatch"),
        ({"$set": {"_id": 2}}, 66, "ImmutableField"),
        ({"$set": {"s.x": 1}}, 28, "PathNotViable"),
        ({"$set": {"a": 1}, "$inc": {"a": 1}}, 40, "ConflictingUpdateOperators"),
        ({"$push": {"s": 1}}, 2, "BadValue"),
        ({"$inc": {"big": 1}}, 2, "BadValue"),
        ({"$nope": {"a": 1}}, 9, "FailedToParse"),
        ({"$set": {"list.$": 1}}, 2, "BadValue"),
        ({"$set": {"$a": 1}}, 52, "DollarPrefixedFieldName"),
        ({"$set": {"": 1}}, 56, "EmptyFieldName"),
    ],
)
def test_an_update_that_mongod_refuses_fails_with_its_code(change: Any, code: int, name: str) -> None:
    """The code and its name are mongod's."""
    with pytest.raises(DocumentError) as error:
        updated({"_id": 1, "s": "text", "list": [1], "big": Int64(2**63 - 1)}, change)
    assert (error.value.code, error.value.code_name) == (code, name)


def test_the_positional_operator_takes_the_matched_element() -> None:
    """`$` is the element through which the filter matched, `$[x]` those that pass their filter."""
    document = {"_id": 1, "a": [{"k": 1}, {"k": 2}]}
    assert updated(document, {"$set": {"a.$.k": 9}}, {"a.k": 2}).document["a"] == [{"k": 1}, {"k": 9}]
    filtered = updated(document, {"$inc": {"a.$[x].k": 5}}, array_filters=[{"x.k": {"$lt": 2}}])
    assert filtered.document["a"] == [{"k": 6}, {"k": 2}]


def test_one_compiled_update_serves_many_documents() -> None:
    """An update compiled once gives every document its own result."""
    compiled = update.compile_update({"$inc": {"n": 1}, "$push": {"log": "x"}})
    results = [updated({"_id": place, "n": place}, compiled).document for place in range(3)]
    assert [found["n"] for found in results] == [1, 2, 3]
    assert all(found["log"] == ["x"] for found in results)
    assert results[0]["log"] is not results[1]["log"]


def test_an_upsert_starts_from_the_equalities_of_its_filter() -> None:
    """Equalities come first in the order of their names, then the update; a replacement keeps the `_id` alone."""
    query = {"b": 1, "a": {"$gt": 5}, "_id": 3}
    assert list(upserted(query, {"$setOnInsert": {"c": 2}}).items()) == [("_id", 3), ("b", 1), ("c", 2)]
    assert upserted(query, {"c": 2}) == {"_id": 3, "c": 2}
    assert list(upserted({"b": 1}, {"$set": {"c": 1}})) == ["_id", "b", "c"]
    assert upserted({"b": 1}, {"$set": {"c": 1}})["_id"] == NEW_ID


def test_an_insert_stores_its_id_first_and_fills_zero_timestamps() -> None:
    """`_id` moves to the front; only top-level zero timestamps take the present one."""
    zero = Timestamp(0, 0)
    stored = replace.prepare_insert({"t": zero, "sub": {"t": zero}, "_id": 1}, lambda: STAMP)
    assert list(stored.items()) == [("_id", 1), ("t", STAMP), ("sub", {"t": zero})]
    with pytest.raises(DocumentError) as error:
        replace.prepare_insert({"_id": [1]}, lambda: STAMP)
    assert error.value.code == 53


@pytest.mark.parametrize("cases", [UPDATES, UPSERTS], ids=["updates", "upserts"])
def test_no_update_changes_what_it_was_given(cases: list[Any]) -> None:
    """Documents, updates and filters are the same after every update, successful or not."""
    for case in cases:
        given = [_normal(case.document), _normal(case.query), _normal(case.update), _normal(list(case.array_filters))]
        before = copy.deepcopy(given)
        document, query, change, filters = given
        try:
            if document is not None:
                updated(document, change, query, array_filters=filters)
            else:
                upserted(query, change)
        except (DocumentError, UnsupportedOperator):
            pass
        assert values.identical(given, before), case


def test_an_unchanged_part_is_shared_and_a_changed_one_is_not() -> None:
    """Copy on write: untouched embedded documents are the same objects."""
    document: dict[str, Any] = {"_id": 1, "kept": {"x": [1]}, "touched": {"y": [1, 2]}}
    result = updated(document, {"$set": {"touched.y.0": 9}}).document
    assert result["kept"] is document["kept"]
    assert result["touched"]["y"] == [9, 2]
    assert document["touched"]["y"] == [1, 2]


def _normal(value: Any) -> Any:
    return values.normalise_value(value)
