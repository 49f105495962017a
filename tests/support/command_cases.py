"""Sequences of raw commands, as PyMongo sends them, that a simulated set must answer as a real one does.

A case is a list of steps. A step is a command, or a function of the replies so far that returns one. ``A`` and ``B``
are sessions; collections are named ``c`` and the like, in a database of the case's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson.binary import Binary
from bson.int64 import Int64
from bson.regex import Regex
from bson.timestamp import Timestamp

Command = dict[str, Any]
Step = Command | Callable[[list[Any]], Command]

A = {"id": Binary(bytes(range(16)), 4)}
B = {"id": Binary(bytes(range(16, 32)), 4)}
MAJORITY = {"w": "majority"}


def write(number: int, session: Any = A) -> Command:
    """Return the fields of a retryable write."""
    return {"lsid": session, "txnNumber": Int64(number)}


def begin(number: int, session: Any = A) -> Command:
    """Return the fields of the first statement of a transaction."""
    return {**within(number, session), "startTransaction": True}


def within(number: int, session: Any = A) -> Command:
    """Return the fields of a statement of a transaction."""
    return {"lsid": session, "txnNumber": Int64(number), "autocommit": False}


def commit(number: int, session: Any = A, **more: Any) -> Command:
    """Return a commit."""
    return {"commitTransaction": 1, **within(number, session), "$db": "admin", **more}


def abort(number: int, session: Any = A) -> Command:
    """Return an abort."""
    return {"abortTransaction": 1, **within(number, session), "$db": "admin"}


def insert(*documents: Any, **more: Any) -> Command:
    """Return an insert into ``c``."""
    return {"insert": "c", "documents": list(documents), "ordered": True, **more}


def update(query: Any, change: Any, *, more: Command | None = None, **statement: Any) -> Command:
    """Return an update of ``c`` with one statement."""
    return {"update": "c", "updates": [{"q": query, "u": change, **statement}], "ordered": True, **(more or {})}


def updates(*statements: Command, **more: Any) -> Command:
    """Return an update of ``c`` with these statements."""
    return {"update": "c", "updates": list(statements), **more}


def delete(query: Any, limit: int = 1, **more: Any) -> Command:
    """Return a delete from ``c`` with one statement."""
    return {"delete": "c", "deletes": [{"q": query, "limit": limit}], "ordered": True, **more}


def find(query: Any = None, **more: Any) -> Command:
    """Return a find in ``c``."""
    return {"find": "c", "filter": query or {}, **more}


def modify(query: Any, change: Any = None, **more: Any) -> Command:
    """Return a findAndModify in ``c``."""
    changing = {} if change is None else {"update": change}
    return {"findAndModify": "c", "query": query, **changing, **more}


def index(keys: Command, name: str, **options: Any) -> Command:
    """Return a createIndexes on ``c``."""
    return {"createIndexes": "c", "indexes": [{"key": keys, "name": name, **options}]}


def get_more(step: int, collection: str = "c", **more: Any) -> Step:
    """Return the getMore on the cursor that a step opened."""
    return lambda replies: {"getMore": replies[step]["cursor"]["id"], "collection": collection, **more}


def aggregate(*stages: Command, **more: Any) -> Command:
    """Return an aggregate on ``c``."""
    return {"aggregate": "c", "pipeline": list(stages), "cursor": {}, **more}


def watch(*stages: Command, **options: Any) -> Command:
    """Return the command that opens a change stream on ``c``."""
    return aggregate({"$changeStream": options}, *stages)


def resumed(step: int, event: int, how: str = "resumeAfter", **options: Any) -> Step:
    """Return the command that resumes after an event that a step returned."""

    def resume(replies: list[Any]) -> Command:
        cursor = replies[step]["cursor"]
        events = cursor.get("nextBatch", cursor.get("firstBatch"))
        return watch(**{how: events[event]["_id"]}, **options)

    return resume


def until(times: int, step: Step) -> list[Step]:
    """Return a step several times over."""
    return [step] * times


INC = {"$inc": {"a": 1}}
SET = {"$set": {"a": 5}}

CRUD: dict[str, list[Step]] = {
    "insert": [insert({"_id": 1, "a": 1}), insert({"_id": 2}, {"_id": 3}), find()],
    "insert-duplicate-ordered": [insert({"_id": 1}), insert({"_id": 2}, {"_id": 1}, {"_id": 3}), find()],
    "insert-duplicate-unordered": [
        insert({"_id": 1}),
        insert({"_id": 2}, {"_id": 1}, {"_id": 3}, ordered=False),
        find(),
    ],
    "insert-equal-ids": [insert({"_id": 1}, {"_id": 1.0}), insert({"_id": True}), insert({"_id": "1"}), find()],
    "insert-bad-ids": [
        insert({"_id": [1]}, {"_id": Regex("a")}, {"_id": {"$x": 1}}, {"_id": None}, ordered=False),
        find(),
    ],
    "insert-id-first": [insert({"a": 1, "_id": 1}), find()],
    "insert-errors": [
        {"insert": "c", "documents": []},
        {"insert": "c"},
        {"insert": "c", "documents": [{"_id": 1}], "bogus": 1},
        {"insert": 1, "documents": [{"_id": 1}]},
        {"insert": "", "documents": [{"_id": 1}]},
        {"insert": "a$b", "documents": [{"_id": 1}]},
        {"insert": "system.foo", "documents": [{"_id": 1}]},
        {"insert": "c", "documents": [5]},
        {"insert": "c", "documents": 5},
        {"insert": "c", "documents": [{"_id": 1}], "ordered": "x"},
    ],
    "update-one": [insert({"_id": 1, "a": 1}), update({"_id": 1}, INC), update({"_id": 9}, INC), find()],
    "update-no-op": [insert({"_id": 1, "a": 5}), update({"_id": 1}, SET), update({"a": 5}, {"$unset": {"z": 1}})],
    "update-many": [
        insert(*({"_id": i, "a": i % 2} for i in range(6))),
        update({"a": 1}, INC, multi=True),
        update({}, {"$set": {"b": 1}}, multi=True),
        update({"b": 1}, {"$set": {"b": 1}}, multi=True),
        find(),
    ],
    "update-many-stops-at-error": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": "x"}, {"_id": 3, "a": 1}),
        update({}, INC, multi=True),
        find(),
    ],
    "update-replace": [
        insert({"_id": 1, "a": 1}),
        update({"_id": 1}, {"b": 1}),
        update({"_id": 1}, {"_id": 2, "b": 1}),
        update({}, {"b": 2}, multi=True),
        find(),
    ],
    "update-upsert": [
        update({"_id": 1}, INC, upsert=True),
        update({"_id": {"$in": [7]}}, {"x": 1}, upsert=True),
        updates({"q": {"_id": 2}, "u": INC, "upsert": True}, {"q": {"_id": 3}, "u": {"x": 1}, "upsert": True}),
        update({"_id": 1}, INC, upsert=True),
        update({"_id": 4, "k": 2}, {"$setOnInsert": {"z": 1}}, upsert=True, multi=True),
        find(),
    ],
    "update-upsert-conflict": [
        index({"k": 1}, "k_1", unique=True),
        insert({"_id": 1, "k": 1, "expires": 10}),
        update({"k": 1, "expires": {"$lt": 5}}, SET, upsert=True),
        update({"k": 1}, SET, upsert=True),
        find(),
    ],
    "update-bulk-ordered": [
        insert({"_id": 1, "a": 1}),
        updates({"q": {"_id": 1}, "u": INC}, {"q": {"_id": 1}, "u": {"$set": {"a.b": 1}}}, {"q": {"_id": 1}, "u": INC}),
        find(),
    ],
    "update-bulk-unordered": [
        insert({"_id": 1, "a": 1}),
        updates(
            {"q": {"_id": 1}, "u": INC},
            {"q": {"_id": 1}, "u": {"$set": {"a.b": 1}}},
            {"q": {"_id": 1}, "u": INC},
            ordered=False,
        ),
        find(),
    ],
    "update-errors": [
        insert({"_id": 1, "a": 1}),
        update({"_id": 1}, {"$inc": {"a": 1}, "b": 1}),
        update({"_id": 1}, {"$bogus": {"a": 1}}),
        update({"z": {"$bogus": 1}}, SET),
        update({}, {"$set": {"_id": 7}}),
        {"update": "c", "updates": 5},
        {"update": "c", "updates": [5]},
        {"update": "c", "updates": []},
        {"update": "c", "updates": [{"q": {"_id": 1}}]},
        {"update": "c", "updates": [{"u": {"_id": 1}}]},
        {"update": "c", "updates": [{"q": 5, "u": {}}]},
        {"update": "c", "updates": [{"q": {}, "u": 5}]},
        {"update": "c", "updates": [{"q": {}, "u": SET, "multi": "x"}]},
        {"update": "c", "updates": [{"q": {}, "u": SET, "foo": 1}]},
        {"update": "c", "updates": [{"q": {}, "u": SET}], "foo": 1},
        update({"_id": 1}, {"$set": {"arr.$[x]": 1}}, arrayFilters=[{"y": 1}]),
        update({"_id": 1}, SET, hint="nope"),
        find(),
    ],
    "update-pipeline": [
        insert({"_id": 1, "a": 1}),
        update({"_id": 1}, [{"$set": {"b": {"$add": ["$a", "$$v"]}}}], c={"v": 5}),
        update({"_id": 1}, [{"$bad": {"b": 1}}]),
        update({"_id": 2}, [{"$set": {"b": 1}}], upsert=True),
        find(),
    ],
    "delete": [
        insert(*({"_id": i, "a": i % 2} for i in range(6))),
        delete({"a": 1}),
        delete({"a": 0}, 0),
        delete({"_id": 99}),
        {"delete": "c", "deletes": [{"q": {"_id": 3}, "limit": 1}, {"q": {}, "limit": 0}]},
        find(),
    ],
    "delete-errors": [
        delete({"_id": 1}, 2),
        {"delete": "c", "deletes": [{"q": {"_id": 1}}]},
        delete({"$bog": 1}),
        {"delete": "c"},
        {"delete": "c", "deletes": [{"q": {}, "limit": 1, "zz": 1}]},
        {"delete": "c", "deletes": [{"q": {}, "limit": 1}], "zz": 1},
        {"delete": "nope", "deletes": [{"q": {"_id": 1}, "limit": 1}]},
    ],
    "modify-update": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2}),
        modify({"_id": 1}, INC),
        modify({"_id": 1}, INC, new=True),
        modify({"a": {"$gt": 0}}, INC, sort={"a": -1}, new=True),
        modify({"_id": 1}, INC, fields={"a": 1, "_id": 0}),
        modify({"_id": 9}, INC),
        modify({"_id": 1}, {"z": 1}, new=True),
        modify({"_id": 1}, [{"$set": {"y": "$z"}}], new=True),
        find(),
    ],
    "modify-upsert": [
        modify({"_id": 1}, INC, upsert=True),
        modify({"_id": 2}, INC, upsert=True, new=True),
        modify({"_id": 1}, INC, upsert=True),
        find(),
    ],
    "modify-remove": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2}),
        modify({}, remove=True, sort={"a": -1}),
        modify({"_id": 9}, remove=True),
        find(),
    ],
    "modify-errors": [
        insert({"_id": 1, "a": 1}),
        modify({"_id": 1}, remove=True, new=True),
        modify({"_id": 1}, SET, remove=True),
        modify({"_id": 1}),
        modify({"_id": 1}, {"$set": {"_id": 5}}),
        modify({"_id": 1}, {"$bad": 1}),
        modify({"_id": 1}, 5),
        modify({"$bad": 1}, SET),
        modify({"_id": 1}, {"$set": {"a.b": 1}}),
        {"findAndModify": "c", "zz": 1},
        {"findAndModify": "c", "query": 5},
        modify({"_id": 2}, {"_id": 1}, upsert=True),
    ],
    "modify-duplicate": [
        index({"k": 1}, "k_1", unique=True),
        insert({"_id": 1, "k": 1}, {"_id": 2, "k": 2}),
        modify({"_id": 2}, {"$set": {"k": 1}}),
        modify({"k": 1, "x": 1}, {"$set": {"y": 1}}, upsert=True),
        find(),
    ],
    "lowercase-name": [insert({"_id": 1}), {"findandmodify": "c", "query": {"_id": 1}, "update": SET}],
}

READS: dict[str, list[Step]] = {
    "find": [
        insert(*({"_id": i, "a": i % 3} for i in range(7))),
        find({"a": 1}),
        find(sort={"a": -1, "_id": 1}),
        find(projection={"a": 1, "_id": 0}, limit=2),
        find(skip=5),
        find(skip=2, limit=2),
        find({"_id": 3}),
        find({"_id": {"$in": [5, 2, 9]}}),
        find({"_id": {"$gt": 4}}),
    ],
    "find-batches": [
        insert(*({"_id": i} for i in range(7))),
        find(batchSize=3),
        get_more(1, batchSize=3),
        get_more(1),
        get_more(1),
        find(batchSize=2, singleBatch=True),
        find(batchSize=0),
        get_more(6, batchSize=4),
        find(limit=5, batchSize=3),
        get_more(8),
        find(sort={"_id": -1}, batchSize=6),
        get_more(10),
    ],
    "find-batch-at-the-end": [
        insert({"_id": 1}, {"_id": 2}),
        find(batchSize=2),
        get_more(1),
        find(sort={"_id": 1}, batchSize=2),
        find({"_id": 1}, batchSize=1),
        find(limit=2, batchSize=2),
    ],
    "cursor-sees-later-writes": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}, {"_id": 3, "a": 1}),
        find(batchSize=1),
        update({"_id": 2}, SET),
        delete({"_id": 3}),
        insert({"_id": 4}),
        get_more(1),
    ],
    "find-missing-collection": [{"find": "nope"}, {"count": "nope"}, {"distinct": "nope", "key": "a"}],
    "find-errors": [
        insert({"_id": 1}),
        find({"a": {"$bad": 1}}),
        find(bogus=1),
        find(limit=-1),
        find(skip=-1),
        find(batchSize=-1),
        find(limit=1.5),
        {"find": "c", "filter": 5},
        find(sort={"a": 2}),
        find(projection={"a": 1, "b": 0}),
        find(maxTimeMS=-1),
        find(maxTimeMS="x"),
        find(awaitData=True),
        find({"$bad": 1}),
        {"find": 1},
    ],
    "cursor-errors": [
        insert({"_id": 1}, {"_id": 2}),
        find(batchSize=1),
        get_more(1, "d"),
        {"getMore": Int64(5), "collection": "c"},
        {"getMore": 5, "collection": "c"},
        {"getMore": Int64(5)},
        {"getMore": Int64(5), "collection": "c", "zz": 1},
        get_more(1, maxTimeMS=10),
        {"killCursors": "c"},
        lambda replies: {"killCursors": "c", "cursors": [replies[1]["cursor"]["id"], Int64(4)]},
        get_more(1),
    ],
    "count": [
        insert(*({"_id": i} for i in range(5))),
        {"count": "c"},
        {"count": "c", "query": {"_id": {"$gt": 2}}},
        {"count": "c", "query": {"_id": {"$gt": 0}}, "limit": 2},
        {"count": "c", "skip": 1},
        {"count": "c", "limit": -2},
        {"count": "c", "query": {"$bad": 1}},
        {"count": "c", "zz": 1},
    ],
    "distinct": [
        insert(
            {"_id": 1, "a": 3}, {"_id": 2, "a": [1, 2]}, {"_id": 3}, {"_id": 4, "a": 3.0}, {"_id": 5, "b": {"c": 1}}
        ),
        {"distinct": "c", "key": "a"},
        {"distinct": "c", "key": "_id"},
        {"distinct": "c", "key": "b.c"},
        {"distinct": "c", "key": "a", "query": {"_id": {"$gt": 2}}},
        {"distinct": "c"},
        {"distinct": "c", "key": "a", "zz": 1},
    ],
    "aggregate": [
        insert(*({"_id": i, "a": i % 2} for i in range(5))),
        aggregate({"$match": {"a": 1}}),
        aggregate({"$group": {"_id": "$a", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}),
        aggregate({"$match": {"_id": {"$gt": 0}}}, {"$count": "n"}),
        {"aggregate": "nope", "pipeline": [{"$count": "n"}], "cursor": {}},
        aggregate(cursor={"batchSize": 2}),
        get_more(5),
        aggregate({"$match": {"_id": 1}}, let={"x": 1}),
    ],
    "aggregate-errors": [
        insert({"_id": 1}),
        {"aggregate": "c", "pipeline": []},
        {"aggregate": "c", "cursor": {}},
        {"aggregate": "c", "pipeline": 5, "cursor": {}},
        {"aggregate": "c", "pipeline": [5], "cursor": {}},
        aggregate({}),
        aggregate({"$bogus": 1}),
        aggregate(zz=1),
        {"aggregate": 1, "pipeline": [{"$match": {}}], "cursor": {}},
    ],
    "aggregate-lookup": [
        insert({"_id": 1, "k": 1}),
        {"insert": "d", "documents": [{"_id": 1, "k": 1}, {"_id": 2, "k": 2}]},
        aggregate({"$lookup": {"from": "d", "localField": "k", "foreignField": "k", "as": "found"}}),
    ],
    "aggregate-out": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2}),
        aggregate({"$match": {"a": 1}}, {"$out": "o"}),
        {"find": "o"},
        aggregate({"$match": {"a": 2}}, {"$out": "o"}),
        {"find": "o"},
    ],
    "aggregate-merge": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2}),
        {"insert": "o", "documents": [{"_id": 1, "b": 1}]},
        aggregate({"$merge": {"into": "o"}}),
        {"find": "o"},
        aggregate({"$merge": {"into": "o", "whenMatched": "replace"}}),
        {"find": "o"},
        aggregate({"$project": {"_id": 0}}, {"$merge": {"into": "o", "on": "_id"}}),
    ],
    "read-concern": [
        insert({"_id": 1}, writeConcern=MAJORITY),
        *(
            find({"_id": 1}, readConcern={"level": level})
            for level in ("local", "available", "majority", "linearizable")
        ),
        find({"_id": 1}, readConcern={"level": "snapshot"}),
        find(readConcern={"level": "bad"}),
        find(readConcern={"foo": 1}),
        find(readConcern={"level": "linearizable", "afterClusterTime": Timestamp(1, 1)}),
        find(readConcern={"level": "available", "afterClusterTime": Timestamp(1, 1)}),
        find(readConcern={"level": "majority", "atClusterTime": Timestamp(1, 1)}),
        find(readConcern={"afterClusterTime": Timestamp(1, 1)}),
        find(readConcern={"afterClusterTime": Timestamp(4_000_000_000, 1)}),
        update({"_id": 1}, INC, more={"readConcern": {"level": "majority"}}),
        modify({"_id": 1}, INC, readConcern={"level": "majority"}),
        update({"_id": 1}, INC, more={"readConcern": {"afterClusterTime": Timestamp(1, 1)}}),
        {"count": "c", "readConcern": {"level": "snapshot"}},
        {"distinct": "c", "key": "_id", "readConcern": {"level": "snapshot"}},
        aggregate({"$count": "n"}, readConcern={"level": "snapshot"}),
        {"listCollections": 1, "readConcern": {"level": "majority"}},
    ],
    "unknown-command": [{"bogus": 1}, {"bogus": "c", "x": 1}, {"ping": 1}, {"ping": 1, "$db": ""}],
}

COLLECTIONS: dict[str, list[Step]] = {
    "create": [
        {"create": "c"},
        {"create": "c"},
        {"create": ""},
        {"create": "c", "zz": 1},
        {"create": "a$b"},
        {"create": "system.foo"},
    ],
    "drop": [insert({"_id": 1}), index({"a": 1}, "a_1"), {"drop": "c"}, {"drop": "c"}, {"drop": "c", "foo": 1}, find()],
    "rename": [
        insert({"_id": 1}),
        lambda _replies: {"renameCollection": "{db}.c", "to": "{db}.d", "$db": "admin"},
        {"find": "d"},
        find(),
        lambda _replies: {"renameCollection": "{db}.c", "to": "{db}.d", "$db": "admin"},
        insert({"_id": 2}),
        lambda _replies: {"renameCollection": "{db}.c", "to": "{db}.d", "$db": "admin"},
        lambda _replies: {"renameCollection": "{db}.c", "to": "{db}.d", "dropTarget": True, "$db": "admin"},
        {"find": "d"},
    ],
    "drop-database": [
        insert({"_id": 1}),
        {"dropDatabase": 1},
        find(),
        {"dropDatabase": 1},
        {"dropDatabase": 1, "foo": 1},
    ],
    "list-collections": [
        insert({"_id": 1}),
        {"listCollections": 1},
        {"listCollections": 1, "nameOnly": True},
        {"create": "d"},
        {"listCollections": 1, "filter": {"name": "d"}, "nameOnly": True},
        {"listCollections": 1, "zz": 1},
    ],
    "implicit-creation": [
        {"update": "u", "updates": [{"q": {"_id": 1}, "u": SET}]},
        {"delete": "x", "deletes": [{"q": {"_id": 1}, "limit": 1}]},
        {"find": "y"},
        {"listCollections": 1, "nameOnly": True},
    ],
    "indexes": [
        insert({"_id": 1, "a": 1}),
        index({"a": 1}, "a_1"),
        index({"a": 1}, "a_1"),
        index({"a": 1}, "a_1", unique=True),
        index({"a": 1}, "other"),
        index({"b": 1}, "a_1"),
        index({"b": 1, "c": -1}, "b_1_c_-1", unique=True, sparse=True),
        index({"t": 1}, "t_1", expireAfterSeconds=5),
        index({"t": 1}, "t_1", expireAfterSeconds=6),
        index({"p": 1}, "p_1", partialFilterExpression={"p": {"$gt": 5}}),
        {"listIndexes": "c"},
        {"listIndexes": "nope"},
        {"createIndexes": "new", "indexes": [{"key": {"v": 1}, "name": "v_1"}]},
    ],
    "index-errors": [
        insert({"_id": 1}),
        index({}, "x"),
        index({"a": 0}, "x"),
        index({"a": "foo"}, "x"),
        index({"a": 1}, "x", zz=1),
        index({"a": 1}, "x", unique="y"),
        index({"a": 1}, "x", expireAfterSeconds="y"),
        index({"a": 1}, "x", expireAfterSeconds=-1),
        index({"a": 1, "b": 1}, "x", expireAfterSeconds=1),
        index({"a": 1}, "x", sparse=True, partialFilterExpression={"a": 1}),
        index({"_id": 1}, "x"),
        index({"_id": 1}, "_id_"),
        index({"_id": 1}, "_id_", unique=True),
        {"createIndexes": "c", "indexes": []},
        {"createIndexes": "c"},
        {"createIndexes": "c", "indexes": [{"key": {"a": 1}}]},
        {"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "x"}], "zz": 1},
    ],
    "drop-indexes": [
        insert({"_id": 1}),
        index({"a": 1}, "a_1"),
        index({"b": 1}, "b_1"),
        {"dropIndexes": "c", "index": "nope"},
        {"dropIndexes": "c", "index": "_id_"},
        {"dropIndexes": "c", "index": {"zz": 1}},
        {"dropIndexes": "c", "index": ["b_1", "nope"]},
        {"dropIndexes": "c", "index": {"b": 1}},
        {"dropIndexes": "c", "index": "*"},
        {"dropIndexes": "c", "index": "*"},
        {"dropIndexes": "nope", "index": "*"},
        {"dropIndexes": "c"},
        {"listIndexes": "c"},
    ],
    "unique-index": [
        index({"k": 1}, "k_1", unique=True),
        insert({"_id": 1, "k": 1}),
        insert({"_id": 2, "k": 1.0}),
        insert({"_id": 3}),
        insert({"_id": 4, "k": None}),
        insert({"_id": 5, "k": [2, 3]}),
        insert({"_id": 6, "k": 3}),
        insert({"_id": 7, "k": [4, 4]}),
        update({"_id": 1}, {"$set": {"k": 2}}),
        update({"_id": 1}, {"$set": {"k": 1}}),
        delete({"_id": 1}),
        insert({"_id": 8, "k": 1}),
        find(sort={"_id": 1}),
    ],
    "unique-compound": [
        index({"a": 1, "b.c": 1}, "ab", unique=True),
        insert({"_id": 1, "a": 1, "b": {"c": 1}}),
        insert({"_id": 2, "a": 1, "b": {"c": 1}}),
        insert({"_id": 3, "a": 1, "b": [{"c": 2}, {"c": 1}]}),
        insert({"_id": 4, "a": 1}),
        insert({"_id": 5, "a": 1, "b": 7}),
        insert({"_id": 6, "a": [1, 2], "b": [{"c": 1}, {"c": 3}]}),
    ],
    "unique-sparse-and-partial": [
        index({"s": 1}, "s_1", unique=True, sparse=True),
        index({"p": 1}, "p_1", unique=True, partialFilterExpression={"p": {"$gt": 5}}),
        insert({"_id": 1}, {"_id": 2}, {"_id": 3, "s": None}),
        insert({"_id": 4, "s": None}),
        insert({"_id": 5, "s": 1, "p": 1}, {"_id": 6, "s": 2, "p": 1}, {"_id": 7, "s": 3, "p": 6}),
        insert({"_id": 8, "s": 4, "p": 6}),
        update({"_id": 5}, {"$set": {"p": 6}}),
    ],
    "unique-build-fails": [insert({"_id": 1}, {"_id": 2}), index({"u": 1}, "u_1", unique=True), {"listIndexes": "c"}],
    "unique-bulk-update": [
        index({"k": 1}, "k_1", unique=True),
        insert({"_id": 1, "k": 1}, {"_id": 2, "k": 2}, {"_id": 3, "k": 3}),
        update({}, {"$inc": {"k": 1}}, multi=True),
        find(),
    ],
}

CONCERNS: dict[str, list[Step]] = {
    "write-concern": [
        insert({"_id": 1, "a": 1}),
        *(
            update({"_id": 1}, INC, more={"writeConcern": concern})
            for concern in (
                {"w": 4},
                {"w": "unknown"},
                {"w": 1, "j": True},
                {"w": "majority", "wtimeout": 100},
                {"w": 1.5},
                {"wtimeout": -1},
                {"j": 1},
                {},
            )
        ),
        find(),
    ],
    "write-concern-malformed": [
        *(insert({"_id": 1}, writeConcern=concern) for concern in ({"w": -1}, {"w": 51}, {"w": [1]}, {"foo": 1})),
        find(),
    ],
    "write-concern-on-errors": [
        insert({"_id": 1, "a": 1}),
        insert({"_id": 1}, writeConcern={"w": 4}),
        update({"_id": 9}, INC, more={"writeConcern": {"w": 4}}),
        delete({"_id": 9}, writeConcern={"w": "unknown"}),
        modify({"_id": 1}, INC, writeConcern={"w": 4}),
        modify({"_id": 1}, {"$bad": 1}, writeConcern={"w": 4}),
        modify({"_id": 1}, {"$set": {"_id": 3}}, writeConcern={"w": 4}),
        {"update": "c", "updates": [], "writeConcern": {"w": 4}},
        update({"_id": 1}, {"$bad": 1}, more={"writeConcern": {"w": 4}}),
        find(writeConcern={"w": 4}),
        {"count": "c", "writeConcern": {"w": 1}},
    ],
    "write-concern-on-definitions": [
        {"create": "c", "writeConcern": {"w": 4}},
        {**index({"a": 1}, "a_1"), "writeConcern": {"w": 4}},
        {**index({"a": 1}, "a_1"), "writeConcern": {"w": 4}},
        {"create": "c", "writeConcern": {"w": 4}},
        {"drop": "c", "writeConcern": {"w": 4}},
        {"drop": "c", "writeConcern": {"w": 4}},
        aggregate({"$out": "o"}, writeConcern={"w": 4}),
    ],
}

RETRIES: dict[str, list[Step]] = {
    "retry-update": [
        insert({"_id": 1, "a": 1}),
        *until(2, update({"_id": 1}, INC, more=write(1))),
        *until(2, update({"_id": 7}, INC, upsert=True, more=write(2))),
        update({"_id": 1}, INC, more=write(1)),
        find(),
    ],
    "retry-insert": [
        *until(2, insert({"_id": 20}, {"_id": 21}, **write(3))),
        *until(2, insert({"_id": 20}, {"_id": 22}, **{**write(4), "ordered": False})),
        find(),
    ],
    "retry-delete": [
        insert({"_id": 1}, {"_id": 2}),
        *until(
            2, {"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}, {"q": {"_id": 9}, "limit": 1}], **write(5)}
        ),
        find(),
    ],
    "retry-modify": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2}),
        *until(2, modify({"_id": 1}, INC, new=True, fields={"a": 1, "_id": 0}, **write(6))),
        *until(2, modify({"_id": 1}, INC, **write(7))),
        *until(2, modify({"_id": 2}, remove=True, **write(8))),
        *until(2, modify({"_id": 9}, remove=True, **write(9))),
        *until(2, modify({"_id": 3}, SET, upsert=True, **write(10))),
        *until(2, modify({"_id": 4}, SET, upsert=True, new=True, **write(11))),
        find(),
    ],
    "retry-no-op": [
        insert({"_id": 1, "a": 5}),
        *until(2, update({"_id": 1}, SET, more=write(1))),
        update({"_id": 1}, INC),
        update({"_id": 1}, SET, more=write(1)),
        find(),
    ],
    "retry-part-of-batch": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}),
        updates({"q": {"_id": 1}, "u": INC}, **write(1)),
        updates({"q": {"_id": 1}, "u": INC}, {"q": {"_id": 2}, "u": INC}, **write(1)),
        find(),
    ],
    "not-retryable": [
        insert({"_id": 1, "a": 1}),
        update({}, INC, multi=True, more=write(1)),
        delete({}, 0, **write(2)),
        find(**write(3)),
        update({"_id": 1}, INC, more={"txnNumber": Int64(4)}),
        insert({"_id": 5}, **write(5), stmtIds=[4]),
        insert({"_id": 5}, **write(5), stmtIds=[4]),
    ],
    "session-order": [
        insert({"_id": 1}, **write(5)),
        insert({"_id": 2}, **write(4)),
        insert({"_id": 3}, **write(4, B)),
        update({"_id": 1}, SET, more=write(6)),
        insert({"_id": 4}, **write(5)),
    ],
}

TRANSACTIONS: dict[str, list[Step]] = {
    "commit": [
        insert({"_id": 1, "a": 1}),
        update({"_id": 1}, INC, more=begin(1)),
        find(**within(1)),
        find(),
        insert({"_id": 2}, **within(1)),
        commit(1),
        commit(1),
        commit(1, writeConcern=MAJORITY),
        find(),
    ],
    "abort": [
        insert({"_id": 1, "a": 1}),
        update({"_id": 1}, INC, more=begin(1)),
        delete({"_id": 1}, **within(1)),
        find(**within(1)),
        abort(1),
        abort(1),
        commit(1),
        find(**within(1)),
        find(),
    ],
    "numbers": [
        insert({"_id": 1, "a": 1}),
        find(**within(1)),
        find(**begin(2)),
        find(**begin(2)),
        find(**begin(3)),
        find(**within(2)),
        commit(2),
        commit(4),
        abort(4),
        find(**within(3)),
        insert({"_id": 9}, **write(3)),
        insert({"_id": 9}, **write(4)),
        find(**begin(4)),
        find(**within(4)),
    ],
    "new-number-aborts-open": [
        insert({"_id": 1}),
        insert({"_id": 2}, **begin(1)),
        insert({"_id": 3}, **begin(2)),
        commit(1),
        commit(2),
        find(),
    ],
    "fields": [
        insert({"_id": 1}),
        insert({"_id": 2}, lsid=A, txnNumber=Int64(1), startTransaction=True),
        insert({"_id": 2}, lsid=A, autocommit=False, startTransaction=True),
        insert({"_id": 2}, lsid=A, txnNumber=Int64(1), autocommit=True),
        insert({"_id": 2}, lsid=A, txnNumber=Int64(1), autocommit=False, startTransaction=False),
        insert({"_id": 2}, txnNumber=Int64(1)),
        {"commitTransaction": 1, "$db": "admin"},
        {**commit(1), "startTransaction": True},
        find(**begin(2), readConcern={"level": "linearizable"}),
        find(**begin(3), readConcern={"level": "snapshot"}),
        find(**within(3), readConcern={"level": "local"}),
        insert({"_id": 3}, **within(3), writeConcern={"w": 1}),
        insert({"_id": 3}, **within(3)),
        {**commit(3), "$db": "test"},
        commit(3, writeConcern={"w": 4}),
        commit(3, writeConcern={"w": "unknown"}),
        find(**within(3)),
        abort(3),
        insert({"_id": 4}, **write(3)),
    ],
    "duplicate-aborts": [
        insert({"_id": 1}),
        insert({"_id": 1}, **begin(1)),
        find(**within(1)),
        commit(1),
        abort(1),
    ],
    "errors-abort": [
        insert({"_id": 1, "a": "x"}),
        find({"$bad": 1}, **begin(1)),
        find(**within(1)),
        update({"_id": 1}, {"$bad": 1}, more=begin(2)),
        find(**within(2)),
        modify({"_id": 1}, {"$bad": 1}, **begin(3)),
        find(**within(3)),
        update({"_id": 1}, INC, more=begin(4)),
        find(**within(4)),
        find(bogus=1, **begin(5)),
        find(**within(5)),
        {"getMore": Int64(4), "collection": "c", **begin(6)},
        find(**within(6)),
    ],
    "conflict": [
        insert({"_id": 1, "a": 1}),
        find(**begin(1)),
        update({"_id": 1}, INC, more=begin(1, B)),
        update({"_id": 1}, INC, more=within(1)),
        find(**within(1)),
        commit(1),
        modify({"_id": 1}, INC, **begin(2)),
        delete({"_id": 1}, **begin(3)),
        update({"_id": 1}, {"$set": {"a": 1}}, more=begin(4)),
        abort(4),
        commit(1, B),
        find(),
    ],
    "conflict-after-commit": [
        insert({"_id": 1, "a": 1}),
        find(**begin(1)),
        update({"_id": 1}, INC),
        find(**within(1)),
        update({"_id": 1}, INC, more=within(1)),
        find(),
    ],
    "no-op-does-not-conflict": [
        insert({"_id": 1, "a": 1}),
        find(**begin(1)),
        update({"_id": 1}, INC),
        update({"_id": 1}, {"$set": {"a": 1}}, more=within(1)),
        commit(1),
        find(),
    ],
    "insert-conflict": [
        insert({"_id": 1}),
        find(**begin(1)),
        insert({"_id": 2}, **begin(1, B)),
        insert({"_id": 2}, **within(1)),
        abort(1, B),
        find(**begin(2)),
        insert({"_id": 3}),
        insert({"_id": 3}, **within(2)),
        find(**begin(3)),
        delete({"_id": 3}),
        insert({"_id": 3}, **within(3)),
        find(**begin(4)),
        update({"_id": 4}, SET, upsert=True),
        update({"_id": 4}, SET, upsert=True, more=within(4)),
    ],
    "unique-conflict": [
        index({"k": 1}, "k_1", unique=True),
        insert({"_id": 1, "k": 1}),
        insert({"_id": 2, "k": 2}, **begin(1)),
        insert({"_id": 3, "k": 2}, **begin(1, B)),
        insert({"_id": 3, "k": 2}, maxTimeMS=50),
        commit(1),
        find(),
        delete({"_id": 1}, **begin(2)),
        insert({"_id": 5, "k": 1}, maxTimeMS=50),
        abort(2),
    ],
    "write-skew": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}),
        find(**begin(1)),
        find(**begin(1, B)),
        update({"_id": 1}, {"$set": {"a": 0}}, more=within(1)),
        update({"_id": 2}, {"$set": {"a": 0}}, more=within(1, B)),
        commit(1),
        commit(1, B),
        find(),
    ],
    "write-waits-for-transaction": [
        insert({"_id": 1, "a": 1}),
        update({"_id": 1}, INC, more=begin(1)),
        insert({"_id": 2}, **within(1)),
        update({"_id": 1}, INC, more={"maxTimeMS": 50}),
        modify({"_id": 1}, INC, maxTimeMS=50),
        delete({"_id": 1}, maxTimeMS=50),
        insert({"_id": 2}, maxTimeMS=50),
        update({"_id": 1}, {"$set": {"a": 1}}, more={"maxTimeMS": 50}),
        commit(1),
        update({"_id": 1}, INC),
        find(),
    ],
    "snapshot": [
        insert({"_id": 1, "a": 1}),
        find(**begin(1)),
        insert({"_id": 2}),
        update({"_id": 1}, INC),
        find(**within(1)),
        {"distinct": "c", "key": "a", **within(1)},
        aggregate({"$count": "n"}, **within(1)),
        commit(1),
        find(),
    ],
    "cursor": [
        insert({"_id": 1}, {"_id": 2}, {"_id": 3}),
        find(batchSize=1, **begin(1)),
        insert({"_id": 4}, **within(1)),
        get_more(1, **within(1)),
        commit(1),
    ],
    "forbidden": [
        insert({"_id": 1}),
        {"count": "c", **begin(1)},
        {"listCollections": 1, **begin(1)},
        {"drop": "c", **begin(1)},
        {"dropDatabase": 1, **begin(1)},
        {"ping": 1, **begin(1)},
        {"hello": 1, **begin(1)},
        {"listIndexes": "c", **begin(1)},
        {"endSessions": [A], **begin(1)},
        {"killCursors": "c", "cursors": [Int64(3)], **begin(1)},
        {"bogus": 1, **begin(1)},
        {**index({"z": 1}, "z_1"), **begin(2)},
        find(**within(2)),
        aggregate({"$out": "x"}, **begin(3)),
        find(**within(3)),
        watch() | begin(4),
        find(**within(4)),
    ],
    "collections": [
        insert({"_id": 1}),
        {"create": "made", **begin(1)},
        {"insert": "made", "documents": [{"_id": 1}], **within(1)},
        {"insert": "implied", "documents": [{"_id": 1}], **within(1)},
        {"createIndexes": "indexed", "indexes": [{"key": {"z": 1}, "name": "z_1"}], **within(1)},
        {"find": "made", **within(1)},
        {"find": "made"},
        commit(1),
        {"find": "made"},
        {"find": "implied"},
        {"listIndexes": "indexed"},
        {"create": "made", **begin(2)},
        find(**within(2)),
    ],
    "collection-made-meanwhile": [
        insert({"_id": 1}),
        find(**begin(1)),
        {"insert": "fresh", "documents": [{"_id": 1}]},
        {"insert": "fresh", "documents": [{"_id": 2}], **within(1)},
        {"find": "fresh", **within(1)},
        find(**begin(2)),
        {"insert": "fresher", "documents": [{"_id": 1}]},
        {"find": "fresher", **within(2)},
        {"insert": "both", "documents": [{"_id": 1}], **begin(3)},
        {"insert": "both", "documents": [{"_id": 1}]},
        commit(3),
    ],
    "definitions-wait": [
        insert({"_id": 1}),
        find(**begin(1)),
        {"drop": "c", "maxTimeMS": 50},
        {**index({"z": 1}, "z_1"), "maxTimeMS": 50},
        {"dropDatabase": 1, "maxTimeMS": 50},
        {"create": "other", "maxTimeMS": 50},
        {"drop": "other", "maxTimeMS": 50},
        abort(1),
        {"drop": "c", "maxTimeMS": 50},
    ],
    "upsert": [
        insert({"_id": 1, "a": 1}),
        update({"_id": 2}, INC, upsert=True, more=begin(1)),
        modify({"_id": 3}, INC, upsert=True, new=True, **within(1)),
        update({}, INC, multi=True, more=within(1)),
        delete({"a": 2}, 0, **within(1)),
        commit(1),
        find(),
    ],
    "read-only": [insert({"_id": 1}), find(**begin(1)), commit(1, writeConcern=MAJORITY), commit(1), abort(1)],
    "killed-session": [
        insert({"_id": 1}),
        insert({"_id": 2}, **begin(1)),
        {"killSessions": [A]},
        commit(1),
        find(),
    ],
}

CHANGE_STREAMS: dict[str, list[Step]] = {
    "events": [
        insert({"_id": 1, "a": 1}),
        watch(),
        insert({"_id": 3, "a": 1}),
        update({"_id": 1}, {"$set": {"a": 2, "b.c": 3}, "$unset": {"z": 1}}),
        update({"_id": 1}, {"$unset": {"b": 1}}),
        update({"_id": 1}, {"$set": {"a": 2}}),
        update({"_id": 1}, {"x": 1}),
        delete({"_id": 1}),
        get_more(1, maxTimeMS=200),
    ],
    "update-descriptions": [
        insert({"_id": 1, "n": {"a": 1}, "big": {"a": "x" * 40, "b": 2}}),
        watch(),
        *(
            update({"_id": 1}, change)
            for change in (
                {"$set": {"arr": [1, 2, 3, 4]}},
                {"$push": {"arr": 5}},
                {"$push": {"arr": {"$each": [6, 7]}}},
                {"$push": {"arr": {"$each": [0], "$position": 0}}},
                {"$addToSet": {"arr": 9}},
                {"$pop": {"arr": 1}},
                {"$pull": {"arr": 2}},
                {"$set": {"arr.1": 22}},
                {"$inc": {"n.a": 1}},
                {"$rename": {"n": "m"}},
                {"$set": {"deep.er.path": 1}},
                {"$set": {"big.b": 3}},
                {"$unset": {"big.b": 1}},
                {"$min": {"low": 1}, "$max": {"low2": 1}},
                {"$mul": {"low": 2}},
                {"$bit": {"low": {"or": 4}}},
                {"$set": {"arr": [1, 2]}},
                [{"$set": {"arr": [1, 2, 3, 4, 5, 6]}}],
                [{"$set": {"arr": [1, 2, 3]}}],
                [{"$set": {"sub": {"a": 1, "b": 2}}}],
                [{"$set": {"sub.a": 5}}],
                [{"$set": {"big.b": 4}}],
                [{"$unset": "sub"}],
                [{"$replaceWith": {"_id": 1, "big": {"a": "y" * 40}}}],
                [{"$set": {"s": 1}}],
                [{"$set": {"big.a": "z"}}],
                [{"$set": {"s": 2}}],
                [{"$set": {"t": 1}}],
            )
        ),
        get_more(1, maxTimeMS=200),
    ],
    "array-updates": [
        insert({"_id": 1, "items": [{"k": 1, "v": 1}, {"k": 2, "v": 1}]}),
        watch(),
        update({"_id": 1, "items.k": 2}, {"$set": {"items.$.v": 5}}),
        update({"_id": 1}, {"$inc": {"items.$[].v": 1}}),
        update({"_id": 1}, {"$set": {"items.$[x].v": 0}}, arrayFilters=[{"x.k": 1}]),
        get_more(1, maxTimeMS=200),
    ],
    "transaction": [
        insert({"_id": 1, "a": 1}),
        watch(),
        insert({"_id": 2}, {"_id": 3}, **begin(1)),
        update({"_id": 1}, INC, more=within(1)),
        insert({"_id": 9}, **begin(1, B)),
        abort(1, B),
        commit(1, writeConcern=MAJORITY),
        get_more(1, maxTimeMS=200),
        resumed(7, 0),
        get_more(8, maxTimeMS=200),
    ],
    "lookup": [
        insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}),
        watch(fullDocument="updateLookup"),
        update({"_id": 1}, INC),
        update({"_id": 1}, INC),
        update({"_id": 2}, INC),
        delete({"_id": 2}),
        get_more(1, maxTimeMS=200),
    ],
    "pipeline": [
        insert({"_id": 1, "a": 1}),
        watch({"$match": {"operationType": "update"}}, {"$project": {"updateDescription": 1}}),
        insert({"_id": 2}),
        update({"_id": 1}, INC),
        delete({"_id": 2}),
        get_more(1, maxTimeMS=200),
        watch({"$group": {"_id": 1}}),
        aggregate({"$match": {}}, {"$changeStream": {}}),
        watch({"$project": {"_id": 0}}),
        insert({"_id": 5}),
        get_more(8, maxTimeMS=200),
    ],
    "drop-invalidates": [
        insert({"_id": 1}),
        watch(),
        insert({"_id": 2}),
        {"drop": "c"},
        get_more(1, maxTimeMS=200),
        get_more(1, maxTimeMS=200),
        resumed(4, 2),
        resumed(4, 2, "startAfter"),
        insert({"_id": 3}),
        get_more(7, maxTimeMS=200),
        resumed(4, 0),
    ],
    "rename-invalidates": [
        insert({"_id": 1}),
        watch(),
        lambda _replies: {"renameCollection": "{db}.c", "to": "{db}.d", "$db": "admin"},
        get_more(1, maxTimeMS=200),
    ],
    "database": [
        insert({"_id": 1}),
        {"aggregate": 1, "pipeline": [{"$changeStream": {}}], "cursor": {}},
        insert({"_id": 2}),
        {"insert": "d", "documents": [{"_id": 1}]},
        {"drop": "d"},
        {"dropDatabase": 1},
        get_more(1, "$cmd.aggregate", maxTimeMS=200),
    ],
    "resume": [
        insert({"_id": 0}),
        watch(),
        insert({"_id": 1}),
        insert({"_id": 2}),
        insert({"_id": 3}),
        get_more(1, maxTimeMS=200),
        resumed(5, 0),
        get_more(1, maxTimeMS=50),
        resumed(5, 2),
        lambda replies: watch(startAtOperationTime=replies[5]["cursor"]["nextBatch"][1]["clusterTime"]),
        lambda replies: watch(resumeAfter=replies[1]["cursor"]["postBatchResumeToken"]),
        lambda replies: aggregate(
            {"$changeStream": {"resumeAfter": replies[5]["cursor"]["nextBatch"][0]["_id"]}},
            {"$match": {"operationType": "update"}},
        ),
    ],
    "batches": [
        insert({"_id": 0}),
        watch(),
        insert({"_id": 1}, {"_id": 2}, {"_id": 3}),
        get_more(1, batchSize=2, maxTimeMS=200),
        get_more(1, batchSize=2, maxTimeMS=200),
    ],
    "errors": [
        insert({"_id": 1}),
        watch(resumeAfter={"_data": "zz"}),
        watch(resumeAfter={}),
        lambda _replies: watch(resumeAfter={"_data": "82"}, startAfter={"_data": "82"}),
        watch(fullDocument="bad"),
        watch(bad=1),
        {**watch(), "readConcern": {"level": "local"}},
        {**watch(), "readConcern": {"level": "majority"}},
    ],
}

FAIL_POINTS: dict[str, list[Step]] = {
    f"fail-{code}": [
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["insert"], "errorCode": code},
            "$db": "admin",
        },
        insert({"_id": 1}, **write(1)),
        insert({"_id": 1}, **write(1)),
    ]
    for code in (6, 50, 64, 91, 112, 189, 251, 11000, 11602, 10107)
} | {
    "fail-write-concern": [
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["insert"], "writeConcernError": {"code": 91, "errmsg": "x"}},
            "$db": "admin",
        },
        insert({"_id": 1}, **write(1)),
        insert({"_id": 1}, **write(1)),
    ],
    "fail-labels": [
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["find"], "errorCode": 8, "errorLabels": ["Mine"]},
            "$db": "admin",
        },
        find(),
        find(),
        {"configureFailPoint": "nope", "mode": "off", "$db": "admin"},
    ],
    "fail-in-transaction": [
        insert({"_id": 1, "a": 1}),
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["commitTransaction"], "errorCode": 91},
            "$db": "admin",
        },
        update({"_id": 1}, INC, more=begin(1)),
        commit(1),
        commit(1),
        find(),
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["update"], "errorCode": 91},
            "$db": "admin",
        },
        find(**begin(2)),
        update({"_id": 1}, INC, more=within(2)),
        find(**within(2)),
    ],
}

CASES: dict[str, list[Step]] = {
    **CRUD,
    **READS,
    **COLLECTIONS,
    **CONCERNS,
    **RETRIES,
    **{f"transaction-{name}": steps for name, steps in TRANSACTIONS.items()},
    **{f"stream-{name}": steps for name, steps in CHANGE_STREAMS.items()},
    **FAIL_POINTS,
}
