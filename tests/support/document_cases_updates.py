"""Updates, upserts, findAndModify and unique indexes that are asked of a real mongod and of the simulator's engine."""

from __future__ import annotations

import datetime
from itertools import product
from typing import Any

from bson import Decimal128, Int64, Regex, Timestamp
from document_engines import UpdateCase

DATE = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 - stored dates are naive UTC

TARGETS: list[dict[str, Any]] = [
    {"_id": 1},
    {"_id": 1, "a": 1, "b": "x"},
    {"_id": 1, "a": [3, 1, 2]},
    {"_id": 1, "a": {"b": 1, "c": [1, 2]}},
    {"_id": 1, "a": None, "b": 2.5},
]

_VALUES: list[Any] = [1, 2.5, Int64(7), None, "x", [1], {"c": 1}, True]
_NUMBERS: list[Any] = [
    1,
    -1,
    0,
    2.5,
    0.0,
    Int64(3),
    2**31 - 1,
    Int64(2**63 - 1),
    Decimal128("1.5"),
    float("nan"),
    "x",
    None,
]
_PUSHES: list[Any] = [
    5, [5], {"$each": []}, {"$each": [5, 0]}, {"$each": [5], "$position": 0}, {"$each": [5, 6], "$position": -1},
        {"$each": [5], "$position": 99},
    {"$each": [5], "$position": -99}, {"$each": [5], "$slice": 2}, {"$each": [5], "$slice": -2}, {"$each": [],
        "$slice": 0}, {"$each": [9, 0], "$sort": 1},
    {"$each": [9, 0], "$sort": -1, "$slice": 3}, {"$each": [], "$sort": 1}, {"$each": [{"b": 2}, {"b": 1}],
        "$sort": {"b": 1}}, {"$each": 5},
    {"$each": [1], "$foo": 1}, {"$each": [1], "$slice": "x"}, {"$each": [1], "$position": 1.5}, {"$each": [1],
        "$sort": 2}, {"$each": [1], "$sort": {}},
    {"$each": [1], "$sort": "x"}, {"$each": [1], "$sort": {"a": 2}}, {"$each": [1], "$sort": {"a..b": 1}},
        {"$slice": 1}, {"$each": [1], "$slice": 1.0},
]  # fmt: skip
_RENAMES: list[dict[str, Any]] = [
    {"a": "z"}, {"a": "b"}, {"a": "z.y"}, {"a": "a"}, {"a": "a.q"}, {"a.b": "a"}, {"a": 1}, {"q": "z"}, {"_id": "z"},
        {"a": "_id"}, {"a.b": "z"}, {"a.0": "z"},
    {"b": "a.0"}, {"b": "a.q"}, {"a.c": "a.d"}, {"a.$": "z"}, {"a": "z.$"}, {"a": ""}, {"": "a"}, {"a": "b",
        "b": "a"}, {"a": "z", "b": "z"}, {"a.b": "a.c"},
]  # fmt: skip
_BITS: list[Any] = [
    {"or": 6},
    {"and": 5},
    {"xor": Int64(3)},
    {"or": 1, "xor": 7},
    {"nor": 1},
    {},
    5,
    {"or": 1.5},
    {"and": 1},
]

_BY_ARGUMENT: list[dict[str, Any]] = [
    *({"$set": {path: value}} for path, value in product(["a", "a.b", "z", "a.0", "a.5", "z.y.x"], _VALUES)),
    *({"$unset": {path: ""}} for path in ["a", "a.b", "a.0", "a.9", "z", "a.b.c", "_id", "b"]),
    *({name: {"a": number}} for name, number in product(["$inc", "$mul"], _NUMBERS)),
    *({name: {"b": number}} for name, number in product(["$inc", "$mul"], [2, 1.5, Int64(2), Decimal128("0.1")])),
    *({name: {"a": value}} for name, value in product(["$min", "$max"], [0, 1.0, 5, "x", None, [2], {"b": 0}, DATE])),
    *({"$push": {"a": argument}} for argument in _PUSHES),
    *({"$addToSet": {"a": argument}} for argument in [1, 1.0, 9, {"$each": [1, 9, 9]}, {"$each": []}, {"$each": 1},
        {"$each": [1], "x": 1}, {"x": 1, "$each": [1]}, [1]]),
    *({"$pop": {"a": end}} for end in [1, -1, 2, 0, "x", 1.0, 1.5, None]),
    *({"$pull": {"a": argument}} for argument in [1, 2.0, [1], {"$gte": 2}, {"$in": [1, 3]}, {"b": 1}, Regex("x"),
        None, {"$foo": 1}, {"$not": {"$gt": 1}}]),
    *({"$pullAll": {"a": argument}} for argument in [[1, 2], [], [9], 1, None, [1.0, [2]]]),
    *({"$bit": {"a": argument}} for argument in _BITS),
    *({"$rename": argument} for argument in _RENAMES),
    *({"$currentDate": {"a": argument}} for argument in [1, "x", {"$type": "x"}, {"$type": 1}, {"x": 1}, None]),
]  # fmt: skip

