"""Rules of write concern, read concern and routing. Registered on import."""

from __future__ import annotations

from typing import Any

from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError
from pymongo.read_preferences import Secondary
from semantic_registry import (
    BY_FORCE,
    NO_ANSWER,
    Powers,
    code_of,
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
    shows,
    until,
)

SHORT = {"w": "majority", "wtimeout": 300}


@rule(
    {
        "w": "majority",
        "wtimeout": 0,
        "write concern by": "implicit",
        "level": "local",
        "read concern by": "implicit",
        "majority is journaled": True,
    }
)
async def the_default_concerns(database: Any, client: Any, powers: Powers) -> Any:
    reply = await client["admin"].command("getDefaultRWConcern")
    configuration = await client["admin"].command("replSetGetConfig")
    write = reply["defaultWriteConcern"]
    return {
        "w": write["w"],
        "wtimeout": write["wtimeout"],
        "write concern by": reply["defaultWriteConcernSource"],
        "level": reply["defaultReadConcern"]["level"],
        "read concern by": reply["defaultReadConcernSource"],
        "majority is journaled": configuration["config"]["writeConcernMajorityJournalDefault"],
    }


@rule({"while nobody follows": "waits", "then": "ok"})
async def a_write_waits_for_a_majority_by_default(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    await lag_secondaries(powers)
    ended: list[Any] = []

    async def insert() -> None:
        ended.append(await code_of(database.c.insert_one({"_id": 1})))

    task = powers.env.start_task(insert())
    await powers.env.sleep(1)
    before = "ends" if ended else "waits"
    await powers.settle()
    await task.join()
    return {"while nobody follows": before, "then": ended[0]}


@rule(
    {
        "code": [64, "WriteConcernFailed", "WTimeoutError"],
        "labels": [],
        "wtimeout": True,
        "bulk": {"errors": [64, 64], "nInserted": 2, "nModified": 1},
        "there at once": [0, 1, 2, 3],
        "committed": [0],
        "committed later": [0, 1, 2, 3],
    }
)
async def a_write_concern_that_times_out(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    timed = database.get_collection("c", write_concern=WriteConcern("majority", wtimeout=300))
    labels: list[str] = []
    error_info: dict[str, Any] = {}
    try:
        await timed.insert_one({"_id": 1})
    except Exception as error:  # noqa: BLE001 - its details are the outcome
        code = [error.code, error.details["codeName"], type(error).__name__]
        labels = list(error.details.get("errorLabels", []))
        error_info = error.details["errInfo"]
    update = UpdateOne({"_id": 2}, {"$set": {"n": 1}})
    try:
        await timed.bulk_write([InsertOne({"_id": 2}), InsertOne({"_id": 3}), update])
    except BulkWriteError as error:
        bulk = {
            "errors": [each["code"] for each in error.details["writeConcernErrors"]],
            "nInserted": error.details["nInserted"],
            "nModified": error.details["nModified"],
        }
    local, committed = await ids_on(powers, primary, database), await ids_on(powers, primary, database, "majority")
    await powers.settle()

    async def shows_all() -> bool:
        return await ids_on(powers, primary, database, "majority") == local

    await until(powers, shows_all)
    return {
        "code": code,
        "labels": labels,
        "wtimeout": error_info["wtimeout"],
        "bulk": bulk,
        "there at once": local,
        "committed": committed,
        "committed later": await ids_on(powers, primary, database, "majority"),
    }


@rule({"duplicate": [11000, "waited"], "unmatched": [64, "waited"]})
async def errors_wait_for_the_concern_too(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    await insert_on(powers, primary, database, 1)

    async def timed(command: dict[str, Any]) -> list[Any]:
        began = powers.env.now()
        reply = await powers.command(primary, database.name, {**command, "writeConcern": SHORT})
        waited = (powers.env.now() - began).total_seconds() >= 0.25
        return [reply_code(reply), "waited" if waited else "did not wait"]

    return {
        "duplicate": await timed({"insert": "c", "documents": [{"_id": 1}]}),
        "unmatched": await timed({"update": "c", "updates": [{"q": {"_id": 9}, "u": {"$set": {"n": 1}}}]}),
    }


@rule({"same value": "ok", "no match": "ok", "a change": 64})
async def what_changes_nothing_asks_nobody(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0, "n": 1})
    primary = await lag_secondaries(powers)

    async def update(key: int, value: int) -> Any:
        updates = [{"q": {"_id": key}, "u": {"$set": {"n": value}}}]
        command = {"update": "c", "updates": updates, "writeConcern": SHORT}
        return reply_code(await powers.command(primary, database.name, command))

    return {"same value": await update(0, 1), "no match": await update(9, 1), "a change": await update(0, 2)}


STEPPED_DOWN = (10107, 11602, 189, 91, NO_ANSWER)
"""How a command ends that a step-down overtakes: which of these depends on how far it had come."""


async def replace_primary(powers: Powers) -> tuple[str, str]:
    """Stop the primary and wait for another; return both. The first believes in itself as soon as it is resumed.

    Its links were cut meanwhile, since a real member may pull from one that is stopped for a minute before it turns to
    the new primary.
    """
    old = await primary_of(powers)
    others = await secondaries_of(powers)
    await powers.pause(old)
    await powers.cut(old, *others)
    new = await primary_of(powers, but=old)
    await powers.heal()
    return old, new


@rule(*({"new value": "ok", "touch": touch, "at the end": 2} for touch in ("ok", "refused")), hasty=True)
async def a_stale_primary_confirms_what_it_has(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0, "n": 1})
    old, new = await replace_primary(powers)
    command = {
        "update": "c",
        "updates": [{"q": {"_id": 0}, "u": {"$set": {"n": 2}}}],
        "writeConcern": {"w": "majority"},
    }
    changed = reply_code(await powers.command(new, database.name, command))
    touched: list[Any] = []

    async def touch() -> None:
        same = {**command, "updates": [{"q": {"_id": 0}, "u": {"$set": {"n": 1}}}]}
        touched.append(reply_code(await powers.command(old, database.name, same)))

    task = powers.env.start_task(touch())
    await powers.env.sleep(0.3)
    await powers.resume(old)
    await task.join()
    await powers.settle()
    final = await database.c.find_one({"_id": 0})
    told = "refused" if touched[0] in STEPPED_DOWN else touched[0]
    return {"new value": changed, "touch": told, "at the end": final["n"]}


@rule(
    *(
        {"written": "ok", "majority": majority, "linearizable": "refused"}
        for majority in ([0], [0, 1], 13436, NO_ANSWER)
    ),
    hasty=True,
)
async def a_stale_primary_answers_reads(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    old, new = await replace_primary(powers)
    written = await insert_on(powers, new, database, 1, {"w": "majority"})
    seen: dict[str, Any] = {}

    async def read(level: str) -> None:
        seen[level] = await ids_on(powers, old, database, level, maxTimeMS=5000)

    tasks = [powers.env.start_task(read(level)) for level in ("majority", "linearizable")]
    await powers.env.sleep(0.3)
    await powers.resume(old)
    for task in tasks:
        await task.join()
    refused = not isinstance(seen["linearizable"], list)
    return {
        "written": written,
        "majority": seen["majority"],
        "linearizable": "refused" if refused else seen["linearizable"],
    }


@rule(*({"code": 11602, "there": there} for there in (True, False)))
async def a_wait_that_a_step_down_ends(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    ended: list[Any] = []

    async def insert() -> None:
        ended.append(await insert_on(powers, primary, database, 1, {"w": "majority"}))

    task = powers.env.start_task(insert())
    await until(powers, lambda: shows(powers, primary, database, [0, 1]))
    await powers.command(primary, "admin", BY_FORCE)
    await task.join()
    await powers.settle()
    return {"code": ended[0], "there": 1 in await ids_on(powers, await primary_of(powers), database)}


@rule({"there": False})
async def a_wait_that_the_death_of_the_primary_ends(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    ended: list[Any] = []

    async def insert() -> None:
        ended.append(await insert_on(powers, primary, database, 1, {"w": "majority"}))

    task = powers.env.start_task(insert())
    await powers.env.sleep(0.3)
    await powers.kill(primary)
    await task.join()
    assert ended == [NO_ANSWER], ended
    await primary_of(powers, but=primary)
    await powers.settle()
    return {"there": 1 in await ids_on(powers, await primary_of(powers), database)}


@rule({"primary": 50, "secondary": 10107, "after a time": 72, "with everybody": [0, 1]})
async def linearizable_reads(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    secondary, _ = await secondaries_of(powers)
    await insert_on(powers, primary, database, 1)
    read = {"find": "c", "filter": {"_id": 0}, "maxTimeMS": 400, "$readPreference": {"mode": "nearest"}}
    alone = await powers.command(primary, database.name, {**read, "readConcern": {"level": "linearizable"}})
    elsewhere = await powers.command(secondary, database.name, {**read, "readConcern": {"level": "linearizable"}})
    time = {"level": "linearizable", "afterClusterTime": alone["operationTime"]}
    both = await powers.command(primary, database.name, {**read, "readConcern": time})
    await powers.settle()
    return {
        "primary": reply_code(alone),
        "secondary": reply_code(elsewhere),
        "after a time": reply_code(both),
        "with everybody": await ids_on(powers, primary, database, "linearizable"),
    }


@rule({"snapshot": [0], "secondary": [0], "local": [0, 1]})
async def snapshot_reads_see_what_is_committed(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    await everybody_shows(powers, database, [0])
    primary = await lag_secondaries(powers)
    secondary, _ = await secondaries_of(powers)
    await insert_on(powers, primary, database, 1)
    return {
        "snapshot": await ids_on(powers, primary, database, "snapshot"),
        "secondary": await ids_on(powers, secondary, database, "snapshot"),
        "local": await ids_on(powers, primary, database),
    }


@rule({"local": [0], "available": [0], "majority": [0], "caught up": [0, 1]})
async def a_secondary_that_is_behind(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await primary_of(powers)
    await everybody_shows(powers, database, [0])
    lagged, _ = await lag_one(powers)
    await insert_on(powers, primary, database, 1, {"w": 2, "wtimeout": 5000})
    behind = {level: await ids_on(powers, lagged, database, level) for level in ("local", "available", "majority")}
    await powers.lag(lagged, on=False)

    async def has_both() -> bool:
        return await ids_on(powers, lagged, database) == [0, 1]

    await until(powers, has_both)
    return {**behind, "caught up": await ids_on(powers, lagged, database)}


@rule({"write": 10107, "read that does not say so": 13435, "read that does": "ok"})
async def what_a_secondary_refuses(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    secondary, _ = await secondaries_of(powers)
    read = {"find": "c"}
    allowed = {**read, "$readPreference": {"mode": "secondary"}}
    return {
        "write": await insert_on(powers, secondary, database, 1),
        "read that does not say so": reply_code(await powers.command(secondary, database.name, read)),
        "read that does": reply_code(await powers.command(secondary, database.name, allowed)),
    }


@rule({"mixed owners": True}, {"mixed owners": False})
async def two_updates_of_many_documents(database: Any, client: Any, powers: Powers) -> Any:
    count = 300
    await database.c.insert_many([{"_id": number, "owner": ""} for number in range(count)])
    await powers.yield_often()

    async def take(owner: str) -> None:
        await database.c.update_many({}, {"$set": {"owner": owner}})

    await powers.env.gather(take("a"), take("b"))
    owners = set(await database.c.distinct("owner"))
    assert owners <= {"a", "b"}, owners
    return {"mixed owners": len(owners) > 1}


@rule({"half done": True}, {"half done": False})
async def a_scan_beside_an_update_of_many(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_many([{"_id": number, "n": 0} for number in range(300)])
    await powers.yield_often()
    seen: list[set[int]] = []

    async def update() -> None:
        await database.c.update_many({}, {"$set": {"n": 1}})

    async def scan() -> None:
        seen.extend([{document["n"] async for document in database.c.find({}, batch_size=1000)} for _ in range(5)])

    await powers.env.gather(update(), scan())
    return {"half done": any(len(values) > 1 for values in seen)}


@rule(
    {"majority": 50, "snapshot": 246, "then": [0]},
    {"majority": 50, "snapshot": 246, "then": []},
)
async def a_majority_read_of_a_new_collection(database: Any, client: Any, powers: Powers) -> Any:
    """Read what is not yet majority-committed itself, which is waited for; a snapshot does not wait."""
    await database.other.insert_one({"_id": 0})
    primary = await lag_secondaries(powers)
    await insert_on(powers, primary, database, 0)
    alone = {level: await ids_on(powers, primary, database, level, maxTimeMS=400) for level in ("majority", "snapshot")}
    await lag_all(powers, *await secondaries_of(powers), on=False)
    return {**alone, "then": await ids_on(powers, primary, database, "majority", maxTimeMS=10_000)}


@rule({"dropped, majority": [], "dropped, snapshot": [], "new index, majority": [0], "new index, local": [0]})
async def a_majority_read_of_a_changed_catalog(database: Any, client: Any, powers: Powers) -> Any:
    """Find the collection as it is now, not as it was when its documents were committed."""
    await database.c.insert_one({"_id": 0})
    await everybody_shows(powers, database, [0])
    primary = await lag_secondaries(powers)
    index = {"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a"}], "commitQuorum": 0}
    await powers.command(primary, database.name, {**index, "writeConcern": {"w": 1}})
    indexed = {level: await ids_on(powers, primary, database, level, maxTimeMS=400) for level in ("majority", "local")}
    await powers.command(primary, database.name, {"drop": "c", "writeConcern": {"w": 1}})
    dropped = {
        level: await ids_on(powers, primary, database, level, maxTimeMS=400) for level in ("majority", "snapshot")
    }
    return {
        "dropped, majority": dropped["majority"],
        "dropped, snapshot": dropped["snapshot"],
        "new index, majority": indexed["majority"],
        "new index, local": indexed["local"],
    }


@rule({"a tag that nobody has": "ServerSelectionTimeoutError", "that, or none": [0]})
async def a_read_preference_with_tags(database: Any, client: Any, powers: Powers) -> Any:
    """Ask for members by a tag: these sets have none."""
    await database.c.insert_one({"_id": 0})
    await everybody_shows(powers, database, [0])

    async def read(*tag_sets: dict[str, str]) -> list[Any]:
        collection = database.get_collection("c", read_preference=Secondary(tag_sets=list(tag_sets)))
        return [document["_id"] for document in await collection.find({}).to_list(None)]

    return {
        "a tag that nobody has": await code_of(read({"at": "home"})),
        "that, or none": await read({"at": "home"}, {}),
    }
