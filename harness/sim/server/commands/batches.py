"""What the batched writes ``insert``, ``update`` and ``delete`` share: sizes, and errors of single statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.server.commands.codes import INVALID_LENGTH, failure
from harness.sim.server.commands.context import Request

BATCH_MAX: Final = 100_000


class BatchReply:
    """The reply of a batch under construction. In a transaction the first error ends it, as in an ordered one."""

    __slots__ = ("_errors", "_ordered", "count", "retried")

    def __init__(self, request: Request) -> None:
        self._ordered = request.command.get("ordered", True) or request.transaction is not None
        self._errors: list[dict[str, Any]] | None = None
        self.count = 0
        """``n``: documents inserted, matched or removed."""
        self.retried: list[int] | None = None

    def add_retried(self, number: int) -> None:
        """Note that a statement was executed before."""
        self.retried = [number] if self.retried is None else [*self.retried, number]

    def add_error(self, index: int, error: DocumentError) -> bool:
        """Note the error of the statement at ``index``; return whether it ends the batch."""
        told = {"index": index, "code": error.code, "errmsg": error.message, **error.details}
        self._errors = [told] if self._errors is None else [*self._errors, told]
        return bool(self._ordered)

    def document(self) -> dict[str, Any]:
        """Return the reply."""
        reply: dict[str, Any] = {"n": self.count}
        if self._errors is not None:
            reply["writeErrors"] = self._errors
        if self.retried is not None:
            reply["retriedStmtIds"] = self.retried
        return reply


def check_batch_size(statements: Sequence[Any]) -> None:
    """Raise CommandError 16 for an empty batch, or one that is too big."""
    if not 1 <= len(statements) <= BATCH_MAX:
        message = f"Write batch sizes must be between 1 and {BATCH_MAX}. Got {len(statements)} operations."
        raise failure(INVALID_LENGTH, message)
