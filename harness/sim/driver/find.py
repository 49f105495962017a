"""The ``find`` command as PyMongo orders it, and the checks of its options."""

# ruff: noqa: A002 - PyMongo's names

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pymongo.cursor_shared import CursorType

from harness.sim.driver.results import taken_in, unsupported, value_taken_in

if TYPE_CHECKING:
    from harness.sim.driver.collection_reads import CollectionReads
    from harness.sim.driver.session import Session

_PARTIAL: Final = 128
_FLAGS: Final = (
    ("tailable", 2),
    ("oplogReplay", 8),
    ("noCursorTimeout", 16),
    ("awaitData", 32),
    ("allowPartialResults", _PARTIAL),
)
_NO_TIMEOUT: Final = 16
_OPLOG_REPLAY: Final = 8


def find_head(
    collection: CollectionReads,
    filter: Mapping[str, Any],
    session: Session | None,
    *,
    operators: dict[str, Any] | None = None,
    projection: Mapping[str, Any] | None = None,
    skip: int = 0,
    limit: int = 0,
    batch_size: int = 0,
    collation: dict[str, Any] | None = None,
    allow_disk_use: bool | None = None,
    flags: int = 0,
) -> dict[str, Any]:
    """Return the ``find`` command, without the fields of the session, as PyMongo orders it."""
    codec_options = collection.codec_options
    head: dict[str, Any] = {"find": collection.name, "filter": taken_in(filter, codec_options)}
    if operators:
        head.update({name: value_taken_in(value, codec_options) for name, value in operators.items()})
    if projection:
        head["projection"] = taken_in(projection, codec_options)
    if skip:
        head["skip"] = skip
    if limit:
        head["limit"] = abs(limit)
        if limit < 0:
            head["singleBatch"] = True
    if batch_size:
        # PyMongo asks for one more where both are equal: the member then closes the cursor by itself.
        head["batchSize"] = batch_size + 1 if limit == batch_size else batch_size
    if collection.read_concern.level and not (session is not None and session.transaction.active):
        head["readConcern"] = collection.read_concern.document
    if collation or allow_disk_use is not None or flags:
        rare = {"collation": collation or None, "allowDiskUse": allow_disk_use}
        head.update({name: value for name, value in rare.items() if value is not None})
        head.update({name: True for name, bit in _FLAGS if flags & bit})
    return head


def cursor_flags(cursor_type: int, no_cursor_timeout: bool, allow_partial_results: bool, oplog_replay: bool) -> int:
    """Return the flags of a cursor as one number. Raises ValueError where ``cursor_type`` is none."""
    if cursor_type == CursorType.EXHAUST:
        raise unsupported("exhaust cursors")
    if cursor_type not in {CursorType.NON_TAILABLE, CursorType.TAILABLE, CursorType.TAILABLE_AWAIT}:
        raise ValueError("not a valid value for cursor_type")
    flags = cursor_type
    if no_cursor_timeout:
        flags |= _NO_TIMEOUT
    if allow_partial_results:
        flags |= _PARTIAL
    if oplog_replay:
        flags |= _OPLOG_REPLAY
    return flags


def check_int(name: str, value: Any) -> None:
    """Raise TypeError where an argument is no int."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an instance of int, not {type(value)}")


def check_int_or_none(name: str, value: Any) -> None:
    """Raise TypeError where an argument is neither an int nor None."""
    if not isinstance(value, int) and value is not None:
        raise TypeError(f"{name} must be an integer or None, not {type(value)}")


def check_batch_size(batch_size: Any) -> None:
    """Raise TypeError or ValueError where it is none."""
    if not isinstance(batch_size, int):
        raise TypeError(f"batch_size must be an integer, not {type(batch_size)}")
    if batch_size < 0:
        raise ValueError("batch_size must be >= 0")
