"""Rules of the driver's retries and of the labels that they go by. Registered on import."""

from __future__ import annotations

from typing import Any

from pymongo import InsertOne, UpdateMany, UpdateOne, WriteConcern
from semantic_registry import Powers, error_of, lag_secondaries, rule

RETRYABLE = (6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436)
LABEL = "RetryableWriteError"


async def fail(client: Any, command: str, times: int, **data: Any) -> None:
    """Let the primary fail so many of these commands."""
    point = {"configureFailPoint": "failCommand", "mode": {"times": times}}
    await client["admin"].command({**point, "data": {"failCommands": [command], **data}})


async def fail_no_more(client: Any) -> None:
    """Let commands succeed again."""
    await client["admin"].command({"configureFailPoint": "failCommand", "mode": "off"})


async def failed_once_and_twice(client: Any, command: str, call: Any, **data: Any) -> list[Any]:
    """Return the outcomes of a call whose command fails once, and twice."""
    outcomes = []
    for times in (1, 2):
        await fail(client, command, times, **data)
        outcomes.append(await error_of(call()))
        await fail_no_more(client)
    return outcomes


@rule({"once": [], "twice": list(RETRYABLE), "labelled": list(RETRYABLE), "reads, once": []})
async def every_retryable_code(database: Any, client: Any, powers: Powers) -> Any:
    """Return at which codes a write was refused that failed once, and twice; likewise for a read that failed once."""
    await database.c.insert_one({"_id": 0})
    once, twice, labelled, reads = [], [], [], []
    for code in RETRYABLE:

        async def insert(key: int = code) -> None:
            await database.c.insert_one({"_id": key})

        first, (found, *labels) = await failed_once_and_twice(client, "insert", insert, errorCode=code)
        once += [code] if first != ["ok"] and first[0] != 11000 else []
        twice += [found]
        labelled += [code] if LABEL in labels else []
        await fail(client, "find", 1, errorCode=code)
        read = await error_of(database.c.find_one({"_id": 0}))
        reads += [code] if read != ["ok"] else []
        await fail_no_more(client)
    return {"once": once, "twice": twice, "labelled": labelled, "reads, once": reads}


@rule(
    {
        **{
            name: [["ok"], [189]]
            for name in ("find", "aggregate", "distinct", "count", "estimated count", "collections")
        },
        "watch": [["ok"], [189, "ResumableChangeStreamError"]],
    }
)
async def every_read_that_is_retried(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})

    async def watch() -> None:
        async with await database.c.watch(max_await_time_ms=50):
            pass

    calls = {
        "find": ("find", lambda: database.c.find_one({"_id": 0})),
        "aggregate": ("aggregate", lambda: aggregate(database, [{"$match": {"_id": 0}}])),
        "distinct": ("distinct", lambda: database.c.distinct("_id")),
        "count": ("aggregate", lambda: database.c.count_documents({})),
        "estimated count": ("count", database.c.estimated_document_count),
        "watch": ("aggregate", watch),
        "collections": ("listCollections", database.list_collection_names),
    }
    return {
        name: await failed_once_and_twice(client, command, call, errorCode=189)
        for name, (command, call) in calls.items()
    }


async def aggregate(database: Any, pipeline: list[Any]) -> None:
    """Run an aggregation to its end."""
    await (await database.c.aggregate(pipeline)).to_list(None)


@rule(
    {
        "$out": [189],
        "$merge": [189],
        "bulk with one of many": [189],
        "bulk without": ["ok"],
        "w: 0": ["ok"],
        "over its connection": ["AutoReconnect"],
    }
)
async def writes_that_are_not_retried(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    unacknowledged = database.get_collection("c", write_concern=WriteConcern(0))
    each, one = UpdateMany({}, {"$set": {"n": 1}}), UpdateOne({"_id": 0}, {"$set": {"n": 2}})
    calls = {
        "$out": ("aggregate", lambda: aggregate(database, [{"$out": "out"}])),
        "$merge": ("aggregate", lambda: aggregate(database, [{"$merge": {"into": "out"}}])),
        "bulk with one of many": ("update", lambda: database.c.bulk_write([each, one])),
        "bulk without": ("update", lambda: database.c.bulk_write([InsertOne({"_id": 1}), one])),
        "w: 0": ("insert", lambda: unacknowledged.insert_one({"_id": 2})),
    }
    outcomes = {}
    for name, (command, call) in calls.items():
        await fail(client, command, 1, errorCode=189)
        outcomes[name] = await error_of(call())
        if name == "w: 0":
            # The server has no other way to say that it is not primary.
            outcomes["over its connection"] = await error_of(database.command("ping"))
        await fail_no_more(client)
    return outcomes


@rule({"first": [64], "again": ["ok"], "n": 2})
async def a_retry_of_ones_own(database: Any, client: Any, powers: Powers) -> Any:
    """Call again after an error that left the write applied: that is another write, which is applied as well."""
    await database.c.insert_one({"_id": 0, "n": 0})
    error = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "asked for", "errInfo": {"wtimeout": True}}
    await fail(client, "update", 1, writeConcernError=error)
    first = await error_of(database.c.update_one({"_id": 0}, {"$inc": {"n": 1}}))
    again = await error_of(database.c.update_one({"_id": 0}, {"$inc": {"n": 1}}))
    return {"first": first, "again": again, "n": (await database.c.find_one({"_id": 0}))["n"]}


@rule({"first": ["ok"], "again": [64, "UnknownTransactionCommitResult"]})
async def a_repeated_commit_asks_a_majority(database: Any, client: Any, powers: Powers) -> Any:
    """Commit with one member, once with its reply and once without: the driver repeats it with a majority."""
    await database.c.insert_one({"_id": 0})
    await lag_secondaries(powers)
    concern = WriteConcern(1, wtimeout=400)
    outcomes = []
    for key in (1, 2):
        async with client.start_session() as session:
            await session.start_transaction(write_concern=concern)
            await database.c.insert_one({"_id": key}, session=session)
            if key == 2:
                await fail(client, "commitTransaction", 1, closeConnection=True)
            outcomes.append(await error_of(session.commit_transaction()))
    return {"first": outcomes[0], "again": outcomes[1]}


@rule(
    {
        "callback": ["NetworkTimeout", "TransientTransactionError", "several attempts"],
        "commit": ["NetworkTimeout", "UnknownTransactionCommitResult", "one attempt"],
    }
)
async def with_transaction_gives_up(database: Any, client: Any, powers: Powers) -> Any:
    """Let a statement fail, and then the commit, as long as it is repeated."""
    await database.c.insert_one({"_id": 0, "n": 0})
    await powers.shorten_with_transaction()

    async def give_up() -> list[Any]:
        attempts = []

        async def change(session: Any) -> None:
            attempts.append(1)
            await database.c.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)

        async with client.start_session() as session:
            concern = WriteConcern("majority", wtimeout=400)
            told = await error_of(session.with_transaction(change, write_concern=concern))
        return [*told, "one attempt" if len(attempts) == 1 else "several attempts"]

    await fail(client, "update", 1_000_000, errorCode=112)
    callback = await give_up()
    await fail_no_more(client)
    await lag_secondaries(powers)
    return {"callback": callback, "commit": await give_up()}
