"""Reading ``local.oplog.rs`` of the healed set: which numbered writes of a run's database survived.

Format of entries: MongoDB 6.0, ``src/mongo/db/repl/oplog_entry.idl`` (``lsid``, ``txnNumber``, ``stmtId``,
``applyOps``, ``partialTxn``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bson import Timestamp
from pymongo.errors import PyMongoError

from harness.backends.driver.collection import Collection
from harness.backends.driver.connect import open_client
from harness.backends.driver.stepping import run_coroutine
from harness.errors import BackendError
from harness.interfaces.backend import Connection
from harness.oplog import Oplog, SurvivingWrite
from harness.settings import Settings

_FIELDS = {"ts": 1, "op": 1, "lsid": 1, "txnNumber": 1, "stmtId": 1, "o.applyOps.stmtId": 1, "o.partialTxn": 1}


def read_oplog(connection: Connection, database: str, after: tuple[int, int], application_name: str) -> Oplog:
    """Return what the oplog has of the database's numbered writes since ``after``, a time in (seconds, increment).

    Raises BackendError where it cannot be read.
    """
    since = Timestamp(*after)
    namespace = re.compile(f"^{re.escape(database)}\\.")
    wanted = {
        "ts": {"$gt": since},
        "txnNumber": {"$exists": True},
        "op": {"$ne": "n"},
        "$or": [{"ns": namespace}, {"o.applyOps.ns": namespace}],
    }

    client = open_client(connection, Settings(), application_name=application_name, recorder=None)
    try:
        return run_coroutine(_read(client["local"]["oplog.rs"], wanted, since))
    except PyMongoError as error:
        raise BackendError(
            f"reading the oplog: {type(error).__name__}: {error}",
            next_step="the user that the harness connects as needs to read the database `local`",
        ) from error
    finally:
        client.close_now()


async def _read(entries: Collection, wanted: Mapping[str, Any], since: Timestamp) -> Oplog:
    # The run's entries first, then the oldest: what is trimmed meanwhile is then seen to be missing.
    found = await entries.find(wanted, _FIELDS).to_list()
    oldest = await entries.find_one({}, {"ts": 1}, sort=[("$natural", 1)])
    return Oplog(writes=surviving_writes(found), covers_run=oldest is not None and oldest["ts"] <= since)


def surviving_writes(entries: Iterable[Mapping[str, Any]]) -> tuple[SurvivingWrite, ...]:
    """Return what entries of the oplog say, a record for each session and transaction number, in their order.

    The parts of a large transaction carry ``partialTxn`` but the last; without the last it was not committed.
    """
    statements: dict[tuple[str, int], set[int]] = {}
    committed: dict[tuple[str, int], bool] = {}
    for entry in entries:
        if entry.get("o", {}).get("partialTxn"):
            continue
        key = (entry["lsid"]["id"].hex(), int(entry["txnNumber"]))
        known = statements.setdefault(key, set())
        ids = _statements_of(entry)
        known.update(ids)
        committed[key] = committed.get(key, False) or not ids
    return tuple(
        SurvivingWrite(
            session=session, number=number, statements=tuple(sorted(known)), transaction=committed[session, number]
        )
        for (session, number), known in statements.items()
    )


def _statements_of(entry: Mapping[str, Any]) -> set[int]:
    inner = entry.get("o", {}).get("applyOps", ())
    found = [entry.get("stmtId"), *(each.get("stmtId") for each in inner)]
    ids: set[int] = set()
    for value in found:
        # A list where one change stands for several statements.
        ids.update(int(each) for each in (value if isinstance(value, list) else [value]) if each is not None)
    return ids
