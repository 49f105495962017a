"""What a command touches, for schedulers that let commands commute which touch different documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.sim.kernel.loop import Footprint
from harness.sim.server.commands.selecting import pins

_READS: Final = frozenset({"find", "count", "distinct", "aggregate", "listIndexes"})
_NOTHING: Final = frozenset({"hello", "isMaster", "ismaster", "ping", "buildInfo", "endSessions", "startSession"})


def footprint_of(command: Mapping[str, Any]) -> Footprint | None:
    """Return what a command touches: (``database.collection:_id``, is it written); ``*`` stands for any ``_id``.

    None where that is not known: the command may touch everything. A transaction's statements and cursors are such.
    """
    name = next(iter(command))
    if name in _NOTHING:
        return ()
    if "autocommit" in command or type(command[name]) is not str:
        return None
    namespace = f"{command.get('$db', '')}.{command[name]}"
    if name == "find":
        return ((_document(namespace, command.get("filter")), False),)
    if name in _READS:
        return _aggregated(command, namespace) if name == "aggregate" else ((f"{namespace}:*", False),)
    if name == "findAndModify":
        return ((_document(namespace, command.get("query")), True),)
    if name == "update":
        return _statements(namespace, command["updates"])
    if name == "delete":
        return _statements(namespace, command["deletes"])
    if name == "insert":
        documents = command["documents"]
        return tuple(dict.fromkeys((_document(namespace, document), True) for document in documents))
    return ((f"{namespace}:*", True),)


def _statements(namespace: str, statements: list[Mapping[str, Any]]) -> Footprint:
    return tuple(dict.fromkeys((_document(namespace, statement["q"]), True) for statement in statements))


def _document(namespace: str, query: Mapping[str, Any] | None) -> str:
    if query and "_id" in query and pins(query["_id"]):
        return f"{namespace}:{query['_id']!r}"
    return f"{namespace}:*"


def _aggregated(command: Mapping[str, Any], namespace: str) -> Footprint | None:
    """Return the footprint of a pipeline, None for one that leads into other collections, or watches."""
    for stage in command.get("pipeline", ()):
        if any(
            name in ("$lookup", "$unionWith", "$graphLookup", "$facet", "$out", "$merge", "$changeStream")
            for name in stage
        ):
            return None
    return ((f"{namespace}:*", False),)
