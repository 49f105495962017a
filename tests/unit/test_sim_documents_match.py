"""Filters, sorts, projections and index keys of the simulator's document engine."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from bson import Decimal128, Int64, Regex
from document_cases import CORPUS, FILTERS, PROJECTED, PROJECTIONS, SORTS

from harness.errors import HarnessError
from harness.sim.documents import match, project, sort, unique, values
from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expressions import Environment

DOCUMENT: dict[str, Any] = {
    "_id": 7,
    "n": 5,
    "tags": ["x", "y"],
    "items": [{"k": 1}, {"k": 2, "q": 3}],
    "sub": {"x": None},
}


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"_id": 7},
        {"_id": 7.0},
        {"_id": Int64(7), "n": {"$gte": 5, "$lt": 6}},
        {"tags": "y"},
        {"tags": ["x", "y"]},
        {"tags": {"$all": ["y"]}},
        {"items.k": 2},
        {"items.0.k": 1},
        {"items": {"$elemMatch": {"k": 2, "q": 3}}},
        {"sub.x": None},
        {"none": None},
        {"n": {"$in": [1, Decimal128("5.0")]}},
        {"$or": [{"n": 1}, {"tags": Regex("^Y", "i")}]},
        {"n": {"$not": {"$gt": 5}}},
        {"sub": {"$type": "object"}},
    ],
)
def test_a_filter_finds_the_document(query: dict[str, Any]) -> None:
    """The document matches, through values, arrays and paths."""
    assert match.match(DOCUMENT, query)


@pytest.mark.parametrize(
    "query",
    [
        {"_id": True},
        {"n": "5"},
        {"n": {"$gt": "4"}},
        {"tags": ["y", "x"]},
        {"items": {"$elemMatch": {"k": 1, "q": 3}}},
        {"sub": {}},
        {"n": None},
        {"n": {"$exists": False}},
        {"tags": {"$size": 1}},
        {"$nor": [{"n": 5}]},
    ],
)
def test_a_filter_passes_over_the_document(query: dict[str, Any]) -> None:
    """Types, the order of elements and fields, and combinations count."""
    assert not match.match(DOCUMENT, query)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({"tags": "y"}, 1),
        ({"items.k": 2}, 1),
        ({"items": {"$elemMatch": {"q": 3}}}, 1),
        ({"n": 5}, None),
        ({"tags": "x", "items.k": 2}, 0),
    ],
)
def test_the_position_of_a_match_is_the_element_it_came_through(query: dict[str, Any], index: int | None) -> None:
    """The positional operator stands for the first element that meets the last of the conditions, by path."""
    assert match.positional_index(DOCUMENT, query) == index


def test_equalities_of_a_filter_seed_an_upsert() -> None:
    """Equalities are found under $and, $in of one value and $all, in the order of their paths."""
    query = {"b": 2, "$and": [{"a.x": 1}], "c": {"$in": [3]}, "d": {"$gt": 1}, "$or": [{"e": 1}, {"f": 1}]}
    assert list(match.equality_fields(query).items()) == [("a.x", 1), ("b", 2), ("c", 3)]
    with pytest.raises(DocumentError) as error:
        match.equality_fields({"$and": [{"a": 1}, {"a.b": 1}]})
    assert (error.value.code, error.value.code_name) == (54, "NotSingleValueField")


@pytest.mark.parametrize(
    "query", [{"$where": "1"}, {"$text": {"$search": "a"}}, {"a": {"$near": [0, 0]}}, {"a": Regex("[[:alpha:]]")}]
)
def test_what_the_model_lacks_is_refused_by_name(query: dict[str, Any]) -> None:
    """An operator that only a real server has is an error of the harness, with a next step."""
    with pytest.raises(UnsupportedOperator) as error:
        match.compile_filter(query)
    assert isinstance(error.value, HarnessError)
    assert "--backend local" in str(error.value)


def test_an_expression_in_a_filter_reads_the_variables_of_the_command() -> None:
    """$expr sees what the environment gives it."""
    matches = match.compile_filter({"$expr": {"$eq": ["$n", "$$wanted"]}}, Environment(let={"wanted": 5}))
    assert matches(DOCUMENT)


def test_an_error_carries_the_name_of_its_code() -> None:
    """Codes have mongod's names; one without a name is a location."""
    with pytest.raises(DocumentError) as error:
        match.compile_filter({"a": {"$regex": "("}})
    assert error.value.code_name == "Location51091"


