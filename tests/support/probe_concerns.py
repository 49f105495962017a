"""Probes of concerns, read preferences, sessions, retries and errors that are injected. Registered on import."""

from __future__ import annotations

from typing import Any

from bson import Int64, Timestamp
from probe_registry import arm, attempt, disarm, documents, plain, probe
from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

LEVELS = ("local", "available", "majority", "linearizable", "snapshot")


@probe
async def write_concerns_that_hold(database: Any, client: Any) -> Any:
    concerns = [WriteConcern(1), WriteConcern("majority"), WriteConcern(2), WriteConcern(3), WriteConcern(1, j=True)]
    return [
        [
            await attempt(database.get_collection("c", write_concern=each).insert_one({"_id": number}))
            for number, each in enumerate(concerns)
        ],
        await documents(database.c),
    ]


@probe
async def write_concern_that_is_unacknowledged(database: Any, client: Any) -> Any:
    result = await attempt(database.get_collection("c", write_concern=WriteConcern(0)).insert_one({"_id": 1}))
    await database.c.insert_one({"_id": 2})
    return [result, await database.c.count_documents({"_id": 2})]


@probe
async def write_concern_beyond_the_members(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=WriteConcern(7, wtimeout=2000))
    return [
        await attempt(c.insert_one({"_id": 1})),
        await attempt(c.update_one({"_id": 1}, {"$set": {"n": 1}})),
        await attempt(c.find_one_and_update({"_id": 1}, {"$set": {"n": 2}})),
        await attempt(c.bulk_write([InsertOne({"_id": 2}), InsertOne({"_id": 3})])),
        await attempt(c.delete_one({"_id": 3})),
        await documents(database.c),
    ]


@probe
async def write_concern_with_an_unknown_tag(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=WriteConcern("nowhere"))
    return [await attempt(c.insert_one({"_id": 1})), await documents(database.c)]


@probe
async def write_concern_error_beside_a_duplicate(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=WriteConcern(7))
    await database.c.insert_one({"_id": 1})
    return [
        await attempt(c.insert_one({"_id": 1})),
        await attempt(c.insert_many([{"_id": 2}, {"_id": 1}, {"_id": 3}])),
        await documents(database.c),
    ]


@probe
async def write_concern_timeout_that_was_injected(database: Any, client: Any) -> Any:
    error = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "timed out", "errInfo": {"wtimeout": True}}
    outcomes = []
    for command, call in (
        ("insert", lambda: database.c.insert_one({"_id": 1})),
        ("update", lambda: database.c.update_one({"_id": 1}, {"$set": {"n": 1}})),
        ("findAndModify", lambda: database.c.find_one_and_update({"_id": 1}, {"$set": {"n": 2}})),
        ("insert", lambda: database.c.bulk_write([InsertOne({"_id": 2}), UpdateOne({"_id": 2}, {"$set": {"n": 3}})])),
        ("delete", lambda: database.c.delete_one({"_id": 2})),
    ):
        await arm(client, [command], writeConcernError=error)
        outcomes.append(await attempt(call()))
    await disarm(client)
    return [outcomes, await documents(database.c)]


@probe
async def read_concerns(database: Any, client: Any) -> Any:
    await database.get_collection("c", write_concern=WriteConcern("majority")).insert_one({"_id": 1})
    return [
        [level, await attempt(database.get_collection("c", read_concern=ReadConcern(level)).find({}).to_list(None))]
        for level in LEVELS
    ]


@probe
async def read_concern_that_is_unknown(database: Any, client: Any) -> Any:
    return [
        await attempt(database.command({"find": "c", "readConcern": {"level": "nonsense"}})),
        await attempt(database.command({"find": "c", "readConcern": {"nonsense": 1}})),
        await attempt(
            database.command(
                {"find": "c", "readConcern": {"level": "linearizable", "afterClusterTime": Timestamp(1, 1)}}
            )
        ),
    ]


@probe
async def read_preferences(database: Any, client: Any) -> Any:
    await database.get_collection("c", write_concern=WriteConcern(3)).insert_one({"_id": 1})
    preferences = [
        ReadPreference.PRIMARY,
        ReadPreference.PRIMARY_PREFERRED,
        ReadPreference.SECONDARY,
        ReadPreference.SECONDARY_PREFERRED,
        ReadPreference.NEAREST,
    ]
    return [await documents(database.get_collection("c", read_preference=each)) for each in preferences]


