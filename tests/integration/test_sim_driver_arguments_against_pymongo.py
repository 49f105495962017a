"""Arguments that PyMongo refuses are refused by the driver model, with the same exception and text."""

from __future__ import annotations

import pytest
from driver_comparison import compare
from pymongo import WriteConcern
from single_member_set import single_member_set

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Start one set for the tests of this file."""
    with single_member_set(tmp_path_factory.mktemp("arguments")) as connection:
        yield connection


def unacknowledged(side):
    """Return the collection under w:0."""
    return side.orders.with_options(write_concern=WriteConcern(0))


CALLS = (
    lambda side: side.orders.insert_one([]),
    lambda side: side.orders.insert_many([]),
    lambda side: side.orders.insert_many({"a": 1}),
    lambda side: side.orders.update_one({}, {}),
    lambda side: side.orders.update_one({}, {"a": 1}),
    lambda side: side.orders.update_one([], {"$set": {"a": 1}}),
    lambda side: side.orders.update_one({}, 5),
    lambda side: side.orders.update_one({}, {"$set": {"a": 1}}, upsert=1),
    lambda side: side.orders.update_one({}, {"$set": {"a": 1}}, array_filters={}),
    lambda side: side.orders.update_one({}, {"$set": {"a": 1}}, collation=5),
    lambda side: side.orders.update_one({}, {"$set": {"a": 1}}, hint=5),
    lambda side: side.orders.update_one({}, {"$set": {"a": 1}}, let=5),
    lambda side: side.orders.replace_one({}, {"$set": {"a": 1}}),
    lambda side: side.orders.replace_one({}, []),
    lambda side: side.orders.delete_one([]),
    lambda side: side.orders.find_one_and_update({}, {"a": 1}),
    lambda side: side.orders.find_one_and_update({}, {"$set": {"a": 1}}, return_document=1),
    lambda side: side.orders.find_one_and_update({}, {"$set": {"a": 1}}, sort=5),
    lambda side: side.orders.find_one_and_replace({}, {"$a": 1}),
    lambda side: side.orders.distinct(5),
    lambda side: side.orders.distinct("a", {}, query={}),
    lambda side: side.orders.aggregate({}),
    lambda side: side.orders.aggregate([], explain=True),
    lambda side: side.orders.aggregate([], batchSize=-1),
    lambda side: side.orders.estimated_document_count(session=None),
    lambda side: side.orders.create_indexes([5]),
    lambda side: side.orders.create_indexes(5),
    lambda side: side.orders.create_index([]),
    lambda side: side.orders.drop_index(5),
    lambda side: side.orders.bulk_write({}),
    lambda side: side.database.drop_collection(5),
    lambda side: side.client.drop_database(5),
    lambda side: unacknowledged(side).update_one({}, {"$set": {"a": 1}}, collation={"locale": "en"}),
    lambda side: unacknowledged(side).insert_one({"_id": 1}, session=side.client.start_session()),
    lambda side: side.orders.insert_one({"_id": 1}),
    lambda side: side.orders.insert_one({"a": object()}),
    lambda side: side.orders.insert_one({"a": 2**70}),
)
PLAIN_CALLS = (
    lambda side: side.orders.find({}, skip="1"),
    lambda side: side.orders.find({}, limit="1"),
    lambda side: side.orders.find([]),
    lambda side: side.orders.find().batch_size(-1),
    lambda side: side.orders.find().skip(-1),
    lambda side: side.orders.find().sort(5),
    lambda side: side.orders.find().limit("1"),
    lambda side: side.orders.find().max({}),
    lambda side: side.orders.find({}, 5),
    lambda side: side.orders.find(cursor_type=7),
    lambda side: side.database["a..b"],
    lambda side: side.database["$a"],
    lambda side: side.database[".a"],
    lambda side: side.database[""],
    lambda side: side.client["a b"],
    lambda side: side.client[""],
    lambda side: side.database[5],
    lambda side: side.client.start_session(causal_consistency=True, snapshot=True),
    lambda side: side.client.start_session(default_transaction_options=5),
    lambda side: bool(side.orders),
    lambda side: side.client.get_database(),
)


def test_calls_are_refused(connection):
    """What would go to the server with such arguments does not."""

    async def calls(side):
        for call in CALLS:
            await side.note(call(side))

    compare(calls, connection)


def test_plain_calls_are_refused(connection):
    """Names, options of cursors and of sessions are checked where they are given."""

    async def calls(side):
        for call in PLAIN_CALLS:
            try:
                call(side)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
                side.outcomes.append((type(error).__name__, str(error).replace("Async", "")))
            else:
                side.outcomes.append("not refused")
        await side.note(side.database.command("ping"))

    compare(calls, connection)
