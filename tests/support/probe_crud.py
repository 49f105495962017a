"""Probes of reads and writes: what they return, and how they fail. Registered on import."""

from __future__ import annotations

import datetime
from typing import Any

from bson import Decimal128, Int64
from probe_registry import attempt, documents, plain, probe
from pymongo import (
    ASCENDING,
    DESCENDING,
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    ReturnDocument,
    UpdateMany,
    UpdateOne,
)


@probe
async def insert_and_find(database: Any, client: Any) -> Any:
    c = database.c
    inserted = await attempt(c.insert_one({"_id": 1, "a": [1, {"b": 2}], "n": None, "t": True, "f": 1.5, "s": "x"}))
    return [inserted, await c.find_one({"_id": 1}), await c.find_one({"_id": 2}), await documents(c)]


@probe
async def insert_without_id(database: Any, client: Any) -> Any:
    result = await attempt(database.c.insert_one({"a": 1}))
    return [result, await documents(database.c)]


@probe
async def insert_values_of_many_types(database: Any, client: Any) -> Any:
    document = {
        "_id": Int64(1),
        "date": datetime.datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=datetime.UTC),
        "decimal": Decimal128("1.50"),
        "binary": b"\x00\x01",
        "nested": {"deep": {"er": []}},
    }
    await database.c.insert_one(document)
    return await documents(database.c)


@probe
async def insert_many_ordered(database: Any, client: Any) -> Any:
    result = await attempt(database.c.insert_many([{"_id": number} for number in range(5)]))
    return [result, await database.c.count_documents({})]


@probe
async def insert_many_ordered_stops_at_a_duplicate(database: Any, client: Any) -> Any:
    result = await attempt(database.c.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}]))
    return [result, await documents(database.c)]


@probe
async def insert_many_unordered_goes_on(database: Any, client: Any) -> Any:
    result = await attempt(database.c.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}, {"_id": 2}], ordered=False))
    return [result, await documents(database.c)]


@probe
async def insert_duplicate_id(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": {"a": 1, "b": [1]}})
    return [
        await attempt(database.c.insert_one({"_id": {"a": 1, "b": [1]}})),
        await attempt(database.c.insert_one({"_id": {"b": [1], "a": 1}})),
    ]


@probe
async def insert_ids_equal_across_number_types(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1})
    return [
        await attempt(database.c.insert_one({"_id": 1.0})),
        await attempt(database.c.insert_one({"_id": Int64(1)})),
        await attempt(database.c.insert_one({"_id": True})),
    ]


@probe
async def insert_with_ids_that_are_refused(database: Any, client: Any) -> Any:
    return [
        await attempt(database.c.insert_one({"_id": [1]})),
        await attempt(database.c.insert_one({"_id": {"$a": 1}})),
        await attempt(database["a$b"].insert_one({"_id": 1})),
    ]


@probe
async def update_one_counts(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 1, "n": 1})
    return [
        await attempt(c.update_one({"_id": 1}, {"$inc": {"n": 2}})),
        await attempt(c.update_one({"_id": 1}, {"$set": {"n": 3}})),
        await attempt(c.update_one({"_id": 9}, {"$set": {"n": 3}})),
        await documents(c),
    ]


@probe
async def update_many_counts(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": number, "n": number % 2} for number in range(6)])
    return [await attempt(c.update_many({"n": 1}, {"$set": {"m": 1}, "$unset": {"n": ""}})), await documents(c)]


@probe
async def update_operators(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 1, "n": 5, "list": [3, 1, 2], "old": "x"})
    change = {
        "$mul": {"n": 3},
        "$push": {"list": {"$each": [9, 7], "$sort": 1, "$slice": -3}},
        "$rename": {"old": "new"},
        "$max": {"top": 4},
        "$addToSet": {"tags": "a"},
    }
    return [await attempt(c.update_one({"_id": 1}, change)), await documents(c)]


