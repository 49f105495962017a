"""Questions about documents that are asked of a real mongod and of the simulator's engine: filters, sorts, projections.

Each list is complete in itself; filters are the product of operators and of values of all types,
    and single cases where
mongod's rules are particular. All are asked of :data:`CORPUS`.
"""

from __future__ import annotations

import datetime
from itertools import product
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

NAN = float("nan")
DATE = datetime.datetime(2026, 1, 1, 0, 0, 0, 123_000)  # noqa: DTZ001 - stored dates are naive UTC
OLD_DATE = datetime.datetime(1960, 1, 1)  # noqa: DTZ001 - stored dates are naive UTC
OID = ObjectId("65e1c4a2b3c4d5e6f7a8b9c1")

VALUES: list[Any] = [
    None, 0, 1, 1.0, 2.5, -3, NAN, float("inf"), Int64(1), Int64(2**53 + 1), float(2**53), 2**40, Decimal128("1"),
        Decimal128("2.50"),
    Decimal128("NaN"), Decimal128("Infinity"), "", "a", "ab", "é", "Z", True, False, b"", b"ab", Binary(b"ab", 4),
        Binary(b"b", 0),
    OID, ObjectId("000000000000000000000001"), DATE, OLD_DATE, Timestamp(5, 1), Timestamp(5, 2), MinKey(),
    MaxKey(), Regex("a"), Regex("a", "i"), Code("f()"), {}, {"b": 1}, {"b": 1.0, "c": 2}, {"c": 2, "b": 1},
        {"b": {"c": [1, 2]}}, [], [1], [1, 2],
    [[1, 2], 3], ["a", None], [{"b": 1}, {"b": 2, "c": 1}], [{"b": [1, 5]}, {}, 7], [None], [[]], [{"b": [{"c": 1},
        {"c": 2}]}],
]  # fmt: skip

CORPUS: list[dict[str, Any]] = [
    {"_id": -1},
    *({"_id": place, "a": value} for place, value in enumerate(VALUES)),
    {"_id": 100, "a": 1, "b": "x", "c": {"d": [1, 2, {"e": 5}]}},
    {"_id": 101, "a": 5, "b": "y", "c": {"d": [3]}, "n": 7},
    {"_id": 102, "b": None, "n": 12},
    {"_id": 103, "a": [3, 9], "b": [4, 8], "n": 12.0},
    {"_id": 104, "a": [{"b": 3, "c": 3}, {"b": 9, "c": 1}], "n": -5},
    {"_id": 105, "a": {"0": "zero", "b": [0, 1]}, "n": Int64(2)},
    {"_id": 106, "a": "line one\nline two", "n": 2.5},
    {"_id": 107, "a": 7, "n": Decimal128("7.0")},
]

_COMPARISONS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]
_COMPARED = [value for value in VALUES if type(value) is not Regex]

