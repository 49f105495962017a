"""What a command touches, for schedulers that let commands commute which touch different documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.sim.kernel.loop import Footprint
from harness.sim.server.commands.selecting import pins

_NOTHING: Final = frozenset({"hello", "isMaster", "ismaster", "ping", "buildInfo", "endSessions", "startSession"})
_ELSEWHERE: Final = frozenset(
    {"$lookup", "$unionWith", "$graphLookup", "$facet", "$out", "$merge", "$changeStream"},
)


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
    touched = _TOUCHED.get(name)
    return ((f"{namespace}:*", True),) if touched is None else touched(command, namespace)


def _inserted(command: Mapping[str, Any], namespace: str) -> Footprint:
    return tuple(dict.fromkeys((_document(namespace, document), True) for document in command["documents"]))


def _updated(command: Mapping[str, Any], namespace: str) -> Footprint:
    statements = command["updates"] if "updates" in command else command["deletes"]
    return tuple(dict.fromkeys((_document(namespace, statement["q"]), True) for statement in statements))


def _modified(command: Mapping[str, Any], namespace: str) -> Footprint:
    return ((_document(namespace, command.get("query")), True),)


def _found(command: Mapping[str, Any], namespace: str) -> Footprint:
    return ((_document(namespace, command.get("filter")), False),)


def _read(_command: Mapping[str, Any], namespace: str) -> Footprint:
    return ((f"{namespace}:*", False),)


def _aggregated(command: Mapping[str, Any], namespace: str) -> Footprint | None:
    """Return the footprint of a pipeline, None for one that leads into other collections, or watches."""
    if any(name in _ELSEWHERE for stage in command.get("pipeline", ()) for name in stage):
        return None
    return ((f"{namespace}:*", False),)


_TOUCHED: Final[Mapping[str, Callable[[Mapping[str, Any], str], Footprint | None]]] = {
    "insert": _inserted,
    "update": _updated,
    "delete": _updated,
    "findAndModify": _modified,
    "find": _found,
    "count": _read,
    "distinct": _read,
    "listIndexes": _read,
    "aggregate": _aggregated,
}


def _document(namespace: str, query: Mapping[str, Any] | None) -> str:
    if query and "_id" in query and pins(query["_id"]):
        return f"{namespace}:{query['_id']!r}"
    return f"{namespace}:*"
