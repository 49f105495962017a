"""After an error the driver model repeats, labels and raises what PyMongo repeats, labels and raises."""

from __future__ import annotations

import pytest
from driver_comparison import compare
from pymongo import DeleteMany, DeleteOne, InsertOne
from single_member_set import single_member_set

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Start one set for the tests of this file."""
    with single_member_set(tmp_path_factory.mktemp("pymongo")) as connection:
        yield connection


FAILURES = {
    "one broken connection": (1, {"closeConnection": True}),
    "two broken connections": (2, {"closeConnection": True}),
    "one refusal of a member that is not primary": (1, {"errorCode": 10107}),
    "two refusals of a member that is not primary": (2, {"errorCode": 10107}),
    "a refusal with its label": (1, {"errorCode": 11602, "errorLabels": ["RetryableWriteError"]}),
    "two refusals that wrote nothing": (
        2,
        {"errorCode": 91, "errorLabels": ["RetryableWriteError", "NoWritesPerformed"]},
    ),
    "a refusal for good": (1, {"errorCode": 13}),
    "an interrupted wait": (1, {"writeConcernError": {"code": 91, "errmsg": "shutting down"}}),
    "two interrupted waits": (2, {"writeConcernError": {"code": 91, "errmsg": "shutting down"}}),
    "an interrupted wait with its label": (
        1,
        {"writeConcernError": {"code": 11602, "errmsg": "x"}, "errorLabels": ["RetryableWriteError"]},
    ),
    "an expired wait": (1, {"writeConcernError": {"code": 64, "errmsg": "x", "errInfo": {"wtimeout": True}}}),
    "a time-out": (1, {"errorCode": 50}),
}


@pytest.mark.parametrize("settings", ["", "retry=none"])
@pytest.mark.parametrize(("times", "data"), FAILURES.values(), ids=FAILURES)
def test_failures_of_writes(connection, times, data, settings):
    """What is repeated, with which number, and which error is raised in the end, is the same for every write."""

    async def calls(side):
        orders, note = side.orders, side.note
        await orders.insert_one({"_id": 0})
        side.fail(times, "insert", **data)
        await note(orders.insert_one({"_id": 1}))
        side.fail(times, "update", **data)
        await note(orders.update_one({"_id": 0}, {"$inc": {"n": 1}}))
        side.fail(times, "update", **data)
        await note(orders.update_many({}, {"$inc": {"n": 1}}))
        side.fail(times, "findAndModify", **data)
        await note(orders.find_one_and_update({"_id": 0}, {"$inc": {"n": 1}}))
        side.fail(times, "delete", **data)
        await note(orders.delete_many({"_id": 7}))
        side.fail(times, "insert", **data)
        await note(orders.insert_many([{"_id": 10}, {"_id": 11}]))
        side.fail(times, "delete", **data)
        await note(orders.bulk_write([InsertOne({"_id": 12}), DeleteOne({"_id": 12}), InsertOne({"_id": 13})]))
        side.fail(times, "insert", **data)
        await note(orders.bulk_write([InsertOne({"_id": 14}), DeleteMany({"_id": 14})]))
        side.fail(0, "insert", **data)
        await note(orders.insert_one({"_id": 20}))
        await note(orders.insert_one({"_id": 21}))

    compare(calls, connection, settings)


@pytest.mark.parametrize("settings", ["", "retry=none"])
@pytest.mark.parametrize(
    ("times", "data"),
    [
        pytest.param(1, {"closeConnection": True}, id="one broken connection"),
        pytest.param(2, {"closeConnection": True}, id="two broken connections"),
        pytest.param(1, {"errorCode": 11602}, id="a retryable refusal"),
        pytest.param(2, {"errorCode": 134}, id="two retryable refusals"),
        pytest.param(1, {"errorCode": 50}, id="a time-out"),
        pytest.param(1, {"errorCode": 43}, id="a lost cursor"),
    ],
)
def test_failures_of_reads(connection, times, data, settings):
    """Reads are repeated once, getMore is not, and a failed cursor is closed or left alike."""

    async def calls(side):
        orders, database, note = side.orders, side.database, side.note
        await orders.insert_many([{"_id": i} for i in range(6)])
        side.fail(times, "find", **data)
        await note(orders.find_one({"_id": 0}))
        side.fail(times, "find", **data)
        await note(orders.find({}).to_list())
        side.fail(times, "getMore", **data)
        cursor = orders.find({}, batch_size=2)
        await note(cursor.to_list())
        side.outcomes.append(cursor.alive)
        side.fail(0, "getMore")
        side.fail(times, "aggregate", **data)
        await note(orders.count_documents({}))
        side.fail(times, "aggregate", **data)
        await note(orders.aggregate([{"$match": {}}]))
        side.fail(times, "distinct", **data)
        await note(orders.distinct("_id"))
        side.fail(times, "count", **data)
        await note(orders.estimated_document_count())
        side.fail(times, "listCollections", **data)
        await note(database.list_collection_names())
        side.fail(times, "listIndexes", **data)
        await note(orders.index_information())
        side.fail(times, "ping", **data)
        await note(database.command("ping"))
        side.fail(0, "ping")
        await note(orders.find_one({"_id": 0}))

    compare(calls, connection, settings)


@pytest.mark.parametrize("command", ["find", "insert", "commitTransaction", "abortTransaction"])
@pytest.mark.parametrize(
    ("times", "data"),
    [
        pytest.param(1, {"closeConnection": True}, id="one broken connection"),
        pytest.param(2, {"closeConnection": True}, id="two broken connections"),
        pytest.param(1, {"errorCode": 11602, "errorLabels": ["RetryableWriteError"]}, id="a retryable refusal"),
        pytest.param(2, {"errorCode": 91, "errorLabels": ["RetryableWriteError"]}, id="two retryable refusals"),
        pytest.param(1, {"errorCode": 251, "errorLabels": ["TransientTransactionError"]}, id="an unknown transaction"),
        pytest.param(1, {"writeConcernError": {"code": 91, "errmsg": "x"}}, id="an interrupted wait"),
        pytest.param(1, {"writeConcernError": {"code": 100, "errmsg": "x"}}, id="an impossible concern"),
    ],
)
def test_failures_in_transactions(connection, command, times, data):
    """Labels, repeated commits and aborts after an error are the same."""

    async def calls(side):
        orders, client, note = side.orders, side.client, side.note
        await orders.insert_one({"_id": 0})
        async with client.start_session() as session:
            await session.start_transaction()
            side.fail(times, command, **data)
            await note(orders.find_one({"_id": 0}, session=session))
            await note(orders.insert_one({"_id": 1}, session=session))
            side.outcomes.append(session.in_transaction)
            if command == "abortTransaction":
                await note(session.abort_transaction())
            else:
                await note(session.commit_transaction())
                await note(session.commit_transaction())
            side.fail(0, command)
            await note(orders.find_one({"_id": 1}, session=session))

    compare(calls, connection)
