"""Read concerns, and cluster times in both of their forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bson.timestamp import Timestamp

from harness.sim.server.commands.codes import FAILED_TO_PARSE, INVALID_OPTIONS, failure
from harness.sim.server.records import Document

LOCAL: Final = "local"
MAJORITY: Final = "majority"
SNAPSHOT: Final = "snapshot"
LINEARIZABLE: Final = "linearizable"
AVAILABLE: Final = "available"
_LEVELS: Final = frozenset({LOCAL, MAJORITY, SNAPSHOT, LINEARIZABLE, AVAILABLE})
_FIELDS: Final = frozenset({"level", "afterClusterTime", "atClusterTime", "provenance"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConcern:
    """``readConcern`` of a command; cluster times as integers (seconds << 32 | increment)."""

    level: str = LOCAL
    after_cluster_time: int | None = None
    at_cluster_time: int | None = None


DEFAULT: Final = ReadConcern()


def parse_read_concern(given: Document) -> ReadConcern:
    """Return the read concern. Raises CommandError (9, 72) for one that is malformed or contradicts itself."""
    for name in given:
        if name not in _FIELDS:
            raise failure(INVALID_OPTIONS, f"Unrecognized option in readConcern: {name}")
    level = given.get("level", LOCAL)
    if level not in _LEVELS:
        message = "readConcern.level must be either 'local', 'majority', 'linearizable', 'available', or 'snapshot'"
        raise failure(FAILED_TO_PARSE, message)
    after, at = given.get("afterClusterTime"), given.get("atClusterTime")
    if after is not None and level not in (LOCAL, MAJORITY, SNAPSHOT):
        message = "afterClusterTime field can be set only if level is equal to majority, local, or snapshot"
        raise failure(INVALID_OPTIONS, message)
    if at is not None and level != SNAPSHOT:
        raise failure(INVALID_OPTIONS, "atClusterTime field can be set only if level is equal to snapshot")
    return ReadConcern(level=level, after_cluster_time=ticks(after), at_cluster_time=ticks(at))


def ticks(time: Timestamp | None) -> int | None:
    """Return a cluster time as an integer."""
    return None if time is None else time.time << 32 | time.inc


def timestamp(value: int) -> Timestamp:
    """Return a cluster time as BSON has it."""
    return Timestamp(value >> 32, value & 0xFFFFFFFF)
