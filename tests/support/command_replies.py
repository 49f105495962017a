"""Running a sequence of commands anywhere, and bringing replies into a form in which two servers can be compared."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable
from typing import Any

from bson.binary import Binary
from bson.int64 import Int64
from bson.timestamp import Timestamp
from command_steps import A, B, Command, Step

Execute = Callable[[Command], dict[str, Any]]

_LEFT_OUT = frozenset(
    {"$clusterTime", "operationTime", "electionId", "opTime", "topologyVersion", "provenance", "count"}
)
"""Fields that say which server answered, and when; ``count`` is how often a fail point was hit."""
_OF_THE_SERVER = frozenset({"atClusterTime", "wallTime", "uuid", "_data", "clusterTime"})
"""Fields whose values two servers cannot share."""

_TEXTS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"Timestamp\(\d+, \d+\)"), "TIME"),
    (re.compile(r"cursor id \d+|cursor \d+"), "cursor N"),
    (re.compile(r"WiredTigerIdIndex::_insert: index: _id_; uri: \S+ :: caused by :: "), ""),
    (re.compile(r"WiredTigerIndex[a-zA-Z]*::[_a-zA-Z]+: index: \S+; uri: \S+ :: caused by :: "), ""),
    (re.compile(r"Snapshot timestamp is TIME\. Collection minimum is TIME"), ""),
    (re.compile(r'_data: "?[0-9A-F]+"?'), "_data"),
    (re.compile(r"(?s)error processing query: .* planner returned error"), "no plan"),
    (re.compile(r"cannot index parallel arrays.*"), "cannot index parallel arrays"),
)


def run_case(steps: list[Step], execute: Execute, database: str) -> list[dict[str, Any]]:
    """Run the steps one by one in a database of that name; return the replies in comparable form."""
    replies: list[dict[str, Any]] = []
    for step in steps:
        command = step(replies) if callable(step) else step
        replies.append(execute(_placed(command, database)))
    return [comparable(reply, database) for reply in replies]


def _placed(command: Command, database: str) -> Command:
    """Return the command in that database, in sessions of its own."""
    sessions = {session["id"]: Binary(hashlib.md5(database.encode() + session["id"]).digest(), 4) for session in (A, B)}

    def place(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: place(item) for name, item in value.items()}
        if isinstance(value, list):
            return [place(item) for item in value]
        if isinstance(value, Binary):
            return sessions.get(value, value)
        return value.replace("{db}", database) if isinstance(value, str) else value

    placed: Command = place(command)
    return {**placed, "$db": database if placed.get("$db", "test") == "test" else placed["$db"]}


def comparable(reply: dict[str, Any], database: str) -> dict[str, Any]:
    """Return a reply without what differs from server to server."""
    cleaned: dict[str, Any] = _cleaned(reply, database)
    cursor = cleaned.get("cursor")
    if isinstance(cursor, dict) and cursor.get("id"):
        cursor["id"] = Int64(1)
    for name in ("cursorsKilled", "cursorsNotFound"):
        if name in cleaned:
            cleaned[name] = len(cleaned[name])
    return cleaned


def _cleaned(value: Any, database: str) -> Any:
    if isinstance(value, dict):
        return {
            name: "..." if name in _OF_THE_SERVER else _cleaned(item, database)
            for name, item in value.items()
            if name not in _LEFT_OUT
        }
    if isinstance(value, list):
        return [_cleaned(item, database) for item in value]
    if isinstance(value, str):
        text = value.replace(database, "DB")
        for pattern, replacement in _TEXTS:
            text = pattern.sub(replacement, text)
        return text.strip()
    if isinstance(value, Timestamp | datetime.datetime):
        return "time"
    return value
