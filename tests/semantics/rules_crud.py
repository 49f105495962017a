"""Rules of single operations and of their races. Registered on import."""

from __future__ import annotations

import datetime
from typing import Any

from pymongo.errors import BulkWriteError, DuplicateKeyError
from semantic_registry import Powers, code_of, rule

CLIENTS = 6
KEYS = 8
TTL_PATIENCE_S = 70
"""The monitor passes once a minute."""


@rule({"all there": True, "more than one": True}, {"all there": True, "more than one": False})
async def upserts_without_a_unique_index(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})

    async def upsert(number: int) -> None:
        for key in range(KEYS):
            await database.c.update_one({"k": key}, {"$inc": {"n": 1}}, upsert=True)

    await powers.env.gather(*(upsert(number) for number in range(CLIENTS)))
    counts = [await database.c.count_documents({"k": key}) for key in range(KEYS)]
    return {"all there": min(counts) >= 1, "more than one": max(counts) > 1}


@rule({"errors": [], "documents of a key": 1, "sum": CLIENTS})
async def upserts_on_a_unique_key(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.create_index("k", unique=True)
    errors: list[Any] = []

    async def upsert(number: int) -> None:
        for key in range(KEYS):
            outcome = await code_of(database.c.update_one({"k": key}, {"$inc": {"n": 1}}, upsert=True))
            if outcome != "ok":
                errors.append(outcome)

    await powers.env.gather(*(upsert(number) for number in range(CLIENTS)))
    counts = {await database.c.count_documents({"k": key}) for key in range(KEYS)}
    sums = {document["n"] async for document in database.c.find({})}
    return {
        "errors": errors,
        "documents of a key": counts.pop() if len(counts) == 1 else sorted(counts),
        "sum": sums.pop() if len(sums) == 1 else sorted(sums),
    }


@rule({"winners of a key": 1, "losers": [11000]})
async def locks_by_upsert(database: Any, client: Any, powers: Powers) -> Any:
    """Take a lock that is free or expired: each loser's upsert would insert a second document of the key."""
    await database.c.create_index("k", unique=True)
    now = powers.env.now()
    winners: list[int] = []
    losers: list[Any] = []

    async def take(number: int) -> None:
        free = {"k": 1, "expires": {"$lt": now}}
        update = {"$set": {"by": number, "expires": now + datetime.timedelta(hours=1)}}
        outcome = await code_of(database.c.update_one(free, update, upsert=True))
        (winners if outcome == "ok" else losers).append(number if outcome == "ok" else outcome)

    await powers.env.gather(*(take(number) for number in range(CLIENTS)))
    return {"winners of a key": len(winners), "losers": sorted(set(losers))}


@rule({"claimed": 30, "distinct": 30, "in order": True})
async def claims_by_find_and_modify(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_many([{"_id": number, "state": "new"} for number in range(30)])
    claimed: list[list[int]] = []

    async def work(number: int) -> None:
        mine: list[int] = []
        while True:
            job = await database.c.find_one_and_update(
                {"state": "new"}, {"$set": {"state": "taken", "by": number}}, sort=[("_id", 1)]
            )
            if job is None:
                break
            mine.append(job["_id"])
        claimed.append(mine)

    await powers.env.gather(*(work(number) for number in range(4)))
    jobs = [job for mine in claimed for job in mine]
    return {
        "claimed": len(jobs),
        "distinct": len(set(jobs)),
        "in order": all(mine == sorted(mine) for mine in claimed),
    }


@rule({"error": 11000, "done before it": [9, 2, 3], "deleted": 2})
async def an_update_of_many_that_fails_midway(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_many([{"_id": number, "u": number} for number in (1, 2, 3)])
    await database.c.create_index("u", unique=True)
    error = await code_of(database.c.update_many({}, {"$set": {"u": 9}}))
    after = [document["u"] async for document in database.c.find({}).sort("_id", 1)]
    deleted = await database.c.delete_many({"u": {"$lt": 9}})
    return {"error": error, "done before it": after, "deleted": deleted.deleted_count}


@rule({"ordered": [65, 1, [[1, 11000]]], "unordered": [65, 2, [[1, 11000]]], "nothing is undone": 4})
async def bulk_writes_with_an_error(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})

    async def insert(first: int, *, ordered: bool) -> list[Any]:
        try:
            await database.c.insert_many([{"_id": first}, {"_id": 0}, {"_id": first + 1}], ordered=ordered)
        except BulkWriteError as error:
            failed = [[each["index"], each["code"]] for each in error.details["writeErrors"]]
            return [error.code, error.details["nInserted"], failed]
        return []

    ordered, unordered = await insert(10, ordered=True), await insert(20, ordered=False)
    return {
        "ordered": ordered,
        "unordered": unordered,
        "nothing is undone": await database.c.count_documents({}),
    }


@rule(
    {"missing twice": 11000, "null beside missing": 11000, "1 and 1.0": 11000, "array elements": 11000, "partial": "ok"}
)
async def what_counts_as_the_same_key(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.create_index("u", unique=True)
    await database.p.create_index("u", unique=True, partialFilterExpression={"on": True})
    await database.c.insert_one({"_id": 0})
    await database.c.insert_one({"_id": 1, "u": 1})
    await database.c.insert_one({"_id": 2, "u": [7, 8]})
    await database.p.insert_one({"_id": 0, "u": 1})
    return {
        "missing twice": await code_of(database.c.insert_one({"_id": 3})),
        "null beside missing": await code_of(database.c.insert_one({"_id": 4, "u": None})),
        "1 and 1.0": await code_of(database.c.insert_one({"_id": 5, "u": 1.0})),
        "array elements": await code_of(database.c.insert_one({"_id": 6, "u": [8, 9]})),
        "partial": await code_of(database.p.insert_one({"_id": 1, "u": 1})),
    }


@rule({"readable when expired": 1, "removed later": True, "unexpired": 1})
async def documents_that_expire(database: Any, client: Any, powers: Powers) -> Any:
    """Wait for the monitor, which passes once a minute."""
    await database.c.create_index("at", expireAfterSeconds=0)
    now = powers.env.now()
    await database.c.insert_one({"_id": 1, "at": now - datetime.timedelta(seconds=1)})
    await database.c.insert_one({"_id": 2, "at": now + datetime.timedelta(hours=1)})
    before = await database.c.count_documents({"_id": 1})
    waited_s = 0
    while waited_s < TTL_PATIENCE_S and await database.c.count_documents({"_id": 1}):
        await powers.env.sleep(1)
        waited_s += 1
    return {
        "readable when expired": before,
        "removed later": waited_s < TTL_PATIENCE_S,
        "unexpired": await database.c.count_documents({"_id": 2}),
    }


@rule({"id": 66, "conflict": 40, "path": 28, "duplicate": "DuplicateKeyError"})
async def errors_of_updates(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0, "n": 1})

    async def update(change: dict[str, Any]) -> Any:
        return await code_of(database.c.update_one({"_id": 0}, change))

    try:
        await database.c.insert_one({"_id": 0})
        duplicate = ""
    except DuplicateKeyError as error:
        duplicate = type(error).__name__
    return {
        "id": await update({"$set": {"_id": 1}}),
        "conflict": await update({"$set": {"n": 1}, "$inc": {"n": 1}}),
        "path": await update({"$set": {"n.x": 1}}),
        "duplicate": duplicate,
    }


@rule(
    *(
        {"findOneAndUpdate": [], "replaceOne": [], "both of two fields": [], "one of two fields": lost}
        for lost in ([], [11000])
    )
)
async def upserts_of_other_kinds_on_a_unique_key(database: Any, client: Any, powers: Powers) -> Any:
    """Upsert side by side by other commands, and on a key of two fields, by both of them and by one."""
    kinds = {
        "findOneAndUpdate": ("k", lambda c: c.find_one_and_update({"k": 1}, {"$inc": {"n": 1}}, upsert=True)),
        "replaceOne": ("k", lambda c: c.replace_one({"k": 1}, {"k": 1, "n": 1}, upsert=True)),
        "both of two fields": (
            [("k", 1), ("l", 1)],
            lambda c: c.update_one({"k": 1, "l": 1}, {"$inc": {"n": 1}}, upsert=True),
        ),
        "one of two fields": (
            [("k", 1), ("l", 1)],
            lambda c: c.update_one({"k": 1}, {"$inc": {"n": 1}}, upsert=True),
        ),
    }
    outcomes: dict[str, list[Any]] = {}
    for name, (key, call) in kinds.items():
        errors: set[Any] = set()
        for number in range(KEYS):
            collection = database[f"c{len(outcomes)}{number}"]
            await collection.create_index(key, unique=True)

            async def upsert(call: Any = call, collection: Any = collection, errors: set[Any] = errors) -> None:
                errors.add(await code_of(call(collection)))

            await powers.env.gather(*(upsert() for _ in range(CLIENTS)))
        outcomes[name] = sorted(errors - {"ok"})
    return outcomes
