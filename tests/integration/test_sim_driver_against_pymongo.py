"""The driver model sends what PyMongo sends and makes of the replies what PyMongo makes of them."""

from __future__ import annotations

import contextlib

import pytest
from bson import ObjectId, Timestamp
from driver_comparison import compare
from pymongo import (
    DeleteMany,
    DeleteOne,
    IndexModel,
    InsertOne,
    ReadPreference,
    ReplaceOne,
    ReturnDocument,
    UpdateMany,
    UpdateOne,
    WriteConcern,
)
from pymongo.client_session_shared import TransactionOptions
from pymongo.collation import Collation
from pymongo.read_concern import ReadConcern
from single_member_set import single_member_set

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Start one set for the tests of this file."""
    with single_member_set(tmp_path_factory.mktemp("pymongo")) as connection:
        yield connection


CONCERNS = ["", "w=majority", "w=1,j=true", "w=1,wtimeoutMS=500", "readConcernLevel=majority", "retry=none"]


@pytest.mark.parametrize("settings", [*CONCERNS, "readPreference=secondaryPreferred", "readPreference=nearest", "w=0"])
def test_plain_calls(connection, settings):
    """Single writes and reads are the same under every concern."""

    async def calls(side):
        orders, note = side.orders, side.note
        await note(orders.insert_one({"_id": 1, "n": 1, "at": ObjectId("0" * 24)}))
        await note(orders.insert_one({"_id": 1}))
        await note(orders.update_one({"_id": 1}, {"$inc": {"n": 1}}))
        await note(orders.update_one({"_id": 2}, {"$set": {"n": 1}}, upsert=True))
        await note(orders.update_many({}, {"$set": {"x": 1}}))
        await note(orders.replace_one({"_id": 1}, {"n": 7}))
        await note(orders.find_one({"_id": 1}))
        await note(orders.find_one(2))
        await note(orders.find_one({"_id": 3}))
        await note(orders.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}, return_document=ReturnDocument.AFTER))
        await note(orders.find_one_and_replace({"_id": 9}, {"n": 9}, upsert=True))
        await note(orders.find_one_and_delete({"_id": 9}))
        await note(orders.count_documents({"n": {"$gt": 0}}))
        await note(orders.estimated_document_count())
        await note(orders.distinct("n"))
        await note(orders.delete_one({"_id": 1}))
        await note(orders.delete_many({}))
        await note(side.database.command("ping"))

    compare(calls, connection, settings)


def test_options_of_writes(connection):
    """Every option of a write is in its place, and the server's refusals come back the same."""

    async def calls(side):
        orders, note = side.orders, side.note
        await note(orders.insert_many([{"_id": i, "a": [1, 2, 3], "s": "x"} for i in range(4)], comment="c"))
        await note(orders.create_index("s"))
        filters = [{"e": {"$gt": 1}}]
        await note(orders.update_one({"_id": 1}, {"$set": {"a.$[e]": 9}}, array_filters=filters, comment={"why": 1}))
        await note(orders.update_one({"s": "X"}, {"$set": {"c": 1}}, collation=Collation("en", strength=2)))
        await note(orders.update_one({"s": "x"}, {"$set": {"h": 1}}, hint="s_1", bypass_document_validation=True))
        await note(orders.update_one({"s": "x"}, {"$set": {"h": 1}}, hint=[("s", 1)], let={"v": 1}))
        await note(orders.update_one({"s": "x"}, [{"$set": {"p": "$_id"}}]))
        await note(orders.update_one({"s": "x"}, {"$set": {"h": 2}}, sort={"_id": -1}))
        await note(orders.replace_one({"s": "x"}, {"s": "y"}, hint="s_1", upsert=True, let={"v": 1}))
        await note(orders.delete_one({"s": "y"}, hint="s_1", collation={"locale": "en"}, let={"v": 1}, comment="d"))
        await note(
            orders.find_one_and_update(
                {"s": "x"},
                {"$set": {"a.$[e]": 0}},
                projection=["a"],
                sort=[("_id", -1)],
                array_filters=filters,
                hint="s_1",
                let={"v": 1},
                comment="f",
                maxTimeMS=1000,
            )
        )
        await note(orders.find_one_and_update({"s": "x"}, {"$set": {"a": 0}}, writeConcern={"w": 1}, upsert=True))
        await note(
            orders.find_one_and_delete({"s": "x"}, projection={"a": 0}, sort={"_id": 1}, collation={"locale": "en"})
        )
        await note(orders.find_one_and_replace({"s": "x"}, {"z": 1}, hint={"s": 1}))
        await note(orders.update_one({"_id": 1}, {"$nonsense": {"a": 1}}))
        await note(orders.update_one({"_id": 1}, {"$set": {"_id": 2}}))

    compare(calls, connection)


