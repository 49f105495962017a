"""Emptying the members of everything that a run's clients have left there.

A write that reaches the data after the final read is a false verdict. So it is not enough that no operation is
active: an idle connection may still hold bytes that the server has not read. Drained means that no connection, no
operation and no open transaction of these clients is left on any member that runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from harness.backends.local.wire import CommandFailedError, MemberChannel, UnreachableError
from harness.errors import BackendError

COMMAND_TIMEOUT_S = 1.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What a member still holds of the clients: operation numbers, sessions, and a description of each."""

    operations: tuple[Any, ...]
    sessions: tuple[Mapping[str, Any], ...]
    described: tuple[str, ...]


def remains_of(entries: Sequence[Mapping[str, Any]]) -> Remains:
    """Return what the entries of ``$currentOp`` show: active operations, sessions in use, idle connections."""
    return Remains(
        operations=tuple(entry["opid"] for entry in entries if entry.get("active") and "opid" in entry),
        sessions=tuple(entry["lsid"] for entry in entries if "lsid" in entry),
        described=tuple(
            " ".join(str(entry.get(key, "")) for key in ("type", "desc", "op", "ns", "appName")) for entry in entries
        ),
    )


async def drain_member(channel: MemberChannel, application_name_prefix: str, timeout_s: float) -> None:
    """Kill until nothing is left. Raises BackendError, with what is left, when ``timeout_s`` has passed."""
    seen, problem = "", ""
    deadline = trio.current_time() + timeout_s
    while trio.current_time() < deadline:
        limit_s = max(min(COMMAND_TIMEOUT_S, deadline - trio.current_time()), 0.001)
        try:
            remains = remains_of(await _entries(channel, application_name_prefix, limit_s))
            if not remains.described:
                return
            seen, problem = "; ".join(remains.described[:3]), ""
            await _kill(channel, remains, limit_s)
        except (UnreachableError, CommandFailedError) as error:
            problem = error.message
        await trio.sleep(_POLL_S)
    raise BackendError(
        f"draining {channel.member} of the clients {application_name_prefix!r}: not done within {timeout_s:g} s; "
        + "; ".join(text for text in (seen and f"left: {seen}", problem) if text),
        next_step="close the clients and heal the member first",
    )


async def _entries(channel: MemberChannel, prefix: str, timeout_s: float) -> list[dict[str, Any]]:
    options = {"allUsers": True, "idleConnections": True, "idleSessions": True}
    reply = await channel.command(
        "admin",
        {
            "aggregate": 1,
            "pipeline": [{"$currentOp": options}, {"$match": {"appName": {"$regex": f"^{re.escape(prefix)}"}}}],
            "cursor": {"batchSize": 10_000},
            "$readPreference": {"mode": "primaryPreferred"},
        },
        timeout_s=timeout_s,
    )
    entries: list[dict[str, Any]] = reply["cursor"]["firstBatch"]
    return entries


async def _kill(channel: MemberChannel, remains: Remains, timeout_s: float) -> None:
    if remains.sessions:
        patterns = [{"lsid": {"id": session["id"], "uid": session["uid"]}} for session in remains.sessions]
        await channel.command("admin", {"killAllSessionsByPattern": patterns}, timeout_s=timeout_s)
    for operation in remains.operations:
        await channel.command("admin", {"killOp": 1, "op": operation}, timeout_s=timeout_s)
