"""The fields of commands and statements: which are known, which are required, of which types they are.

mongod parses most commands with generated parsers whose messages these functions repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson.int64 import Int64

from harness.sim.documents.rendering import type_name
from harness.sim.documents.values import is_number, normalise_value
from harness.sim.server.commands.codes import (
    BAD_VALUE,
    FAILED_TO_PARSE,
    INVALID_NAMESPACE,
    MISSING_FIELD,
    TYPE_MISMATCH,
    UNKNOWN_FIELD,
    failure,
)
from harness.sim.server.errors import CommandError

GENERIC_FIELDS: Final = frozenset(
    {"$db", "lsid", "txnNumber", "autocommit", "startTransaction", "readConcern", "writeConcern", "maxTimeMS"}
    | {"$clusterTime", "$readPreference", "comment", "apiVersion", "apiStrict", "apiDeprecationErrors"}
    | {"$audit", "$client", "$configServerState", "mayBypassWriteBlocking", "maxTimeMSOpOnly", "coordinator"}
)
"""What any command may have."""

SAFE_BOOL: Final = "bool|int|long|decimal|double"
"""A flag for which a number will do."""

_PLAIN_TYPES: Final[Mapping[str, frozenset[type]]] = {
    "bool": frozenset({bool}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
    "string": frozenset({str}),
    "long": frozenset({Int64}),
    SAFE_BOOL: frozenset({bool}),
}
_NO_TYPES: Final[frozenset[type]] = frozenset()


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a command or statement.

    Arguments: ``name`` as messages name it (``insert``, ``update.updates``), ``types`` of the fields whose type is
    checked, each with the Python types that pass at once, ``required`` in the order in which they are missed, ``known``
    all of them.
    """

    name: str
    types: tuple[tuple[str, str, frozenset[type]], ...]
    required: tuple[str, ...]
    known: frozenset[str]


def fields(
    name: str,
    types: Mapping[str, str],
    *,
    required: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    command: bool = True,
) -> Fields:
    """Return the description of a command's fields, or of a statement's where ``command`` is False."""
    known = frozenset(types) | frozenset(others)
    checked = tuple((field, wanted, _PLAIN_TYPES.get(wanted, _NO_TYPES)) for field, wanted in types.items())
    return Fields(name, checked, required, known | GENERIC_FIELDS | {name} if command else known)


def check(document: Mapping[str, Any], expected: Fields) -> None:
    """Raise CommandError (14, 40414, 40415) where the fields of a command or statement are not as they must be."""
    if not document.keys() <= expected.known:
        unknown = next(name for name in document if name not in expected.known)
        raise failure(UNKNOWN_FIELD, f"BSON field '{expected.name}.{unknown}' is an unknown field.")
    for name, wanted, passing in expected.types:
        if name in document and type(document[name]) not in passing:
            check_type(f"{expected.name}.{name}", document[name], wanted)
    for name in expected.required:
        if name not in document:
            raise failure(MISSING_FIELD, f"BSON field '{expected.name}.{name}' is missing but a required field")


def check_type(name: str, value: Any, wanted: str) -> None:
    """Raise CommandError 14 where ``value`` is not of the type named by ``wanted``."""
    value = normalise_value(value)
    actual = type_name(value)
    if actual == wanted or (wanted == "number" and is_number(value)) or (actual == "null" and wanted != "long"):
        return
    if "|" in wanted:
        if actual in wanted.split("|"):
            return
        options = ", ".join(wanted.split("|"))
        raise failure(TYPE_MISMATCH, f"BSON field '{name}' is the wrong type '{actual}', expected types '[{options}]'")
    raise failure(TYPE_MISMATCH, f"BSON field '{name}' is the wrong type '{actual}', expected type '{wanted}'")


def check_items(name: str, items: list[Any]) -> None:
    """Raise CommandError 14 where an item of the array ``name`` is no document."""
    for index, item in enumerate(items):
        if type(item) is not dict:
            check_type(f"{name}.{index}", item, "object")


def natural(command: Mapping[str, Any], name: str, default: int = 0) -> int:
    """Return a field that must be a number of at least 0, whole part only. Raises CommandError 51024 below 0."""
    value = command.get(name)
    if value is None:
        return default
    if not is_number(value):
        actual = type_name(normalise_value(value))
        message = f"BSON field '{name}' is the wrong type '{actual}', expected types '[long, int, decimal, double']"
        raise failure(TYPE_MISMATCH, message)
    number = int(value if isinstance(value, int | float) else value.to_decimal())
    if number < 0:
        raise failure(51024, f"BSON field '{name}' value must be >= 0, actual value '{number}'")
    return number


def optional_document(command: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a field that must be a document, empty where it is missing. Raises CommandError 14."""
    value = command.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise failure(TYPE_MISMATCH, f"Expected field {name}to be of type object")
    return value


def collection_namespace(database: str, name: Any) -> str:
    """Return ``database.collection``. Raises CommandError (2, 73) for what cannot be a collection's name."""
    if type(name) is not str:
        raise failure(BAD_VALUE, f"collection name has invalid type {type_name(normalise_value(name))}")
    if not name or name.startswith("."):
        raise failure(INVALID_NAMESPACE, f"Invalid namespace specified '{database}.{name}'")
    return f"{database}.{name}"


def check_writable(namespace: str) -> None:
    """Raise CommandError 73 for a namespace that clients may not make."""
    database, _, name = namespace.partition(".")
    if "$" in name:
        raise failure(INVALID_NAMESPACE, f"Invalid collection name: {name}")
    if name.startswith("system."):
        raise failure(INVALID_NAMESPACE, f"Invalid system namespace: {database}.{name}")


def max_time_ms(command: Mapping[str, Any]) -> int | None:
    """Return ``maxTimeMS``, None for no limit. Raises CommandError 2 for a value out of range."""
    value = command.get("maxTimeMS")
    if value is None:
        return None
    if not is_number(value):
        raise failure(BAD_VALUE, "maxTimeMS must be a number")
    number = int(value if isinstance(value, int | float) else value.to_decimal())
    if not 0 <= number <= 2**31 - 1:
        raise failure(BAD_VALUE, f"{number} value for maxTimeMS is out of range")
    return number or None


def parse_error(message: str) -> CommandError:
    """Return the error FailedToParse."""
    return failure(FAILED_TO_PARSE, message)
