"""Rules of sessions, retries and transactions. Registered on import."""

from __future__ import annotations

import uuid
from typing import Any

from bson import Int64
from bson.binary import Binary
from pymongo import WriteConcern
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from semantic_registry import (
    BY_FORCE,
    Powers,
    error_of,
    everybody_shows,
    ids_on,
    insert_on,
    lag_all,
    lag_one,
    lag_secondaries,
    primary_of,
    reply_code,
    rule,
    secondaries_of,
    until,
)

NEAREST = {"mode": "nearest"}
W1 = WriteConcern(1)
STEP_DOWN = {"replSetStepDown": 20, "secondaryCatchUpPeriodSecs": 10}


@rule({"behind, causal": 50, "time of the reply": "before what was asked", "behind, plain": [0], "caught up": [0, 1]})
async def a_causal_read_waits(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    await everybody_shows(powers, database, [0])
    primary = await primary_of(powers)
    lagged, _ = await lag_one(powers)
    command = {"insert": "c", "documents": [{"_id": 1}], "writeConcern": {"w": 2, "wtimeout": 5000}}
    written = await powers.command(primary, database.name, command)
    after = {"level": "local", "afterClusterTime": written["operationTime"]}
    read = {"find": "c", "readConcern": after, "$readPreference": NEAREST, "$clusterTime": written["$clusterTime"]}
    reply = await powers.command(lagged, database.name, {**read, "maxTimeMS": 400})
    plain = await ids_on(powers, lagged, database)
    await powers.lag(lagged, on=False)
    late = await powers.command(lagged, database.name, {**read, "maxTimeMS": 20_000})
    is_before = reply["operationTime"] < written["operationTime"]
    return {
        "behind, causal": reply_code(reply),
        "time of the reply": "before what was asked" if is_before else "after what was asked",
        "behind, plain": plain,
        "caught up": sorted(document["_id"] for document in late["cursor"]["firstBatch"]),
    }


@rule({"own write": "gone", "at a majority": "there"})
async def own_writes_after_a_failover(database: Any, client: Any, powers: Powers) -> Any:
    """Write with one member, then with a majority; the first may be undone under the causal session's eyes."""
    await database.c.insert_one({"_id": 0})
    old = await primary_of(powers)
    await database.c.insert_one({"_id": "majority"})
    await lag_all(powers, *await secondaries_of(powers))
    async with client.start_session(causal_consistency=True) as session:
        await database.get_collection("c", write_concern=W1).insert_one({"_id": "w: 1"}, session=session)
        await powers.kill(old)
        await primary_of(powers, but=old)
        await lag_all(powers, *await secondaries_of(powers), on=False)
        await powers.settle()
        committed = database.get_collection("c", read_concern=ReadConcern("majority"))
        found = {document["_id"] async for document in committed.find({}, session=session)}
    return {
        "own write": "there" if "w: 1" in found else "gone",
        "at a majority": "there" if "majority" in found else "gone",
    }


@rule({"first": "ok", "on the new primary": "ok", "answered from the record": False, "value": 1})
async def a_retry_after_a_rollback(database: Any, client: Any, powers: Powers) -> Any:
    """Repeat a write on the new primary that the old one alone had: it is executed, and once in what survives."""
    await database.c.insert_one({"_id": 0, "n": 0})
    old = await primary_of(powers)
    others = await secondaries_of(powers)
    await lag_all(powers, *others)
    command = {
        "update": "c",
        "updates": [{"q": {"_id": 0}, "u": {"$inc": {"n": 1}}}],
        "lsid": {"id": Binary(uuid.UUID(int=7).bytes, 4)},
        "txnNumber": Int64(1),
        "writeConcern": {"w": 1, "j": True},
    }
    first = reply_code(await powers.command(old, database.name, command))
    await powers.kill(old)
    new = await primary_of(powers, but=old)
    await lag_all(powers, *others, on=False)
    again = await powers.command(new, database.name, {**command, "writeConcern": {"w": 2, "wtimeout": 20_000}})
    await powers.restart(old)
    await powers.settle()

    async def has_it() -> bool:
        read = {"find": "c", "$readPreference": NEAREST}
        reply = await powers.command(old, database.name, read)
        return bool(reply["ok"]) and reply["cursor"]["firstBatch"][0]["n"] == 1

    await until(powers, has_it)
    return {
        "first": first,
        "on the new primary": reply_code(again),
        "answered from the record": "retriedStmtIds" in again,
        "value": (await database.c.find_one({"_id": 0}))["n"],
    }


@rule({"raised": "NotPrimaryError", "there": 1})
async def a_lost_reply_and_a_refused_retry(database: Any, client: Any, powers: Powers) -> Any:
    """Let an insert be applied, its connection be closed, and the driver's retry be refused."""
    await database.c.insert_one({"_id": 0})
    lost = {"configureFailPoint": "onPrimaryTransactionalWrite", "mode": {"times": 1}}
    refused = {"configureFailPoint": "failCommand", "mode": {"skip": 1}}
    await client["admin"].command({**refused, "data": {"failCommands": ["insert"], "errorCode": 10107}})
    await client["admin"].command(lost)
    try:
        await database.c.insert_one({"_id": 1})
        raised = ""
    except PyMongoError as error:
        raised = type(error).__name__
    await client["admin"].command({"configureFailPoint": "failCommand", "mode": "off"})
    await client["admin"].command({"configureFailPoint": "onPrimaryTransactionalWrite", "mode": "off"})
    return {"raised": raised, "there": await database.c.count_documents({"_id": 1})}


@rule({"next": [251, "TransientTransactionError"], "commit": [251, "TransientTransactionError"], "there": 0})
async def a_transaction_in_a_failover(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await primary_of(powers)
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.insert_one({"_id": 1}, session=session)
        await powers.command(primary, "admin", BY_FORCE)
        await primary_of(powers, but=primary)
        # The client's own view of the set may lag behind: a plain write brings it up to date.
        await database.c.insert_one({"_id": 2})
        after = await error_of(database.c.insert_one({"_id": 3}, session=session))
        commit = await error_of(session.commit_transaction())
    return {"next": after, "commit": commit, "there": await database.c.count_documents({"_id": {"$in": [1, 3]}})}


@rule({"next": [251, "TransientTransactionError"], "there": 0})
async def a_transaction_that_lives_too_long(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    dead_after_s = await powers.shorten_transactions()
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.insert_one({"_id": 1}, session=session)
        await powers.env.sleep(dead_after_s)
        after = await error_of(database.c.insert_one({"_id": 2}, session=session))
    return {"next": after, "there": await database.c.count_documents({"_id": {"$in": [1, 2]}})}


@rule({"local at once": [0, 1], "majority before": [0], "majority after": [0, 1]})
async def a_commit_by_one_member(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    async with client.start_session() as session:
        await session.start_transaction(write_concern=W1)
        await database.c.insert_one({"_id": 1}, session=session)
        await session.commit_transaction()
    local = await ids_on(powers, primary, database)
    before = await ids_on(powers, primary, database, "majority")
    await powers.settle()
    await everybody_shows(powers, database, [0, 1])
    after = await ids_on(powers, primary, database, "majority")
    return {"local at once": local, "majority before": before, "majority after": after}


@rule({"commit": [64, "UnknownTransactionCommitResult"], "there at once": [0, 1], "again": ["ok"]})
async def a_commit_that_times_out(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    async with client.start_session() as session:
        await session.start_transaction(write_concern=WriteConcern("majority", wtimeout=400))
        await database.c.insert_one({"_id": 1}, session=session)
        commit = await error_of(session.commit_transaction())
        local = await ids_on(powers, primary, database)
        await powers.settle()
        again = await error_of(session.commit_transaction())
    return {"commit": commit, "there at once": local, "again": again}


@rule({"by time": [50], "then": ["ok"], "order": ["transaction", "plain"]})
async def a_plain_write_beside_a_transaction(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0, "by": []})
    async with client.start_session() as session:
        await session.start_transaction()
        await database.c.update_one({"_id": 0}, {"$push": {"by": "transaction"}}, session=session)
        limited = {"update": "c", "updates": [{"q": {"_id": 0}, "u": {"$push": {"by": "late"}}}], "maxTimeMS": 300}
        by_time = await error_of(database.command(limited))
        ended: list[Any] = []

        async def write() -> None:
            ended.append(await error_of(database.c.update_one({"_id": 0}, {"$push": {"by": "plain"}})))

        task = powers.env.start_task(write())
        await powers.env.sleep(0.3)
        assert ended == []
        await session.commit_transaction()
        await task.join()
    return {"by time": by_time, "then": ended[0], "order": (await database.c.find_one({"_id": 0}))["by"]}


@rule({"older number": 225})
async def a_number_that_is_older(database: Any, client: Any, powers: Powers) -> Any:
    primary = await primary_of(powers)
    session = {"lsid": {"id": Binary(uuid.UUID(int=8).bytes, 4)}}
    command = {"insert": "c", "documents": [{"_id": 0}], **session}
    await powers.command(primary, database.name, {**command, "txnNumber": Int64(5)})
    return {
        "older number": reply_code(await powers.command(primary, database.name, {**command, "txnNumber": Int64(4)}))
    }


@rule({"cluster time grew on all": True})
async def cluster_time_is_passed_on(database: Any, client: Any, powers: Powers) -> Any:
    """Tell one member a newer time through a command; a client of it carries it to the next."""
    await insert_on(powers, await primary_of(powers), database, 0, {"w": "majority"})
    async with client.start_session() as session:
        await database.c.insert_one({"_id": 1}, session=session)
        before = session.cluster_time["clusterTime"]
        await database.c.insert_one({"_id": 2}, session=session)
        told = []
        for member in sorted(await powers.roles()):
            ping = {"ping": 1, "$clusterTime": session.cluster_time}
            told.append((await powers.command(member, "admin", ping))["$clusterTime"]["clusterTime"] > before)
    return {"cluster time grew on all": all(told)}


@rule({"second transaction": [24, "TransientTransactionError"], "drop": ["ok"], "first": ["ok"]})
async def a_transaction_behind_a_drop_that_waits(database: Any, client: Any, powers: Powers) -> Any:
    """Let a drop wait for one transaction; another that comes after it waits for the lock for 5 ms at most."""
    await database.c.insert_one({"_id": 0})
    dropped: list[Any] = []
    async with client.start_session() as first, client.start_session() as second:
        await first.start_transaction()
        await database.c.insert_one({"_id": 1}, session=first)

        async def drop() -> None:
            dropped.append(await error_of(database.command({"drop": "c"})))

        task = powers.env.start_task(drop())
        await powers.env.sleep(0.3)
        await second.start_transaction()
        refused = await error_of(database.c.insert_one({"_id": 2}, session=second))
        committed = await error_of(first.commit_transaction())
        await task.join()
    return {"second transaction": refused, "drop": dropped[0], "first": committed}


@rule(
    {"cluster time": "a minute ahead", "kept by the next primary": True, "$currentDate": "goes back"}, moves_clocks=True
)
async def a_primary_whose_clock_is_ahead(database: Any, client: Any, powers: Powers) -> Any:
    """Make a member primary whose clock is a minute ahead, then another one again."""
    fast, _ = await secondaries_of(powers)
    await powers.set_clock(fast, 60)

    async def hand_over() -> str:
        old = await primary_of(powers)
        await until(powers, lambda: steps_down(powers, old))
        return await primary_of(powers, but=old)

    async def stamped() -> tuple[Any, Any]:
        async with client.start_session() as session:
            stamp = {"$currentDate": {"at": True}}
            await database.c.update_one({"_id": "stamp"}, stamp, upsert=True, session=session)
            document = await database.c.find_one({"_id": "stamp"}, session=session)
            return session.operation_time.time, document["at"]

    # Who has stepped down does not run again for a while: it is the fast one's turn at the second time at the latest.
    while await hand_over() != fast:
        pass
    ahead, stamp_ahead = await stamped()
    ahead_s = ahead - round(powers.env.now().timestamp())
    await hand_over()
    after, stamp_after = await stamped()
    return {
        "cluster time": "a minute ahead" if 55 <= ahead_s <= 65 else f"{ahead_s} s ahead",
        "kept by the next primary": after >= ahead,
        "$currentDate": "goes back" if stamp_after < stamp_ahead else "goes on",
    }


async def steps_down(powers: Powers, member: str) -> bool:
    """Ask a primary to hand over; return whether somebody was ready for that."""
    return reply_code(await powers.command(member, "admin", STEP_DOWN)) == "ok"


@rule({"early": [0], "late": 239})
async def a_snapshot_that_is_too_old(database: Any, client: Any, powers: Powers) -> Any:
    """Read at one cluster time, before and after the history of snapshots reaches back to it."""
    too_old_after_s = await powers.shorten_history()
    primary = await primary_of(powers)
    insert = {"insert": "c", "documents": [{"_id": 0}], "writeConcern": {"w": "majority"}}
    written = await powers.command(primary, database.name, insert)
    at = {"level": "snapshot", "atClusterTime": written["operationTime"]}
    early = await powers.command(primary, database.name, {"find": "c", "readConcern": at})
    await powers.env.sleep(too_old_after_s)
    for key in (1, 2):
        await insert_on(powers, primary, database, key, {"w": "majority"})
        await powers.env.sleep(0.5)
    late = await powers.command(primary, database.name, {"find": "c", "readConcern": at})
    return {
        "early": [document["_id"] for document in early["cursor"]["firstBatch"]],
        "late": reply_code(late),
    }


@rule(
    {"commit": "ok", "abort after it": 256, "insert after it": 256, "commit again": "ok", "commit of an aborted": 251}
)
async def what_comes_after_an_end(database: Any, client: Any, powers: Powers) -> Any:
    """End a transaction, and send more under its number."""
    await database.c.insert_one({"_id": 0})
    primary = await primary_of(powers)
    numbered = {"lsid": {"id": Binary(uuid.UUID(int=9).bytes, 4)}, "autocommit": False}

    async def send(number: int, command: dict[str, Any], target: str = "admin") -> Any:
        return reply_code(await powers.command(primary, target, {**command, **numbered, "txnNumber": Int64(number)}))

    async def insert(number: int, **begin: Any) -> Any:
        return await send(number, {"insert": "c", "documents": [{"_id": number}], **begin}, database.name)

    commit, abort = {"commitTransaction": 1, "writeConcern": {"w": "majority"}}, {"abortTransaction": 1}
    assert await insert(1, startTransaction=True) == "ok"
    outcome = {
        "commit": await send(1, commit),
        "abort after it": await send(1, abort),
        "insert after it": await insert(1),
        "commit again": await send(1, commit),
    }
    assert await insert(2, startTransaction=True) == "ok"
    assert await send(2, abort) == "ok"
    return {**outcome, "commit of an aborted": await send(2, commit)}
