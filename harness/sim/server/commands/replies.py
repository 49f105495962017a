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
_LABELS: Final = "errorLabels"


class Replies:
    """Makes replies; keeps what one shares with the next, as the same cluster time."""

    __slots__ = ("_cluster_time", "_term", "_terms", "_ticks", "_timestamp")

    def __init__(self) -> None:
        self._ticks = -1
        self._timestamp = Timestamp(0, 0)
        self._cluster_time: dict[str, Any] = {}
        self._term = -1
        self._terms: tuple[ObjectId, Int64] = (ObjectId(bytes(12)), Int64(0))

    def _use(self, ticks: int) -> None:
        self._ticks = ticks
        self._timestamp = Timestamp(ticks >> 32, ticks & 0xFFFFFFFF)
        self._cluster_time = {"clusterTime": self._timestamp, "signature": _SIGNATURE}

    def finish(self, request: Request, reply: dict[str, Any]) -> dict[str, Any]:
        """Put the times that every reply carries under it."""
        member = request.member
        if request.entry is not None:
            operation = request.entry.timestamp
        elif request.read_timestamp is not None:
            operation = request.read_timestamp
        else:
            operation = member.last.timestamp
        known = request.service.replica_set.cluster_time(member)
        known = max(known, operation)
        if known != self._ticks:
            self._use(known)
        reply["$clusterTime"] = self._cluster_time
        if known == operation:
            reply["operationTime"] = self._timestamp
        else:
            reply["operationTime"] = Timestamp(operation >> 32, operation & 0xFFFFFFFF)
        return reply

    def write_time(self, request: Request, reply: dict[str, Any]) -> None:
        """Put what a batched write tells of its primary into its reply."""
        entry = request.entry or request.member.last
        term = request.member.term
        if term != self._term:
            self._term = term
            self._terms = (ObjectId(f"7fffffff{term:016x}"), Int64(term))
        if entry.timestamp != self._ticks:
            self._use(entry.timestamp)
        reply["electionId"] = self._terms[0]
        reply["opTime"] = {"ts": self._timestamp, "t": self._terms[1] if entry.term == term else Int64(entry.term)}


def error_reply(error: CommandError, labels: Sequence[str], concern_error: dict[str, Any] | None) -> dict[str, Any]:
    """Return the reply of a command that failed."""
    reply: dict[str, Any] = {}
    given = [*error.extra.get(_LABELS, ()), *error.labels, *labels]
    if given:
        reply[_LABELS] = list(dict.fromkeys(given))
    if concern_error is not None:
        reply["writeConcernError"] = concern_error
    reply.update(ok=0.0, errmsg=error.message, code=error.code, codeName=error.code_name)
    reply.update({name: value for name, value in error.extra.items() if name != _LABELS})
    return reply