FILTERS: list[dict[str, Any]] = [
    {},
    *({"a": value} for value in VALUES),
    *({"a": {name: value}} for name, value in product(_COMPARISONS, _COMPARED)),
    *({"a.b": {name: value}} for name, value in product(_COMPARISONS, [None, 1, 2, [1, 5], {"c": 1}, MinKey()])),
    *({path: value} for path, value in product(["a.0", "a.1", "a.0.b", "a.b.c", "a.b.0", "a.0.0", "c.d.2.e",
        "c.d.e"], [None, 1, 5, [1, 2], "zero"])),
    *({path: {"$exists": flag}} for path, flag in product(["a", "a.b", "a.0", "a.b.c", "c.d", "zz", "a.0.b"], [True,
        False, 0, None, "x"])),
    *({"a": {"$type": kind}} for kind in [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 16, 17, 18, 19, -1, 127, 2.0, "number",
        "string", "bool", "date"]),
    *({"a": {"$type": kind}} for kind in [["int", "long"], ["null", 2], [], "no such type", 99, True, 1.5, "regex",
        "minKey", "javascript"]),
    *({"a": {"$in": items}} for items in [[], [1], [1, "a"], [None], [[1, 2]], [Regex("^a")], [Regex("B", "i"), 5],
        [{}], [NAN], [MinKey()], [[], {}]]),
    *({"a": {"$nin": items}} for items in [[], [1], [None], [[1, 2], "a"], [Regex("^a")]]),
    *({"a": {"$all": items}} for items in [[], [1], [1, 2], [[1, 2]], ["a", None], [Regex("a")], [None], [{"b": 1}],
        [3, 9]]),
    *({"a": {"$size": size}} for size in [0, 1, 2, 3, 2.0, Int64(2), -1, 1.5, "x", None, NAN]),
    *({"a": {"$mod": pair}} for pair in [[2, 1], [2, 0], [-2, 1], [2.9, 1], [4, -3], [1], [0, 1], [1, 2, 3], ["x",
        1], [1, "x"], 5, [Int64(3), Decimal128("1")]]),
    *({"n": {"$mod": pair}} for pair in [[5, 2], [7, 0], [5, -0], [12, 0.9], [Decimal128("5"), 2]]),
    *({"a": {"$elemMatch": inner}} for inner in [{"b": 1}, {"b": {"$gt": 1}, "c": 1}, {"$gt": 1, "$lt": 3},
        {"$in": [3, "a"]}, {"$ne": 1}, {}]),
    *({"a": {"$elemMatch": inner}} for inner in [{"$elemMatch": {"$gt": 1}}, {"0": 1}, {"$not": {"$gt": 5}},
        {"$size": 2}, {"$exists": True}, 1]),
    *({"a": {"$elemMatch": inner}} for inner in [{"$or": [{"b": 1}, {"c": 3}]}, {"b": {"$elemMatch": {"c": 2}}},
        {"b.c": 1}, {"$type": "array"}]),
    *({"a": {"$not": inner}} for inner in [{"$gt": 1}, {"$exists": True}, Regex("a"), {}, 5, {"$in": [1, None]},
        {"$not": {"$eq": 1}}, {"$size": 2}]),
    *({"a": {"$not": inner}} for inner in [{"$regex": "a"}, {"b": 1}, {"$elemMatch": {"b": 1}}, {"$gt": 0, "$lt": 3},
        {"$all": [1]}]),
    *({"a": {"$regex": source}} for source in ["a", "^a", "b$", "^$", "é", "[0-9]", "(", 1, "^line two", "one.line",
        "\\w+", "a|Z"]),
    *({"a": {"$regex": "^LINE TWO", "$options": options}} for options in ["i", "im", "m", "z", "", 5, "s", "x"]),
    *({"a": argument} for argument in [{"$options": "i"}, {"$regex": Regex("A", "i")}, {"$regex": Regex("A"),
        "$options": "i"}]),
    *({"a": {"$bitsAllSet": mask}} for mask in [1, 0, 5, [0], [0, 2], b"\x01", "x", -1, 1.5, [-1], ["x"]]),
    *({"a": {name: [0, 1]}} for name in ["$bitsAllClear", "$bitsAnySet", "$bitsAnyClear"]),
    *({name: parts} for name, parts in product(["$and", "$or", "$nor"], [[{"a": 1}], [{"a": 1}, {"b": "x"}], [{}],
        [], 5, [1], [{"a": {"$gt": 0}}, {"n": 12}]])),
    {"$and": [{"$or": [{"a": 1}, {"n": 12}]}, {"$nor": [{"b": "x"}]}]},
    {"a": {"$gt": 0, "$lt": 6, "$ne": 1}},
    {"a": 1, "b": "x"},
    {"a": {"$gt": 8, "$lt": 4}},
    {"a.b": {"$gt": 8, "$lt": 4}},
    {"a.b": {"$in": [2, None]}},
    {"a.b": {"$nin": [1]}},
    {"a.b": {"$size": 2}},
    {"a.b": {"$all": [1, 5]}},
    {"a": {"$all": [{"$elemMatch": {"b": 1}}, {"$elemMatch": {"c": 1}}]}},
    {"a": {"$all": [{"$elemMatch": {"b": 1}}, 3]}},
    {"a": {"$all": [{"$gt": 1}]}},
    {"a": {"$all": 1}},
    {"a": {"$in": 5}},
    {"a": {"$in": [{"$gt": 1}]}},
    {"a": {"$in": [{"$ref": "x", "$id": 1}]}},
    {"a": {"$ref": "x", "$id": 1}},
    {"a": {"$ne": Regex("a")}},
    {"a": {"$gt": Regex("a")}},
    {"a": {"$eq": Regex("a")}},
    {"a": {"$foo": 1}},
    {"$foo": 1},
    {"a": {"$gt": 1, "b": 2}},
    {"a": {"b": 1, "$gt": 2}},
    {"a": {"$comment": 1}},
    {"$comment": "said", "a": 1},
    {"$alwaysTrue": 1},
    {"$alwaysFalse": 1},
    {"$expr": {"$eq": ["$a", 1]}},
    {"$expr": {"$gt": ["$n", {"$literal": 5}]}},
    {"$expr": "$b"},
    {"a": {"$elemMatch": {"$expr": True}}},
    {"c.d": {"$elemMatch": {"e": 5}}},
    {"c": {"d": [3]}},
    {"n": {"$gte": 2, "$lte": 7}},
    {"_id": {"$in": [1, 2.0, Decimal128("3"), "x"]}},
    {"_id": 100},
    {"_id": Decimal128("100")},
    *({"$jsonSchema": schema} for schema in [{}, {"required": ["a"]}, {"required": []}, {"bsonType": "object"},
        {"properties": {"a": {"bsonType": "int"}}}]),
    *({"$jsonSchema": {"properties": {"a": sub}}} for sub in [{"type": "number", "minimum": 1}, {"maximum": 1,
        "exclusiveMaximum": True}, {"minLength": 2}]),
    *({"$jsonSchema": {"properties": {"a": sub}}} for sub in [{"enum": [1, "a", {"c": 2, "b": 1}]},
        {"pattern": "^a"}, {"not": {"type": "array"}}, {"multipleOf": 2}]),
    *({"$jsonSchema": {"properties": {"a": sub}}} for sub in [{"items": {"bsonType": "int"}}, {"minItems": 2},
        {"maxItems": 1}, {"uniqueItems": True}, {"type": "boolean"}]),
    *({"$jsonSchema": {"properties": {"a": sub}}} for sub in [{"minProperties": 2}, {"maxProperties": 0},
        {"required": ["b"]}, {"items": [{"type": "number"}], "additionalItems": False}]),
    *({"$jsonSchema": schema} for schema in [{"additionalProperties": False, "properties": {"_id": {}, "a": {}}},
        {"patternProperties": {"^[ab]$": {"type": "number"}}}]),
    *({"$jsonSchema": {"properties": {"a": {name: [{"type": "number"}, {"minimum": 2}]}}}} for name in ["allOf",
        "anyOf", "oneOf"]),
    *({"$jsonSchema": schema} for schema in [{"unknown": 1}, {"format": "x"}, 5, {"type": "integer"},
        {"type": "nope"}, {"enum": []}, {"required": 1}]),
]  # fmt: skip

