"""The simulated server computes expressions, pipelines and pipeline updates as a real mongod does, to the byte."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import bson
import pytest
from bson.errors import InvalidBSON
from bson.json_util import dumps
from expression_cases import CORPUS, LEFT, NOW, RIGHT, UPDATED, expressions, pipelines, random_tree, updates
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure
from single_member_set import admin_client, single_member_set

from harness.sim.documents.aggregate import run_pipeline
from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expressions import Environment, compile_expression, let_values
from harness.sim.documents.order import sort_key
from harness.sim.documents.pipeline_update import apply_pipeline_update
from harness.sim.documents.values import MISSING, normalise, normalise_value

pytestmark = pytest.mark.mongod

RANDOM_CASES = int(os.environ.get("HARNESS_RANDOM_CASES", "400"))
BATCH = 100
ENVIRONMENT = Environment(now=NOW)

# What the model may refuse where mongod has an answer; anything else that it refuses is a mismatch.
REFUSED = ("$toDate", "$toDecimal", "$dateAdd", "$dateDiff", "$add", "$subtract")

# An outcome is an error code, or what came out: bytes, so that types and the order of fields count.
Outcome = int | list[bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database[Any]]:
    with single_member_set(tmp_path_factory.mktemp("mongod")) as connection:
        client: MongoClient[Any] = admin_client(connection.seeds[0])
        with client:
            database = client["expressions"]
            database["corpus"].insert_many([{"_id": index, **document} for index, document in enumerate(CORPUS)])
            database["left"].insert_many(LEFT)
            database["right"].insert_many(RIGHT)
            yield database


def outcome(run: Callable[[], Any]) -> Outcome | str:
    """Return what a server answered: an error's code, the encoded documents, or why the model refused."""
    try:
        return [bson.encode(document) for document in run()]
    except OperationFailure as error:
        return error.code or 0
    except DocumentError as error:
        return error.code
    except UnsupportedOperator as error:
        return error.operator
    except InvalidBSON:
        return "a date beyond Python's"


def agree(real: Outcome | str, simulated: Outcome | str) -> bool:
    return real == simulated or (type(simulated) is str and simulated in REFUSED)


def shown(what: Outcome | str) -> str:
    return str([bson.decode(item) for item in what]) if type(what) is list else str(what)


def mismatch(case: Any, where: str, real: Outcome | str, simulated: Outcome | str) -> str:
    return f"{dumps(case)} {where}\n  mongod {shown(real)}\n  model  {shown(simulated)}"


def real_values(server: Database[Any], expression: Any, place: int | None) -> Outcome | str:
    """Compute the expression for one document of the corpus, for all of them (None), or without any (-1)."""
    chosen: Any = {"_id": place} if place is not None else {}
    stages = [{"$match": chosen}, {"$sort": {"_id": 1}}, {"$replaceWith": {"v": expression}}]
    return outcome(lambda: server["corpus"].aggregate(stages))


def simulated_value(expression: Any, document: dict[str, Any] | None) -> Outcome | str:
    def run() -> list[dict[str, Any]]:
        compute = compile_expression(normalise_value(expression), ENVIRONMENT)
        if document is None:
            return []
        value = compute(document)
        return [{} if value is MISSING else {"v": value}]

    return outcome(run)


def expression_mismatches(server: Database[Any], cases: Sequence[Any]) -> list[str]:
    """Return where model and mongod differ: per document of the corpus, and for no document (errors of constants)."""
    found = []
    documents = [normalise({"_id": index, **document}) for index, document in enumerate(CORPUS)]
    for case in cases:
        at_once = real_values(server, case, None)
        for place, document in enumerate([*documents, None]):
            where = place if document is not None else -1
            if type(at_once) is list:
                real: Outcome | str = [at_once[place]] if document is not None else []
            else:
                real = real_values(server, case, where)
            simulated = simulated_value(case, document)
            if not agree(real, simulated):
                found.append(mismatch(case, f"document {where}", real, simulated))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("operator", sorted(expressions()))
def test_each_operator_answers_as_mongod_does(server: Database[Any], operator: str) -> None:
    """Value, type, field order and error code of an expression are those of a real mongod, for every kind of input."""
    found = expression_mismatches(server, expressions()[operator])
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, RANDOM_CASES, BATCH))
def test_random_expression_trees_answer_as_mongod_does(server: Database[Any], first: int) -> None:
    """Any tree of operators, constants and paths gives what a real mongod gives; HARNESS_RANDOM_CASES makes more."""
    numbers = range(first, min(first + BATCH, RANDOM_CASES))
    found = expression_mismatches(server, [random_tree(random.Random(f"tree {number}")) for number in numbers])
    assert not found, "\n".join(found)


def _unordered(case: Any, what: Outcome | str) -> Outcome | str:
    """Return the documents without the orders that mongod leaves open: of groups, and of ``$addToSet``."""
    text = dumps(case)
    if type(what) is not list or ("$group" not in text and "$sortByCount" not in text):
        return what
    documents = [bson.decode(item) for item in what]
    if "$addToSet" in text:
        documents = [
            {name: sorted(value, key=sort_key) if type(value) is list else value for name, value in document.items()}
            for document in documents
        ]
    return sorted(bson.encode(document) for document in documents)