_PARTICULAR: list[Any] = [
    {}, {"$set": {}}, {"$set": 5}, {"$foo": {"a": 1}}, {"$set": {"a": 1}, "b": 1}, {"b": 1, "$set": {"a": 1}},
        {"b": 1}, {"_id": 1, "b": 1}, {"b": 1, "_id": 1},
    {"_id": 2}, {"_id": 1.0}, {"_id": [1]}, {"a": {"$x": 1}}, {"a.b": 1}, {"a": Timestamp(1, 1)},
    {"$set": {"z": 1, "y": 2}, "$inc": {"x": 1}}, {"$set": {"10": 1, "9": 2, "x": 3}}, {"$set": {"z.b": 1, "z.a": 2},
        "$inc": {"z.c": 1}}, {"$set": {"_id": 1}},
    {"$set": {"_id": 1.0}}, {"$set": {"_id": 2}}, {"$set": {"_id.x": 1}}, {"$inc": {"_id": 0}}, {"$inc": {"_id": 1}},
        {"$set": {"$x": 1}}, {"$set": {"z.$x": 1}},
    {"$set": {"z": {"$x": 1}}}, {"$set": {"": 1}}, {"$set": {"a.": 1}}, {"$set": {".a": 1}}, {"$set": {"a..b": 1}},
        {"$set": {"a": 1}, "$inc": {"a": 1}},
    {"$set": {"a.b": 1}, "$inc": {"a": 1}}, {"$set": {"a": 1, "a.b": 1}}, {"$set": {"a.b": 1}, "$unset": {"a.c": 1}},
        {"$unset": {"a": 1}, "$set": {"b": 1}},
    {"$setOnInsert": {"a": 9}}, {"$setOnInsert": {"a.b.c": 9}, "$set": {"z": 1}}, {"$set": {"a.1600000": 1}},
        {"$set": {"a.01": 1}}, {"$set": {"a.-1": 1}},
    {"$push": {"z.y": 1}}, {"$push": {"_id": 1}}, {"$addToSet": {"z": {"$each": [1, 1.0, 2]}}},
        {"$pull": {"a.c": 1}}, {"$pop": {"a.c": -1}}, {"$pullAll": {"q.r": [1]}},
    {"$min": {"a": 5}, "$max": {"b": 9}}, {"$rename": {"a": "z"}, "$set": {"y": 1}}, {"$rename": {"a": "z"},
        "$set": {"a": 1}}, {"$rename": {"a": "z"}, "$set": {"z": 1}},
    {"$set": {"a.$": 1}}, {"$set": {"$": 1}}, {"$set": {"a.$.$": 1}}, {"$set": {"a.$[]": 9}}, {"$inc": {"a.$[]": 1}},
        {"$set": {"$[]": 1}}, {"$set": {"a.$[x]": 1}},
    {"$unset": {"a.$[]": 1}}, {"$set": {"a.$[].b": 1}}, {"$set": {"a.$[]": 1, "a.0": 2}}, {"$set": {"z.$[]": 1}},
        {"$push": {"a.$[]": 1}},
]  # fmt: skip

_ARRAYS: dict[str, Any] = {
    "_id": 1,
    "a": [{"b": 1, "c": [1, 2]}, {"b": 2, "c": [3]}, {"b": 3}],
    "n": [1, 5, 9],
    "m": [[1, 2], [3]],
}

