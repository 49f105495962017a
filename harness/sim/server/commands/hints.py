"""Index hints: which a statement may name."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import BAD_VALUE, DocumentError
from harness.sim.server.commands.context import Request

_ID_KEYS: Final = (("_id", 1),)


def check_hint(request: Request, hint: Any) -> None:
    """Raise DocumentError 2 where ``hint`` names no index of the collection."""
    if not hint or hint in ("_id_", "$natural") or (type(hint) is dict and "$natural" in hint):
        return
    collection = request.data.collections.get(request.namespace)
    if collection is None or (type(hint) is dict and tuple(hint.items()) == _ID_KEYS):
        return
    for index in collection.indexes:
        if hint == index.name or (type(hint) is dict and tuple(hint.items()) == index.keys):
            return
    message = (
        f"error processing query: ns={request.namespace}Tree: $and\nSort: {{}}\nProj: {{}}\n planner returned error :: "
        "caused by :: hint provided does not correspond to an existing index"
    )
    raise DocumentError(BAD_VALUE, message)
