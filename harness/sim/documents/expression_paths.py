"""Field paths and variables: ``"$a.b"``, ``"$$this.a"``, ``"$$NOW"``.

A path maps over every array on its way, at every depth; it never reads an array index. Source: the manual's pages
"Field Paths" and "Variables in Aggregation Expressions"; ``ExpressionFieldPath`` of mongod 6.0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from harness.sim.documents.errors import DocumentError, UnsupportedOperator
from harness.sim.documents.expression_nodes import EXPRESSION, ROOT, Frame, Node, Run, Scope, Variable, constant
from harness.sim.documents.paths import Parts, split
from harness.sim.documents.values import MISSING

_DBREF_FIELDS: Final = frozenset({"$id", "$ref", "$db"})
_PATHS_REMEMBERED: Final = 4096
_SYSTEM_VARIABLES: Final = frozenset({"NOW", "ROOT", "CURRENT", "REMOVE"})
_ADVICE: Final = "Consider using $getField or $setField."


def parse_path(path: str, scope: Scope) -> Node:
    """Return the node of a string that starts with a dollar sign; raises DocumentError for one that is no path."""
    if path[1:2] != "$":
        if path == "$":
            raise DocumentError(16872, "'$' by itself is not a valid FieldPath")
        parts = field_path(path[1:])
        current = scope.variables.get("CURRENT", ROOT) if scope.variables else ROOT
        return Node(_root_walk(parts)) if current is ROOT else Node(_walk(current.run, parts))
    name, _, rest = path[2:].partition(".")
    if name not in _SYSTEM_VARIABLES:
        check_readable_name(name)
    variable = _variable(name, scope)
    if path[-1] == ".":
        raise DocumentError(40353, "FieldPath must not end with a '.'.")
    if not rest:
        return variable
    parts = field_path(rest)
    if variable is ROOT:
        return Node(_root_walk(parts))
    walk = _walk(variable.run, parts)
    return constant(walk([])) if variable.constant else Node(walk)


@lru_cache(maxsize=_PATHS_REMEMBERED)
def field_path(path: str) -> Parts:
    """Return the parts of a dotted path; raises DocumentError where mongod has no such path."""
    if not path:
        raise DocumentError(40352, "FieldPath cannot be constructed with empty string")
    if path[-1] == ".":
        raise DocumentError(40353, "FieldPath must not end with a '.'.")
    parts = split(path)
    for part in parts:
        check_field_name(part)
    return parts


def check_field_name(name: str) -> None:
    """Raise DocumentError for a name that no part of a path may have."""
    if not name:
        raise DocumentError(15998, "FieldPath field names may not be empty strings.")
    if name[0] == "$" and name not in _DBREF_FIELDS:
        raise DocumentError(16410, f"FieldPath field names may not start with '$'. {_ADVICE}")
    if "\0" in name:
        raise DocumentError(16411, "FieldPath field names may not contain '\\0'.")


def check_readable_name(name: str) -> None:
    """Raise DocumentError for a name that no variable may have."""
    if not name:
        raise DocumentError(9, "empty variable names are not allowed")
    if not (name[0].isalpha() and name[0].isascii()) and name[0].isascii():
        raise DocumentError(9, f"'{name}' starts with an invalid character for a user variable name")
    _check_following_characters(name)


def check_writable_name(name: str) -> None:
    """Raise DocumentError for a name that a user may not give to a variable."""
    if name == "CURRENT":
        return
    if not name:
        raise DocumentError(9, "empty variable names are not allowed")
    if not ("a" <= name[0] <= "z") and name[0].isascii():
        raise DocumentError(9, f"'{name}' starts with an invalid character for a user variable name")
    _check_following_characters(name)


def _check_following_characters(name: str) -> None:
    for character in name[1:]:
        if character.isascii() and not character.isalnum() and character != "_":
            message = f"'{name}' contains an invalid character for a variable name: '{character}'"
            raise DocumentError(9, message)


def _variable(name: str, scope: Scope) -> Node:
    node = scope.variables.get(name)
    if node is not None:
        return node
    environment = scope.compilation.environment
    if name == "ROOT" or (name == "CURRENT" and name not in environment.let):
        return ROOT
    if name == "NOW":
        if environment.now is None:
            raise UnsupportedOperator("$$NOW", "an expression compiled without a clock")
        return constant(environment.now)
    if name == "REMOVE":
        return constant(MISSING)
    if name in environment.let:
        value = environment.let[name]
        return Node(lambda _: value.value) if type(value) is Variable else constant(value)
    if name == "CLUSTER_TIME":
        return Node(_unavailable) if environment.cluster_time is None else constant(environment.cluster_time)
    if name in ("JS_SCOPE", "SEARCH_META"):
        raise UnsupportedOperator(f"$${name}", EXPRESSION)
    raise DocumentError(17276, f"Use of undefined variable: {name}")


def _unavailable(_frame: Frame) -> Any:
    raise DocumentError(51144, "Builtin variable '$$CLUSTER_TIME' is not available")


def _root_walk(parts: Parts) -> Run:
    if len(parts) == 1:
        name = parts[0]
        return lambda frame: frame[0].get(name, MISSING)
    return lambda frame: walk_path(frame[0], parts, 0)


def _walk(start: Run, parts: Parts) -> Run:
    return lambda frame: walk_path(start(frame), parts, 0)


def walk_path(value: Any, parts: Parts, position: int) -> Any:
    """Return the value at ``parts[position:]`` below ``value``: an array of values where an array is on the way."""
    for index in range(position, len(parts)):
        if type(value) is dict:
            value = value.get(parts[index], MISSING)
        elif type(value) is list:
            found = [walk_path(item, parts, index) for item in value if type(item) is dict]
            return [item for item in found if item is not MISSING]
        else:
            return MISSING
    return value