def _both_failed_in_a_group(case: Any, real: Outcome | str, simulated: Outcome | str) -> bool:
    """Return whether only the codes differ, of an error in a group: mongod's newer engine has codes of its own."""
    return "$group" in dumps(case) and type(real) is int and type(simulated) is int


@pytest.mark.slow
@pytest.mark.parametrize("collection", ["left", "empty"])
def test_pipelines_answer_as_mongod_does(server: Database[Any], collection: str) -> None:
    """A pipeline's documents and error codes are those of a real mongod, over documents and over none."""
    documents = [normalise(document) for document in LEFT] if collection == "left" else []
    others = {"f": [normalise(document) for document in RIGHT]}
    found = []
    for case in pipelines():
        real = _unordered(case, outcome(lambda case=case: server[collection].aggregate(_joining(case))))
        simulated = _unordered(case, outcome(lambda case=case: _run(case, documents, others)))
        if not agree(real, simulated) and not _both_failed_in_a_group(case, real, simulated):
            found.append(mismatch(case, collection, real, simulated))
    assert not found, "\n".join(found)


def _run(case: Any, documents: list[dict[str, Any]], others: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return run_pipeline(normalise_value(case), documents, ENVIRONMENT, lambda name: others.get(name, []))


def _joining(case: Any) -> Any:
    """Return the pipeline with the joined collection's name on the real server."""
    if type(case) is dict:
        return {name: "right" if name == "from" and value == "f" else _joining(value) for name, value in case.items()}
    return [_joining(item) for item in case] if type(case) is list else case


@pytest.mark.slow
@pytest.mark.parametrize("document", UPDATED, ids=["document", "other types"])
@pytest.mark.parametrize("command", ["update", "findAndModify"])
def test_pipeline_updates_answer_as_mongod_does(server: Database[Any], command: str, document: dict[str, Any]) -> None:
    """What an update's pipeline makes of a document, and its error code, are those of a real mongod."""
    run = _update if command == "update" else _find_and_modify
    name = f"updated_{command}_{document['s']}"
    found = []
    for case in updates():
        server[name].delete_many({})
        server[name].insert_one(document)
        real = outcome(lambda case=case: run(server, name, case))
        simulated = outcome(
            lambda case=case: [apply_pipeline_update(normalise(document), normalise_value(case), ENVIRONMENT)]
        )
        if not agree(real, simulated):
            found.append(mismatch(case, command, real, simulated))
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, RANDOM_CASES, BATCH))
def test_random_updates_answer_as_mongod_does(server: Database[Any], first: int) -> None:
    """In an update any tree of operators gives what a real mongod gives, which folds no constants there."""
    collection = server[f"random_{first}"]
    found = []
    for number in range(first, min(first + BATCH, RANDOM_CASES)):
        document = {"_id": 1, **CORPUS[number % len(CORPUS)]}
        case = [{"$set": {"v": random_tree(random.Random(f"update {number}"))}}]
        collection.replace_one({"_id": 1}, document, upsert=True)
        real = outcome(lambda case=case: _find_and_modify(server, collection.name, case))
        simulated = outcome(
            lambda case=case, document=document: [
                apply_pipeline_update(normalise(document), normalise_value(case), ENVIRONMENT)
            ]
        )
        if not agree(real, simulated):
            found.append(mismatch(case, f"document {number % len(CORPUS)}", real, simulated))
    assert not found, "\n".join(found)


def _update(server: Database[Any], name: str, pipeline: list[Any]) -> list[dict[str, Any]]:
    reply = server.command("update", name, updates=[{"q": {"_id": 1}, "u": pipeline}])
    for error in reply.get("writeErrors", ()):
        raise OperationFailure(error["errmsg"], error["code"])
    return list(server[name].find())


def _find_and_modify(server: Database[Any], name: str, pipeline: list[Any]) -> list[dict[str, Any]]:
    return [server.command("findAndModify", name, query={"_id": 1}, update=pipeline, new=True)["value"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "let",
    [
        {"v": 5},
        {"v": {"$add": [1, 2]}},
        {"v": {"x": [1, {"y": 2}]}, "w": "$$v"},
        {"v": "$a"},
        {"V": 1},
        {"v": {"$divide": [1, 0]}},
        {"NOW": 1},
        {"v": "$$REMOVE"},
        {"CURRENT": {"a": 9}},
    ],
    ids=str,
)
def test_variables_of_a_command_answer_as_mongod_does(server: Database[Any], let: dict[str, Any]) -> None:
    """``let`` is computed once, without documents, and its errors have the codes of a real mongod."""
    pipeline = [{"$replaceWith": {"v": "$$v", "path": "$$v.x.y"}}] if "v" in let else [{"$replaceWith": {"v": "$a"}}]

    def simulated() -> list[dict[str, Any]]:
        values = let_values(normalise(let), ENVIRONMENT)
        environment = Environment(now=NOW, let=values)
        return run_pipeline(normalise_value(pipeline), [normalise(LEFT[0])], environment, lambda _: [])

    real = outcome(lambda: server["left"].aggregate([{"$match": {"_id": 1}}, *pipeline], let=let))
    assert agree(real, outcome(simulated)), mismatch(let, "let", real, outcome(simulated))