def test_sorting_is_stable_and_looks_into_arrays() -> None:
    """An array counts by its least element upwards and its greatest downwards; equal keys keep their order."""
    documents = [{"_id": 1, "a": [5, 1]}, {"_id": 2, "a": 3}, {"_id": 3}, {"_id": 4, "a": 3.0}]
    assert [found["_id"] for found in sort.sort_documents(documents, {"a": 1})] == [3, 1, 2, 4]
    assert [found["_id"] for found in sort.sort_documents(documents, {"a": -1})] == [1, 2, 4, 3]


def test_reading_changes_no_document() -> None:
    """Filters, sorts and projections of all kinds leave the documents as they were."""
    corpus = [values.normalise(document) for document in [*CORPUS, *PROJECTED]]
    before = copy.deepcopy(corpus)
    for read in [*(lambda query=query: _filtered(corpus, query) for query in FILTERS)]:
        _ignoring_errors(read)
    for order in SORTS:
        _ignoring_errors(lambda order=order: sort.sort_documents(corpus, values.normalise(order)))
    for query, projection in PROJECTIONS:
        _ignoring_errors(lambda case=(query, projection): _projected(corpus, *case))
    assert values.identical(corpus, before)


def _filtered(corpus: list[Any], query: Any) -> None:
    matches = match.compile_filter(values.normalise(query))
    for document in corpus:
        matches(document)


def _projected(corpus: list[Any], query: Any, projection: Any) -> None:
    keep = project.compile_projection(values.normalise(projection), values.normalise(query))
    for document in corpus:
        keep(document)


def _ignoring_errors(run: Any) -> None:
    try:
        run()
    except DocumentError:
        return


def test_index_keys_are_one_per_element_and_equal_across_number_types() -> None:
    """An array gives a key per distinct element, a missing field null, two arrays an error."""
    assert unique.index_keys({"a": [1, 1.0, "x"]}, {"a": 1}) == ((1,), ("x",))
    assert unique.index_keys({}, {"a": 1}) == unique.index_keys({"a": None}, {"a": 1})
    assert unique.index_keys({"a": []}, {"a": 1}) != unique.index_keys({}, {"a": 1})
    with pytest.raises(DocumentError, match="parallel arrays") as error:
        unique.index_keys({"a": [1], "b": [1]}, {"a": 1, "b": 1})
    assert error.value.code == 171


def test_a_duplicate_key_says_which_index_and_which_key() -> None:
    """The error has mongod's words, and the pattern and the value of the key."""
    index = unique.IndexDefinition("a_1_b_-1", {"a": 1, "b": -1}, unique=True)
    key = unique.find_duplicate({"a": 1, "b": "x"}, index, (1, "x").__eq__)
    assert key == (1, "x")
    error = unique.duplicate_key_error("shop.orders", index, key)
    assert (
        error.message == 'E11000 duplicate key error collection: shop.orders index: a_1_b_-1 dup key: { a: 1, b: "x" }'
    )
    assert error.details == {"keyPattern": {"a": 1, "b": -1}, "keyValue": {"a": 1, "b": "x"}}


def test_sparse_and_partial_indexes_leave_documents_out() -> None:
    """A document without the field, or outside the filter, has no key."""
    sparse = unique.IndexDefinition("a_1", {"a": 1}, sparse=True)
    partial = unique.IndexDefinition("a_1", {"a": 1}, partial={"n": {"$gt": 3}})
    assert unique.keys_in({"b": 1}, sparse) == ()
    assert unique.keys_in({"a": None}, sparse) != ()
    assert unique.keys_in({"a": 1, "n": 3}, partial) == ()
    assert unique.keys_in({"a": 1, "n": 4}, partial) == ((1,),)
