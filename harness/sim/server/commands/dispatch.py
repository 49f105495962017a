"""What happens to every command: checks, session, execution, write concern, reply.

The order is mongod's: the command must be known and well-formed, its session fields must fit, the member must have the
role for it; then it runs, and what it wrote, or failed to write, waits for its write concern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.server.commands.codes import (
    NO_SUCH_TRANSACTION,
    RETRYABLE,
    RETRYABLE_WRITE,
    WRITE_CONCERN_FAILED,
    WRITE_CONFLICT,
    change_stream_labels,
    failure,
    of_document_error,
    transaction_labels,
)
from harness.sim.server.commands.context import Request, Service
from harness.sim.server.commands.fail_points import FailPoints
from harness.sim.server.commands.preparing import prepare
from harness.sim.server.commands.registry import UNKNOWN, find_command
from harness.sim.server.commands.replies import Replies, error_reply
from harness.sim.server.commands.sessions import check_in, check_out
from harness.sim.server.commands.transactions import abort_open, append_noop
from harness.sim.server.commands.ttl import TtlMonitor
from harness.sim.server.commands.write_concerns import wait_for_concern
from harness.sim.server.errors import CommandError, MemberGone

if TYPE_CHECKING:
    from harness.sim.server.commands.registry import Command
    from harness.sim.server.commands.transactions import Transaction
    from harness.sim.server.member import Member
    from harness.sim.server.replica_set import ReplicaSet
    from harness.sim.server.write_concern import WriteConcern

_BATCHED: Final = frozenset({"insert", "update", "delete"})
_CLOSES_WHERE_UNANSWERED: Final = frozenset({10107, 11602, 13435, 13436, 189})
"""With these codes mongod 6.0.5 closes the connection of a write that asked for no answer (measured)."""


class Dispatcher:
    """Runs commands on the members of a set. It never raises CommandError: an error is a reply.

    Commands must be normalised (:func:`harness.sim.documents.values.normalise`), and what a reply holds must not be
    changed: it may be what is stored. Raises MemberGone where the member died under the command, or closes the
    connection instead of an answer, BackendError for what is not modelled.
    """

    def __init__(self, replica_set: ReplicaSet) -> None:
        self.service = Service(replica_set, FailPoints())
        self._replica_set = replica_set
        self._replies = Replies()
        self._ttl = TtlMonitor(self.service)

    async def __call__(self, member: Member, command: dict[str, Any], connection: int) -> dict[str, Any]:
        """Run one command, as it came over ``connection``, and return its reply."""
        name = next(iter(command), "")
        request = Request(self.service, member, command, name)
        gossiped = command.get("$clusterTime")
        if gossiped is not None:
            time = gossiped["clusterTime"]
            self._replica_set.note_cluster_time(member, time.time << 32 | time.inc)
        known = find_command(name)
        try:
            concern = prepare(request, known)
        except CommandError as error:
            _close_where_unanswered(command, error)
            return self._replies.finish(request, error_reply(error, _labels(request, known, error.code, None), None))
        return self._replies.finish(request, await self._execute(request, known, concern, connection))

    async def _execute(
        self, request: Request, known: Command, concern: WriteConcern | None, connection: int
    ) -> dict[str, Any]:
        concern_error: dict[str, Any] | None = None
        asked_error = None
        try:
            if self.service.fail_points.any_armed:
                asked_error = await self.service.fail_points.fail_command(request, connection)
            reply = await self._run(request, known)
        except CommandError as error:
            if request.unanswered:
                raise MemberGone from error
            _close_where_unanswered(request.command, error)
            if concern is not None and _tried_to_write(request, error):
                concern_error = await wait_for_concern(request, concern)
            return error_reply(error, _labels(request, known, error.code, concern_error), concern_error)
        if concern is not None and request.wrote and (concern.w != 1 or concern.j):
            concern_error = await wait_for_concern(request, concern)
        if request.name in _BATCHED:
            self._replies.write_time(request, reply)
        if asked_error is not None:
            concern_error = asked_error
        if concern_error is not None:
            return self._with_concern_error(request, known, reply, concern_error)
        reply["ok"] = 1.0
        return reply

    async def _run(self, request: Request, known: Command) -> dict[str, Any]:
        if request.number < 0:
            try:
                return await known.run(request)
            except DocumentError as error:
                raise of_document_error(error) from error
        active = await check_out(request)
        try:
            transaction = request.transaction
            if transaction is not None and not known.ends_transaction:
                return await self._run_inside(request, known, transaction)
            reply = await known.run(request)
            if request.unanswered:
                raise MemberGone
            return reply
        except DocumentError as error:
            raise of_document_error(error) from error
        finally:
            check_in(request, active)

    async def _run_inside(self, request: Request, known: Command, transaction: Transaction) -> dict[str, Any]:
        """Run a statement of a transaction, which any error aborts."""
        transaction.check_open(ends=False)
        try:
            reply = await known.run(request)
        except (CommandError, DocumentError):
            abort_open(request, transaction)
            raise
        if "writeErrors" in reply:
            abort_open(request, transaction)
        return reply

    def _with_concern_error(
        self, request: Request, known: Command, reply: dict[str, Any], concern_error: dict[str, Any]
    ) -> dict[str, Any]:
        code = concern_error["code"]
        if code == WRITE_CONCERN_FAILED and self.service.defects.wtimeout_reported_as_not_applied:
            return error_reply(failure(WRITE_CONFLICT, "the write was not applied"), (), None)
        reply["writeConcernError"] = concern_error
        reply["ok"] = 1.0
        if code in RETRYABLE and _is_retryable(request, known):
            reply["errorLabels"] = [RETRYABLE_WRITE]
        return reply


def _close_where_unanswered(command: dict[str, Any], error: CommandError) -> None:
    """Raise MemberGone where the client cannot be told in a reply that the member is not primary."""
    concern = command.get("writeConcern")
    if error.code in _CLOSES_WHERE_UNANSWERED and type(concern) is dict and concern.get("w") == 0:
        raise MemberGone


def _tried_to_write(request: Request, error: CommandError) -> bool:
    """Return whether a failed command waits for its write concern: where it came as far as to try a write.

    A commit that finds no transaction does too, so that its client learns nothing that may be rolled back.
    """
    if error.code == NO_SUCH_TRANSACTION and request.name == "commitTransaction" and request.member.is_primary:
        append_noop(request)
        return True
    return request.wrote


def _labels(request: Request, known: Command, code: int, concern_error: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the labels of a failed command."""
    if request.in_change_stream or _opens_stream(request.command):
        return change_stream_labels(code)
    labels: tuple[str, ...] = ()
    if request.command.get("autocommit") is False:
        ends = known.ends_transaction
        labels = transaction_labels(code, ends_transaction=ends, concern_failed=concern_error is not None)
    retryable = code in RETRYABLE or (concern_error is not None and concern_error["code"] in RETRYABLE)
    return (*labels, RETRYABLE_WRITE) if retryable and _is_retryable(request, known) else labels


def _opens_stream(command: dict[str, Any]) -> bool:
    pipeline = command.get("pipeline")
    return type(pipeline) is list and bool(pipeline) and type(pipeline[0]) is dict and "$changeStream" in pipeline[0]


def _is_retryable(request: Request, known: Command) -> bool:
    """Return whether a driver may send the command again: a retryable write, or the end of a transaction."""
    if known is UNKNOWN:
        return False
    if request.command.get("autocommit") is False:
        return known.ends_transaction
    return request.number >= 0 and known.retryable
