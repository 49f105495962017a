"""Fail points that tests arm: ``failCommand``, and ``onPrimaryTransactionalWrite`` for retryable writes and commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bson.int64 import Int64

from harness.sim.kernel.loop import US_PER_MS
from harness.sim.server.commands.codes import (
    DUPLICATE_KEY,
    FAIL_POINT_SET_FAILED,
    INVALID_OPTIONS,
    MISSING_FIELD,
    failure,
)
from harness.sim.server.errors import CommandError, MemberGone

if TYPE_CHECKING:
    from harness.sim.server.commands.context import Request

FAIL_COMMAND: Final = "failCommand"
TRANSACTIONAL_WRITE: Final = "onPrimaryTransactionalWrite"
_NAMES: Final = frozenset({FAIL_COMMAND, TRANSACTIONAL_WRITE})
_ALWAYS: Final = -1
_NUMBERS: Final = frozenset({int, float, Int64})
_MESSAGE: Final = "Failing command via 'failCommand' failpoint"


@dataclass(slots=True)
class FailPoint:
    """An armed fail point: ``remaining`` times still (-1: always), after ``skip`` times more."""

    data: dict[str, Any]
    remaining: int
    skip: int = 0


class FailPoints:
    """The fail points of all members, by member and name."""

    def __init__(self) -> None:
        self._armed: dict[tuple[str, str], FailPoint] = {}
        self._hits: dict[tuple[str, str], int] = {}
        self._applications: dict[int, str] = {}
        """Number of a connection to the application name that its ``hello`` gave."""

    @property
    def any_armed(self) -> bool:
        """Whether there is one at all."""
        return bool(self._armed)

    def describe(self) -> tuple[Any, ...]:
        """Return what is armed as plain values."""
        armed = [(*key, repr(each.data), each.remaining, each.skip) for key, each in self._armed.items()]
        return tuple(armed), tuple([(*key, hits) for key, hits in self._hits.items()])

    def configure(self, member: str, command: dict[str, Any]) -> dict[str, Any]:
        """``configureFailPoint``. Raises CommandError 266 for an unknown name."""
        name = command["configureFailPoint"]
        if name not in _NAMES:
            raise failure(FAIL_POINT_SET_FAILED, f"{name} not found")
        key = (member, name)
        if "mode" not in command:
            raise failure(MISSING_FIELD, "BSON field 'configureFailPoint.mode' is missing but a required field")
        mode = command["mode"]
        data = command.get("data") or {}
        if mode == "off":
            self._armed.pop(key, None)
        elif mode == "alwaysOn":
            self._armed[key] = FailPoint(data, _ALWAYS)
        elif type(mode) is dict and "times" in mode:
            self._armed[key] = FailPoint(data, int(mode["times"]))
        elif type(mode) is dict and "skip" in mode:
            self._armed[key] = FailPoint(data, _ALWAYS, int(mode["skip"]))
        else:
            raise failure(9, f"unknown fail point mode {mode}")
        return {"count": self._hits.get(key, 0)}

    def hit(self, member: str, name: str) -> dict[str, Any] | None:
        """Return the data of an armed fail point, and count it down; None where it does not act."""
        key = (member, name)
        point = self._armed.get(key)
        if point is None:
            return None
        if point.skip:
            point.skip -= 1
            return None
        self._hits[key] = self._hits.get(key, 0) + 1
        if point.remaining != _ALWAYS:
            point.remaining -= 1
            if point.remaining == 0:
                del self._armed[key]
        return point.data

    def before_write(self, request: Request) -> None:
        """Act on a retryable write, or the commit of a transaction, as ``onPrimaryTransactionalWrite`` says.

        Where it closes the connection, the command still runs to its end, with all statements of its batch. Raises
        CommandError for its ``failBeforeCommitExceptionCode``.
        """
        data = self.hit(request.member.name, TRANSACTIONAL_WRITE)
        if data is None:
            return
        if data.get("closeConnection", True):
            request.unanswered = True
        if "failBeforeCommitExceptionCode" in data:
            code = int(data["failBeforeCommitExceptionCode"])
            raise failure(
                code, f"Failing write for {request.number} due to failpoint. The write must not be reflected."
            )

    def note_client(self, connection: int, client: Any) -> None:
        """Take notice of the ``client`` document of a connection's first ``hello``."""
        application = client.get("application") if type(client) is dict else None
        if type(application) is dict and type(application.get("name")) is str:
            self._applications[connection] = application["name"]

    def forget_client(self, connection: int) -> None:
        """Take notice of the end of a connection."""
        self._applications.pop(connection, None)

    async def fail_command(self, request: Request, connection: int) -> dict[str, Any] | None:
        """Act on a command as ``failCommand`` says; return the writeConcernError that it asks for, if any.

        With ``blockConnection`` it comes to that ``blockTimeMS`` later. Raises CommandError for its ``errorCode``,
        MemberGone for ``closeConnection``, which gets no answer.
        """
        data = self._struck(request, connection)
        if data is None:
            return None
        if data.get("blockConnection"):
            await _block(request, data)
        if data.get("closeConnection"):
            raise MemberGone
        if "errorCode" in data:
            raise _asked_error(data)
        concern_error: dict[str, Any] | None = data.get("writeConcernError")
        return concern_error

    def _struck(self, request: Request, connection: int) -> dict[str, Any] | None:
        point = self._armed.get((request.member.name, FAIL_COMMAND))
        if point is None or request.name not in point.data.get("failCommands", ()):
            return None
        wanted = point.data.get("namespace")
        if wanted is not None and wanted != f"{request.database}.{request.command[request.name]}":
            return None
        application = point.data.get("appName")
        if application is not None and application != self._applications.get(connection):
            return None
        return self.hit(request.member.name, FAIL_COMMAND)


async def _block(request: Request, data: dict[str, Any]) -> None:
    block_ms: Any = data.get("blockTimeMS")
    if type(block_ms) not in _NUMBERS:
        raise failure(INVALID_OPTIONS, "must specify 'blockTimeMS' when 'blockConnection' is true")
    if block_ms < 0:
        raise failure(INVALID_OPTIONS, "'blockTimeMS' must be non-negative")
    until_us = request.kernel.now_us + int(block_ms) * US_PER_MS
    while request.kernel.now_us < until_us:
        await request.wait(until_us)


def _asked_error(data: dict[str, Any]) -> CommandError:
    code = int(data["errorCode"])
    if code == DUPLICATE_KEY:
        return failure(40671, "Missing required extra info for error code DuplicateKey", extra=_labels(data))
    return failure(code, _MESSAGE, extra=_labels(data))


def _labels(data: dict[str, Any]) -> dict[str, Any]:
    return {"errorLabels": list(data["errorLabels"])} if "errorLabels" in data else {}
