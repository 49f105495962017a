"""Documents that are migrated when they are read, by a replacement that compares the schema's version alone."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from zoo_checks import Found, rule, told

from harness import Call, Context, Env, History, Scenario, real_env

USERS = tuple(f"user-{number}" for number in range(12))


class PublishedMigration:
    """Replaces what it read: an update that came between is gone, as it does not change the version."""

    def __init__(self, database: Any, *, env: Env = real_env) -> None:
        self._env = env
        self._users = database["users"]

    async def fetch(self, user: str) -> dict[str, Any]:
        """Return a user in the current shape."""
        document: dict[str, Any] = await self._users.find_one({"_id": user})
        if document["schemaVersion"] == 2:
            return document
        migrated = {**document, "schemaVersion": 2, "tags": []}
        await self._users.replace_one({"_id": user, "schemaVersion": 1}, migrated)
        return migrated

    async def note(self, user: str, token: str) -> None:
        """Add a note to a user, whatever its shape."""
        await self._users.update_one({"_id": user}, {"$push": {"notes": token}})


async def fetch(context: Context, *, user: str) -> list[str]:
    """Read a user's notes."""
    return (await context.pattern.fetch(user))["notes"]


async def note(context: Context, *, user: str, token: str) -> None:
    """Add a note."""
    await context.pattern.note(user, token)


def workload(random: random.Random, client: int) -> Iterator[Call]:
    """Add notes to users and read them."""
    for number in itertools.count():
        user = random.choice(USERS)
        if random.random() < 0.5:
            yield Call(function="fetch", arguments={"user": user})
        else:
            yield Call(function="note", arguments={"user": user, "token": f"{client}-{number}"})


async def setup(context: Context) -> None:
    """Insert users of the old shape."""
    await context.database["users"].insert_many([{"_id": user, "schemaVersion": 1, "notes": []} for user in USERS])


async def final_reads(context: Context) -> dict[str, Any]:
    """Read all notes."""
    users = await context.database["users"].find({}).to_list()
    return {"notes": {user["_id"]: user["notes"] for user in users}}


def lost(history: History) -> Iterator[Found]:
    """Yield acknowledged notes that are gone."""
    for operation in told(history, "note"):
        user, token = operation.arguments["user"], operation.arguments["token"]
        if token not in history.final["notes"][user]:
            fetched = tuple(o for o in history.of("fetch") if o.arguments["user"] == user)
            yield f"the note {token} of {user} is gone", (operation, *fetched)


SCENARIO = Scenario(
    name="lazy_migration",
    contract="Migration loses no update.",
    section="Schema Versioning Patterns: Lazy Migration",
    variants={"published": PublishedMigration},
    operations={"fetch": fetch, "note": note},
    workload=workload,
    setup=setup,
    final_reads=final_reads,
    checkers=(rule("lost-note", "No acknowledged note is lost.", lost, needs_final=("notes",)),),
)