@probe
async def update_positional_and_array_filters(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 1, "items": [{"k": 1, "v": 1}, {"k": 2, "v": 1}, {"k": 3, "v": 1}]})
    await c.update_one({"_id": 1, "items.k": 2}, {"$set": {"items.$.v": 7}})
    await c.update_one({"_id": 1}, {"$inc": {"items.$[big].v": 10}}, array_filters=[{"big.k": {"$gte": 2}}])
    await c.update_one({"_id": 1}, {"$inc": {"items.$[].v": 100}})
    return await documents(c)


@probe
async def update_by_pipeline(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 1, "a": 2, "b": 3})
    pipeline = [{"$set": {"sum": {"$add": ["$a", "$b"]}}}, {"$unset": "b"}]
    return [await attempt(c.update_one({"_id": 1}, pipeline)), await documents(c)]


@probe
async def update_errors(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 1, "s": "x", "n": 1})
    changes: list[Any] = [
        {"$inc": {"s": 1}},
        {"$set": {"_id": 2}},
        {"$set": {"n": 1}, "$inc": {"n": 1}},
        {"$set": {"n.deep": 1}},
        {"$push": {"n": 1}},
        {"$nonsense": {"n": 1}},
        {"$rename": {"n": "n"}},
        {"$set": {"a.$[x]": 1}},
    ]
    return [*[await attempt(c.update_one({"_id": 1}, change)) for change in changes], await documents(c)]


@probe
async def upsert_inserts_and_matches(database: Any, client: Any) -> Any:
    c = database.c
    return [
        await attempt(c.update_one({"_id": 1, "k": "a"}, {"$set": {"v": 1}, "$setOnInsert": {"made": 1}}, upsert=True)),
        await attempt(c.update_one({"_id": 1}, {"$set": {"v": 2}, "$setOnInsert": {"made": 2}}, upsert=True)),
        await attempt(c.update_one({"k": "b"}, {"$inc": {"v": 1}}, upsert=True)),
        await attempt(c.replace_one({"_id": 3}, {"v": 3}, upsert=True)),
        await c.count_documents({}),
        await c.find_one({"_id": 1}),
    ]


@probe
async def upsert_on_a_unique_key(database: Any, client: Any) -> Any:
    c = database.c
    await c.create_index("k", unique=True)
    await c.insert_one({"_id": 1, "k": "a", "until": 10})
    lock = {"k": "a", "until": {"$lt": 5}}
    return [
        await attempt(c.update_one(lock, {"$set": {"owner": 1}}, upsert=True)),
        await attempt(c.find_one_and_update(lock, {"$set": {"owner": 1}}, upsert=True)),
        await documents(c),
    ]


@probe
async def replace_counts_and_refusals(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 1, "a": 1})
    return [
        await attempt(c.replace_one({"_id": 1}, {"b": 2})),
        await attempt(c.replace_one({"_id": 1}, {"_id": 2, "b": 2})),
        await attempt(c.replace_one({"_id": 7}, {"b": 2})),
        await documents(c),
    ]