_POSITIONAL: list[tuple[dict[str, Any], Any, tuple[dict[str, Any], ...]]] = [
    ({"n": 5}, {"$set": {"n.$": 7}}, ()),
    ({"n": {"$gt": 4}}, {"$inc": {"n.$": 7}}, ()),
    ({"a.b": 2}, {"$set": {"a.$.b": 9}}, ()),
    ({"a.b": 2}, {"$set": {"a.$": 9}}, ()),
    ({"a.c": 3}, {"$push": {"a.$.c": 9}}, ()),
    ({"a": {"$elemMatch": {"b": 3}}}, {"$set": {"a.$.d": 1}}, ()),
    ({"a": {"$elemMatch": {"b": {"$gt": 1}, "c": 3}}}, {"$unset": {"a.$.b": 1}}, ()),
    ({"n": 5, "a.b": 3}, {"$set": {"a.$.b": 9}}, ()),
    ({"a.b": 3, "n": 5}, {"$set": {"n.$": 9}}, ()),
    ({"$or": [{"n": 9}, {"a.b": 1}]}, {"$set": {"n.$": 0}}, ()),
    ({"$and": [{"n": 9}, {"a.b": 1}]}, {"$set": {"n.$": 0}}, ()),
    ({"n": {"$ne": 77}}, {"$set": {"n.$": 0}}, ()),
    ({"n": {"$in": [9, 5]}}, {"$set": {"n.$": 0}}, ()),
    ({"n": {"$all": [9, 5]}}, {"$set": {"n.$": 0}}, ()),
    ({"a.0.c": 2}, {"$set": {"a.0.c.$": 0}}, ()),
    ({"n": 5}, {"$set": {"a.$.b": 0, "a.1.c": 4}}, ()),
    ({"n": 5}, {"$set": {"a.$.b": 0, "a.1.b": 4}}, ()),
    ({"n": 5}, {"$unset": {"n.$": 1}}, ()),
    ({"n": 5}, {"$set": {"zz.$": 1}}, ()),
    ({"n": [1, 5, 9]}, {"$set": {"n.$": 1}}, ()),
    ({}, {"$set": {"n.$[x]": 0}}, ({"x": {"$gt": 4}},)),
    ({}, {"$inc": {"a.$[x].b": 10}}, ({"x.b": {"$gte": 2}},)),
    ({}, {"$set": {"a.$[x].c.$[y]": 0}}, ({"x.b": 1}, {"y": 2})),
    ({}, {"$push": {"a.$[x].c": 0}}, ({"x.c": 3},)),
    ({}, {"$set": {"a.$[].b": 0, "a.$[x].d": 1}}, ({"x.b": 2},)),
    ({}, {"$set": {"a.$[].b": 0, "a.$[x].b": 1}}, ({"x.b": 2},)),
    ({}, {"$set": {"m.$[].$[]": 0}}, ()),
    ({}, {"$set": {"m.$[].$[x]": 0}}, ({"x": {"$gt": 1}},)),
    ({}, {"$set": {"n.$[x]": 0}}, ({"$or": [{"x": 1}, {"x": 9}]},)),
    ({}, {"$set": {"n.$[x]": 0}}, ()),
    ({}, {"$set": {"n.$[x]": 0}}, ({"x": 1}, {"y": 1})),
    ({}, {"$set": {"n.$[x]": 0}}, ({"x": 1}, {"x": 2})),
    ({}, {"$set": {"n.$[x]": 0}}, ({"x": 1, "y": 2},)),
    ({}, {"$set": {"n.$[x]": 0}}, ({},)),
    ({}, {"$set": {"n.$[X]": 0}}, ({"X": 1},)),
    ({}, {"$set": {"n.$[x]": 0}}, ({"x": {"$foo": 1}},)),
    ({}, {"n": 1}, ({"x": 1},)),
    ({}, [{"$set": {"n": 1}}], ({"x": 1},)),
    ({}, {"$pull": {"a": {"b": {"$gte": 2}}}}, ()),
    ({}, {"$pull": {"a": {"c": 3}}}, ()),
    ({}, {"$pull": {"a": {"$elemMatch": {"b": 1}}}}, ()),
    ({}, {"$pull": {"n": {"$gt": 1, "$lt": 9}}}, ()),
    ({}, {"$pull": {"a.$[].c": 1}}, ()),
    ({}, {"$pull": {"m": {"$in": [1]}}}, ()),
    ({}, {"$pull": {"m": [1, 2]}}, ()),
    ({}, {"$addToSet": {"m": [3]}}, ()),
    ({}, {"$addToSet": {"a": {"b": 3}}}, ()),
    ({}, {"$push": {"a": {"$each": [{"b": 0}], "$sort": {"b": -1}, "$slice": 2}}}, ()),
    ({}, {"$push": {"m": {"$each": [[0]], "$sort": 1}}}, ()),
    ({}, {"$unset": {"a.1": 1, "n.0": 1}}, ()),
    ({}, {"$set": {"a.b": 1}}, ()),
    ({}, {"$rename": {"a.0.b": "z"}}, ()),
    ({}, {"$rename": {"n": "a.0.z"}}, ()),
]

