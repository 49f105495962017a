"""The commands by name, and what is true of each: its fields, its needs, whether it may be retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.sim.server.commands import (
    admin,
    aggregate,
    collections,
    counting,
    cursors,
    delete,
    find,
    find_and_modify,
    indexes,
    insert,
    sessions,
    transactions,
    update,
)
from harness.sim.server.commands.arguments import Fields, fields
from harness.sim.server.commands.context import Request

Handler = Callable[[Request], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What the dispatcher knows of a command.

    Arguments: ``fields`` are checked before it runs, None where it checks them itself; ``collection`` says that its
    first field names one; ``writes`` that it needs the primary and waits for a write concern; ``anywhere`` that it runs
    on a member of any role; ``levels`` are the read concerns that it takes.
    """

    run: Handler
    fields: Fields | None = None
    collection: bool = False
    writes: bool = False
    anywhere: bool = False
    retryable: bool = False
    in_transaction: bool = False
    ends_transaction: bool = False
    levels: frozenset[str] = frozenset()


_ALL_LEVELS: Final = frozenset({"local", "available", "majority", "linearizable", "snapshot"})
_NO_SNAPSHOT: Final = _ALL_LEVELS - {"snapshot"}
_ENDING: Final = fields("commitTransaction", {}, others=("recoveryToken", "commitTimestamp"))
_ABORTING: Final = fields("abortTransaction", {}, others=("recoveryToken",))

_FIND_AND_MODIFY: Final = Command(
    run=find_and_modify.find_and_modify,
    fields=find_and_modify.FIELDS,
    collection=True,
    writes=True,
    retryable=True,
    in_transaction=True,
)


def _write(run: Handler, known: Fields) -> Command:
    return Command(run=run, fields=known, collection=True, writes=True, retryable=True, in_transaction=True)


def _define(run: Handler, known: Fields, *, collection: bool = True, in_transaction: bool = False) -> Command:
    return Command(run=run, fields=known, collection=collection, writes=True, in_transaction=in_transaction)


def _session(run: Handler, known: Fields) -> Command:
    return Command(run=run, fields=known, anywhere=True)


_HELLO: Final = Command(run=admin.hello, anywhere=True)

