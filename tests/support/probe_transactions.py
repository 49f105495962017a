"""Probes of transactions: isolation, conflicts, what ends them, and commits whose result is unknown."""

from __future__ import annotations

from typing import Any

from probe_registry import arm, attempt, disarm, documents, probe
from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

MAJORITY = WriteConcern("majority")


@probe
async def transaction_commits(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1, "n": 0})
    async with client.start_session() as session, await session.start_transaction(write_concern=MAJORITY):
        await database.c.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        await database.d.insert_one({"_id": 1}, session=session)
        inside = await database.c.find_one({"_id": 1}, session=session)
        outside = await database.c.find_one({"_id": 1})
    return [inside, outside, await documents(database.c), await documents(database.d)]


@probe
async def transaction_aborts(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1, "n": 0})
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        await session.abort_transaction()
        in_transaction = session.in_transaction
    return [in_transaction, await documents(database.c)]


@probe
async def transaction_that_conflicts(database: Any, client: Any) -> Any:
    """Let two update a document: the first wins, the second fails at once, and its transaction is gone."""
    await database.c.insert_one({"_id": 1, "n": 0})
    async with client.start_session() as one, client.start_session() as two:
        await one.start_transaction()
        await two.start_transaction()
        await database.c.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=one)
        outcomes = [
            await attempt(database.c.update_one({"_id": 1}, {"$inc": {"n": 10}}, session=two)),
            await attempt(database.c.find_one({"_id": 1}, session=two)),
            await attempt(two.commit_transaction()),
            await attempt(one.commit_transaction()),
        ]
    return [outcomes, await documents(database.c)]


@probe
async def transaction_behind_its_snapshot(database: Any, client: Any) -> Any:
    """Meet a document that was written after the snapshot: it reads as before, and cannot be written."""
    await database.get_collection("c", write_concern=MAJORITY).insert_many([{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    async with client.start_session() as session:
        await session.start_transaction(read_concern=ReadConcern("snapshot"))
        await database.c.find_one({"_id": 2}, session=session)
        await database.c.update_one({"_id": 1}, {"$set": {"n": 5}})
        outcomes = [
            await attempt(database.c.find_one({"_id": 1}, session=session)),
            await attempt(database.c.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)),
        ]
        await attempt(session.abort_transaction())
    return [outcomes, await documents(database.c)]


@probe
async def write_skew_is_allowed(database: Any, client: Any) -> Any:
    await database.c.insert_many([{"_id": 1, "on": True}, {"_id": 2, "on": True}])
    async with client.start_session() as one, client.start_session() as two:
        await one.start_transaction()
        await two.start_transaction()
        seen = [
            await database.c.count_documents({"on": True}, session=one),
            await database.c.count_documents({"on": True}, session=two),
        ]
        await database.c.update_one({"_id": 1}, {"$set": {"on": False}}, session=one)
        await database.c.update_one({"_id": 2}, {"$set": {"on": False}}, session=two)
        ends = [await attempt(one.commit_transaction()), await attempt(two.commit_transaction())]
    return [seen, ends, await documents(database.c)]


@probe
async def any_error_ends_a_transaction(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1})
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.insert_one({"_id": 2}, session=session)
        outcomes = [
            await attempt(database.c.insert_one({"_id": 1}, session=session)),
            await attempt(database.c.insert_one({"_id": 3}, session=session)),
            await attempt(session.commit_transaction()),
        ]
    return [outcomes, await documents(database.c)]


@probe
async def unmatched_update_ends_nothing(database: Any, client: Any) -> Any:
    async with client.start_session() as session:
        await session.start_transaction()
        missed = await attempt(database.c.update_one({"_id": 9}, {"$set": {"n": 1}}, session=session))
        await database.c.insert_one({"_id": 1}, session=session)
        end = await attempt(session.commit_transaction())
    return [missed, end, await documents(database.c)]


@probe
async def upsert_and_bulk_in_a_transaction(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1, "n": 0})
    requests = [InsertOne({"_id": 2}), UpdateOne({"_id": 3}, {"$set": {"n": 3}}, upsert=True)]
    async with client.start_session() as session:
        await session.start_transaction()
        outcomes = [
            await attempt(database.c.bulk_write(requests, session=session)),
            await attempt(database.c.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}, session=session)),
            await attempt(database.c.update_many({}, {"$set": {"all": 1}}, session=session)),
            await attempt(database.c.delete_many({"_id": 2}, session=session)),
            await attempt(database.c.distinct("_id", session=session)),
        ]
        await session.commit_transaction()
    return [outcomes, await documents(database.c)]