@probe
async def linearizable_on_a_secondary(database: Any, client: Any) -> Any:
    await database.get_collection("c", write_concern=WriteConcern(3)).insert_one({"_id": 1})
    c = database.get_collection("c", read_preference=ReadPreference.SECONDARY, read_concern=ReadConcern("linearizable"))
    return await attempt(c.find_one({"_id": 1}))


@probe
async def causal_session_reads_its_writes(database: Any, client: Any) -> Any:
    majority = WriteConcern("majority")
    async with client.start_session(causal_consistency=True) as session:
        c = database.get_collection("c", write_concern=majority, read_concern=ReadConcern("majority"))
        await c.insert_one({"_id": 1}, session=session)
        on_secondary = c.with_options(read_preference=ReadPreference.SECONDARY)
        return [
            await attempt(on_secondary.find_one({"_id": 1}, session=session)),
            await attempt(c.find_one({"_id": 1}, session=session)),
            session.operation_time is not None,
            session.cluster_time is not None,
        ]


@probe
async def read_after_a_time_to_come(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1})
    concern = {"afterClusterTime": Timestamp(4_000_000_000, 1)}
    return await attempt(database.command({"find": "c", "readConcern": concern, "maxTimeMS": 200}))


@probe
async def snapshot_session(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=WriteConcern("majority"))
    await c.insert_one({"_id": 1, "n": 1})
    async with client.start_session(snapshot=True) as session:
        before = await attempt(c.find_one({"_id": 1}, session=session))
        await c.update_one({"_id": 1}, {"$set": {"n": 2}})
        return [
            before,
            await attempt(c.find_one({"_id": 1}, session=session)),
            await attempt(c.find_one({"_id": 1})),
            await attempt(c.insert_one({"_id": 2}, session=session)),
        ]


@probe
async def session_that_has_ended(database: Any, client: Any) -> Any:
    session = client.start_session()
    await database.c.insert_one({"_id": 1}, session=session)
    await session.end_session()
    try:
        await database.c.insert_one({"_id": 2}, session=session)
    except Exception as error:  # noqa: BLE001 - what kind it is, is the outcome
        return [type(error).__name__, session.has_ended]
    return None


@probe
async def retry_after_a_refusal(database: Any, client: Any) -> Any:
    outcomes = []
    for number, code in enumerate((10107, 13435, 11602, 189, 91, 11600, 262, 7)):
        await arm(client, ["insert"], errorCode=code)
        outcomes.append([code, await attempt(database.c.insert_one({"_id": number}))])
        await disarm(client)
    return [outcomes, await database.c.count_documents({})]


@probe
async def retry_after_a_closed_connection(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 0, "n": 0})
    outcomes = []
    for command, call in (
        ("insert", lambda: database.c.insert_one({"_id": 1})),
        ("update", lambda: database.c.update_one({"_id": 0}, {"$inc": {"n": 1}})),
        ("findAndModify", lambda: database.c.find_one_and_update({"_id": 0}, {"$inc": {"n": 1}})),
        ("delete", lambda: database.c.delete_one({"_id": 1})),
        ("find", lambda: database.c.find_one({"_id": 0})),
        ("aggregate", lambda: database.c.count_documents({})),
    ):
        await arm(client, [command], closeConnection=True)
        outcomes.append([command, await attempt(call())])
    await disarm(client)
    return outcomes


@probe
async def second_failure_is_raised(database: Any, client: Any) -> Any:
    outcomes = []
    for data in ({"errorCode": 189}, {"closeConnection": True}, {"errorCode": 262}):
        await arm(client, ["insert"], times=2, **data)
        outcomes.append(await attempt(database.c.insert_one({"_id": 1})))
        await disarm(client)
    return [outcomes, await documents(database.c)]


@probe
async def what_is_not_retried(database: Any, client: Any) -> Any:
    await database.c.insert_many([{"_id": number} for number in range(4)])
    outcomes = []
    for command, call in (
        ("update", lambda: database.c.update_many({}, {"$set": {"n": 1}})),
        ("delete", lambda: database.c.delete_many({})),
        ("getMore", lambda: database.c.find({}, batch_size=2).to_list(None)),
    ):
        for data in ({"errorCode": 189}, {"closeConnection": True}):
            await arm(client, [command], **data)
            outcomes.append([command, await attempt(call())])
            await disarm(client)
    return outcomes


