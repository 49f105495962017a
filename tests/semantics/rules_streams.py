"""Rules of change streams. Registered on import."""

from __future__ import annotations

from typing import Any

from bson import Timestamp
from pymongo.errors import OperationFailure
from semantic_registry import Powers, code_of, error_of, insert_on, lag_secondaries, primary_of, rule, until


async def keys(stream: Any, count: int) -> list[Any]:
    """Return the document ids of the next events."""
    return [(await stream.next())["documentKey"]["_id"] for _ in range(count)]


@rule({"while nobody follows": None, "then": 1})
async def a_stream_tells_what_is_committed(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    async with await database.c.watch(max_await_time_ms=300) as stream:
        primary = await lag_secondaries(powers)
        await insert_on(powers, primary, database, 1)
        before = await stream.try_next()
        await powers.settle()
        return {"while nobody follows": before, "then": (await keys(stream, 1))[0]}


@rule({"told": [1, 2, 3], "lost": [], "in order": True})
async def a_stream_over_a_failover(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    async with await database.c.watch(max_await_time_ms=300) as stream:
        await database.c.insert_one({"_id": 1})
        told = await keys(stream, 1)
        old = await primary_of(powers)
        await powers.kill(old)
        new = await primary_of(powers, but=old)
        for key in (2, 3):

            async def inserted(key: int = key) -> bool:
                return await insert_on(powers, new, database, key, {"w": "majority"}) == "ok"

            await until(powers, inserted)
        waited = 0
        while len(told) < 3 and waited < 100:
            event = await stream.try_next()
            if event is not None:
                told.append(event["documentKey"]["_id"])
            waited += 1
    return {"told": told, "lost": sorted({1, 2, 3} - set(told)), "in order": told == sorted(told)}


@rule({"updates of a deleted document": [None, None], "of the second update": 2})
async def a_stream_looks_up_the_current_document(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_many([{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    async with await database.c.watch([{"$match": {"operationType": "update"}}], "updateLookup") as stream:
        await database.c.update_one({"_id": 1}, {"$set": {"n": 1}})
        await database.c.update_one({"_id": 1}, {"$set": {"n": 2}})
        await database.c.delete_one({"_id": 1})
        await database.c.update_one({"_id": 2}, {"$set": {"n": 1}})
        await database.c.update_one({"_id": 2}, {"$set": {"n": 2}})
        found = [(await stream.next())["fullDocument"] for _ in range(3)]
    return {"updates of a deleted document": found[:2], "of the second update": found[2]["n"]}


@rule({"code": 286, "labels": ["NonResumableChangeStreamError"]}, {"code": "ok"}, oplog_limits=(None, 3))
async def a_stream_from_before_the_log(database: Any, client: Any, powers: Powers) -> Any:
    """Ask for everything, which a log has that reaches back to the beginning of the set, and a later one has not."""
    await database.c.insert_one({"_id": 0})
    try:
        async with await database.c.watch(start_at_operation_time=Timestamp(1, 1)) as stream:
            await stream.try_next()
    except OperationFailure as error:
        details = error.details or {}
        return {"code": error.code, "labels": sorted(details.get("errorLabels", []))}
    return {"code": "ok"}


@rule({"last": ["drop", "invalidate"], "alive": False, "resume after it": 260, "start after it": "ok"})
async def a_stream_of_a_dropped_collection(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    stream = await database.c.watch()
    await database.drop_collection("c")
    events = [await stream.next(), await stream.next()]

    async def reopen(**options: Any) -> None:
        async with await database.c.watch(max_await_time_ms=100, **options) as again:
            await again.try_next()

    return {
        "last": [event["operationType"] for event in events],
        "alive": stream.alive,
        "resume after it": await code_of(reopen(resume_after=events[1]["_id"])),
        "start after it": await code_of(reopen(start_after=events[1]["_id"])),
    }


@rule({"told": [2], "never told": [1]})
async def a_stream_begins_when_it_is_opened(database: Any, client: Any, powers: Powers) -> Any:
    """Read first, write, then watch: what was written in between is told by neither."""
    initial = [document["_id"] async for document in database.c.find({})]
    await database.c.insert_one({"_id": 1})
    async with await database.c.watch() as stream:
        await database.c.insert_one({"_id": 2})
        told = await keys(stream, 1)
    return {"told": told, "never told": sorted({1, 2} - set(told) - set(initial))}


@rule({"one time": True, "transaction's fields": True, "tokens in order": True, "ids": [1, 2, 3]})
async def a_stream_tells_a_transaction(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    async with await database.c.watch() as stream, client.start_session() as session:
        await session.start_transaction()
        for key in (1, 2):
            await database.c.insert_one({"_id": key}, session=session)
        await session.commit_transaction()
        await database.c.insert_one({"_id": 3})
        events = [await stream.next() for _ in range(3)]
    tokens = [event["_id"]["_data"] for event in events]
    return {
        "one time": events[0]["clusterTime"] == events[1]["clusterTime"] < events[2]["clusterTime"],
        "transaction's fields": all({"lsid", "txnNumber"} <= set(event) for event in events[:2]),
        "tokens in order": tokens == sorted(tokens),
        "ids": [event["documentKey"]["_id"] for event in events],
    }


@rule({"before": 0, "after": 1})
async def an_event_is_told_again_from_an_older_token(database: Any, client: Any, powers: Powers) -> Any:
    """Store the token after the work, lose it once, and meet the event again: at least once."""
    await database.c.insert_one({"_id": 0})
    stream = await database.c.watch()
    stored = stream.resume_token
    await database.c.insert_one({"_id": 1})
    await keys(stream, 1)
    after = stream.resume_token
    await stream.close()

    async def told(token: Any) -> int:
        async with await database.c.watch(resume_after=token, max_await_time_ms=200) as again:
            found: list[Any] = []

            async def has_one() -> bool:
                event = await again.try_next()
                found.extend([] if event is None else [event])
                return bool(found)

            await until(powers, has_one, 1.5)
            return len(found)

    return {"before": await told(after), "after": await told(stored)}


@rule({"code": 280, "labels": ["NonResumableChangeStreamError"]})
async def a_token_of_another_stream(database: Any, client: Any, powers: Powers) -> Any:
    """Resume after an event that the stream itself never tells."""
    await database.c.insert_one({"_id": 0})
    await database.d.insert_one({"_id": 0})
    async with await database.d.watch() as other:
        await database.d.insert_one({"_id": 1})
        token = (await other.next())["_id"]
    await database.c.insert_one({"_id": 1})
    code, *labels = await error_of(_tell_one(database.c.watch(resume_after=token, max_await_time_ms=100)))
    return {"code": code, "labels": labels}


async def _tell_one(opening: Any) -> None:
    async with await opening as stream:
        await stream.try_next()


@rule({"renamed": ["rename", "invalidate"], "dropped": ["drop", "dropDatabase", "invalidate"]})
async def a_stream_of_what_is_renamed_or_dropped(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    async with await database.c.watch() as stream:
        names = {"renameCollection": f"{database.name}.c", "to": f"{database.name}.d"}
        await client["admin"].command(names)
        renamed = [(await stream.next())["operationType"] for _ in range(2)]
    async with await database.watch() as stream:
        await client.drop_database(database.name)
        dropped = [(await stream.next())["operationType"] for _ in range(3)]
    return {"renamed": renamed, "dropped": dropped}
