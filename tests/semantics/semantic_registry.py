"""Rules of the servers as small scripts with powers over the set, each run on the simulator and on mongod.

A script is ``async def script(database, client, powers)`` and returns plain values: what the rule says of them is
declared as the outcomes that are allowed. Where the servers leave something open, there are several.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from probe_registry import LABELS
from pymongo.errors import OperationFailure, PyMongoError

from harness.interfaces.backend import MemberState

NO_ANSWER = "no answer"
PATIENCE_S = 60.0
POLL_S = 0.02
BY_FORCE = {"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 0, "force": True}


class Powers(Protocol):
    """What a script may do to the set, beside using a client of it. Methods return when they have taken effect."""

    env: Any
    """Sleep, clock, and scripts side by side."""

    def client(self, settings: str) -> Any:
        """Open another client under these settings."""
        ...

    async def roles(self) -> dict[str, str]:
        """Return the role of each member by its own word; members that do not answer are left out."""
        ...

    async def terms(self) -> dict[str, int]:
        """Return the term of each member that answers."""
        ...

    async def primaries(self) -> list[tuple[str, int]]:
        """Return who says that it is primary, each with the term of its newest entry, all seen at one time."""
        ...

    async def sync_sources(self) -> dict[str, str]:
        """Return from whom each member pulls, by its own word."""
        ...

    async def rollback_id(self, member: str) -> int | None:
        """Return the number that grows with each rollback of a member."""
        ...

    async def command(self, member: str, database: str, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command to one member, whatever its role, over a way that nothing disturbs; return its reply.

        Where it does not answer, the reply is ``{"ok": 0, "code": NO_ANSWER}``.
        """
        ...

    async def kill(self, member: str) -> None:
        """End its process at once."""
        ...

    async def restart(self, member: str) -> None:
        """Start it again."""
        ...

    async def pause(self, member: str) -> None:
        """Stop its process."""
        ...

    async def resume(self, member: str) -> None:
        """Let its process go on."""
        ...

    async def lag(self, member: str, *, on: bool) -> None:
        """Hold back its replication, or let it go on."""
        ...

    async def cut(self, member: str, *others: str) -> None:
        """Cut the links between a member and others, both ways."""
        ...

    async def heal(self) -> None:
        """Heal every link."""
        ...

    async def settle(self) -> None:
        """Undo every fault; wait until one member is primary and all follow it and have everything."""
        ...

    async def set_clock(self, member: str, ahead_s: float) -> None:
        """Set the wall clock of a secondary ahead. A real one is started again for that."""
        ...

    async def set_priority(self, member: str, priority: int) -> None:
        """Give a member a priority, for as long as the script runs; all have 1 in the beginning."""
        ...

    async def yield_often(self) -> None:
        """Let scans of several documents make way for others at every document, where that can be set."""
        ...

    async def shorten_transactions(self) -> float:
        """Let transactions live for a short time, where that can be set; return the seconds until they are dead."""
        ...

    async def shorten_with_transaction(self) -> None:
        """Let ``with_transaction`` give up soon, where that takes real time."""
        ...

    async def shorten_history(self) -> float:
        """Let the history of snapshots be short, where that can be set; return the seconds until they are too old."""
        ...


