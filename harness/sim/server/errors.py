"""What a simulated server raises: errors that become replies, broken connections, and its own broken promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from harness.errors import HarnessError


class CommandError(Exception):
    """A command failed; the dispatcher makes a reply of it.

    Arguments: the server's ``code``, ``code_name`` and ``message``; ``labels`` for ``errorLabels``; ``extra`` for
    further fields of the reply, as ``keyPattern``.
    """

    def __init__(
        self,
        code: int,
        code_name: str,
        message: str,
        *,
        labels: tuple[str, ...] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.code_name = code_name
        self.message = message
        self.labels = labels
        self.extra: Mapping[str, Any] = extra or {}


class MemberGone(Exception):  # noqa: N818 - what happened to the member, not what the command did wrong
    """The member died, or closed its connections, while a command ran there: no reply will come."""


NetworkFailureKind = Literal["refused", "reset", "timeout"]


class NetworkFailure(Exception):  # noqa: N818 - what the client saw; the command itself may have succeeded
    """A client got no reply. ``sent`` tells whether the member may have received the command."""

    def __init__(self, kind: NetworkFailureKind, *, member: str, sent: bool) -> None:
        super().__init__(f"{member}: {kind}")
        self.kind: NetworkFailureKind = kind
        self.member = member
        self.sent = sent


class SimulatorError(HarnessError):
    """The simulated servers broke a promise that replica sets keep: a defect of the simulator, or one switched on."""


def not_writable_primary() -> CommandError:
    """Return what a member that is not primary answers to a write."""
    return CommandError(10107, "NotWritablePrimary", "not primary")


def not_primary_or_secondary() -> CommandError:
    """Return what a member that is neither, as in a rollback, answers to a read."""
    return CommandError(13436, "NotPrimaryOrSecondary", "node is not in primary or recovering state")


def interrupted() -> CommandError:
    """Return how an operation ends whose member stops being primary under it."""
    return CommandError(11602, "InterruptedDueToReplStateChange", "operation was interrupted")


def max_time_expired() -> CommandError:
    """Return how an operation ends at its ``maxTimeMS``."""
    return CommandError(50, "MaxTimeMSExpired", "operation exceeded time limit")