_PIPELINES: list[list[dict[str, Any]]] = [
    [{"$set": {"z": 1}}],
    [{"$set": {"z": {"$add": ["$a", 1]}}}],
    [{"$unset": "a"}],
    [{"$unset": "_id"}],
    [{"$set": {"_id": 2}}],
    [{"$set": {"_id": 1.0}}],
    [{"$replaceWith": {"z": 1}}],
    [{"$replaceWith": "$$ROOT"}],
    [{"$set": {"a.b": 5}}, {"$unset": ["b"]}],
]

_WIDE = [
    {"_id": 1, "a": Int64(2**63 - 1)},
    {"_id": 1, "a": 2**31 - 1},
    {"_id": 1, "a": -(2**31)},
    {"_id": 1, "a": Decimal128("0.1")},
    {"_id": 1, "a": 0.1},
]

UPDATES: list[UpdateCase] = [
    *(UpdateCase(target, {}, change) for change, target in product(_BY_ARGUMENT, TARGETS)),
    *(UpdateCase(target, {}, change) for change, target in product(_PARTICULAR, TARGETS[1:4])),
    *(UpdateCase(_ARRAYS, query, change, filters) for query, change, filters in _POSITIONAL),
    *(UpdateCase(TARGETS[1], {}, pipeline) for pipeline in _PIPELINES),
    *(UpdateCase(target, {}, {name: {"a": number}}) for target, name, number in product(_WIDE, ["$inc", "$mul"], [1,
        -1, 3.5, Decimal128("3"), Int64(1)])),
    *(UpdateCase({"_id": 1, "a": []}, {}, {"$push": {"a": {"$each": [], **rest}}}) for rest in [{"$sort": 1},
        {"$slice": 0}]),
    UpdateCase({"_id": 1, "a": 5}, {"a": 6}, {"$set": {"a": 7}}),
    UpdateCase({"_id": 1, "a": 5}, {"a": 6}, {"b": 1, "$x": 2}),
]  # fmt: skip

_UPSERT_QUERIES: list[dict[str, Any]] = [
    {}, {"_id": 5}, {"a": 1}, {"b": 1, "a": 2, "_id": 5}, {"a.x": 1}, {"a.x": 1, "a.y": 2}, {"a": {"$gt": 1}},
        {"a": {"$eq": 3}}, {"a": {"$in": [3]}},
    {"a": {"$in": [3, 4]}}, {"a": {"$all": [3]}}, {"a": {"$all": []}, "b": 1}, {"$and": [{"a": 1}, {"b": 2}]},
        {"$or": [{"a": 1}]}, {"$or": [{"a": 1}, {"b": 2}]},
    {"$nor": [{"a": 1}]}, {"a": {"$not": {"$ne": 1}}}, {"a": {"$elemMatch": {"b": 1}}}, {"a": None}, {"a": [1, 2]},
        {"a": {"x": 1}}, {"a": Regex("x")},
    {"_id": {"$gt": 5}}, {"_id.x": 1}, {"_id": [1]}, {"_id": {"x": 1}}, {"$and": [{"a": 1}, {"a": 1}]}, {"a": 1,
        "a.b": 2}, {"$expr": {"$eq": [1, 1]}}, {"a.0": 1},
]  # fmt: skip
_UPSERT_UPDATES: list[Any] = [
    {"$set": {"c": 1}}, {"$inc": {"a": 1}, "$setOnInsert": {"d": 1}}, {"c": 1}, {"c": 1, "_id": 9},
        {"$set": {"_id": 7}}, {"$setOnInsert": {"_id": 8}, "$unset": {"a": 1}},
    {"$push": {"a": 1}}, {"$set": {"a.z": 1}}, [{"$set": {"c": 1}}],
]  # fmt: skip

