"""The update operators on arrays: ``$push``, ``$addToSet``, ``$pop``, ``$pull``, ``$pullAll``.

Each function takes the field's path and the operator's argument, and returns the operator bound to them or raises
DocumentError as mongod does when it parses the update. Source: the manual's page "Array Update Operators".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.sim.documents.errors import (
    BAD_VALUE,
    FAILED_TO_PARSE,
    TYPE_MISMATCH,
    DocumentError,
)
from harness.sim.documents.match import compile_filter
from harness.sim.documents.match_parse import is_condition
from harness.sim.documents.match_tests import Test, equality_test, parse_whole_number
from harness.sim.documents.order import hashable_key, sort_key
from harness.sim.documents.paths import Parts, split
from harness.sim.documents.rendering import document_text, type_name
from harness.sim.documents.sort import array_element_sorter
from harness.sim.documents.update_state import Modifier, UpdateState
from harness.sim.documents.values import MISSING, is_number

_PUSH_CLAUSES: Final = ("$each", "$slice", "$sort", "$position")

Sorter = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class _Push:
    values: tuple[Any, ...]
    position: int | None = None
    sort: Sorter | None = None
    slice: int | None = None


def push(_path: str, argument: Any) -> Modifier:
    """``$push``: append, or with ``$each`` insert at ``$position``, then ``$sort``, then ``$slice``."""
    clauses = _push_clauses(argument) if type(argument) is dict and "$each" in argument else _Push((argument,))

    return Modifier(_push, clauses)


def _push(value: Any, clauses: Any, path: Parts, state: UpdateState) -> Any:
    if value is not MISSING and type(value) is not list:
        message = (
            f"The field '{'.'.join(path)}' must be an array but is of type {type_name(value)} in document "
            f"{{{state.document_name()}}}"
        )
        raise DocumentError(BAD_VALUE, message)
    array: list[Any] = value if type(value) is list else []
    return _pushed(array, clauses)


def _pushed(array: list[Any], clauses: _Push) -> list[Any]:
    result = array
    if clauses.values:
        size = len(array)
        place = size if clauses.position is None else clauses.position
        place = min(place, size) if place >= 0 else max(size + place, 0)
        result = [*array[:place], *clauses.values, *array[place:]]
    if clauses.sort is not None and result:
        result = clauses.sort(result)
    if clauses.slice is not None and len(result) > abs(clauses.slice):
        result = result[: clauses.slice] if clauses.slice >= 0 else result[clauses.slice :]
    return result


def _push_clauses(argument: Mapping[str, Any]) -> _Push:
    unknown = next((name for name in argument if name not in _PUSH_CLAUSES), None)
    if unknown is not None:
        raise DocumentError(BAD_VALUE, f"Unrecognized clause in $push: {unknown}")
    values = argument["$each"]
    if type(values) is not list:
        message = f"The argument to $each in $push must be an array but it was of type: {type_name(values)}"
        raise DocumentError(BAD_VALUE, message)
    return _Push(
        values=tuple(values),
        position=_push_number(argument, "$position", "an integer value, not of type"),
        sort=_push_sorter(argument["$sort"]) if "$sort" in argument else None,
        slice=_push_number(argument, "$slice", "an integer value but was given type"),
    )


def _push_number(argument: Mapping[str, Any], clause: str, wanted: str) -> int | None:
    if clause not in argument:
        return None
    try:
        return parse_whole_number(argument[clause], clause)
    except DocumentError as error:
        message = f"The value for {clause} must be {wanted}: {type_name(argument[clause])}"
        raise DocumentError(BAD_VALUE, message) from error


def _push_sorter(argument: Any) -> Sorter:
    if type(argument) is dict:
        if not argument:
            raise DocumentError(BAD_VALUE, "The sort pattern is empty when it should be a set of fields.")
        for name, direction in argument.items():
            _check_direction(direction)
            if not name:
                raise DocumentError(BAD_VALUE, "The sort field cannot be empty")
            if "" in split(name):
                raise DocumentError(BAD_VALUE, f"The sort field is a dotted field but has an empty part: {name}")
        return array_element_sorter(argument)
    if not is_number(argument):
        message = "The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort embedded fields"
        raise DocumentError(BAD_VALUE, message)
    _check_direction(argument)
    descending = _direction(argument) < 0
    return lambda array: sorted(array, key=sort_key, reverse=descending)


def _check_direction(argument: Any) -> None:
    if _direction(argument) not in (1, -1):
        raise DocumentError(BAD_VALUE, "The sort element value must be either 1 or -1")


def _direction(argument: Any) -> Any:
    return sort_key(argument)[1] if is_number(argument) else 0


def add_to_set(_path: str, argument: Any) -> Modifier:
    """``$addToSet``: append the values that the array does not hold yet."""
    return Modifier(_add_to_set, _distinct(_set_values(argument)))


def _add_to_set(value: Any, values: Any, path: Parts, _state: UpdateState) -> Any:
    if value is MISSING:
        return values
    if type(value) is not list:
        message = (
            f"Cannot apply $addToSet to non-array field. Field named '{path[-1]}' has non-array type {type_name(value)}"
        )
        raise DocumentError(BAD_VALUE, message)
    present = {hashable_key(item) for item in value}
    added = [item for item in values if hashable_key(item) not in present]
    return [*value, *added] if added else value


def _distinct(values: list[Any]) -> list[Any]:
    first_of: dict[Any, Any] = {}
    for item in values:
        first_of.setdefault(hashable_key(item), item)
    return list(first_of.values())


def _set_values(argument: Any) -> list[Any]:
    if type(argument) is not dict or next(iter(argument), None) != "$each":
        return [argument]
    values = argument["$each"]
    if type(values) is not list:
        message = f"The argument to $each in $addToSet must be an array but it was of type {type_name(values)}"
        raise DocumentError(TYPE_MISMATCH, message)
    if len(argument) > 1:
        message = f"Found unexpected fields after $each in $addToSet: {document_text(argument)}"
        raise DocumentError(BAD_VALUE, message)
    return values


def pop(path: str, argument: Any) -> Modifier:
    """``$pop``: remove the last (1) or the first (-1) element."""
    end = parse_whole_number(argument, path)
    if end not in (1, -1):
        raise DocumentError(FAILED_TO_PARSE, f"$pop expects 1 or -1, found: {end}")

    return Modifier(_pop, end, creates=False)


def _pop(value: Any, end: Any, path: Parts, _state: UpdateState) -> Any:
    if type(value) is not list:
        message = f"Path '{'.'.join(path)}' contains an element of non-array type '{type_name(value)}'"
        raise DocumentError(TYPE_MISMATCH, message)
    if not value:
        return value
    return value[:-1] if end > 0 else value[1:]


def pull(_path: str, argument: Any) -> Modifier:
    """``$pull``: remove the elements that equal a value or match a condition."""
    return Modifier(_pull, _pull_test(argument), creates=False)


def _pull_test(argument: Any) -> Test:
    if is_condition(argument):
        matches = compile_filter({"element": argument})
        return lambda item: matches({"element": item})
    if type(argument) is dict:
        matches = compile_filter(argument)
        return lambda item: type(item) is dict and matches(item)
    return equality_test(argument)


def pull_all(_path: str, argument: Any) -> Modifier:
    """``$pullAll``: remove the elements that equal one of the values."""
    if type(argument) is not list:
        message = f"$pullAll requires an array argument but was given a {type_name(argument)}"
        raise DocumentError(BAD_VALUE, message)
    keys = {hashable_key(item) for item in argument}
    return Modifier(_pull, lambda item: hashable_key(item) in keys, creates=False)


def _pull(value: Any, removes: Any, _path: Parts, _state: UpdateState) -> Any:
    if type(value) is not list:
        raise DocumentError(BAD_VALUE, "Cannot apply $pull to a non-array value")
    kept = [item for item in value if not removes(item)]
    return kept if len(kept) < len(value) else value
