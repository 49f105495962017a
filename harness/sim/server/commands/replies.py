"""Replies: the body of a command's answer with its status, labels, cluster time and operation time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from harness.sim.server.commands.context import Request
from harness.sim.server.errors import CommandError

_SIGNATURE: Final = {"hash": bytes(20), "keyId": Int64(0)}


class Replies:
    """Makes replies; keeps what many of them share."""

    __slots__ = ("_election_ids", "_timestamp", "_timestamp_ticks")

    def __init__(self) -> None:
        self._timestamp_ticks = 0
        self._timestamp = Timestamp(0, 0)
        self._election_ids: dict[int, ObjectId] = {}

    def timestamp(self, ticks: int) -> Timestamp:
        """Return a cluster time as BSON has it."""
        if ticks != self._timestamp_ticks:
            self._timestamp_ticks = ticks
            self._timestamp = Timestamp(ticks >> 32, ticks & 0xFFFFFFFF)
        return self._timestamp

    def election_id(self, term: int) -> ObjectId:
        """Return the ``electionId`` of a term."""
        found = self._election_ids.get(term)
        if found is None:
            found = self._election_ids[term] = ObjectId(f"7fffffff{term & 0xFFFFFFFFFFFFFFFF:016x}")
        return found

    def finish(self, request: Request, reply: dict[str, Any]) -> dict[str, Any]:
        """Put the times that every reply carries under it."""
        member = request.member
        known = request.service.replica_set.cluster_time(member)
        if request.entry is not None:
            operation = request.entry.timestamp
        elif request.read_timestamp is not None:
            operation = request.read_timestamp
        else:
            operation = member.last.timestamp
        reply["$clusterTime"] = {"clusterTime": self.timestamp(max(known, operation)), "signature": _SIGNATURE}
        reply["operationTime"] = self.timestamp(operation)
        return reply

    def write_time(self, request: Request, reply: dict[str, Any]) -> None:
        """Put what a batched write tells of its primary into its reply."""
        entry = request.entry or request.member.last
        reply["electionId"] = self.election_id(request.member.term)
        reply["opTime"] = {"ts": self.timestamp(entry.timestamp), "t": Int64(entry.term)}


def error_reply(error: CommandError, labels: Sequence[str], concern_error: dict[str, Any] | None) -> dict[str, Any]:
    """Return the reply of a command that failed."""
    reply: dict[str, Any] = {}
    given = [*error.extra.get("errorLabels", ()), *error.labels, *labels]
    if given:
        reply["errorLabels"] = list(dict.fromkeys(given))
    if concern_error is not None:
        reply["writeConcernError"] = concern_error
    reply["ok"] = 0.0
    reply["errmsg"] = error.message
    reply["code"] = error.code
    reply["codeName"] = error.code_name
    for name, value in error.extra.items():
        if name != "errorLabels":
            reply[name] = value
    return reply