UPSERTS: list[UpdateCase] = [
    *(UpdateCase(None, query, change, upsert=True) for query, change in product(_UPSERT_QUERIES, _UPSERT_UPDATES)),
    *(UpdateCase(None, {"a": 1}, change, upsert=True) for change in [{"$set": {"_id": [1]}}, {"$push": {"_id": 1}},
        {"$set": {"_id": {"$x": 1}}}, {"$set": {"_id.x": 1}}]),
    *(UpdateCase(None, {"a": 1}, change, upsert=True) for change in [{"_id": [1]}, {"_id": Regex("x")}, {"$x": 1},
        {"b": 1, "$x": 1}, {"$set": {"$x": 1}}, {"$foo": {}}]),
    *(UpdateCase(None, {"a": [1, 2]}, change, upsert=True) for change in [{"$set": {"a.$": 1}},
        {"$set": {"a.$[]": 1}}, {"$pull": {"a": 1}}, {"$rename": {"a": "b"}}]),
    UpdateCase({"_id": 5, "a": 2}, {"_id": 5, "a": 1}, {"$set": {"b": 1}}, upsert=True),
    UpdateCase({"_id": 5, "a": 1}, {"_id": 5, "a": 1}, {"$setOnInsert": {"b": 1}}, upsert=True),
    UpdateCase({"_id": 5, "a": 1}, {"$expr": {"$eq": ["$a", 1]}}, {"$set": {"b": 1}}, upsert=True),
    UpdateCase({"_id": 5, "a": 2}, {"a": 1}, {"b": 1}, upsert=True),
]  # fmt: skip

QUEUE: list[dict[str, Any]] = [
    {"_id": 1, "state": "ready", "rank": 3, "tags": ["x", "y"]},
    {"_id": 2, "state": "ready", "rank": 1, "tags": []},
    {"_id": 3, "state": "done", "rank": 2, "tags": [{"k": 1}, {"k": 2}]},
]

FIND_AND_MODIFY: list[dict[str, Any]] = [
    {"query": {"state": "ready"}, "sort": {"rank": 1}, "update": {"$set": {"state": "taken"}}},
    {"query": {"state": "ready"}, "sort": {"rank": -1}, "update": {"$set": {"state": "taken"}}, "new": True},
    {"query": {"state": "ready"}, "sort": {"rank": 1}, "remove": True},
    {"query": {"state": "none"}, "update": {"$set": {"state": "taken"}}},
    {"query": {"_id": 1}, "update": {"$inc": {"rank": 1}}, "new": True, "fields": {"rank": 1, "_id": 0}},
    {"query": {"_id": 1}, "update": {"state": "new"}, "new": True},
    {"query": {"_id": 1}, "update": {"state": "new"}, "fields": {"tags": 0}},
    {"query": {"tags": "y"}, "update": {"$set": {"tags.$": "z"}}, "new": True},
    {"query": {"tags": "y"}, "update": {"$set": {"seen": 1}}, "fields": {"tags.$": 1}},
    {"query": {"tags.k": 2}, "update": {"$set": {"tags.$.k": 5}}, "new": True,
        "fields": {"tags": {"$elemMatch": {"k": 5}}}},
    {"query": {}, "sort": {"tags": 1, "_id": 1}, "update": {"$push": {"tags": 0}}, "new": True},
    {"query": {}, "sort": {"tags": -1, "_id": 1}, "update": {"$set": {"hit": True}}, "new": True},
    {"query": {"_id": 1}, "update": {"$inc": {"state": 1}}},
    {"query": {"_id": 1}, "update": {"$set": {"_id": 2}}},
    {"query": {"_id": 1}, "update": [{"$set": {"rank": {"$multiply": ["$rank", 2]}}}], "new": True},
    {"query": {"$foo": 1}, "update": {"$set": {"a": 1}}},
    {"query": {"_id": 1}, "update": {"$set": {"a": 1}}, "fields": {"a": 1, "b": 0}},
]  # fmt: skip