@probe
async def what_a_transaction_may_not_do(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1})
    outcomes = []
    for call in (
        lambda session: database.command({"count": "c"}, session=session),
        lambda session: database.command({"listCollections": 1}, session=session),
        lambda session: database.drop_collection("c", session=session),
        lambda session: database.c.create_index("k", session=session),
        lambda session: database.c.estimated_document_count(session=session),
    ):
        async with client.start_session() as session:
            await session.start_transaction()
            outcomes.append(await attempt(call(session)))
            await attempt(session.abort_transaction())
    return outcomes


@probe
async def collection_made_in_a_transaction(database: Any, client: Any) -> Any:
    async with client.start_session() as session:
        await session.start_transaction()
        await database.fresh.insert_one({"_id": 1}, session=session)
        await session.commit_transaction()
    return await documents(database.fresh)


@probe
async def commit_again(database: Any, client: Any) -> Any:
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.insert_one({"_id": 1}, session=session)
        return [
            await attempt(session.commit_transaction()),
            await attempt(session.commit_transaction()),
            await documents(database.c),
        ]


@probe
async def commit_of_nothing(database: Any, client: Any) -> Any:
    outcomes = []
    async with client.start_session() as session:
        await session.start_transaction()
        outcomes.append(await attempt(session.commit_transaction()))
        await session.start_transaction()
        await database.c.find_one({}, session=session)
        outcomes.append(await attempt(session.commit_transaction()))
    return outcomes


@probe
async def commit_with_an_error(database: Any, client: Any) -> Any:
    outcomes = []
    for number, data in enumerate(
        (
            {"errorCode": 189},
            {"errorCode": 251},
            {"errorCode": 50},
            {"errorCode": 112},
            {"closeConnection": True},
            {
                "writeConcernError": {
                    "code": 64,
                    "codeName": "WriteConcernFailed",
                    "errmsg": "",
                    "errInfo": {"wtimeout": True},
                }
            },
            {"writeConcernError": {"code": 91, "codeName": "ShutdownInProgress", "errmsg": ""}},
            {"writeConcernError": {"code": 100, "codeName": "UnsatisfiableWriteConcern", "errmsg": ""}},
            {"writeConcernError": {"code": 79, "codeName": "UnknownReplWriteConcern", "errmsg": ""}},
        )
    ):
        async with client.start_session() as session:
            await session.start_transaction()
            await database.c.insert_one({"_id": number}, session=session)
            await arm(client, ["commitTransaction"], **data)
            outcomes.append([number, await attempt(session.commit_transaction())])
            await disarm(client)
            await attempt(session.commit_transaction())
    return [outcomes, await documents(database.c)]


@probe
async def commit_with_two_errors(database: Any, client: Any) -> Any:
    outcomes = []
    for number, data in enumerate(({"errorCode": 189}, {"closeConnection": True}, {"errorCode": 11602})):
        async with client.start_session() as session:
            await session.start_transaction()
            await database.c.insert_one({"_id": number}, session=session)
            await arm(client, ["commitTransaction"], times=2, **data)
            outcomes.append(await attempt(session.commit_transaction()))
            await disarm(client)
            outcomes.append(await attempt(session.commit_transaction()))
    return [outcomes, await documents(database.c)]