def test_options_of_finds(connection):
    """Every option of a query is in its place; batches, limits and closing send the same commands."""

    async def calls(side):
        orders, note = side.orders, side.note
        await orders.insert_many([{"_id": i, "n": i % 3} for i in range(10)])
        await orders.create_index("n")
        await note(orders.find({"n": 1}, {"n": 1}).sort("n", -1).skip(1).limit(2).to_list())
        await note(orders.find({"n": 1}, ["n"], sort=[("n", 1), "_id"], hint="n_1", comment="c").to_list())
        await note(orders.find(batch_size=3).to_list())
        await note(orders.find().batch_size(4).limit(9).to_list())
        await note(orders.find(limit=4, batch_size=4).to_list())
        await note(orders.find(limit=-3).to_list())
        partly = orders.find().batch_size(3)
        await note(partly.to_list(4))
        await note(partly.close())
        await note(orders.find(max_time_ms=5000, allow_disk_use=True, no_cursor_timeout=True).to_list())
        await note(orders.find(return_key=True, show_record_id=False, collation={"locale": "en"}).to_list())
        await note(orders.find(let={"v": 1}, max=[("n", 2)], min=[("n", 1)], hint="n_1").to_list())
        await note(orders.find(min=[("n", 1)]).to_list())
        await note(orders.find({"n": 2}).max_time_ms(3000).comment("c").distinct("_id"))
        await note(orders.find({}, {"n": 1}).sort("n").explain())
        cursor = orders.find().batch_size(2)
        await note(cursor.next())
        await note(cursor.close())
        async with orders.find(batch_size=2) as held:
            async for document in held:
                side.outcomes.append((document, held.retrieved, held.alive))
                if document["_id"] == 2:
                    break
        again = orders.find({"n": 0}, batch_size=2)
        await note(again.to_list())
        await again.rewind()
        await note(again.clone().to_list())
        await note(again.to_list(1))
        await note(again.close())
        await note(orders.find_one({"n": 1}, sort=[("_id", -1)], projection={"_id": 0}))
        await note(orders.find_one({"n": 1}, {"n": 1}, skip=1, max_time_ms=900))
        await note(orders.find({"$nonsense": 1}).to_list())

    compare(calls, connection)


def test_aggregations(connection):
    """Pipelines, their cursors, and those that write."""

    async def calls(side):
        orders, note = side.orders, side.note
        await orders.insert_many([{"_id": i, "n": i % 3} for i in range(10)])
        cursor = await note(orders.aggregate([{"$match": {"n": 1}}], comment="c", let={"v": 1}, maxTimeMS=1000))
        await note(cursor.to_list())
        cursor = await note(orders.aggregate([{"$sort": {"_id": 1}}], batchSize=3, allowDiskUse=True))
        await note(cursor.to_list(5))
        await note(cursor.try_next())
        await note(cursor.close())
        async for document in await orders.aggregate([{"$limit": 3}], collation={"locale": "en"}, batchSize=2):
            side.outcomes.append(document)
        await note(orders.aggregate([{"$match": {}}, {"$out": "copies"}], batchSize=2))
        await note(orders.with_options(write_concern=WriteConcern("majority")).aggregate([{"$merge": "copies"}]))
        cursor = await note(side.database.aggregate([{"$documents": [{"a": 1}]}]))
        await note(cursor.to_list())
        await note(orders.aggregate([{"$nonsense": 1}]))
        cursor = await note(orders.aggregate([], cursor={"batchSize": 1}))
        await note(cursor.close())
        await note(
            orders.count_documents({"n": 1}, skip=1, limit=1, hint="_id_", comment="c", collation={"locale": "en"})
        )
        await note(orders.distinct("n", {"_id": {"$lt": 5}}, comment="c", maxTimeMS=1000, collation={"locale": "en"}))

    compare(calls, connection, "readConcernLevel=local")


