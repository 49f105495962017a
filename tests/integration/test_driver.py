"""The pattern API on a real server: it does what PyMongo does, and the pattern sees PyMongo's own exceptions."""

from __future__ import annotations

import threading
import uuid

import pytest
from pymongo import ASCENDING, IndexModel, InsertOne, ReturnDocument, UpdateOne, WriteConcern
from pymongo.client_session import TransactionOptions
from pymongo.errors import (
    BulkWriteError,
    CollectionInvalid,
    ConfigurationError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from single_member_set import admin_client, single_member_set

from harness.backends.driver import CancelFlag, Cancelled, Recorder, open_client, run_coroutine
from harness.clock import RunClock
from harness.errors import UsageError
from harness.settings import Settings, parse_settings

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Start one set for the tests of this file."""
    with single_member_set(tmp_path_factory.mktemp("driver")) as connection:
        yield connection


@pytest.fixture
def cancel():
    """Return the client's cancellation flag."""
    return CancelFlag()


@pytest.fixture
def client(connection, cancel):
    """Open a recorded client."""
    recorder = Recorder(RunClock.start(), cancel, connection.members)
    client = open_client(connection, Settings(), application_name="test", recorder=recorder)
    yield client
    client.close_now()


@pytest.fixture
def database(client):
    """Return a database of the test's own."""
    return client[f"d{uuid.uuid4().hex}"]


@pytest.fixture
def plain(connection, database):
    """Open the same database through PyMongo itself."""
    with admin_client(connection.seeds[0]) as client:
        yield client[database.name]


def test_single_document_operations(database, plain):
    """Inserts, updates, replaces and deletes of one document return PyMongo's results and reach the server."""

    async def operate():
        orders = database.orders
        assert (await orders.insert_one({"_id": 1, "n": 0})).inserted_id == 1
        assert (await orders.update_one({"_id": 1}, {"$inc": {"n": 1}})).modified_count == 1
        assert (await orders.update_one({"_id": 2}, {"$set": {"n": 9}}, upsert=True)).upserted_id == 2
        assert (await orders.replace_one({"_id": 1}, {"n": 5})).matched_count == 1
        assert (await orders.delete_one({"_id": 2})).deleted_count == 1
        assert await orders.find_one({"_id": 2}) is None
        return await orders.find_one({"_id": 1})

    assert run_coroutine(operate()) == {"_id": 1, "n": 5}
    assert list(plain.orders.find()) == [{"_id": 1, "n": 5}]


def test_find_and_modify(database):
    """The three find_one_and_* return the document before or after, as asked."""

    async def operate():
        orders = database["orders"]
        await orders.insert_many([{"_id": number, "n": number} for number in range(3)])
        after = await orders.find_one_and_update({}, {"$inc": {"n": 10}}, sort=[("n", -1)], return_document=True)
        before = await orders.find_one_and_replace({"_id": 0}, {"n": 7}, return_document=ReturnDocument.BEFORE)
        deleted = await orders.find_one_and_delete({"_id": 1})
        return after, before, deleted, await orders.find_one_and_delete({"_id": 1})

    after, before, deleted, nothing = run_coroutine(operate())
    assert (after, before, deleted, nothing) == ({"_id": 2, "n": 12}, {"_id": 0, "n": 0}, {"_id": 1, "n": 1}, None)


def test_many_documents_and_bulks(database):
    """Multi-document writes and bulks return counts; a failed bulk raises PyMongo's error with its details."""

    async def operate():
        orders = database.orders
        await orders.insert_many([{"_id": number} for number in range(5)])
        assert (await orders.update_many({}, {"$set": {"n": 1}})).modified_count == 5
        assert (await orders.delete_many({"_id": {"$gte": 3}})).deleted_count == 2
        result = await orders.bulk_write([InsertOne({"_id": 9}), UpdateOne({"_id": 0}, {"$inc": {"n": 1}})])
        assert (result.inserted_count, result.modified_count) == (1, 1)
        await orders.bulk_write([InsertOne({"_id": 10}), InsertOne({"_id": 0}), InsertOne({"_id": 11})])

    with pytest.raises(BulkWriteError) as caught:
        run_coroutine(operate())
    assert caught.value.details["nInserted"] == 1


def test_cursors(database):
    """A cursor is chained, iterated, listed, cloned and rewound as PyMongo's, and fetches batch by batch."""

    async def operate():
        orders = database.orders
        await orders.insert_many([{"_id": number} for number in range(10)])
        cursor = orders.find({"_id": {"$gt": 0}}).sort("_id", -1).skip(1).limit(5).batch_size(2)
        assert await cursor.clone().to_list() == [{"_id": number} for number in range(8, 3, -1)]
        assert [row["_id"] async for row in cursor] == [8, 7, 6, 5, 4]
        assert not cursor.alive
        await cursor.rewind()
        assert (await cursor.next())["_id"] == 8
        async with orders.find({}, batch_size=2) as open_cursor:
            assert await open_cursor.to_list(3) == [{"_id": 0}, {"_id": 1}, {"_id": 2}]
            assert open_cursor.collection == orders
        assert open_cursor.retrieved == 4
        assert (await orders.find({"_id": 1}).hint("_id_").explain())["ok"] == 1
        with pytest.raises(StopAsyncIteration):
            await orders.find({"_id": 99}).next()
        with pytest.raises(InvalidOperation):
            cursor.limit(3)

    run_coroutine(operate())


def test_aggregates_counts_and_distinct(database):
    """Pipelines give cursors; counts and distinct values are plain results."""

    async def operate():
        orders = database.orders
        await orders.insert_many([{"_id": number, "even": number % 2 == 0} for number in range(5)])
        cursor = await orders.aggregate([{"$group": {"_id": "$even", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}])
        assert [(row["_id"], row["n"]) async for row in cursor] == [(False, 2), (True, 3)]
        assert await (await database.aggregate([{"$documents": [{"a": 1}]}])).to_list() == [{"a": 1}]
        assert await orders.count_documents({"even": True}) == 3
        assert await orders.estimated_document_count() == 5
        assert sorted(await orders.distinct("even")) == [False, True]

    run_coroutine(operate())


def test_collections_and_indexes(database):
    """Collections are created, listed and dropped; a unique index refuses the second document."""

    async def operate():
        orders = await database.create_collection("orders", write_concern=WriteConcern(w=1))
        assert orders.write_concern == WriteConcern(w=1)
        with pytest.raises(CollectionInvalid):
            await database.create_collection("orders")
        assert await orders.create_index([("k", ASCENDING)], unique=True) == "k_1"
        assert await orders.create_indexes([IndexModel("m")]) == ["m_1"]
        assert set(await orders.index_information()) == {"_id_", "k_1", "m_1"}
        assert len(await (await orders.list_indexes()).to_list()) == 3
        await orders.insert_one({"k": 1})
        with pytest.raises(DuplicateKeyError):
            await orders.insert_one({"k": 1})
        await orders.drop_index("m_1")
        await orders.drop_indexes()
        assert await database.list_collection_names() == ["orders"]
        assert [row["name"] async for row in await database.list_collections()] == ["orders"]
        await database.drop_collection(orders)
        await database["gone"].drop()
        assert await database.list_collection_names() == []
        assert (await database.command("ping"))["ok"] == 1
        await database.client.drop_database(database)
        assert database.name not in await database.client.list_database_names()

    run_coroutine(operate())


def test_names_and_options(client, database):
    """Handles name, compare and refuse a truth value as PyMongo's; options given to one are inherited."""
    strict = database.with_options(write_concern=WriteConcern(w="majority"), read_concern=ReadConcern("majority"))
    parts = strict.orders.parts
    assert (parts.name, parts.full_name) == ("orders.parts", f"{database.name}.orders.parts")
    assert parts.database == strict
    assert parts.read_concern == ReadConcern("majority")
    assert parts == client.get_database(database.name)["orders"]["parts"].with_options(
        read_concern=ReadConcern("majority"), write_concern=WriteConcern(w="majority")
    )
    assert database.client is client
    assert len({database.orders, database["orders"]}) == 1
    with pytest.raises(NotImplementedError):
        bool(parts)
    with pytest.raises(NotImplementedError):
        bool(database)
    with pytest.raises(AttributeError, match=r"no Collection\.rename"):
        _ = parts.rename
    with pytest.raises(AttributeError):
        _ = database._private


def test_transaction_commits_and_aborts(database, plain):
    """with_transaction returns the callback's result and commits; an exception of the callback aborts and surfaces."""

    async def insert_two(session):
        await database.orders.insert_one({"_id": 1}, session=session)
        await database.orders.insert_one({"_id": 2}, session=session)
        return await database.orders.count_documents({}, session=session)

    async def fail(session):
        await database.orders.insert_one({"_id": 3}, session=session)
        raise KeyError("mine")

    async def operate():
        await database.create_collection("orders")
        async with database.client.start_session() as session:
            assert await session.with_transaction(insert_two) == 2
            with pytest.raises(KeyError, match="mine"):
                await session.with_transaction(fail)
            assert not session.in_transaction
        assert session.has_ended

    run_coroutine(operate())
    assert plain.orders.count_documents({}) == 2


def test_explicit_transactions(database, plain):
    """start_transaction's context commits, or aborts on an exception; commit and abort can be called by hand."""

    async def fail_in_transaction(session):
        async with await session.start_transaction():
            await database.orders.insert_one({"_id": 2}, session=session)
            raise ValueError("mine")

    async def operate():
        await database.create_collection("orders")
        options = TransactionOptions(write_concern=WriteConcern("majority"))
        async with database.client.start_session(default_transaction_options=options) as session:
            async with await session.start_transaction(read_concern=ReadConcern("snapshot")):
                await database.orders.insert_one({"_id": 1}, session=session)
            with pytest.raises(ValueError, match="mine"):
                await fail_in_transaction(session)
            await session.start_transaction()
            await database.orders.insert_one({"_id": 3}, session=session)
            await session.commit_transaction()
            await session.start_transaction()
            await database.orders.insert_one({"_id": 4}, session=session)
            await session.abort_transaction()
            with pytest.raises(InvalidOperation):
                await session.abort_transaction()

    run_coroutine(operate())
    assert [row["_id"] for row in plain.orders.find().sort("_id")] == [1, 3]


def test_write_conflict_runs_the_callback_again(database, plain):
    """A transaction that meets a concurrent change is aborted with 112 and its callback is run again."""
    plain.orders.insert_one({"_id": 1, "n": 0})
    tries = []

    async def increment(session):
        order = await database.orders.find_one({"_id": 1}, session=session)
        tries.append(order["n"])
        if len(tries) == 1:
            plain.orders.update_one({"_id": 1}, {"$set": {"n": 10}})
        await database.orders.update_one({"_id": 1}, {"$set": {"n": order["n"] + 1}}, session=session)

    async def operate():
        async with database.client.start_session() as session:
            await session.with_transaction(increment)

    run_coroutine(operate())
    assert tries == [0, 10]
    assert plain.orders.find_one() == {"_id": 1, "n": 11}


def test_write_conflict_surfaces_unchanged(database, plain):
    """Outside with_transaction the pattern gets PyMongo's own error, code and label included."""
    plain.orders.insert_one({"_id": 1, "n": 0})

    async def operate():
        async with database.client.start_session() as session, await session.start_transaction():
            await database.orders.find_one({"_id": 1}, session=session)
            plain.orders.update_one({"_id": 1}, {"$set": {"n": 10}})
            await database.orders.update_one({"_id": 1}, {"$set": {"n": 1}}, session=session)

    with pytest.raises(OperationFailure) as caught:
        run_coroutine(operate())
    assert caught.value.code == 112
    assert caught.value.has_error_label("TransientTransactionError")


def test_sessions(database):
    """Sessions carry times between each other; snapshot and causal options are PyMongo's."""

    async def operate():
        await database.orders.insert_one({"_id": 1})
        async with database.client.start_session(causal_consistency=True) as first:
            await database.orders.insert_one({"_id": 2}, session=first)
            async with database.client.start_session() as second:
                second.advance_cluster_time(first.cluster_time)
                second.advance_operation_time(first.operation_time)
                assert second.operation_time == first.operation_time
                assert second.session_id != first.session_id
                assert await database.orders.find_one({"_id": 2}, session=second)
            assert first.client is database.client
            assert first.options.causal_consistency
        async with database.client.start_session(snapshot=True) as snapshot:
            assert await database.orders.count_documents({}, session=snapshot) == 2
            await database.orders.insert_one({"_id": 3})
            assert await database.orders.count_documents({}, session=snapshot) == 2
        with pytest.raises(ConfigurationError):
            database.client.start_session(snapshot=True, causal_consistency=True)

    run_coroutine(operate())


def test_change_stream(database):
    """A stream gives the changes in order, resumes from a token, and try_next does not wait for ever."""

    async def operate():
        orders = await database.create_collection("orders")
        async with await orders.watch(max_await_time_ms=50) as stream:
            assert await stream.try_next() is None
            await orders.insert_many([{"_id": 1}, {"_id": 2}, {"_id": 3}])
            assert (await stream.next())["documentKey"] == {"_id": 1}
            token = stream.resume_token
        assert not stream.alive
        async with await database.watch(resume_after=token, max_await_time_ms=50) as resumed:
            seen = []
            async for change in resumed:
                seen.append(change["documentKey"]["_id"])
                if len(seen) == 2:
                    break
        return seen

    assert run_coroutine(operate()) == [2, 3]


def test_waiting_for_a_change_is_cancelled(database, cancel):
    """A client that waits for a change that never comes ends soon after it is told to."""

    async def operate():
        async with await database.watch(max_await_time_ms=50) as stream:
            threading.Timer(0.1, cancel.set).start()
            await stream.next()

    with pytest.raises(Cancelled):
        run_coroutine(operate())


def test_settings_reach_the_client(connection):
    """What a setting names is given to the client; what it leaves out stays at PyMongo's default."""
    text = "w=1,j=true,wtimeoutMS=50,readConcernLevel=majority,readPreference=secondaryPreferred"
    given = open_client(connection, parse_settings(text), application_name="test", recorder=None)
    default = open_client(connection, Settings(), application_name="test", recorder=None)
    try:
        assert given.write_concern == WriteConcern(w=1, j=True, wtimeout=50)
        assert given.read_concern == ReadConcern("majority")
        assert given.read_preference == ReadPreference.SECONDARY_PREFERRED
        assert (default.write_concern, default.read_concern) == (WriteConcern(), ReadConcern())
    finally:
        given.close_now()
        default.close_now()


def test_settings_that_do_not_fit_are_a_usage_error(connection):
    """A combination that PyMongo refuses is told as the user's mistake, naming the setting."""
    with pytest.raises(UsageError, match="w=0,j=true"):
        open_client(connection, parse_settings("w=0,j=true"), application_name="test", recorder=None)
