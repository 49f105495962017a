"""Probes of change streams and tailing: what they tell, where they begin again, and how they end."""

from __future__ import annotations

from typing import Any

from probe_registry import arm, attempt, disarm, plain, probe
from pymongo import WriteConcern

MAJORITY = WriteConcern("majority")
_TIMES = ("_id", "clusterTime", "wallTime", "lsid", "txnNumber", "collectionUUID")


async def events(stream: Any, count: int) -> list[Any]:
    """Return the next events, without what differs from run to run."""
    told = []
    for _ in range(count):
        event = dict(await stream.next())
        told.append({key: plain(value) for key, value in event.items() if key not in _TIMES and key != "ns"})
    return told


@probe
async def stream_tells_every_kind_of_change(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=MAJORITY)
    await c.insert_one({"_id": 0})
    async with await c.watch() as stream:
        await c.insert_one({"_id": 1, "n": 1, "list": [1]})
        await c.update_one({"_id": 1}, {"$set": {"n": 2}, "$unset": {"list": ""}})
        await c.update_one({"_id": 1}, {"$set": {"n": 2}})
        await c.replace_one({"_id": 1}, {"r": 1})
        await c.delete_one({"_id": 1})
        await c.insert_one({"_id": 2})
        return await events(stream, 5)


@probe
async def stream_with_full_documents(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=MAJORITY)
    await c.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 1}])
    async with await c.watch(full_document="updateLookup") as stream:
        await c.update_one({"_id": 1}, {"$set": {"n": 2}})
        await c.update_one({"_id": 1}, {"$set": {"n": 3}})
        await c.update_one({"_id": 2}, {"$set": {"n": 2}})
        await c.delete_one({"_id": 2})
        return await events(stream, 4)


@probe
async def stream_with_a_pipeline(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=MAJORITY)
    await c.insert_one({"_id": 0})
    pipeline = [{"$match": {"operationType": "insert", "fullDocument.n": {"$gt": 1}}}]
    async with await c.watch(pipeline) as stream:
        await c.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 3}])
        return await events(stream, 2)


@probe
async def stream_of_a_database(database: Any, client: Any) -> Any:
    await database.a.insert_one({"_id": 0})
    async with await database.watch() as stream:
        await database.get_collection("a", write_concern=MAJORITY).insert_one({"_id": 1})
        await database.get_collection("b", write_concern=MAJORITY).insert_one({"_id": 1})
        namespaces = []
        for _ in range(2):
            event = await stream.next()
            namespaces.append([event["operationType"], event["ns"].get("coll")])
        return namespaces


@probe
async def stream_tells_a_transaction_at_once(database: Any, client: Any) -> Any:
    c = database.c
    await database.get_collection("c", write_concern=MAJORITY).insert_one({"_id": 0, "n": 0})
    async with await c.watch() as stream:
        async with client.start_session() as session, await session.start_transaction(write_concern=MAJORITY):
            await c.insert_one({"_id": 1}, session=session)
            await c.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
        told = [await stream.next() for _ in range(2)]
        return [
            [event["operationType"] for event in told],
            told[0]["clusterTime"] == told[1]["clusterTime"],
            all("txnNumber" in event and "lsid" in event for event in told),
            told[0]["_id"]["_data"] < told[1]["_id"]["_data"],
        ]


@probe
async def stream_begins_again_after_a_token(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=MAJORITY)
    await c.insert_one({"_id": 0})
    async with await c.watch() as stream:
        await c.insert_many([{"_id": 1}, {"_id": 2}, {"_id": 3}])
        first = await stream.next()
    async with await c.watch(resume_after=first["_id"]) as stream:
        resumed = await events(stream, 2)
    async with await c.watch(start_after=first["_id"]) as stream:
        started = await events(stream, 1)
    async with await c.watch(start_at_operation_time=first["clusterTime"]) as stream:
        at_time = await events(stream, 1)
    return [resumed, started, at_time]


@probe
async def stream_has_nothing_yet(database: Any, client: Any) -> Any:
    await database.get_collection("c", write_concern=MAJORITY).insert_one({"_id": 0})
    async with await database.c.watch(max_await_time_ms=50) as stream:
        empty = await stream.try_next()
        await database.get_collection("c", write_concern=MAJORITY).insert_one({"_id": 1})
        event = None
        for _ in range(100):
            event = await stream.try_next()
            if event is not None:
                break
        return [empty, event["operationType"], stream.resume_token is not None, stream.alive]


@probe
async def stream_ends_with_its_collection(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=MAJORITY)
    await c.insert_one({"_id": 0})
    async with await c.watch() as stream:
        await c.drop()
        dropped = await stream.next()
        invalidated = await stream.next()
        alive = stream.alive
    await c.insert_one({"_id": 1})
    outcomes = [await attempt(_one(c.watch(resume_after=invalidated["_id"])))]
    async with await c.watch(start_after=invalidated["_id"]) as stream:
        outcomes.append(await events(stream, 1))
    return [dropped["operationType"], invalidated["operationType"], alive, outcomes]


@probe
async def stream_that_is_refused(database: Any, client: Any) -> Any:
    c = database.c
    await c.insert_one({"_id": 0})
    return [
        await attempt(_one(c.watch([{"$group": {"_id": 1}}]))),
        await attempt(_one(c.watch(resume_after={"_data": "nonsense"}))),
        await attempt(_one(c.watch(full_document="nonsense"))),
    ]


@probe
async def stream_resumes_after_errors(database: Any, client: Any) -> Any:
    c = database.get_collection("c", write_concern=MAJORITY)
    await c.insert_one({"_id": 0})
    outcomes = []
    for number, data in enumerate(
        (
            {"closeConnection": True},
            {"errorCode": 189, "errorLabels": ["ResumableChangeStreamError"]},
            {"errorCode": 43, "errorLabels": ["ResumableChangeStreamError"]},
            {"errorCode": 8},
            {"errorCode": 280, "errorLabels": ["NonResumableChangeStreamError"]},
        ),
        start=1,
    ):
        async with await c.watch(max_await_time_ms=100) as stream:
            await c.insert_one({"_id": number})
            await arm(client, ["getMore"], **data)
            outcomes.append(await attempt(_key(stream)))
            await disarm(client)
    return outcomes


@probe
async def stream_does_not_open(database: Any, client: Any) -> Any:
    await database.c.insert_one({"_id": 0})
    outcomes = []
    for times in (1, 2):
        await arm(client, ["aggregate"], times=times, errorCode=189)
        outcomes.append(await attempt(_one(database.c.watch(max_await_time_ms=50))))
        await disarm(client)
    return outcomes


async def _key(stream: Any) -> Any:
    return (await stream.next())["documentKey"]


async def _one(opening: Any) -> Any:
    async with await opening as stream:
        await stream.try_next()
    return "opened"