COMMANDS: Final[Mapping[str, Command]] = {
    "insert": _write(insert.insert, insert.FIELDS),
    "update": _write(update.update, update.FIELDS),
    "delete": _write(delete.delete, delete.FIELDS),
    "findAndModify": _FIND_AND_MODIFY,
    "findandmodify": _FIND_AND_MODIFY,
    "find": Command(run=find.find, collection=True, in_transaction=True, levels=_ALL_LEVELS),
    "getMore": Command(run=cursors.get_more, fields=cursors.GET_MORE_FIELDS, in_transaction=True),
    "killCursors": Command(
        run=cursors.kill_cursors, fields=cursors.KILL_CURSORS_FIELDS, in_transaction=True, anywhere=True
    ),
    "count": Command(run=counting.count, fields=counting.COUNT_FIELDS, collection=True, levels=_NO_SNAPSHOT),
    "distinct": Command(run=counting.distinct, collection=True, in_transaction=True, levels=_ALL_LEVELS),
    "aggregate": Command(run=aggregate.aggregate, in_transaction=True, levels=_ALL_LEVELS),
    "createIndexes": _define(indexes.create_indexes, indexes.CREATE_FIELDS, in_transaction=True),
    "dropIndexes": _define(indexes.drop_indexes, indexes.DROP_FIELDS),
    "listIndexes": Command(run=indexes.list_indexes, fields=indexes.LIST_FIELDS, collection=True),
    "collMod": _define(indexes.modify_collection, indexes.MODIFY_FIELDS),
    "create": _define(collections.create, collections.CREATE_FIELDS, in_transaction=True),
    "drop": _define(collections.drop, collections.DROP_FIELDS),
    "dropDatabase": _define(collections.drop_database, collections.DROP_DATABASE_FIELDS, collection=False),
    "renameCollection": _define(collections.rename, collections.RENAME_FIELDS, collection=False),
    "listCollections": Command(run=collections.list_collections, fields=collections.LIST_COLLECTIONS_FIELDS),
    "listDatabases": Command(run=collections.list_databases, fields=collections.LIST_DATABASES_FIELDS),
    "commitTransaction": Command(
        run=transactions.commit, fields=_ENDING, writes=True, in_transaction=True, ends_transaction=True
    ),
    "abortTransaction": Command(
        run=transactions.abort, fields=_ABORTING, writes=True, in_transaction=True, ends_transaction=True
    ),
    "startSession": _session(sessions.start_session, sessions.START_FIELDS),
    "endSessions": _session(sessions.end_sessions, sessions.END_FIELDS),
    "refreshSessions": _session(sessions.refresh_sessions, sessions.REFRESH_FIELDS),
    "killSessions": _session(sessions.kill_sessions, sessions.KILL_FIELDS),
    "killAllSessions": _session(sessions.kill_sessions, sessions.KILL_ALL_FIELDS),
    "hello": _HELLO,
    "isMaster": _HELLO,
    "ismaster": _HELLO,
    "ping": Command(run=admin.ping, fields=fields("ping", {}), anywhere=True),
    "buildInfo": Command(run=admin.build_info, anywhere=True),
    "buildinfo": Command(run=admin.build_info, anywhere=True),
    "connectionStatus": Command(run=admin.connection_status, anywhere=True),
    "getParameter": Command(run=admin.get_parameter, anywhere=True),
    "serverStatus": Command(run=admin.server_status, anywhere=True),
    "getDefaultRWConcern": Command(run=admin.default_concerns, anywhere=True),
    "currentOp": Command(run=admin.current_operations, anywhere=True),
    "replSetGetStatus": Command(run=admin.replica_set_status, anywhere=True),
    "replSetGetConfig": Command(run=admin.replica_set_configuration, anywhere=True),
    "replSetStepDown": Command(run=admin.step_down, fields=admin.STEP_DOWN_FIELDS, anywhere=True),
    "configureFailPoint": Command(run=admin.configure_fail_point, fields=admin.FAIL_POINT_FIELDS, anywhere=True),
}
"""What the simulated server knows."""

NOT_MODELLED: Final = frozenset(
    {
        "applyOps",
        "appendOplogNote",
        "authenticate",
        "cloneCollectionAsCapped",
        "collStats",
        "compact",
        "convertToCapped",
    }
    | {
        "createRole",
        "createUser",
        "dataSize",
        "dbHash",
        "dbStats",
        "dropRole",
        "dropUser",
        "explain",
        "filemd5",
        "fsync",
    }
    | {"fsyncUnlock", "getCmdLineOpts", "getLog", "grantRolesToUser", "hostInfo", "killAllSessionsByPattern", "killOp"}
    | {"listCommands", "lockInfo", "logRotate", "mapReduce", "planCacheClear", "planCacheClearFilters", "profile"}
    | {
        "planCacheListFilters",
        "planCacheSetFilter",
        "prepareTransaction",
        "reIndex",
        "replSetFreeze",
        "replSetInitiate",
    }
    | {"replSetMaintenance", "replSetReconfig", "replSetResizeOplog", "replSetStepUp", "replSetSyncFrom", "saslStart"}
    | {"rolesInfo", "setDefaultRWConcern", "setFeatureCompatibilityVersion", "setIndexCommitQuorum", "setParameter"}
    | {"shutdown", "top", "updateRole", "updateUser", "usersInfo", "validate", "whatsmyuri"}
)
"""What mongod knows besides, as far as clients call it; anything else is answered as an unknown command."""


async def _refuse(request: Request) -> dict[str, Any]:
    raise AssertionError(f"{request.name} is not known, and so never run")


UNKNOWN: Final = Command(run=_refuse, anywhere=True)
"""Stands for every command that is not known."""


def find_command(name: str) -> Command:
    """Return what is known of a command, :data:`UNKNOWN` for nothing."""
    return COMMANDS.get(name, UNKNOWN)