@probe
async def delete_counts(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": number, "n": number % 2} for number in range(5)])
    return [
        await attempt(c.delete_one({"n": 1})),
        await attempt(c.delete_many({"n": 0})),
        await attempt(c.delete_many({"n": 9})),
        await documents(c),
    ]


@probe
async def find_and_modify_forms(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": number, "n": 10 - number} for number in range(4)])
    after = ReturnDocument.AFTER
    return [
        await attempt(c.find_one_and_update({}, {"$inc": {"n": 1}}, sort=[("n", ASCENDING)])),
        await attempt(
            c.find_one_and_update({"_id": 0}, {"$inc": {"n": 1}}, return_document=after, projection={"n": 1})
        ),
        await attempt(c.find_one_and_replace({"_id": 1}, {"r": 1}, return_document=after)),
        await attempt(c.find_one_and_delete({}, sort=[("_id", DESCENDING)])),
        await attempt(c.find_one_and_update({"_id": 99}, {"$set": {"a": 1}})),
        await attempt(c.find_one_and_update({"_id": 99}, {"$set": {"a": 1}}, upsert=True, return_document=after)),
        await documents(c),
    ]


@probe
async def find_options(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": number, "n": number % 3, "s": str(number)} for number in range(9)])
    return [
        plain(await c.find({"n": {"$in": [1, 2]}}).sort([("n", -1), ("_id", 1)]).skip(1).limit(3).to_list(None)),
        plain(await c.find({"s": {"$regex": "^[12]"}}, {"_id": 0, "s": 1}).sort("s", 1).to_list(None)),
        plain(await c.find({"$or": [{"_id": 3}, {"n": 0}], "s": {"$ne": "6"}}).sort("_id", 1).to_list(None)),
        await c.count_documents({"n": 1}),
        await c.count_documents({}, skip=2, limit=4),
        await c.estimated_document_count(),
        sorted(await c.distinct("n", {"_id": {"$lt": 2}})),
    ]


@probe
async def find_errors(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 1})
    return [
        await attempt(c.find({"a": {"$nonsense": 1}}).to_list(None)),
        await attempt(c.find({"$and": []}).to_list(None)),
        await attempt(c.find({"a": {"$in": 1}}).to_list(None)),
        await attempt(c.find({}, {"a": 1, "b": 0}).to_list(None)),
        await attempt(c.find({"$nonsense": 1}).to_list(None)),
    ]


@probe
async def cursor_batches(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": number} for number in range(12)])
    cursor = c.find({}, batch_size=5).sort("_id", 1)
    first = await cursor.next()
    seen = [cursor.alive, cursor.retrieved, bool(cursor.cursor_id)]
    rest = await cursor.to_list(None)
    return [first, seen, len(rest), cursor.alive, cursor.retrieved]


@probe
async def cursor_that_was_killed(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": number} for number in range(12)])
    cursor = c.find({}, batch_size=2)
    await cursor.next()
    await database.command({"killCursors": "c", "cursors": [Int64(cursor.cursor_id)]})
    return await attempt(cursor.to_list(None))


@probe
async def aggregate_forms(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": number, "k": number % 2, "v": number} for number in range(6)])
    await database.other.insert_many([{"_id": 0, "name": "even"}, {"_id": 1, "name": "odd"}])
    group = [{"$group": {"_id": "$k", "sum": {"$sum": "$v"}, "top": {"$max": "$v"}}}, {"$sort": {"_id": 1}}]
    join = [
        {"$match": {"_id": {"$lt": 2}}},
        {"$lookup": {"from": "other", "localField": "k", "foreignField": "_id", "as": "o"}},
        {"$unwind": "$o"},
        {"$project": {"name": "$o.name"}},
        {"$sort": {"_id": 1}},
    ]
    return [
        plain(await (await c.aggregate(group)).to_list(None)),
        plain(await (await c.aggregate(join)).to_list(None)),
        plain(await (await c.aggregate([{"$match": {"k": 1}}, {"$count": "n"}])).to_list(None)),
        await attempt(c.aggregate([{"$nonsense": {}}])),
    ]


@probe
async def bulk_ordered(database: Any, client: Any) -> Any:
    c = database.c
    requests: list[Any] = [
        InsertOne({"_id": 1, "n": 1}),
        UpdateOne({"_id": 1}, {"$inc": {"n": 1}}),
        UpdateOne({"_id": 5}, {"$set": {"n": 5}}, upsert=True),
        ReplaceOne({"_id": 1}, {"n": 9}),
        UpdateMany({}, {"$set": {"all": 1}}),
        DeleteOne({"_id": 5}),
        DeleteMany({"_id": 77}),
    ]
    return [await attempt(c.bulk_write(requests)), await documents(c)]


@probe
async def bulk_ordered_fails_in_the_middle(database: Any, client: Any) -> Any:
    c = database.c
    requests = [InsertOne({"_id": 1}), InsertOne({"_id": 2}), InsertOne({"_id": 1}), InsertOne({"_id": 3})]
    return [await attempt(c.bulk_write([*requests, DeleteOne({"_id": 2})])), await documents(c)]


@probe
async def bulk_unordered_with_two_failures(database: Any, client: Any) -> Any:
    c = database.c
    requests: list[Any] = [
        InsertOne({"_id": 1}),
        InsertOne({"_id": 1}),
        UpdateOne({"_id": 1}, {"$set": {"n": 1}}),
        UpdateOne({"_id": 1}, {"$set": {"_id": 4}}),
        UpdateOne({"_id": 8}, {"$set": {"n": 1}}, upsert=True),
        InsertOne({"_id": 2}),
    ]
    return [await attempt(c.bulk_write(requests, ordered=False)), await documents(c)]


@probe
async def unique_index_forms(database: Any, client: Any) -> Any:
    c = database.c
    await c.create_index([("a", 1), ("b", 1)], unique=True)
    await c.insert_one({"_id": 1, "a": 1, "b": 1})
    return [
        await attempt(c.insert_one({"_id": 2, "a": 1, "b": 1.0})),
        await attempt(c.insert_one({"_id": 3, "a": 1})),
        await attempt(c.insert_one({"_id": 4, "a": 1, "b": None})),
        await attempt(c.update_one({"_id": 3}, {"$set": {"b": 1}})),
        await attempt(c.replace_one({"_id": 3}, {"a": 1, "b": 1})),
        await documents(c),
    ]


@probe
async def unique_index_on_array_elements(database: Any, client: Any) -> Any:
    c = database.c
    await c.create_index("tags", unique=True)
    await c.insert_one({"_id": 1, "tags": ["a", "b"]})
    return [
        await attempt(c.insert_one({"_id": 2, "tags": ["c", "b"]})),
        await attempt(c.insert_one({"_id": 3, "tags": ["d", "d"]})),
        await attempt(c.update_one({"_id": 3}, {"$push": {"tags": "a"}})),
        await documents(c),
    ]


@probe
async def unique_partial_index(database: Any, client: Any) -> Any:
    c = database.c
    await c.create_index("k", unique=True, partialFilterExpression={"open": True})
    await c.insert_many([{"_id": 1, "k": 1, "open": True}, {"_id": 2, "k": 1, "open": False}])
    return [
        await attempt(c.insert_one({"_id": 3, "k": 1, "open": True})),
        await attempt(c.update_one({"_id": 2}, {"$set": {"open": True}})),
        await attempt(c.insert_one({"_id": 4, "k": 1})),
    ]


@probe
async def index_build_errors(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_many([{"_id": 1, "k": 1}, {"_id": 2, "k": 1}])
    return [
        await attempt(c.create_index("k", unique=True)),
        await attempt(c.create_index("k")),
        await attempt(c.create_index("k", name="other")),
        await attempt(c.create_index("k", sparse=True, name="k_1")),
        await attempt(c.drop_index("nothing")),
        sorted(await c.index_information()),
    ]


@probe
async def collection_administration(database: Any, client: Any) -> Any:
    await database.create_collection("made")
    return [
        await attempt(_nothing(database.create_collection("made"))),
        sorted(await database.list_collection_names()),
        plain(await database.drop_collection("made")),
        await attempt(database.drop_collection("never_there")),
        await attempt(database.never_there.find({}).to_list(None)),
        await attempt(_nothing(database.command({"renameCollection": f"{database.name}.x", "to": "y"}))),
    ]


async def _nothing(awaitable: Any) -> None:
    await awaitable


@probe
async def commands_that_are_refused(database: Any, client: Any) -> Any:
    return [
        await attempt(database.command({"frobnicate": 1})),
        await attempt(database.command({"find": "c", "nonsense": 1})),
        await attempt(database.command({"insert": "c", "documents": []})),
        await attempt(database.command({"update": "c", "updates": [{"q": {}}]})),
        await attempt(database.command({"find": 5})),
        await attempt(database.command({"getMore": Int64(123), "collection": "c"})),
        await attempt(database.command({"replSetGetStatus": 1})),
        (await client["admin"].command("ping"))["ok"],
    ]
