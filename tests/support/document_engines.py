"""The two that answer the same document questions: a real mongod, and the document engine of the simulator.

Each answers with plain bytes and numbers that compare exactly: the BSON of a document tells the order of its fields
and the types of its numbers. An error is its code.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson import CodecOptions, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from harness.sim.documents import match, project, sort, unique, update, values
from harness.sim.documents.errors import DocumentError, UnsupportedOperator

Query = Mapping[str, Any]

NOW = datetime.datetime(2026, 3, 1, 12, 30, 15, 250_000)  # noqa: DTZ001 - stored dates are naive UTC
STAMP = Timestamp(1_700_000_000, 7)
NEW_ID = ObjectId("65e1c4a2b3c4d5e6f7a8b9c0")

_RAW = CodecOptions(document_class=RawBSONDocument)


@dataclass(frozen=True)
class Answer:
    """What became of a question: a value, or the code of an error (``"unsupported"`` for the engine's refusal)."""

    value: Any = None
    error: int | str | None = None


@dataclass(frozen=True)
class UpdateCase:
    """One update of one document (None: of an empty collection)."""

    document: Mapping[str, Any] | None
    query: Query
    update: Any
    array_filters: Sequence[Query] = ()
    upsert: bool = False


class Mongod:
    """The questions put to a real server, in one collection that is emptied before each."""

    def __init__(self, collection: Collection[Any]) -> None:
        self.collection = collection

    def load(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self.collection.delete_many({})
        if documents:
            self.collection.insert_many([dict(document) for document in documents])

    def find(self, query: Query, projection: Query | None = None, order: Query | None = None) -> Answer:
        def run() -> list[bytes]:
            command = {"filter": query, "projection": projection or {}, "sort": order or {}, "batchSize": 1000}
            reply = self.collection.database.command("find", self.collection.name, codec_options=_RAW, **command)
            return [document.raw for document in reply["cursor"]["firstBatch"]]

        return _answer(run)

    def update(self, case: UpdateCase) -> Answer:
        self.load([] if case.document is None else [case.document])
        statement = {"q": case.query, "u": case.update, "upsert": case.upsert}
        if case.array_filters:
            statement["arrayFilters"] = list(case.array_filters)

        def run() -> tuple[int, int, list[bytes]]:
            reply = self.collection.database.command("update", self.collection.name, updates=[statement])
            if "writeErrors" in reply:
                raise OperationFailure("", reply["writeErrors"][0]["code"])
            documents = [_without_new_id(document) for document in self.collection.find()]
            return reply["n"], reply["nModified"], [bson.encode(document) for document in documents]

        return _answer(run)

    def find_and_modify(self, documents: Sequence[Query], command: Query) -> Answer:
        self.load(documents)

        def run() -> tuple[Any, list[bytes]]:
            reply = self.collection.database.command("findAndModify", self.collection.name, **command)
            value = reply["value"]
            after = self.collection.find().sort("_id", 1)
            return None if value is None else bson.encode(value), [bson.encode(document) for document in after]

        return _answer(run)

    def fill_unique(self, keys: Query, options: Query, documents: Sequence[Query]) -> list[Any]:
        """Insert one by one under a unique index; return None or (code, errmsg, keyPattern, keyValue) for each."""
        self.collection.drop()
        self.collection.create_index(list(keys.items()), unique=True, **options)
        verdicts: list[Any] = []
        for document in documents:
            reply = self.collection.database.command("insert", self.collection.name, documents=[document])
            error = reply["writeErrors"][0] if "writeErrors" in reply else None
            verdicts.append(error and (error["code"], error["errmsg"], error.get("keyPattern"), error.get("keyValue")))
        self.collection.drop()
        return verdicts


class Engine:
    """The same questions, answered by ``harness.sim.documents``."""

    def __init__(self, namespace: str = "test.documents") -> None:
        self.namespace = namespace
        self.documents: list[values.Document] = []

    def load(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self.documents = [values.normalise(document) for document in documents]

    def find(self, query: Query, projection: Query | None = None, order: Query | None = None) -> Answer:
        def run() -> list[bytes]:
            normal = values.normalise(query)
            matches = match.compile_filter(normal)
            keep = project.compile_projection(values.normalise(projection or {}), normal)
            found = [document for document in self.documents if matches(document)]
            if order:
                found = sort.sort_documents(found, values.normalise(order))
            return [bson.encode(keep(document)) for document in found]

        return _answer(run)

    def update(self, case: UpdateCase) -> Answer:
        def run() -> tuple[int, int, list[bytes]]:
            query, change, filters = _normal(case.query), _normal(case.update), _normal(list(case.array_filters))
            document = None if case.document is None else values.normalise(case.document)
            before = None if document is None else bson.encode(document)
            compiled = update.compile_update(change, filters)
            if case.upsert:
                match.check_upsert_filter(query)
            result = _updated(document, query, compiled, upsert=case.upsert)
            assert document is None or bson.encode(document) == before, "the engine changed the document it was given"
            return result

        return _answer(run)

    def find_and_modify(self, documents: Sequence[Query], command: Query) -> Answer:
        def run() -> tuple[Any, list[bytes]]:
            self.load(documents)
            query = _normal(command.get("query", {}))
            matches = match.compile_filter(query)
            found = sort.sort_documents(filter(matches, self.documents), _normal(command.get("sort", {})))
            if not found:
                return None, self._all()
            before = found[0]
            if command.get("remove"):
                after = None
            else:
                change = _normal(command["update"])
                outcome = update.apply(before, change, query, now=NOW, timestamp=lambda: STAMP)
                after = outcome.document
            value = after if command.get("new") else before
            keep = project.compile_projection(_normal(command.get("fields", {})), query)
            self.documents = [
                after if item is before else item for item in self.documents if item is not before or after
            ]
            return None if value is None else bson.encode(keep(value)), self._all()

        return _answer(run)

    def _all(self) -> list[bytes]:
        return [bson.encode(document) for document in sort.sort_documents(self.documents, {"_id": 1})]

    def fill_unique(self, keys: Query, options: Query, documents: Sequence[Query]) -> list[Any]:
        name = "_".join(f"{path}_{direction}" for path, direction in keys.items())
        index = unique.IndexDefinition(
            options.get("name", name),
            keys,
            unique=True,
            sparse=bool(options.get("sparse")),
            partial=options.get("partialFilterExpression"),
        )
        held: set[Any] = set()
        return [self._insert(index, values.normalise(document), held) for document in documents]

    def _insert(self, index: unique.IndexDefinition, document: values.Document, held: set[Any]) -> Any:
        try:
            duplicate = unique.find_duplicate(document, index, held.__contains__)
            if duplicate is not None:
                raise unique.duplicate_key_error(self.namespace, index, duplicate)
            held.update(unique.keys_in(document, index))
        except DocumentError as error:
            return error.code, error.message, error.details.get("keyPattern"), error.details.get("keyValue")
        return None


def _updated(
    document: values.Document | None, query: Query, compiled: update.CompiledUpdate, *, upsert: bool
) -> tuple[int, int, list[bytes]]:
    if document is not None and match.match(document, query):
        outcome = update.apply(document, compiled, query, now=NOW, timestamp=lambda: STAMP)
        return 1, int(outcome.changed), [bson.encode(outcome.document)]
    present = [] if document is None else [bson.encode(document)]
    if not upsert:
        return 0, 0, present
    created = update.upsert_document(query, compiled, lambda: NEW_ID, now=NOW, timestamp=lambda: STAMP)
    if document is not None and unique.keys_in(created, unique.ID_INDEX) == unique.keys_in(document, unique.ID_INDEX):
        raise unique.duplicate_key_error("test.documents", unique.ID_INDEX, (created["_id"],))
    return 1, 0, [*present, bson.encode(created)]


def _normal(value: Any) -> Any:
    return values.normalise_value(value)


def _without_new_id(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the document with an ``_id`` that the server made up replaced by the engine's."""
    identity = document.get("_id")
    return {**document, "_id": NEW_ID} if type(identity) is ObjectId else document


def _answer(run: Callable[[], Any]) -> Answer:
    try:
        return Answer(value=run())
    except (DocumentError, OperationFailure) as error:
        return Answer(error=error.code)
    except UnsupportedOperator as error:
        return Answer(error=f"unsupported {error.operator}")


def mismatches(questions: Iterable[tuple[str, Answer, Answer]]) -> str:
    """Return the questions that the two answered differently, as text for a failed test; empty if there are none."""
    wrong = [(question, real, simulated) for question, real, simulated in questions if real != simulated]
    parts = [
        f"{question}\n   mongod    {_shown(real)}\n   simulated {_shown(simulated)}"
        for question, real, simulated in wrong
    ]
    return "\n".join(parts)


def _shown(answer: Answer) -> str:
    return f"error {answer.error}" if answer.error is not None else repr(_decoded(answer.value))


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return bson.decode(value)
    return [_decoded(item) for item in value] if isinstance(value, list | tuple) else value