# (keys, options, documents inserted one after the other)
UNIQUE: list[tuple[dict[str, int], dict[str, Any], list[dict[str, Any]]]] = [
    ({"a": 1}, {}, [{"_id": 1, "a": 1}, {"_id": 2, "a": 1.0}, {"_id": 3, "a": Decimal128("1")}, {"_id": 4,
        "a": True}, {"_id": 5, "a": "1"}]),
    ({"a": 1}, {}, [{"_id": 1}, {"_id": 2, "a": None}, {"_id": 3, "b": 1}, {"_id": 4, "a": []}, {"_id": 5, "a": []}]),
    ({"a": 1}, {"sparse": True}, [{"_id": 1}, {"_id": 2}, {"_id": 3, "a": None}, {"_id": 4, "a": None}]),
    ({"a": 1}, {}, [{"_id": 1, "a": [1, 2]}, {"_id": 2, "a": [3, 2]}, {"_id": 3, "a": [4, 4]}, {"_id": 4, "a": 4},
        {"_id": 5, "a": [[1, 2]]}]),
    ({"a": 1, "b": -1}, {}, [{"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 1, "b": 2}, {"_id": 3, "a": 1, "b": 1.0},
        {"_id": 4, "a": 1}, {"_id": 5, "a": 1, "b": None}]),
    ({"a": 1, "b": 1}, {"sparse": True}, [{"_id": 1}, {"_id": 2}, {"_id": 3, "a": 1}, {"_id": 4, "a": 1}]),
    ({"a": 1, "b": 1}, {}, [{"_id": 1, "a": [1, 2], "b": 1}, {"_id": 2, "a": 2, "b": 1}, {"_id": 3, "a": [1],
        "b": [1]}, {"_id": 4, "a": 3, "b": [1, 2]}]),
    ({"a.b": 1}, {}, [{"_id": 1, "a": {"b": 1}}, {"_id": 2, "a": [{"b": 2}, {"b": 1}]}, {"_id": 3, "a": [{"b": 3},
        {}]}, {"_id": 4, "a": 5}, {"_id": 5, "a": []}]),
    ({"a.0": 1}, {}, [{"_id": 1, "a": [1, 2]}, {"_id": 2, "a": [1]}, {"_id": 3, "a": [[5, 6]]}, {"_id": 4, "a": [[5,
        6], 7]}, {"_id": 5, "a": {"0": 1}}]),
    ({"a": 1}, {"partialFilterExpression": {"b": {"$gt": 5}}}, [{"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 1,
        "b": 9}, {"_id": 3, "a": 1, "b": 7}, {"_id": 4, "a": 1}]),
    ({"a": 1}, {"name": "own name"}, [{"_id": 1, "a": {"x": 1, "y": [1, "z"]}}, {"_id": 2, "a": {"x": 1, "y": [1,
        "z"]}}, {"_id": 3, "a": {"y": [1, "z"], "x": 1}}]),
    ({"a": 1}, {}, [{"_id": 1, "a": 2.5}, {"_id": 2, "a": 2.5}, {"_id": 3, "a": DATE}, {"_id": 4, "a": DATE},
        {"_id": 5, "a": b"xy"}, {"_id": 6, "a": b"xy"}]),
    ({"a": 1}, {}, [{"_id": 1, "a": Timestamp(5, 1)}, {"_id": 2, "a": Timestamp(5, 1)}, {"_id": 3, "a": True},
        {"_id": 4, "a": True}, {"_id": 5, "a": Int64(7)}, {"_id": 6, "a": 7}]),
    ({"a": 1}, {}, [{"_id": 1, "a": float("nan")}, {"_id": 2, "a": Decimal128("NaN")}, {"_id": 3,
        "a": Decimal128("2.50")}, {"_id": 4, "a": Decimal128("2.5")}, {"_id": 5, "a": -0.0}, {"_id": 6, "a": 0}]),
]  # fmt: skip
