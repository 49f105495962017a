"""What is checked before a command runs, in mongod's order: its fields, its session, the role of the member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from harness.sim.server.commands import arguments
from harness.sim.server.commands.codes import (
    COMMAND_NOT_FOUND,
    INVALID_NAMESPACE,
    INVALID_OPTIONS,
    NOT_PRIMARY_NO_SECONDARY_OK,
    UNAUTHORIZED,
    failure,
)
from harness.sim.server.commands.context import US_PER_MS, Request
from harness.sim.server.commands.read_concerns import LOCAL, parse_read_concern
from harness.sim.server.commands.reading import unsupported
from harness.sim.server.commands.registry import NOT_MODELLED, UNKNOWN
from harness.sim.server.commands.sessions import read_session
from harness.sim.server.commands.write_concerns import parse_write_concern
from harness.sim.server.errors import not_primary_or_secondary, not_writable_primary

if TYPE_CHECKING:
    from harness.sim.server.commands.registry import Command
    from harness.sim.server.write_concern import WriteConcern

_ADMIN_ONLY: Final = frozenset(
    {"commitTransaction", "abortTransaction", "configureFailPoint", "renameCollection", "listDatabases", "currentOp"}
    | {"replSetGetStatus", "replSetGetConfig", "replSetStepDown", "getDefaultRWConcern", "getParameter"}
)


def prepare(request: Request, known: Command) -> WriteConcern | None:
    """Check a command and take its general fields into the request; return the write concern that it waits for, if any.

    Raises CommandError for what mongod refuses before it runs the command, BackendError for a command that mongod knows
    and that is not modelled.
    """
    command, name = request.command, request.name
    if known is UNKNOWN:
        _refuse(name)
    if not request.database:
        raise failure(INVALID_NAMESPACE, "Invalid database name: ''")
    if known.fields is not None:
        arguments.check(command, known.fields)
    if known.collection:
        request.namespace = arguments.collection_namespace(request.database, command[name])
    writes = known.writes or (name == "aggregate" and _writes_output(command))
    request.writes = writes
    if "readConcern" in command:
        _take_read_concern(request, known)
    if "lsid" in command or "txnNumber" in command or "autocommit" in command or known.ends_transaction:
        read_session(request, known)
    if name in _ADMIN_ONLY and request.database != "admin":
        raise failure(UNAUTHORIZED, f"{name} may only be run against the admin database.")
    if "maxTimeMS" in command:
        limit_ms = arguments.max_time_ms(command)
        request.deadline_us = None if limit_ms is None else request.kernel.now_us + limit_ms * US_PER_MS
    if not known.anywhere:
        _check_role(request, writes=writes)
    return _write_concern(command, known, writes=writes)


def _refuse(name: str) -> NoReturn:
    if name in NOT_MODELLED:
        raise unsupported(f"the command {name}")
    raise failure(COMMAND_NOT_FOUND, f"no such command: '{name}'")


def _write_concern(command: dict[str, Any], known: Command, *, writes: bool) -> WriteConcern | None:
    if not writes:
        if "writeConcern" in command:
            raise failure(INVALID_OPTIONS, "Command does not support writeConcern")
        return None
    if not known.ends_transaction and command.get("autocommit") is False:
        return None
    return parse_write_concern(command.get("writeConcern"))


def _take_read_concern(request: Request, known: Command) -> None:
    concern = parse_read_concern(request.command["readConcern"])
    request.read_concern = concern
    level = concern.level
    if level not in known.levels and level != LOCAL and "startTransaction" not in request.command:
        shown = f'{{ readConcern: {{ level: "{level}", provenance: "clientSupplied" }} }}'
        reason = f"read concern {level} not supported" if known.levels else "read concern not supported"
        message = f"Command {request.name} does not support {shown} :: caused by :: {reason}"
        raise failure(INVALID_OPTIONS, message)
    _check_reachable(request, "afterClusterTime", concern.after_cluster_time)
    _check_reachable(request, "atClusterTime", concern.at_cluster_time)


def _check_reachable(request: Request, field: str, wanted: int | None) -> None:
    """Raise CommandError 72 where a time is asked for that no member can have reached."""
    known = request.service.replica_set.cluster_time(request.member)
    if wanted is not None and wanted > known:
        shown = f"{{ ts: Timestamp({wanted >> 32}, {wanted & 0xFFFFFFFF}) }}"
        now = f"{{ ts: Timestamp({known >> 32}, {known & 0xFFFFFFFF}) }}"
        message = (
            f"readConcern {field} value must not be greater than the current clusterTime. Requested clusterTime: "
            f"{shown}; current clusterTime: {now}"
        )
        raise failure(INVALID_OPTIONS, message)


def _check_role(request: Request, *, writes: bool) -> None:
    member = request.member
    if writes:
        if not member.is_primary:
            raise not_writable_primary()
        return
    if member.role == "PRIMARY":
        return
    if not member.is_readable:
        raise not_primary_or_secondary()
    preference = request.command.get("$readPreference")
    if request.name != "getMore" and (preference is None or preference.get("mode", "primary") == "primary"):
        raise failure(NOT_PRIMARY_NO_SECONDARY_OK, "not primary and secondaryOk=false")


def _writes_output(command: dict[str, Any]) -> bool:
    pipeline = command.get("pipeline")
    if type(pipeline) is not list or not pipeline or type(pipeline[-1]) is not dict:
        return False
    return "$out" in pipeline[-1] or "$merge" in pipeline[-1]
