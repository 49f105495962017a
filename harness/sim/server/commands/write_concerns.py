"""Write concerns as commands give them, and the wait for them after a command."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import is_number, normalise_value
from harness.sim.server.commands.arguments import parse_error
from harness.sim.server.commands.codes import UNKNOWN_FIELD, failure
from harness.sim.server.commands.context import Request
from harness.sim.server.records import Document
from harness.sim.server.write_concern import MAJORITY, WriteConcern

_DEFAULT: Final = WriteConcern(provenance="implicitDefault")
_MAJORITY: Final = WriteConcern()
_ONE: Final = WriteConcern(w=1)
_FIELDS: Final = frozenset({"w", "j", "wtimeout", "fsync", "getLastError", "provenance"})
_W_MAX: Final = 50


def parse_write_concern(given: Document | None) -> WriteConcern:
    """Return the write concern, majority where none is given. Raises CommandError (9, 40415) for a malformed one."""
    if not given:
        return _DEFAULT
    if len(given) == 1:
        w = given.get("w")
        if w == MAJORITY:
            return _MAJORITY
        if w == 1 and type(w) is int:
            return _ONE
    for name in given:
        if name not in _FIELDS:
            raise failure(UNKNOWN_FIELD, f"BSON field 'WriteConcernOptions.{name}' is an unknown field.")
    journal = given.get("j")
    timeout_ms = given.get("wtimeout", 0)
    return WriteConcern(
        w=_acknowledgements(given.get("w", MAJORITY)),
        j=None if journal is None else bool(journal),
        wtimeout_ms=max(0, int(timeout_ms)) if isinstance(timeout_ms, int | float) else 0,
        provenance="clientSupplied" if "w" in given else "implicitDefault",
    )


def _acknowledgements(w: Any) -> int | str:
    if isinstance(w, str):
        return w
    if not is_number(normalise_value(w)):
        raise parse_error(f"w has to be a number, string, or object; found: {type_name(normalise_value(w))}")
    number = int(w)
    if not 0 <= number <= _W_MAX:
        raise parse_error(f"w has to be a non-negative number and not greater than {_W_MAX}; found: {number}")
    return number


def wait_for_concern(request: Request, concern: WriteConcern) -> Awaitable[dict[str, Any] | None]:
    """Wait for what the command wrote, or for all that the member has; return the writeConcernError, or None."""
    entry = request.entry or request.member.last
    return request.service.replica_set.await_write_concern(
        request.member, entry, concern, deadline_us=request.deadline_us
    )
