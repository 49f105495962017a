"""Rules of replication, elections and durability. Registered on import."""

from __future__ import annotations

from typing import Any

from semantic_registry import (
    BY_FORCE,
    NO_ANSWER,
    Powers,
    code_of,
    ids_on,
    insert_on,
    lag_all,
    lag_one,
    primary_of,
    reply_code,
    rule,
    secondaries_of,
    until,
)

STEP_DOWN = {"replSetStepDown": 20, "secondaryCatchUpPeriodSecs": 10}
IMPATIENT = {**STEP_DOWN, "secondaryCatchUpPeriodSecs": 1}


@rule({"another": True, "term grew": True, "primaries of the newest term": 1, "writes go on": "ok"})
async def the_primary_dies(database: Any, client: Any, powers: Powers) -> Any:
    old = await primary_of(powers)
    before = max((await powers.terms()).values())
    await powers.kill(old)
    new = await primary_of(powers, but=old)
    roles, terms = await powers.roles(), await powers.terms()
    newest = [m for m, role in roles.items() if role == "PRIMARY" and terms[m] == max(terms.values())]
    return {
        "another": new != old,
        "term grew": max(terms.values()) > before,
        "primaries of the newest term": len(newest),
        "writes go on": await code_of(database.c.insert_one({"_id": 1})),
    }


@rule({"winner": "the one that had it", "survives": True})
async def voters_refuse_who_is_behind(database: Any, client: Any, powers: Powers) -> Any:
    old = await primary_of(powers)
    _, ahead = await lag_one(powers)
    acknowledged = await insert_on(powers, old, database, 1, {"w": 2, "wtimeout": 10_000})
    assert acknowledged == "ok", acknowledged
    await powers.kill(old)
    winner = await primary_of(powers, but=old)
    await powers.settle()
    found = await ids_on(powers, await primary_of(powers), database)
    return {"winner": "the one that had it" if winner == ahead else "the one behind", "survives": found == [1]}


@rule({"one primary": True, "same term twice": False, "the old one": "follows"})
async def a_stopped_primary_comes_back(database: Any, client: Any, powers: Powers) -> Any:
    ((old, term),) = await powers.primaries()
    await powers.pause(old)
    new = await primary_of(powers, but=old)

    async def has_written_in_its_term() -> bool:
        return any(member == new and newer > term for member, newer in await powers.primaries())

    await until(powers, has_written_in_its_term)
    await powers.resume(old)
    seen: list[tuple[str, int]] = []

    async def rests() -> bool:
        seen.extend(await powers.primaries())
        roles = await powers.roles()
        return roles.get(old) == "SECONDARY" and len(roles) == 3

    await until(powers, rests)
    terms_of_primaries = {}
    for member, term in seen:
        terms_of_primaries.setdefault(term, set()).add(member)
    roles = await powers.roles()
    return {
        "one primary": [m for m, role in roles.items() if role == "PRIMARY"] == [new],
        "same term twice": any(len(members) > 1 for members in terms_of_primaries.values()),
        "the old one": "follows" if roles[old] == "SECONDARY" else roles[old],
    }