@probe
async def statement_with_an_error(database: Any, client: Any) -> Any:
    outcomes = []
    for number, data in enumerate(
        (
            {"errorCode": 189},
            {"errorCode": 112},
            {"closeConnection": True},
            {"errorCode": 24},
            {"errorCode": 50},
            {"errorCode": 2},
        )
    ):
        async with client.start_session() as session:
            await session.start_transaction()
            await database.c.insert_one({"_id": 100 + number}, session=session)
            await arm(client, ["insert"], **data)
            outcomes.append([number, await attempt(database.c.insert_one({"_id": number}, session=session))])
            await disarm(client)
            await attempt(session.abort_transaction())
    return [outcomes, await documents(database.c)]


@probe
async def with_transaction_runs_again(database: Any, client: Any) -> Any:
    calls = []
    await database.c.insert_one({"_id": 1, "n": 0})

    async def change(session: Any) -> str:
        calls.append(1)
        await database.c.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        return "done"

    async with client.start_session() as session:
        await arm(client, ["update"], errorCode=112, errorLabels=["TransientTransactionError"])
        result = await attempt(session.with_transaction(change))
        await disarm(client)
        await arm(client, ["commitTransaction"], times=3, closeConnection=True)
        again = await attempt(session.with_transaction(change))
        await disarm(client)
    return [result, again, len(calls), await documents(database.c)]


@probe
async def with_transaction_lets_errors_through(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1})

    async def change(session: Any) -> None:
        await database.c.insert_one({"_id": 2}, session=session)
        await database.c.insert_one({"_id": 1}, session=session)

    async with client.start_session() as session:
        return [await attempt(session.with_transaction(change)), await documents(database.c)]


@probe
async def plain_write_waits_for_a_transaction(database: Any, client: Any) -> Any:
    """Write outside what a transaction has claimed: it waits until its time is over."""
    await database.c.insert_one({"_id": 1, "n": 0})
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        command = {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 10}}}], "maxTimeMS": 300}
        outcome = await attempt(_nothing(database.command(command)))
        await session.commit_transaction()
    return [outcome, await documents(database.c)]


@probe
async def transaction_holds_a_collection(database: Any, client: Any) -> Any:
    """Drop what a transaction uses: it waits until its time is over."""
    await database.c.insert_one({"_id": 1})
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.insert_one({"_id": 2}, session=session)
        outcome = await attempt(_nothing(database.command({"drop": "c", "maxTimeMS": 300})))
        await session.commit_transaction()
    return [outcome, await documents(database.c)]


@probe
async def unique_key_in_two_transactions(database: Any, client: Any) -> Any:
    await database.c.create_index("k", unique=True)
    async with client.start_session() as one, client.start_session() as two:
        await one.start_transaction()
        await two.start_transaction()
        await database.c.insert_one({"_id": 1, "k": "a"}, session=one)
        outcomes = [
            await attempt(database.c.insert_one({"_id": 2, "k": "a"}, session=two)),
            await attempt(one.commit_transaction()),
            await attempt(two.commit_transaction()),
        ]
    return [outcomes, await documents(database.c)]


@probe
async def same_id_in_two_transactions(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 0})
    async with client.start_session() as one, client.start_session() as two:
        await one.start_transaction()
        await two.start_transaction()
        await database.c.insert_one({"_id": 1}, session=one)
        outcomes = [
            await attempt(database.c.update_one({"_id": 1}, {"$set": {"n": 2}}, upsert=True, session=two)),
            await attempt(one.commit_transaction()),
        ]
        await attempt(two.abort_transaction())
    return [outcomes, await documents(database.c)]


@probe
async def options_that_do_not_go_together(database: Any, client: Any) -> Any:
    outcomes = []
    async with client.start_session() as session:
        await session.start_transaction()
        for call in (
            session.start_transaction,
            lambda: database.get_collection("c", write_concern=WriteConcern(0)).insert_one({"_id": 1}, session=session),
        ):
            try:
                await call()
                outcomes.append("returned")
            except (PyMongoError, ValueError) as error:
                outcomes.append(type(error).__name__)
    return outcomes


async def _nothing(awaitable: Any) -> None:
    await awaitable
