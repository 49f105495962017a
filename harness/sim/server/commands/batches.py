"""What the batched writes ``insert``, ``update`` and ``delete`` share: sizes, and errors of single statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.server.commands.codes import INVALID_LENGTH, failure
from harness.sim.server.commands.context import Request

BATCH_MAX: Final = 100_000


class WriteErrors:
    """The ``writeErrors`` of one batch. In a transaction the first error ends the batch, as in an ordered one."""

    __slots__ = ("_found", "end_batch", "ordered")

    def __init__(self, request: Request) -> None:
        self.ordered = request.command.get("ordered", True) or request.transaction is not None
        self.end_batch = False
        self._found: list[dict[str, Any]] = []

    def add(self, index: int, error: DocumentError) -> None:
        """Note the error of the statement at ``index``."""
        self._found.append({"index": index, "code": error.code, "errmsg": error.message, **error.details})
        self.end_batch = bool(self.ordered)

    def report(self, reply: dict[str, Any]) -> None:
        """Put the errors into the reply, if there are any."""
        if self._found:
            reply["writeErrors"] = self._found


def check_batch_size(statements: Sequence[Any]) -> None:
    """Raise CommandError 16 for an empty batch, or one that is too big."""
    if not 1 <= len(statements) <= BATCH_MAX:
        message = f"Write batch sizes must be between 1 and {BATCH_MAX}. Got {len(statements)} operations."
        raise failure(INVALID_LENGTH, message)