@rule(
    {"acknowledged": True, "then": 10107, "within 5 s": True, "survive": True},
    {"acknowledged": True, "then": 10107, "within 5 s": True, "survive": False},
)
async def a_primary_without_a_majority(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await primary_of(powers)
    for member in await secondaries_of(powers):
        await powers.pause(member)
    acknowledged, code, waited_s = [0], "ok", 0.0
    while code == "ok" and waited_s < 10:
        code = await insert_on(powers, primary, database, len(acknowledged))
        if code == "ok":
            acknowledged.append(len(acknowledged))
        await powers.env.sleep(0.1)
        waited_s += 0.1
    await powers.settle()
    found = await ids_on(powers, await primary_of(powers), database)
    return {
        "acknowledged": len(acknowledged) > 1,
        "then": code,
        "within 5 s": waited_s < 5,
        "survive": set(acknowledged) <= set(found),
    }


@rule({"stays primary": True, "w: 3": "ok"})
async def a_member_that_pulls_through_another(database: Any, client: Any, powers: Powers) -> Any:
    primary = await primary_of(powers)
    far, _ = await secondaries_of(powers)
    await powers.cut(primary, far)
    await powers.env.sleep(0.1)
    outcome = await insert_on(powers, primary, database, 1, {"w": 3, "wtimeout": 10_000})
    await powers.env.sleep(2)
    return {"stays primary": (await powers.roles()).get(primary) == "PRIMARY", "w: 3": outcome}


@rule({"isolated": "steps down", "new primary": True, "old writes": 10107, "after": "follows"})
async def an_isolated_primary(database: Any, client: Any, powers: Powers) -> Any:
    old = await primary_of(powers)
    others = await secondaries_of(powers)
    await powers.cut(old, *others)
    new = await primary_of(powers, but=old)

    async def stepped_down() -> bool:
        return (await powers.roles()).get(old) != "PRIMARY"

    isolated = await until(powers, stepped_down)
    refused = await insert_on(powers, old, database, 1)
    await powers.settle()
    roles = await powers.roles()
    return {
        "isolated": "steps down" if isolated else "stays",
        "new primary": new in others,
        "old writes": refused,
        "after": "follows" if roles[old] == "SECONDARY" else roles[old],
    }


@rule({"handed over": True, "survives": True, "the old one": "SECONDARY"})
async def a_planned_step_down(database: Any, client: Any, powers: Powers) -> Any:
    old = await primary_of(powers)
    await insert_on(powers, old, database, 1)
    reply = await powers.command(old, "admin", STEP_DOWN)
    new = await primary_of(powers, but=old)
    found = await ids_on(powers, new, database)
    return {
        "handed over": reply_code(reply) == "ok" and new != old,
        "survives": found == [1],
        "the old one": (await powers.roles())[old],
    }


@rule({"refused": 262, "stays primary": True, "by force": "ok", "steps down": True})
async def a_step_down_that_nobody_is_ready_for(database: Any, client: Any, powers: Powers) -> Any:
    old = await primary_of(powers)
    others = await secondaries_of(powers)
    await lag_all(powers, *others)
    await insert_on(powers, old, database, 1)
    refused = reply_code(await powers.command(old, "admin", IMPATIENT))
    stays = (await powers.roles())[old] == "PRIMARY"
    forced = reply_code(await powers.command(old, "admin", BY_FORCE))

    async def stepped_down() -> bool:
        return (await powers.roles()).get(old) == "SECONDARY"

    return {
        "refused": refused,
        "stays primary": stays,
        "by force": forced,
        "steps down": await until(powers, stepped_down),
    }


@rule({"survives": True}, {"survives": False})
async def a_new_primary_catches_up(database: Any, client: Any, powers: Powers) -> Any:
    old = await primary_of(powers)
    others = await secondaries_of(powers)
    await lag_all(powers, *others)
    await insert_on(powers, old, database, 1)
    await powers.command(old, "admin", BY_FORCE)
    await lag_all(powers, *others, on=False)
    await primary_of(powers)
    await powers.settle()
    return {"survives": await ids_on(powers, await primary_of(powers), database) == [1]}


@rule({"always a prefix": True, "all in the end": True})
async def secondaries_apply_in_order(database: Any, client: Any, powers: Powers) -> Any:
    primary = await primary_of(powers)
    secondary, _ = await secondaries_of(powers)
    await database.c.insert_one({"_id": 0})
    prefixes = []
    for key in range(1, 40):
        await insert_on(powers, primary, database, key)
        if key % 4 == 0:
            seen = await ids_on(powers, secondary, database)
            prefixes.append(seen == list(range(len(seen))))

    async def has_all() -> bool:
        return len(await ids_on(powers, secondary, database)) == 40

    return {"always a prefix": all(prefixes), "all in the end": await until(powers, has_all)}


@rule([{"n": 2}, {"n": 3}])
async def the_log_holds_values_and_no_noop(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 1, "n": 1})
    async with await database.c.watch() as stream:
        for update in ({"$inc": {"n": 1}}, {"$set": {"n": 2}}, {"$min": {"n": 9}}, {"$inc": {"n": 1}}):
            await database.c.update_one({"_id": 1}, update)
        return [(await stream.next())["updateDescription"]["updatedFields"] for _ in range(2)]


@rule({"majority read": [0], "local read": [0, 1], "w: majority": 64, "after": [0, 1]})
async def the_commit_point_waits_for_a_majority(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 0})
    primary = await primary_of(powers)
    others = await secondaries_of(powers)
    await lag_all(powers, *others)
    timed_out = await insert_on(powers, primary, database, 1, {"w": "majority", "wtimeout": 300})
    committed = await ids_on(powers, primary, database, "majority")
    local = await ids_on(powers, primary, database)
    await lag_all(powers, *others, on=False)

    async def shows_it() -> bool:
        return await ids_on(powers, primary, database, "majority") == [0, 1]

    await until(powers, shows_it)
    return {
        "majority read": committed,
        "local read": local,
        "w: majority": timed_out,
        "after": await ids_on(powers, primary, database, "majority"),
    }


