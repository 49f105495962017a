"""What a member says about itself and the others, as the harness reads it from ``replSetGetStatus``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from harness.backends.local.wire import MemberChannel
from harness.errors import BackendError
from harness.interfaces.backend import MemberState

OBSERVE_TIMEOUT_S = 0.4
"""For both commands of an observation together."""


async def observe_member(channel: MemberChannel, advertised: Mapping[str, str], process_id: int | None) -> MemberState:
    """Return a member's state within :data:`OBSERVE_TIMEOUT_S`; one that does not answer is not ``reachable``.

    ``advertised`` maps the addresses of the set's configuration to member names. ``process_id`` is None where the
    process has ended.
    """
    try:
        with trio.fail_after(OBSERVE_TIMEOUT_S):
            status = await channel.command("admin", {"replSetGetStatus": 1}, timeout_s=OBSERVE_TIMEOUT_S)
            rollback = await channel.command("admin", {"replSetGetRBID": 1}, timeout_s=OBSERVE_TIMEOUT_S)
    except (BackendError, trio.TooSlowError):
        return MemberState(member=channel.member, reachable=False, process_id=process_id)
    return member_state(channel.member, status, int(rollback["rbid"]), advertised, process_id)


def member_state(
    member: str,
    status: Mapping[str, Any],
    rollback_id: int,
    advertised: Mapping[str, str],
    process_id: int | None,
) -> MemberState:
    """Return the state that a reply of ``replSetGetStatus`` describes."""
    own: Mapping[str, Any] = next((entry for entry in status["members"] if entry.get("self")), {})
    up = (entry["name"] for entry in status["members"] if entry.get("health"))
    applied = status.get("optimes", {}).get("appliedOpTime")
    return MemberState(
        member=member,
        reachable=True,
        role=str(own.get("stateStr", "")),
        term=int(status["term"]),
        applied=None if applied is None else (int(applied["t"]), applied["ts"].time, applied["ts"].inc),
        heard_from=tuple(sorted(advertised.get(name, name) for name in up)),
        sync_source=advertised.get(status.get("syncSourceHost", ""), ""),
        rollback_id=rollback_id,
        process_id=process_id,
    )