def test_definitions(connection):
    """Indexes, collections, databases, and commands by name."""

    async def calls(side):
        database, orders, note = side.database, side.orders, side.note
        await note(database.create_collection("orders", validator={"n": {"$exists": True}}, comment="c"))
        await note(database.create_collection("orders"))
        await note(database.create_collection("capped", capped=True, size=4096, check_exists=False))
        await note(orders.insert_one({"_id": 1}))
        await note(orders.create_index([("n", 1), ("m", -1)], unique=True, name="unique", comment="c", maxTimeMS=1000))
        await note(orders.create_indexes([IndexModel("a"), IndexModel([("b", -1)], sparse=True)], comment="c"))
        await note(orders.create_index([("n", 1), ("m", -1)], name="other"))
        cursor = await note(orders.list_indexes(comment="c"))
        await note(cursor.to_list())
        await note(orders.index_information())
        await note(orders.drop_index("a_1", comment="c"))
        await note(orders.drop_index([("b", -1)]))
        await note(orders.drop_index("nonsense"))
        await note(orders.drop_indexes())
        await note(database["nothing"].drop_indexes())
        cursor = await note(database["nothing"].list_indexes())
        await note(cursor.to_list())
        await note(database.list_collection_names())
        await note(database.list_collection_names(filter={"name": "orders"}, comment="c"))
        await note(database.list_collection_names(filter={"options.capped": True}))
        cursor = await database.list_collections(filter={"name": "capped"})
        side.outcomes.append([each["name"] for each in await cursor.to_list()])
        await note(database.command("ping"))
        await note(database.command("count", "orders", query={}))
        await note(database.command({"insert": "orders", "documents": [{"_id": 5, "n": 1}], "ordered": True}))
        await note(database.command("nonsense"))
        await note(database.command("nonsense", check=False))
        await note(database.command("nonsense", allowable_errors=[59]))
        await note(database.command("ping", read_preference=ReadPreference.NEAREST, comment="c"))
        await note(database.drop_collection("capped"))
        await note(orders.drop(comment="c"))
        await note(orders.drop())
        await note(side.client.drop_database(database.name))

    compare(calls, connection, "w=majority")


def test_bulks(connection):
    """Bulk writes are grouped, counted and refused alike, ordered and not."""

    async def calls(side):
        orders, note = side.orders, side.note
        requests = [
            InsertOne({"_id": 1}),
            InsertOne({"_id": 2}),
            UpdateOne({"_id": 1}, {"$set": {"a": 1}}, upsert=True),
            ReplaceOne({"_id": 7}, {"b": 1}, upsert=True),
            UpdateMany({}, {"$set": {"c": 1}}, hint="_id_"),
            DeleteOne({"_id": 2}),
            InsertOne({"_id": 3}),
            DeleteMany({"_id": 3}, collation={"locale": "en"}),
        ]
        await note(orders.bulk_write(requests[:4]))
        await note(orders.bulk_write(requests[2:], ordered=False, comment="c", let={"v": 1}))
        await note(orders.bulk_write(requests))
        await note(orders.bulk_write(requests, ordered=False, bypass_document_validation=True))
        await note(orders.insert_many([{"_id": 20}, {"_id": 1}, {"_id": 21}]))
        await note(orders.insert_many([{"_id": 30}, {"_id": 1}, {"_id": 31}], ordered=False))
        unacknowledged = orders.with_options(write_concern=WriteConcern(0))
        await note(unacknowledged.insert_many([{"_id": 40}, {"_id": 41}]))
        await note(unacknowledged.bulk_write([InsertOne({"_id": 42}), DeleteOne({"_id": 42})]))
        await note(unacknowledged.bulk_write([InsertOne({"_id": 43}), DeleteOne({"_id": 43})], ordered=False))
        impossible = orders.with_options(write_concern=WriteConcern(3, wtimeout=100))
        await note(impossible.insert_many([{"_id": 50}, {"_id": 1}]))
        await note(impossible.insert_many([{"_id": 51}]))
        await note(orders.bulk_write([]))
        await note(orders.bulk_write([{"insert": 1}]))

    compare(calls, connection)


