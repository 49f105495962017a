"""What happens to every command: checks, session, execution, write concern, reply.

The order is mongod's: the command must be known and well-formed, its session fields must fit, the member must have the
role for it; then it runs, and what it wrote, or failed to write, waits for its write concern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.server.commands import arguments
from harness.sim.server.commands.codes import (
    COMMAND_NOT_FOUND,
    INVALID_NAMESPACE,
    INVALID_OPTIONS,
    NO_SUCH_TRANSACTION,
    NOT_PRIMARY_NO_SECONDARY_OK,
    RETRYABLE,
    RETRYABLE_WRITE,
    UNAUTHORIZED,
    change_stream_labels,
    failure,
    of_document_error,
    transaction_labels,
)
from harness.sim.server.commands.context import US_PER_MS, Request, Service
from harness.sim.server.commands.fail_points import FailPoints
from harness.sim.server.commands.read_concerns import parse_read_concern
from harness.sim.server.commands.registry import COMMANDS, Command
from harness.sim.server.commands.replies import Replies, error_reply
from harness.sim.server.commands.sessions import check_out, read_session
from harness.sim.server.commands.transactions import abort_open, append_noop
from harness.sim.server.commands.ttl import TtlMonitor
from harness.sim.server.commands.write_concerns import parse_write_concern, wait_for_concern
from harness.sim.server.errors import CommandError, not_primary_or_secondary, not_writable_primary

if TYPE_CHECKING:
    from harness.sim.server.commands.context import ActiveSession
    from harness.sim.server.member import Member
    from harness.sim.server.replica_set import ReplicaSet
    from harness.sim.server.write_concern import WriteConcern

_BATCHED: Final = frozenset({"insert", "update", "delete"})
_ADMIN_ONLY: Final = frozenset({"commitTransaction", "abortTransaction", "configureFailPoint", "renameCollection"})
_UNKNOWN: Final = Command(run=None, anywhere=True)  # type: ignore[arg-type] - never run


class Dispatcher:
    """Runs commands on the members of a set. It never raises CommandError: an error is a reply.

    Raises MemberGone where the member died under the command, BackendError for what is not modelled.
    """

    def __init__(self, replica_set: ReplicaSet) -> None:
        self.service = Service(replica_set, FailPoints())
        self._replies = Replies()
        self._ttl = TtlMonitor(self.service)

    async def __call__(self, member: Member, command: dict[str, Any], connection: int) -> dict[str, Any]:
        """Run one command, as it came over ``connection``, and return its reply."""
        name = next(iter(command), "")
        request = Request(self.service, member, command, name, connection)
        gossiped = command.get("$clusterTime")
        if gossiped is not None:
            time = gossiped["clusterTime"]
            self.service.replica_set.note_cluster_time(member, time.time << 32 | time.inc)
        known = COMMANDS.get(name, _UNKNOWN)
        try:
            reply = await self._execute(request, known)
        except CommandError as error:
            reply = error_reply(error, self._labels(request, known, error.code, None), None)
        return self._replies.finish(request, reply)

    async def _execute(self, request: Request, known: Command) -> dict[str, Any]:
        concern = self._prepare(request, known)
        concern_error: dict[str, Any] | None = None
        asked_error = None
        try:
            if self.service.fail_points.any_armed:
                asked_error = self.service.fail_points.fail_command(request)
            reply = await self._run(request, known)
        except CommandError as error:
            if concern is not None and await self._writes_something(request, error):
                concern_error = await wait_for_concern(request, concern)
            labels = self._labels(request, known, error.code, concern_error)
            return error_reply(error, labels, concern_error)
        if concern is not None and request.wrote:
            concern_error = await wait_for_concern(request, concern)
        if asked_error is not None:
            concern_error = asked_error
        if request.name in _BATCHED:
            self._replies.write_time(request, reply)
        if concern_error is not None:
            return self._with_concern_error(request, known, reply, concern_error)
        reply["ok"] = 1.0
        return reply

    def _with_concern_error(
        self, request: Request, known: Command, reply: dict[str, Any], concern_error: dict[str, Any]
    ) -> dict[str, Any]:
        if self.service.defects.wtimeout_reported_as_not_applied and concern_error["code"] == 64:
            return error_reply(failure(112, "the write was not applied"), (), None)
        reply["writeConcernError"] = concern_error
        reply["ok"] = 1.0
        labels = self._concern_labels(request, known, concern_error["code"])
        if labels:
            reply["errorLabels"] = labels
        return reply

    async def _writes_something(self, request: Request, error: CommandError) -> bool:
        """Return whether a failed command waits for its write concern: it does if it came as far as to try a write."""
        if error.code == NO_SUCH_TRANSACTION and request.name == "commitTransaction":
            append_noop(request)
            return True
        return request.wrote

    def _prepare(self, request: Request, known: Command) -> WriteConcern | None:
        """Check everything that is checked before a command runs; return the write concern that it waits for, if any."""
        command, name = request.command, request.name
        if known is _UNKNOWN:
            raise failure(COMMAND_NOT_FOUND, f"no such command: '{name}'")
        if not request.database:
            raise failure(INVALID_NAMESPACE, "Invalid database name: ''")
        if known.fields is not None:
            arguments.check(command, known.fields)
        if known.collection:
            request.namespace = arguments.collection_namespace(request.database, command[name])
        writes = known.writes or (name == "aggregate" and _writes_output(command))
        request.writes = writes
        if "readConcern" in command:
            self._take_read_concern(request, known)
        read_session(request, known)
        if name in _ADMIN_ONLY and request.database != "admin":
            raise failure(UNAUTHORIZED, f"{name} may only be run against the admin database.")
        if "maxTimeMS" in command:
            limit_ms = arguments.max_time_ms(command)
            request.deadline_us = None if limit_ms is None else request.kernel.now_us + limit_ms * US_PER_MS
        if not known.anywhere:
            _check_role(request, writes=writes)
        if not writes:
            if "writeConcern" in command:
                raise failure(INVALID_OPTIONS, "Command does not support writeConcern")
            return None
        if command.get("autocommit") is False and not known.ends_transaction:
            return None
        return parse_write_concern(command.get("writeConcern"))

    def _take_read_concern(self, request: Request, known: Command) -> None:
        given = request.command["readConcern"]
        concern = parse_read_concern(given)
        request.read_concern = concern
        level = concern.level
        starts = "startTransaction" in request.command
        if level == "local" or starts or level in known.levels:
            self._check_cluster_time(request)
            return
        shown = f'{{ readConcern: {{ level: "{level}", provenance: "clientSupplied" }} }}'
        reason = "read concern not supported" if not known.levels else f"read concern {level} not supported"
        message = f"Command {request.name} does not support {shown} :: caused by :: {reason}"
        raise failure(INVALID_OPTIONS, message)

    def _check_cluster_time(self, request: Request) -> None:
        """Raise CommandError 72 where a time is asked for that no member can have reached."""
        known = self.service.replica_set.cluster_time(request.member)
        for field, wanted in (
            ("afterClusterTime", request.read_concern.after_cluster_time),
            ("atClusterTime", request.read_concern.at_cluster_time),
        ):
            if wanted is not None and wanted > known:
                shown = f"{{ ts: Timestamp({wanted >> 32}, {wanted & 0xFFFFFFFF}) }}"
                now = f"{{ ts: Timestamp({known >> 32}, {known & 0xFFFFFFFF}) }}"
                message = (
                    f"readConcern {field} value must not be greater than the current clusterTime. Requested "
                    f"clusterTime: {shown}; current clusterTime: {now}"
                )
                raise failure(INVALID_OPTIONS, message)

    async def _run(self, request: Request, known: Command) -> dict[str, Any]:
        if request.number < 0:
            return await self._handle(request, known)
        active = await check_out(request)
        try:
            return await self._handle(request, known)
        finally:
            self._check_in(active)

    async def _handle(self, request: Request, known: Command) -> dict[str, Any]:
        transaction = request.transaction
        if transaction is None or known.ends_transaction:
            try:
                return await known.run(request)
            except DocumentError as error:
                raise of_document_error(error) from error
        transaction.check_open(ends=False)
        try:
            reply = await known.run(request)
        except CommandError:
            abort_open(request, transaction)
            raise
        except DocumentError as error:
            abort_open(request, transaction)
            raise of_document_error(error) from error
        if "writeErrors" in reply:
            abort_open(request, transaction)
        return reply

    def _check_in(self, active: ActiveSession) -> None:
        active.busy = False
        if active.awaited:
            active.awaited = False
            self.service.kernel.signal(self.service.replica_set.changed)

    def _labels(
        self, request: Request, known: Command, code: int, concern_error: dict[str, Any] | None
    ) -> tuple[str, ...]:
        if request.in_change_stream:
            return change_stream_labels(code)
        if request.command.get("autocommit") is False:
            labels = transaction_labels(
                code, ends_transaction=known.ends_transaction, concern_failed=concern_error is not None
            )
            if known.ends_transaction and _retryable_codes(code, concern_error):
                return (*labels, RETRYABLE_WRITE)
            return labels
        if request.number >= 0 and known.retryable and _retryable_codes(code, concern_error):
            return (RETRYABLE_WRITE,)
        return ()

    def _concern_labels(self, request: Request, known: Command, code: int) -> list[str]:
        if code not in RETRYABLE:
            return []
        ends = request.command.get("autocommit") is False and known.ends_transaction
        retryable = request.number >= 0 and known.retryable and request.command.get("autocommit") is not False
        return [RETRYABLE_WRITE] if ends or retryable else []


def _retryable_codes(code: int, concern_error: dict[str, Any] | None) -> bool:
    return code in RETRYABLE or (concern_error is not None and concern_error["code"] in RETRYABLE)


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