Script = Callable[[Any, Any, Powers], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A script and the outcomes that the servers' rules allow."""

    name: str
    script: Script
    allowed: tuple[Any, ...]
    oplog_limits: tuple[int | None, ...] = (None,)
    """How many entries the logs of the simulated sets keep: real ones reach back as far as each member's happens to."""
    moves_clocks: bool = False
    """Whether a script leaves the cluster time ahead for good, so that a real set is of no use to others afterwards."""
    hasty: bool = False
    """Whether time may pass in the simulator while somebody could go on: for races with the servers' own timers."""


RULES: dict[str, Rule] = {}


def rule(
    *allowed: Any,
    oplog_limits: tuple[int | None, ...] = (None,),
    hasty: bool = False,
    moves_clocks: bool = False,
) -> Callable[[Script], Script]:
    """Register a script under its name, with its allowed outcomes."""

    def register(script: Script) -> Script:
        name = script.__name__  # type: ignore[attr-defined]
        assert name not in RULES, name
        RULES[name] = Rule(
            name=name,
            script=script,
            allowed=allowed,
            oplog_limits=oplog_limits,
            hasty=hasty,
            moves_clocks=moves_clocks,
        )
        return script

    return register


def primaries_of(states: Iterable[MemberState]) -> list[tuple[str, int]]:
    """Return the primaries among these members, with the term of the newest entry of each.

    The term that a member knows is no help: a primary hears of a higher one before it steps down.
    """
    return [(s.member, s.applied[0]) for s in states if s.reachable and s.role == "PRIMARY" and s.applied is not None]


async def primary_of(powers: Powers, *, but: str = "") -> str:
    """Wait for a primary other than ``but`` that takes writes; return its name, of the newest term where there are two.

    A new primary says that it is one before it has caught up and takes writes.
    """
    found: list[str] = []

    async def takes_writes() -> bool:
        primaries = [(term, member) for member, term in await powers.primaries() if member != but]
        for _, member in sorted(primaries, reverse=True):
            if (await powers.command(member, "admin", {"hello": 1})).get("isWritablePrimary"):
                found.append(member)
        return bool(found)

    if await until(powers, takes_writes):
        return found[0]
    raise AssertionError(f"no primary but {but!r}: {await powers.roles()}")


async def secondaries_of(powers: Powers) -> list[str]:
    """Return the names of the secondaries."""
    return sorted(member for member, role in (await powers.roles()).items() if role == "SECONDARY")


async def until(powers: Powers, condition: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> bool:
    """Wait until a condition holds; return whether it does within ``patience_s``."""
    began = powers.env.now()
    while (powers.env.now() - began).total_seconds() < patience_s:
        if await condition():
            return True
        await powers.env.sleep(POLL_S)
    return False


async def code_of(awaitable: Awaitable[Any]) -> Any:
    """Return ``ok``, or the code of the server's error, or the name of an error without one."""
    try:
        await awaitable
    except OperationFailure as error:
        return error.code
    except PyMongoError as error:
        details = getattr(error, "details", None)
        code = details.get("code") if isinstance(details, Mapping) else None
        return type(error).__name__ if code is None else code
    return "ok"


async def error_of(awaitable: Any) -> list[Any]:
    """Return code and labels of the error that a call raises, ``ok`` where it raises none."""
    try:
        await awaitable
    except PyMongoError as error:
        details = getattr(error, "details", None) or {}
        code = getattr(error, "code", None) or details.get("code") or type(error).__name__
        return [code, *(label for label in LABELS if error.has_error_label(label))]
    return ["ok"]


def reply_code(reply: Mapping[str, Any]) -> Any:
    """Return ``ok``, or the code of a reply's error, of its write or its write concern."""
    if not reply["ok"]:
        return reply["code"]
    for errors in ("writeErrors", "writeConcernError"):
        if errors in reply:
            found = reply[errors]
            return found[0]["code"] if isinstance(found, list) else found["code"]
    return "ok"


async def ids_on(powers: Powers, member: str, database: Any, level: str = "local", **options: Any) -> Any:
    """Return the sorted ids that a member shows of ``c`` at a read concern, or the code of its error."""
    query = {
        "find": "c",
        "readConcern": {"level": level},
        "$readPreference": {"mode": "primaryPreferred"},
        **options,
    }
    reply = await powers.command(member, database.name, query)
    if not reply["ok"]:
        return reply["code"]
    return sorted(document["_id"] for document in reply["cursor"]["firstBatch"])


async def insert_on(
    powers: Powers, member: str, database: Any, key: Any, concern: Mapping[str, Any] | None = None
) -> Any:
    """Insert a document on that member, by default with ``w: 1``; return ``ok`` or the outcome's code."""
    command = {"insert": "c", "documents": [{"_id": key}], "writeConcern": concern or {"w": 1}}
    return reply_code(await powers.command(member, database.name, command))


async def lag_all(powers: Powers, *members: str, on: bool = True) -> None:
    """Hold back several members, or let them go on."""
    for member in members:
        await powers.lag(member, on=on)


async def lag_secondaries(powers: Powers) -> str:
    """Hold back all secondaries and return the primary: what it writes from here on is its own alone."""
    primary = await primary_of(powers)
    await lag_all(powers, *await secondaries_of(powers))
    return primary


async def shows(powers: Powers, member: str, database: Any, ids: list[Any], level: str = "local") -> bool:
    """Return whether a member shows exactly these documents of ``c`` at a read concern."""
    return await ids_on(powers, member, database, level) == ids


async def everybody_shows(powers: Powers, database: Any, ids: list[Any], level: str = "majority") -> None:
    """Wait until every member shows exactly these documents of ``c``."""

    async def shown() -> bool:
        return all([await shows(powers, member, database, ids, level) for member in await powers.roles()])

    assert await until(powers, shown), f"not every member came to show {ids}"


async def lag_one(powers: Powers) -> tuple[str, str]:
    """Hold back one secondary through which the other does not pull; return both, the one held back first.

    A real member that pulls through one that is held back stays behind with it for half a minute.
    """
    sources = await powers.sync_sources()
    one, other = await secondaries_of(powers)
    lagged, free = (other, one) if sources.get(other) == one else (one, other)
    await powers.lag(lagged, on=True)
    return lagged, free