def test_write_concern_errors(connection):
    """A write concern that cannot be met raises the same exception with the same details."""

    async def calls(side):
        note = side.note
        orders = side.orders.with_options(write_concern=WriteConcern(3, wtimeout=100))
        await note(orders.insert_one({"_id": 1}))
        await note(orders.update_one({"_id": 1}, {"$set": {"n": 1}}))
        await note(orders.delete_one({"_id": 1}))
        await note(orders.find_one_and_update({"_id": 1}, {"$set": {"n": 1}}, upsert=True))
        await note(orders.insert_one({"_id": 1}))
        await note(orders.create_index("n"))
        await note(side.orders.with_options(write_concern=WriteConcern("nonsense")).insert_one({"_id": 2}))
        await note(orders.drop())

    compare(calls, connection)


@pytest.mark.parametrize("settings", ["", "readConcernLevel=majority,w=majority"])
def test_sessions(connection, settings):
    """Causal and snapshot sessions send the times that they have seen; implicit ones are used again in turn."""

    async def calls(side):
        orders, client, note = side.orders, side.client, side.note
        async with client.start_session() as session:
            side.outcomes.append((session.in_transaction, session.has_ended, session.cluster_time))
            await note(orders.insert_one({"_id": 1}, session=session))
            await note(orders.find_one({"_id": 1}, session=session))
            await note(orders.update_one({"_id": 1}, {"$set": {"n": 1}}, session=session))
            await note(orders.find({}, session=session).to_list())
            await note(orders.count_documents({}, session=session))
            await note(orders.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}, session=session))
            await note(orders.insert_many([{"_id": 2}, {"_id": 3}], session=session))
            await note(orders.distinct("n", session=session))
            await note((await orders.aggregate([{"$match": {}}], session=session)).to_list())
            cursor = orders.find({}, session=session, batch_size=2)
            await note(cursor.next())
            await note(cursor.close())
            await note(orders.delete_one({"_id": 1}, session=session))
            await note(side.database.command("ping", session=session))
            side.outcomes.append(session.operation_time)
        side.outcomes.append(session.has_ended)
        await note(orders.find_one({}, session=session))
        async with client.start_session(causal_consistency=False) as session:
            await note(orders.insert_one({"_id": 9}, session=session))
            await note(orders.find_one({"_id": 9}, session=session))
        async with client.start_session(snapshot=True) as session:
            await note(orders.find({}, session=session).to_list())
            await note(orders.find_one({}, session=session))
            await note(orders.distinct("n", session=session))
            await note(orders.insert_one({"_id": 10}, session=session))
        held = orders.find(batch_size=2)
        await note(held.next())
        await note(orders.insert_one({"_id": 11}))
        await note(held.to_list())
        await note(orders.insert_one({"_id": 12}))

    compare(calls, connection, settings)


@pytest.mark.parametrize("settings", ["", "readConcernLevel=majority,w=majority", "retry=none"])
def test_transactions(connection, settings):
    """Transactions start, go on, commit, abort and fail alike; so do the ways of using them wrongly."""

    async def calls(side):
        orders, client, note = side.orders, side.client, side.note
        await orders.insert_one({"_id": 0})
        async with client.start_session() as session:
            async with await session.start_transaction():
                await note(orders.insert_one({"_id": 1}, session=session))
                await note(orders.find_one({"_id": 1}, session=session))
                await note(orders.find({}, session=session).to_list())
                await note(orders.count_documents({}, session=session))
                await note(orders.find_one_and_update({"_id": 1}, {"$set": {"n": 1}}, session=session))
                await note(orders.bulk_write([InsertOne({"_id": 2}), DeleteOne({"_id": 2})], session=session))
            await note(session.commit_transaction())
            await note(orders.find_one({}, session=session))
            await note(session.commit_transaction())
            concern = {"read_concern": ReadConcern("snapshot"), "write_concern": WriteConcern("majority", 2000)}
            await session.start_transaction(**concern, max_commit_time_ms=3000)
            await note(orders.find_one({"_id": 1}, session=session))
            await note(orders.insert_one({"_id": 3}, session=session))
            await note(session.abort_transaction())
            await note(session.abort_transaction())
            await note(session.commit_transaction())
            await session.start_transaction()
            await note(session.commit_transaction())
            await session.start_transaction()
            await note(session.abort_transaction())
            await note(session.start_transaction(write_concern=WriteConcern(0)))
            await session.start_transaction()
            await note(session.start_transaction())
            await note(orders.insert_one({"_id": 1}, session=session))
            await note(orders.insert_one({"_id": 5}, session=session))
            await note(session.commit_transaction())
            with contextlib.suppress(ValueError):
                async with await session.start_transaction():
                    await note(orders.insert_one({"_id": 6}, session=session))
                    raise ValueError
            await session.start_transaction(read_preference=ReadPreference.NEAREST)
            await note(orders.find_one({}, session=session))
        options = TransactionOptions(ReadConcern("local"), WriteConcern(1), max_commit_time_ms=2000)
        async with client.start_session(default_transaction_options=options) as session:
            await session.start_transaction()
            await note(orders.insert_one({"_id": 8}, session=session))
        async with client.start_session(snapshot=True) as session:
            await note(session.start_transaction())

    compare(calls, connection, settings)