@rule(
    {"divergent read": True, "unreadable": True, "undone": True, "counted": True},
)
async def a_write_is_rolled_back(database: Any, client: Any, powers: Powers) -> Any:
    """Write to the journal of the primary, and nowhere else, and let the primary die."""
    await database.c.insert_one({"_id": 0})
    old = await primary_of(powers)
    others = await secondaries_of(powers)
    await lag_all(powers, *others)
    await insert_on(powers, old, database, 1, {"w": 1, "j": True})
    before = await powers.rollback_id(old)
    await powers.kill(old)
    new = await primary_of(powers, but=old)
    await lag_all(powers, *others, on=False)
    await insert_on(powers, new, database, 2, {"w": 2, "wtimeout": 10_000})
    await powers.restart(old)
    seen: list[Any] = []

    async def has_the_new_history() -> bool:
        seen.append(await ids_on(powers, old, database))
        return seen[-1] == [0, 2]

    undone = await until(powers, has_the_new_history)
    after = await powers.rollback_id(old)
    return {
        "divergent read": [0, 1] in seen,
        "unreadable": 13436 in seen,
        "undone": undone,
        "counted": before is not None and after is not None and after > before,
    }


@rule(*({"majority": True, "journaled": True, "memory": kept} for kept in (True, False)))
async def every_member_dies(database: Any, client: Any, powers: Powers) -> Any:
    primary = await primary_of(powers)
    await insert_on(powers, primary, database, "majority", {"w": "majority"})
    await insert_on(powers, primary, database, "journaled", {"w": 1, "j": True})
    await insert_on(powers, primary, database, "memory")
    members = sorted(await powers.roles())
    for member in members:
        await powers.kill(member)
    await powers.settle()
    found = await ids_on(powers, await primary_of(powers), database)
    return {name: name in found for name in ("majority", "journaled", "memory")}


@rule({"answers": NO_ANSWER, "after": [1]})
async def a_dead_member_answers_nothing(database: Any, client: Any, powers: Powers) -> Any:
    await database.c.insert_one({"_id": 1})
    secondary, _ = await secondaries_of(powers)
    await powers.kill(secondary)
    answer = await ids_on(powers, secondary, database)
    await powers.settle()

    async def has_it() -> bool:
        return await ids_on(powers, secondary, database) == [1]

    await until(powers, has_it)
    return {"answers": answer, "after": await ids_on(powers, secondary, database)}


@rule(*({"majority": True, "journaled": True, "memory": kept} for kept in (True, False)))
async def a_crash_takes_what_was_not_flushed(database: Any, client: Any, powers: Powers) -> Any:
    """Write to the primary alone, kill it and all others, and see what it has by itself when it is back."""
    await database.c.insert_one({"_id": "majority"})
    primary = await primary_of(powers)
    others = await secondaries_of(powers)
    await lag_all(powers, *others)
    await insert_on(powers, primary, database, "journaled", {"w": 1, "j": True})
    await insert_on(powers, primary, database, "memory")
    for member in (primary, *others):
        await powers.kill(member)
    await powers.restart(primary)
    found: list[Any] = []

    async def is_readable() -> bool:
        shown = await ids_on(powers, primary, database)
        found.extend(shown if isinstance(shown, list) else [])
        return bool(found)

    await until(powers, is_readable)
    return {name: name in found for name in ("majority", "journaled", "memory")}


@rule({"takes over": True, "after a failover": True, "what was written": [0, 1]})
async def a_member_of_higher_priority_takes_over(database: Any, client: Any, powers: Powers) -> Any:
    """Prefer a secondary, and kill it once it is primary: it takes over again when it is back."""
    await database.c.insert_one({"_id": 0})
    preferred, _ = await secondaries_of(powers)
    await powers.set_priority(preferred, 2)

    async def is_primary() -> bool:
        return (await powers.command(preferred, "admin", {"hello": 1})).get("isWritablePrimary", False)

    took_over = await until(powers, is_primary)
    await powers.kill(preferred)
    await primary_of(powers, but=preferred)
    await database.c.insert_one({"_id": 1})
    await powers.restart(preferred)
    again = await until(powers, is_primary)
    found = await ids_on(powers, preferred, database)
    return {"takes over": took_over, "after a failover": again, "what was written": found}
