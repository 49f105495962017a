"""Probes: small scripts against the pattern API, written once and run on every thing that speaks it.

A probe is ``async def probe(database, client)`` that returns plain values. What it awaits through :func:`attempt`
becomes an outcome: what was returned, or the error with its code, labels and details. Values that no two runs share
(generated ids, times, tokens) are replaced by their kind.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bson import Decimal128, ObjectId, Regex, Timestamp
from bson.binary import Binary
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

Probe = Callable[[Any, Any], Awaitable[Any]]
PROBES: dict[str, Probe] = {}

LABELS = (
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "RetryableWriteError",
    "NoWritesPerformed",
    "ResumableChangeStreamError",
    "NonResumableChangeStreamError",
)
_KINDS = {ObjectId: "<id>", Timestamp: "<timestamp>", datetime.datetime: "<date>", Binary: "<binary>"}
_TIMES = ("$clusterTime", "operationTime")
_TOKEN = "_data"


def probe(function: Probe) -> Probe:
    """Register a probe under its name."""
    name = function.__name__
    assert name not in PROBES, name
    PROBES[name] = function
    return function


async def attempt(awaitable: Awaitable[Any]) -> Any:
    """Return what is awaited, or the error that it raises, as plain values."""
    try:
        return plain(await awaitable)
    except PyMongoError as error:
        return describe(error)


async def outcome(script: Probe, database: Any, client: Any) -> Any:
    """Run a probe; an error that it does not catch is its outcome."""
    return await attempt(script(database, client))


def plain(value: Any) -> Any:
    """Return a value without what differs from run to run; PyMongo's results become what they tell."""
    if isinstance(value, Mapping):
        return "<token>" if _TOKEN in value else {key: plain(each) for key, each in value.items() if key not in _TIMES}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return _result(value) if hasattr(value, "acknowledged") else _scalar(value)


def _scalar(value: Any) -> Any:
    for kind, word in _KINDS.items():
        if isinstance(value, kind):
            return word
    if isinstance(value, Decimal128 | Regex):
        return repr(value)
    assert value is None or isinstance(value, bool | int | float | str | bytes), f"a probe returned {value!r}"
    # 64-bit integers are integers: which of the two a server answers is told apart elsewhere.
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _result(value: Any) -> dict[str, Any]:
    names = ("inserted_id", "inserted_ids", "matched_count", "modified_count", "deleted_count", "upserted_id")
    counts = ("inserted_count", "upserted_count", "upserted_ids")
    told: dict[str, Any] = {"acknowledged": value.acknowledged}
    if value.acknowledged:
        told |= {name: plain(getattr(value, name)) for name in (*names, *counts) if hasattr(value, name)}
    return told


def describe(error: PyMongoError) -> dict[str, Any]:
    """Return an error as plain values: its type, code, labels, and what its details tell of writes."""
    described: dict[str, Any] = {
        "error": type(error).__name__,
        "labels": [label for label in LABELS if error.has_error_label(label)],
    }
    details = getattr(error, "details", None)
    if isinstance(error, OperationFailure):
        described["code"] = error.code
    elif isinstance(details, Mapping) and "code" in details:
        described["code"] = details["code"]
    if isinstance(details, Mapping):
        described |= _details(details, is_bulk=isinstance(error, BulkWriteError))
    return described


def _details(details: Mapping[str, Any], *, is_bulk: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if "codeName" in details:
        told["codeName"] = details["codeName"]
    if details.get("writeErrors"):
        told["writeErrors"] = [[each["index"], each["code"]] for each in details["writeErrors"]]
    concern = details.get("writeConcernError")
    if concern:
        told["writeConcernError"] = [concern.get("code"), concern.get("codeName")]
    if details.get("writeConcernErrors"):
        told["writeConcernErrors"] = [each.get("code") for each in details["writeConcernErrors"]]
    if "keyPattern" in details:
        told["keyPattern"] = plain(details["keyPattern"])
        told["keyValue"] = plain(details.get("keyValue"))
    if is_bulk:
        told |= {name: details[name] for name in ("nInserted", "nMatched", "nModified", "nRemoved", "nUpserted")}
        told["upserted"] = plain(details["upserted"])
    return told


async def arm(client: Any, commands: list[str], *, times: int = 1, **data: Any) -> None:
    """Let the primary fail so many of these commands, as ``failCommand`` says."""
    await client["admin"].command(
        {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": {"failCommands": commands, **data}}
    )


async def disarm(client: Any) -> None:
    """Let commands succeed again."""
    await client["admin"].command({"configureFailPoint": "failCommand", "mode": "off"})


async def documents(collection: Any, **options: Any) -> list[Any]:
    """Return all documents in the order of their ids."""
    return plain(await collection.find({}, **options).sort("_id", 1).to_list(None))