def test_with_transaction(connection):
    """The loop repeats the callback after a transient error and the commit while its result is unknown."""

    async def calls(side):
        orders, client, note = side.orders, side.client, side.note
        await orders.insert_one({"_id": 0, "n": 0})

        async def callback(session):
            await orders.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
            return (await orders.find_one({"_id": 0}, session=session))["n"]

        async with client.start_session() as session:
            await note(session.with_transaction(callback))
            side.fail(1, "update", errorCode=112, errorLabels=["TransientTransactionError"])
            await note(session.with_transaction(callback))
            side.fail(1, "commitTransaction", errorCode=251, errorLabels=["TransientTransactionError"])
            await note(session.with_transaction(callback))
            side.fail(1, "commitTransaction", closeConnection=True)
            await note(session.with_transaction(callback))
            concern_error = {"code": 64, "errmsg": "waiting", "errInfo": {"wtimeout": True}}
            side.fail(2, "commitTransaction", writeConcernError=concern_error)
            await note(session.with_transaction(callback, max_commit_time_ms=2000))
            side.fail(1, "find", errorCode=2)
            await note(session.with_transaction(callback))

        async def ends_itself(session):
            await orders.insert_one({"_id": 1}, session=session)
            await session.commit_transaction()
            return "done"

        async with client.start_session() as session:
            await note(session.with_transaction(ends_itself))

    compare(calls, connection, "w=majority")


def test_change_streams(connection):
    """Streams open, wait, resume after an error, and end alike; their tokens go where PyMongo sends them."""

    async def calls(side):
        database, orders, note = side.database, side.orders, side.note
        await orders.insert_one({"_id": 0})
        async with await orders.watch([{"$match": {}}], max_await_time_ms=50, batch_size=2, comment="c") as stream:
            side.outcomes.append((stream.alive, stream.resume_token))
            await note(stream.try_next())
            await orders.insert_many([{"_id": i} for i in range(1, 5)])
            for _ in range(3):
                await note(stream.next())
                side.outcomes.append(stream.resume_token)
            side.fail(1, "getMore", errorCode=11602, errorLabels=["ResumableChangeStreamError"])
            await note(stream.try_next())
            await note(stream.try_next())
            side.fail(1, "getMore", closeConnection=True)
            await note(stream.try_next())
            token = stream.resume_token
            side.fail(1, "getMore", errorCode=2)
            await note(stream.try_next())
            side.outcomes.append(stream.alive)
        stream = await orders.watch(resume_after=token, full_document="updateLookup", max_await_time_ms=50)
        await orders.update_one({"_id": 1}, {"$set": {"n": 1}})
        await note(stream.next())
        await orders.drop()
        await note(stream.next())
        await note(stream.next())
        side.outcomes.append((stream.alive, stream.resume_token))
        await note(stream.try_next())
        await note(stream.close())
        stream = await note(orders.watch(start_after=stream.resume_token, max_await_time_ms=50))
        await note(stream.try_next())
        await note(stream.close())
        stream = await note(database.watch(max_await_time_ms=50, show_expanded_events=True))
        await note(stream.close())
        stream = await note(side.client.watch([{"$match": {"ns.db": database.name}}], max_await_time_ms=50))
        await note(stream.close())
        await note(orders.watch([{"$nonsense": 1}]))
        start = Timestamp(1, 1)
        await note(orders.watch(start_at_operation_time=start))
        await note(orders.watch("nonsense"))

    compare(calls, connection)
