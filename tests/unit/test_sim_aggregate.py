"""Pipelines of the simulated server, and pipelines as updates, without a mongod at hand."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from harness.sim.documents.aggregate import compile_pipeline, run_pipeline
from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expressions import Environment
from harness.sim.documents.pipeline_update import apply_pipeline_update, compile_pipeline_update

NOW = datetime.datetime(2024, 1, 31, 10, 0)  # noqa: DTZ001 - as documents hold dates
ENVIRONMENT = Environment(now=NOW)

ORDERS: list[dict[str, Any]] = [
    {"_id": 1, "who": "ann", "sum": 5, "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]},
    {"_id": 2, "who": "bob", "sum": 7, "lines": []},
    {"_id": 3, "who": "ann", "sum": 1},
]
PEOPLE: list[dict[str, Any]] = [{"_id": "ann", "city": "Rome"}, {"_id": "cid", "city": "Oslo"}]


def run(*stages: dict[str, Any], documents: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    others = {"people": PEOPLE}
    found = ORDERS if documents is None else documents
    return run_pipeline(list(stages), found, ENVIRONMENT, lambda name: others.get(name, []))


def code(*stages: dict[str, Any]) -> int:
    with pytest.raises(DocumentError) as raised:
        run(*stages, documents=[])
    return raised.value.code


def update(document: dict[str, Any], *stages: dict[str, Any]) -> dict[str, Any]:
    return apply_pipeline_update(document, list(stages), ENVIRONMENT)


def test_groups_come_in_the_order_of_their_first_documents() -> None:
    """Each accumulator sees the documents of its group in order."""
    group = {"_id": "$who", "n": {"$count": {}}, "sum": {"$sum": "$sum"}, "ids": {"$push": "$_id"}}
    assert run({"$group": group}) == [
        {"_id": "ann", "n": 2, "sum": 6, "ids": [1, 3]},
        {"_id": "bob", "n": 1, "sum": 7, "ids": [2]},
    ]


def test_numbers_of_different_types_are_one_group() -> None:
    """1 and 1.0 make one group, true another one; a missing field groups with null."""
    documents = [{"k": 1}, {"k": 1.0}, {"k": True}, {}, {"k": None}]
    counted = run({"$group": {"_id": "$k", "n": {"$sum": 1}}}, documents=documents)
    assert [(type(group["_id"]), group["n"]) for group in counted] == [(int, 2), (bool, 1), (type(None), 2)]


def test_match_sort_skip_limit_count() -> None:
    """The plain stages do what their names say, and nothing comes out of counting nothing."""
    assert run({"$sort": {"sum": -1}}, {"$skip": 1}, {"$limit": 1}, {"$project": {"sum": 1}}) == [{"_id": 1, "sum": 5}]
    assert run({"$match": {"who": "ann"}}, {"$count": "n"}) == [{"n": 2}]
    assert run({"$match": {"who": "nobody"}}, {"$count": "n"}) == []


def test_unwind_drops_what_is_no_array_element_unless_told_otherwise() -> None:
    """A document without elements goes, or stays without the field, and the index says where an element stood."""
    unwound = run({"$unwind": "$lines"})
    assert [(document["_id"], document["lines"]["sku"]) for document in unwound] == [(1, "a"), (1, "b")]
    kept = run({"$unwind": {"path": "$lines", "preserveNullAndEmptyArrays": True, "includeArrayIndex": "i"}})
    assert [(document["_id"], document["i"]) for document in kept] == [(1, 0), (1, 1), (2, None), (3, None)]
    assert "lines" not in kept[2]


def test_lookup_by_equality_and_by_pipeline() -> None:
    """Both forms of ``$lookup`` join, and an inner pipeline sees the variables of each outer document."""
    equal = {"from": "people", "localField": "who", "foreignField": "_id", "as": "person"}
    assert [len(document["person"]) for document in run({"$lookup": equal})] == [1, 0, 1]
    condition = {"$match": {"$expr": {"$eq": ["$_id", "$$name"]}}}
    inner = {"from": "people", "let": {"name": "$who"}, "pipeline": [condition, {"$project": {"_id": 0}}], "as": "at"}
    assert [document["at"] for document in run({"$lookup": inner})] == [[{"city": "Rome"}], [], [{"city": "Rome"}]]


def test_lookup_takes_an_empty_array_for_null() -> None:
    """A local field that holds nothing, an empty array too, equals null and missing foreign fields."""
    stage = {"$lookup": {"from": "people", "localField": "lines.sku", "foreignField": "street", "as": "found"}}
    assert [len(document["found"]) for document in run(stage)] == [0, 2, 2]


def test_facets_see_the_same_documents() -> None:
    """Each facet starts from all documents, and even without any there is one result."""
    facet = {"$facet": {"n": [{"$count": "n"}], "first": [{"$limit": 1}, {"$project": {"_id": 1}}]}}
    assert run(facet) == [{"n": [{"n": 3}], "first": [{"_id": 1}]}]
    assert run(facet, documents=[]) == [{"n": [], "first": []}]


@pytest.mark.parametrize(
    ("specification", "expected"),
    [
        ({"sum": 1}, {"_id": 1, "sum": 5}),
        ({"_id": 0, "who": 1}, {"who": "ann"}),
        ({"lines": 0, "sum": 0}, {"_id": 1, "who": "ann"}),
        ({"lines.n": 1}, {"_id": 1, "lines": [{"n": 1}, {"n": 2}]}),
        ({"double": {"$multiply": ["$sum", 2]}}, {"_id": 1, "double": 10}),
        ({"at.x": "$who"}, {"_id": 1, "at": {"x": "ann"}}),
        ({"who": "$$REMOVE", "sum": 1}, {"_id": 1, "sum": 5}),
    ],
)
def test_projections(specification: dict[str, Any], expected: dict[str, Any]) -> None:
    """A projection keeps, leaves out or computes, along dotted paths and through arrays."""
    assert run({"$project": specification})[0] == expected


def test_an_error_comes_up_only_for_a_document_that_is_asked_for() -> None:
    """Documents flow one by one: behind a limit nobody computes the next one."""
    documents = [{"_id": 1, "n": 1}, {"_id": 2, "n": "no number"}]
    stages = [{"$project": {"m": {"$add": ["$n", 1]}}}, {"$limit": 1}]
    assert run(*stages, documents=documents) == [{"_id": 1, "m": 2}]
    with pytest.raises(DocumentError):
        run(stages[0], documents=documents)


def test_pipelines_are_lazy_and_reusable() -> None:
    """A compiled pipeline runs over any documents, and takes no more of them than it needs."""
    compiled = compile_pipeline([{"$match": {"n": {"$gt": 1}}}, {"$limit": 1}], ENVIRONMENT, lambda _: [])
    taken = iter([{"n": 1}, {"n": 2}, {"n": 3}])
    assert list(compiled(taken)) == [{"n": 2}]
    assert list(taken) == [{"n": 3}]
    assert list(compiled([{"n": 9}])) == [{"n": 9}]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ({"$noSuchStage": 1}, 40324),
        ({}, 40323),
        ({"$limit": 0}, 15958),
        ({"$project": {"a": 1, "b": 0}}, 31254),
        ({"$project": {"a": 1, "a.b": 1}}, 31249),
        ({"$project": {"a": {"$noSuchOperator": 1}}}, 31325),
        ({"$set": {"a": {}}}, 40180),
        ({"$group": {"n": {"$sum": 1}}}, 15955),
        ({"$group": {"_id": None, "n": {"$noSuchOperator": 1}}}, 15952),
        ({"$unwind": "lines"}, 28818),
        ({"$sort": {}}, 15976),
        ({"$lookup": {"from": "people", "as": "x"}}, 9),
        ({"$project": {"a": {"$divide": [1, 0]}}}, 2),
    ],
)
def test_malformed_stages_are_refused_without_documents(stage: dict[str, Any], expected: int) -> None:
    """A pipeline that mongod refuses is refused with its code, though the collection is empty."""
    assert code(stage) == expected


def test_parsing_errors_come_before_errors_of_constants() -> None:
    """A stage that cannot be parsed is reported, though an earlier one holds a division by zero."""
    assert code({"$set": {"a": {"$divide": [1, 0]}}}, {"$noSuchStage": 1}) == 40324


@pytest.mark.parametrize("stage", [{"$out": "other"}, {"$merge": "other"}, {"$graphLookup": {}}, {"$changeStream": {}}])
def test_stages_that_are_not_modelled_are_named(stage: dict[str, Any]) -> None:
    """A stage that mongod has and the model lacks is an error that names it."""
    (name,) = stage
    with pytest.raises(UnsupportedOperator) as raised:
        run(stage)
    assert raised.value.operator == name


def test_an_update_sees_the_document_as_it_was_at_each_stage() -> None:
    """Within a stage all fields are computed from the old document, the next stage sees the new one."""
    document = {"_id": 1, "a": 1, "b": 2}
    assert update(document, {"$set": {"a": "$b", "b": "$a"}}) == {"_id": 1, "a": 2, "b": 1}
    assert update(document, {"$set": {"a": "$b"}}, {"$set": {"b": "$a"}}) == {"_id": 1, "a": 2, "b": 2}
    assert document == {"_id": 1, "a": 1, "b": 2}


def test_an_update_keeps_the_id() -> None:
    """The _id stays, first and unchanged, whatever the pipeline makes of the rest; changing it is error 66."""
    document = {"_id": 1, "a": 1}
    assert list(update(document, {"$replaceWith": {"z": 1}}).items()) == [("_id", 1), ("z", 1)]
    assert list(update(document, {"$replaceWith": {"z": 1, "_id": 1}})) == ["_id", "z"]
    assert update(document, {"$unset": "_id"}) == document
    with pytest.raises(DocumentError) as raised:
        update(document, {"$set": {"_id": 2}})
    assert raised.value.code == 66


def test_an_update_folds_no_constants() -> None:
    """In an update constants stay where they stand: a branch not taken fails nothing, the first of equals is kept."""
    guarded = {"$cond": ["$a", 1, {"$divide": [1, 0]}]}
    assert update({"_id": 1, "a": 1}, {"$set": {"b": guarded}})["b"] == 1
    assert type(update({"_id": 1, "a": 1}, {"$set": {"b": {"$max": [1.0, "$a"]}}})["b"]) is float
    assert type(run({"$set": {"b": {"$max": [1.0, "$_id"]}}})[0]["b"]) is int


def test_a_field_taken_away_and_set_again_keeps_its_place() -> None:
    """Removing a field in one stage and setting it in a later one leaves the order of fields as it was."""
    document = {"_id": 1, "a": 1, "b": {"c": 1, "d": 2}, "e": 3}
    updated = update(document, {"$unset": ["a", "b.c"]}, {"$set": {"a": 9, "b.c": 8}})
    assert list(updated) == ["_id", "a", "b", "e"]
    assert list(updated["b"].items()) == [("c", 8), ("d", 2)]


def test_only_transforming_stages_may_update() -> None:
    """A stage that updates may not have is error 72, an unknown one 40324."""
    for stage, expected in (({"$match": {}}, 72), ({"$group": {"_id": 1}}, 72), ({"$noSuchStage": 1}, 40324)):
        with pytest.raises(DocumentError) as raised:
            compile_pipeline_update([stage], ENVIRONMENT)
        assert raised.value.code == expected
