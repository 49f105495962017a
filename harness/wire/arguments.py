"""What mongod checks of every command before it looks at its name: the database, and the version of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.wire.errors import RefusedError

_NAME_BYTES_MAX: Final = 63
_API_VERSION: Final = "1"
_FORBIDDEN: Final = frozenset('/\\ "')
_TYPE_NAMES: Final = {bool: "bool", int: "int", float: "double", dict: "object", list: "array", type(None): "null"}


def check_arguments(command: Mapping[str, Any]) -> None:
    """Raise RefusedError where a command has no ``$db`` that can name a database, or asks for another API."""
    _check_database(command)
    version = command.get("apiVersion", _API_VERSION)
    if version != _API_VERSION:
        raise RefusedError(322, f"Cannot accept API version {version}", "APIVersionError")


def _check_database(command: Mapping[str, Any]) -> None:
    if "$db" not in command:
        raise RefusedError(40571, "OP_MSG requests require a $db argument")
    name = command["$db"]
    if not isinstance(name, str):
        actual = _TYPE_NAMES.get(type(name), type(name).__name__.lower())
        raise RefusedError(13111, f"wrong type for field ($db) {actual} != string")
    if "\0" in name:
        raise RefusedError(73, "namespaces cannot have embedded null characters", "InvalidNamespace")
    if "." in name:
        raise RefusedError(73, f"'.' is an invalid character in the database name: {name}", "InvalidNamespace")
    if not 0 < len(name.encode()) <= _NAME_BYTES_MAX or _FORBIDDEN & set(name):
        raise RefusedError(73, f"Invalid database name: '{name}'", "InvalidNamespace")