@probe
async def codes_that_are_not_retried(database: Any, client: Any) -> Any:
    outcomes = []
    for code in (50, 112, 8, 20, 64):
        await arm(client, ["insert", "find"], times=1, errorCode=code)
        outcomes.append([code, await attempt(database.c.insert_one({"_id": code}))])
        await disarm(client)
    return [outcomes, await database.c.count_documents({})]


async def committed_insert(database: Any, client: Any) -> int:
    async with client.start_session() as session, await session.start_transaction():
        await database.c.insert_one({"_id": 9}, session=session)
    return await database.c.count_documents({"_id": 9})


@probe
async def reply_is_lost_after_the_write(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 0, "n": 0})
    outcomes = []
    for call in (
        lambda: database.c.insert_one({"_id": 1}),
        lambda: database.c.update_one({"_id": 0}, {"$inc": {"n": 1}}),
        lambda: database.c.find_one_and_update({"_id": 0}, {"$inc": {"n": 1}}),
        lambda: database.c.insert_many([{"_id": 2}, {"_id": 3}]),
        lambda: database.c.delete_one({"_id": 1}),
        lambda: committed_insert(database, client),
    ):
        await client["admin"].command({"configureFailPoint": "onPrimaryTransactionalWrite", "mode": {"times": 1}})
        outcomes.append(await attempt(call()))
    await client["admin"].command({"configureFailPoint": "onPrimaryTransactionalWrite", "mode": "off"})
    return [outcomes, await documents(database.c)]


@probe
async def write_concern_error_that_is_retried(database: Any, client: Any) -> Any:
    outcomes = []
    for code, name in ((91, "ShutdownInProgress"), (11602, "InterruptedDueToReplStateChange")):
        error = {"code": code, "codeName": name, "errmsg": "asked for"}
        await arm(client, ["insert"], writeConcernError=error, errorLabels=["RetryableWriteError"])
        outcomes.append(await attempt(database.c.insert_one({"_id": code})))
        await disarm(client)
    return [outcomes, await documents(database.c)]


@probe
async def write_concern_error_without_a_label(database: Any, client: Any) -> Any:
    error = {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "asked for"}
    await arm(client, ["insert"], times=2, writeConcernError=error)
    outcome = await attempt(database.c.insert_one({"_id": 1}))
    await disarm(client)
    return [outcome, await documents(database.c)]


@probe
async def statements_of_one_number(database: Any, client: Any) -> Any:
    """Repeat a txnNumber, which is answered from the record, and send an older one, which is refused."""
    async with client.start_session() as session:
        lsid = {"lsid": session.session_id}

        def insert(number: int, *ids: int) -> dict[str, Any]:
            return {"insert": "c", "documents": [{"_id": each} for each in ids], "txnNumber": Int64(number), **lsid}

        def told(reply: dict[str, Any]) -> Any:
            return {
                name: plain(reply[name])
                for name in ("n", "nModified", "retriedStmtIds", "writeErrors", "ok")
                if name in reply
            }

        async def run(command: dict[str, Any]) -> Any:
            return told(await database.command(command))

        change = {"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}
        update = {"update": "c", "updates": [change], "txnNumber": Int64(1007), **lsid}
        return [
            await attempt(run(insert(1005, 1, 2))),
            await attempt(run(insert(1005, 1, 2))),
            await attempt(run(dict(update))),
            await attempt(run(dict(update))),
            await attempt(run(insert(1006, 9))),
            await documents(database.c),
        ]


@probe
async def find_and_modify_is_answered_again(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1, "n": 0})
    async with client.start_session() as session:
        command = {
            "findAndModify": "c",
            "query": {"_id": 1},
            "update": {"$inc": {"n": 1}},
            "new": True,
            "lsid": session.session_id,
            "txnNumber": Int64(1003),
        }
        first = await database.command(dict(command))
        await database.c.update_one({"_id": 1}, {"$set": {"n": 50}})
        again = await database.command(dict(command))
        return [plain(first["value"]), plain(again["value"]), await documents(database.c)]


@probe
async def time_limits(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 1})
    await arm(client, ["find"], errorCode=50)
    outcome = await attempt(database.c.find({}, max_time_ms=100).to_list(None))
    await disarm(client)
    return [outcome, await attempt(database.c.find({}, max_time_ms=5000).to_list(None))]
