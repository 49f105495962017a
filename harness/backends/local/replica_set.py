"""Making a replica set out of running members, and telling when it is healthy.

Measured on 6.0.5 with three members on two cores, a set that is left to itself takes 2 to 3 s until a majority write
returns: the first member waits for an election time-out (1 s) although nobody else could be primary, and the others
wait a second between their attempts to find a member to copy from. Here the first member is asked to step up as soon
as the others would vote for it, and two fail points shorten those waits, until the set is ready; 0.5 s remain, after
which the others ask for the configuration a second time. A server that lacks a fail point only takes longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import trio

from harness.backends.local.tasks import run_together
from harness.backends.local.wire import CommandFailedError, MemberChannel
from harness.errors import BackendError
from harness.interfaces.backend import MemberState

ELECTION_TIMEOUT_MS = 1000
HEARTBEAT_INTERVAL_MS = 200
HEARTBEAT_TIMEOUT_S = 1
WRITE_TIMEOUT_MS = 5000
OWN_DATABASE = "harness"
"""Holds the one document that majority writes of the harness update."""

_COMMAND_TIMEOUT_S = 10.0
_INITIATE_TIMEOUT_S = 30.0
_POLL_S = 0.02
_WAIT_BETWEEN_ATTEMPTS_MS = 20
_SHORTER_WAITS = {
    "forceSyncSourceRetryWaitForInitialSync": {"retryMS": _WAIT_BETWEEN_ATTEMPTS_MS},
    "forceBgSyncSyncSourceRetryWaitMS": {"sleepMS": _WAIT_BETWEEN_ATTEMPTS_MS},
}


def configuration(name: str, addresses: Sequence[str], *, journal_default: bool | None) -> dict[str, Any]:
    """Return the configuration of a set whose members are advertised at ``addresses``.

    ``journal_default`` is ``writeConcernMajorityJournalDefault``; None leaves it to the server.
    """
    document: dict[str, Any] = {
        "_id": name,
        "version": 1,
        "members": [{"_id": number, "host": address} for number, address in enumerate(addresses)],
        "settings": {
            "electionTimeoutMillis": ELECTION_TIMEOUT_MS,
            "heartbeatIntervalMillis": HEARTBEAT_INTERVAL_MS,
            "heartbeatTimeoutSecs": HEARTBEAT_TIMEOUT_S,
        },
    }
    if journal_default is not None:
        document["writeConcernMajorityJournalDefault"] = journal_default
    return document


async def initiate(channels: Sequence[MemberChannel], document: Mapping[str, Any]) -> None:
    """Make a set of the members, all of which answer; return when a majority write has returned.

    The first member becomes primary. Raises BackendError; has no time limit of its own beside the commands'.
    """
    first, *others = channels
    await run_together(*(partial(_shorten_waits, channel) for channel in others))
    await first.command("admin", {"replSetInitiate": dict(document)}, timeout_s=_INITIATE_TIMEOUT_S)
    await _step_up(first)
    await majority_write(first)
    # The first write may have reached the others as part of their first copy; only the next one shows that they
    # follow. Without it they could be caught in a wait of a second when the waits get their usual length back.
    await _acknowledged_write(first, len(channels))
    await run_together(*(partial(_restore_waits, channel) for channel in others))


async def majority_write(primary: MemberChannel) -> None:
    """Write on the primary and return when a majority has the write. Raises BackendError where none acknowledged."""
    await _acknowledged_write(primary, "majority")


async def _acknowledged_write(primary: MemberChannel, acknowledgement: int | str) -> None:
    reply = await primary.command(
        OWN_DATABASE,
        {
            "update": "ready",
            "updates": [{"q": {"_id": 1}, "u": {"$inc": {"writes": 1}}, "upsert": True}],
            "writeConcern": {"w": acknowledgement, "wtimeout": WRITE_TIMEOUT_MS},
        },
        timeout_s=2 * WRITE_TIMEOUT_MS / 1000,
    )
    for kind in ("writeErrors", "writeConcernError"):
        if kind in reply:
            raise BackendError(f"a write at w:{acknowledgement} on {primary.member} was refused: {reply[kind]}")


def what_is_unhealthy(states: Iterable[MemberState]) -> str:
    """Return in words what keeps a set from being healthy, or nothing where it is.

    Healthy: every member answers, one is primary, all others are secondaries of the same term, and every member
    hears from every other.
    """
    states = tuple(states)
    names = {state.member for state in states}
    if silent := sorted(state.member for state in states if not state.reachable):
        return f"no answer from {', '.join(silent)}"
    roles = ", ".join(f"{state.member} is {state.role} of term {state.term}" for state in states)
    if sorted(state.role for state in states) != ["PRIMARY"] + ["SECONDARY"] * (len(states) - 1):
        return roles
    if len({state.term for state in states}) > 1:
        return roles
    for state in states:
        if missing := sorted(names - set(state.heard_from)):
            return f"{state.member} does not hear from {', '.join(missing)}"
    return ""


async def _step_up(member: MemberChannel) -> None:
    while True:
        try:
            # Until the others have their configuration its dry-run election fails, which changes no term.
            await member.command("admin", {"replSetStepUp": 1}, timeout_s=_COMMAND_TIMEOUT_S)
        except CommandFailedError:
            await trio.sleep(_POLL_S)
        reply = await member.command("admin", {"hello": 1}, timeout_s=_COMMAND_TIMEOUT_S)
        if reply.get("isWritablePrimary"):
            return


async def _shorten_waits(channel: MemberChannel) -> None:
    for name, data in _SHORTER_WAITS.items():
        await _fail_point(channel, {"configureFailPoint": name, "mode": "alwaysOn", "data": data})


async def _restore_waits(channel: MemberChannel) -> None:
    for name in _SHORTER_WAITS:
        await _fail_point(channel, {"configureFailPoint": name, "mode": "off"})


async def _fail_point(channel: MemberChannel, command: Mapping[str, Any]) -> None:
    try:
        await channel.command("admin", command, timeout_s=_COMMAND_TIMEOUT_S)
    except BackendError:
        # Another server version may lack it; a member that died is noticed by whoever started it.
        return