SORTS: list[dict[str, Any]] = [
    *({path: direction, "_id": 1} for path, direction in product(["a", "a.b", "a.0", "a.b.c", "n", "c.d", "c.d.e",
        "a.0.b", "a.1", "zz", "b"], [1, -1])),
    {"a": 1, "n": -1, "_id": -1},
    {"n": -1, "a.b": 1, "_id": 1},
    {"a.b": 1, "a.c": -1, "_id": 1},
    {"b": 1, "a": 1, "_id": 1},
    {"_id": 1.0},
    {"_id": Int64(-1)},
    *({"a": direction} for direction in [0, 2, "x", None, {"b": 1}, 1.5, True]),
    {"": 1},
    {"a.": 1},
    {"a..b": 1},
    {"$a": 1},
]  # fmt: skip

PROJECTED = [
    {"_id": 1, "z": 0, "a": [1, 2, 3, {"b": 1, "c": 2}, [{"b": 5}]], "d": {"x": 1, "y": [1, 2, 3]}, "s": 5},
    {"_id": {"x": 1, "y": 2}, "a": [{"b": [1, 2, 3]}, {"b": 7}], "s": 1, "d": 5},
]

_SLICES = [1, -1, 0, 2.0, [1, 2], [-2, 1], [9, 1], [-9, 2], [1, 0], [1, -1], [1], "x", [1, "x"], Int64(1)]

PROJECTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *(({}, {path: flag}) for path, flag in product(["a", "a.b", "d.x", "_id", "_id.x", "s.b", "q", "a.0"], [1, 0,
        True, 2.5, Decimal128("0")])),
    *(({}, {"a": {"$slice": argument}}) for argument in _SLICES),
    *(({}, {path: {"$slice": 1}, **rest}) for path, rest in product(["a", "a.b", "d.y"], [{"z": 1}, {"z": 0},
        {"_id": 0}, {"_id": 1}, {"s": "$z"}])),
    *(({}, {"a": {"$elemMatch": inner}, **rest}) for inner, rest in product([{"b": 1}, {"$gt": 1}, {"b": 99}], [{},
        {"z": 1}, {"z": 0}, {"_id": 0}, {"_id": 1}])),
    *(({}, {"a": {"$elemMatch": 1}}) for _ in range(1)),
    *(({}, projection) for projection in [{"a.b": {"$elemMatch": {"$gt": 1}}}, {"d": {"x": 1}}, {"d": {}},
        {"d": {"x": 1, "y": 0}}, {"d": {"x": 0}}, {"_id": {"x": 1}}]),
    *(({}, projection) for projection in [{"a": 1, "b": 0}, {"a": 0, "b": 1}, {"a": 1, "_id": 0}, {"_id": 1, "a": 0},
        {"_id": 0, "a": 0}, {"a": 1, "a.b": 1}]),
    *(({}, projection) for projection in [{"a.b": 1, "a": 1}, {"a": 0, "a.b": 0}, {"n": "$s"}, {"n": "text"},
        {"n": None}, {"n": [1, "$s"]}, {"n": {"$add": ["$s", 1]}}]),
    *(({}, projection) for projection in [{"z": "$s"}, {"d.x": "$s"}, {"a.b": "$s"}, {"n.m": "$s"}, {"n.m": "$nope"},
        {"_id": "$s"}, {"_id": 0, "n": "$d.x"}]),
    *(({}, projection) for projection in [{"a": 0, "n": "$s"}, {"n": "$s", "a": 0}, {"a": 0, "n": {"$add": [1, 2]}},
        {"": 1}, {"a.": 1}, {"a..b": 1}, {"$a": 1}, {"$": 1}]),
    *(({}, projection) for projection in [{"a": {"$foo": 1}}, {"a": {"$slice": 1, "b": 1}},
        {"a": {"b": {"$slice": 1}}}, {"d.x": {"$literal": 1}}, {"a": {"b": 1}}, {".a": 1}]),
    *((query, {"a.$": 1}) for query in [{"a": 2}, {"s": 5}, {"a": {"$gt": 1}}, {"a.b": 7},
        {"a": {"$elemMatch": {"b": 7}}}, {"a": 2, "d.y": 3}, {}]),
    *((query, {"a.b.$": 1}) for query in [{"a.b": 7}, {"a.b": 2}, {"a": {"$elemMatch": {"b": 7}}}]),
    *(({"a": 2}, projection) for projection in [{"a.$": 1, "z": 1}, {"a.$": 1, "z": 0}, {"a.$": 0}, {"z.$": 1},
        {"d.y.$": 1}, {"q.$": 1}, {"a.$": 1, "d.$": 1}]),
    *(({"a": 2}, projection) for projection in [{"a.$.b": 1}, {"a.$": 1, "a": 1}, {"a.$": {"$slice": 1}}, {"a.$": 1,
        "_id": 0}, {"a.$": "x"}]),
    ({"d.y": 3}, {"a.$": 1}),
    ({"$or": [{"s": 5}, {"a": 1}]}, {"a.$": 1}),
    ({"$or": [{"s": 6}, {"a": 3}]}, {"a.$": 1}),
    ({"a": {"$all": [2, 3]}}, {"a.$": 1}),
    ({"a": {"$in": [3, 2]}}, {"a.$": 1}),
    ({"a": {"$not": {"$gt": 100}}}, {"a.$": 1}),
]  # fmt: skip
