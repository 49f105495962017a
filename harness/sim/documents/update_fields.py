"""The update operators on fields: ``$set``, ``$unset``, ``$inc``, ``$mul``, ``$min``, ``$max``, ``$rename`` and others.

Each function takes the field's path and the operator's argument, and returns the operator bound to them or raises
DocumentError as mongod does when it parses the update. Source: the manual's page "Update Operators".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from bson.int64 import Int64

from harness.sim.documents import numbers
from harness.sim.documents.errors import BAD_VALUE, IMMUTABLE_FIELD, PATH_NOT_VIABLE, TYPE_MISMATCH, DocumentError
from harness.sim.documents.order import compare
from harness.sim.documents.paths import Parts, lookup, split
from harness.sim.documents.rendering import element_text, type_name
from harness.sim.documents.update_paths import is_dynamic
from harness.sim.documents.update_state import Modifier, UpdateState
from harness.sim.documents.values import MISSING, Missing, identical, integer, is_number


def set_field(_path: str, argument: Any) -> Modifier:
    """``$set``: put the value, whatever was there."""
    return Modifier(_set, argument)


def _set(value: Any, argument: Any, _path: Parts, _state: UpdateState) -> Any:
    return value if identical(value, argument) else argument


def set_on_insert(_path: str, argument: Any) -> Modifier:
    """``$setOnInsert``: put the value only where an upsert inserts."""
    return Modifier(_set, argument, skip=_not_inserting)


def _not_inserting(state: UpdateState, _argument: Any) -> bool:
    return not state.inserting


def unset_field(_path: str, argument: Any) -> Modifier:
    """``$unset``: remove the field; an array element becomes null."""
    return Modifier(_unset, argument, creates=False, ignores_unviable=True)


def _unset(_value: Any, _argument: Any, _path: Parts, _state: UpdateState) -> Any:
    return MISSING


def increment(path: str, argument: Any) -> Modifier:
    """``$inc``: add to a number; a missing field becomes the argument."""
    if not is_number(argument):
        text = element_text(path, argument)
        raise DocumentError(TYPE_MISMATCH, f"Cannot increment with non-numeric argument: {{{text}}}")
    return Modifier(_increment, argument)


def _increment(value: Any, argument: Any, path: Parts, state: UpdateState) -> Any:
    if value is MISSING:
        return argument
    if type(value) is int and type(argument) is int:
        return integer(value + argument) if argument else value
    return _computed("$inc", numbers.add, value, argument, path, state)


def multiply(path: str, argument: Any) -> Modifier:
    """``$mul``: multiply a number; a missing field becomes zero of the argument's type."""
    if not is_number(argument):
        text = element_text(path, argument)
        raise DocumentError(TYPE_MISMATCH, f"Cannot multiply with non-numeric argument: {{{text}}}")
    return Modifier(_multiply, argument)


def _multiply(value: Any, argument: Any, path: Parts, state: UpdateState) -> Any:
    if value is MISSING:
        return numbers.multiply(argument, 0)
    return _computed("$mul", numbers.multiply, value, argument, path, state)


def _computed(  # noqa: PLR0917 - what every operator is given, and which one it is
    name: str, compute: Callable[[Any, Any], Any], value: Any, argument: Any, path: Parts, state: UpdateState
) -> Any:
    if not is_number(value):
        raise DocumentError(TYPE_MISMATCH, _not_numeric(name, value, path, state))
    try:
        result = compute(value, argument)
    except OverflowError as error:
        shown = f"(Number{'Long' if type(value) is Int64 else 'Int'}){value}"
        message = (
            f"Failed to apply {name} operations to current value ({shown}) for document {{{state.document_name()}}}"
        )
        raise DocumentError(BAD_VALUE, message) from error
    return value if numbers.unchanged(value, result) else result


def _not_numeric(name: str, value: Any, path: Parts, state: UpdateState) -> str:
    return (
        f"Cannot apply {name} to a value of non-numeric type. {{{state.document_name()}}} has the field '{path[-1]}' "
        f"of non-numeric type {type_name(value)}"
    )


def minimum(_path: str, argument: Any) -> Modifier:
    """``$min``: put the value where it sorts below the present one."""
    return Modifier(_minimum, argument)


def _minimum(value: Any, argument: Any, _path: Parts, _state: UpdateState) -> Any:
    return argument if value is MISSING or compare(argument, value) < 0 else value


def maximum(_path: str, argument: Any) -> Modifier:
    """``$max``: put the value where it sorts above the present one."""
    return Modifier(_maximum, argument)


def _maximum(value: Any, argument: Any, _path: Parts, _state: UpdateState) -> Any:
    return argument if value is MISSING or compare(argument, value) > 0 else value


def current_date(_path: str, argument: Any) -> Modifier:
    """``$currentDate``: put the present time as a date, or as a timestamp."""
    return Modifier(_current_date, _wants_timestamp(argument))


def _current_date(value: Any, wants_timestamp: Any, _path: Parts, state: UpdateState) -> Any:
    current = state.timestamp() if wants_timestamp else state.now
    return value if identical(value, current) else current


def _wants_timestamp(argument: Any) -> bool:
    if type(argument) is bool:
        return False
    if type(argument) is not dict:
        message = (
            f"{type_name(argument)} is not valid type for $currentDate. Please use a boolean ('true') or a $type "
            "expression ({$type: 'timestamp/date'})."
        )
        raise DocumentError(BAD_VALUE, message)
    unknown = next((name for name in argument if name != "$type"), None)
    if unknown is not None:
        raise DocumentError(BAD_VALUE, f"Unrecognized $currentDate option: {unknown}")
    if argument.get("$type") not in ("date", "timestamp"):
        message = (
            "The '$type' string field is required to be 'date' or 'timestamp': "
            "{$currentDate: {field : {$type: 'date'}}}"
        )
        raise DocumentError(BAD_VALUE, message)
    return bool(argument["$type"] == "timestamp")


_BIT_OPERATIONS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
}


def bitwise(_path: str, argument: Any) -> Modifier:
    """``$bit``: combine an integer with masks; a missing field counts as zero."""
    if type(argument) is not dict:
        message = (
            f"The $bit modifier is not compatible with a {type_name(argument)}. You must pass in an embedded document: "
            "{$bit: {field: {and/or/xor: #}}"
        )
        raise DocumentError(BAD_VALUE, message)
    if not argument:
        message = "You must pass in at least one bitwise operation. The format is: {$bit: {field: {and/or/xor: #}}"
        raise DocumentError(BAD_VALUE, message)
    for name, mask in argument.items():
        _check_bit_operation(name, mask)

    return Modifier(_bitwise, argument)


def _bitwise(value: Any, argument: Any, path: Parts, state: UpdateState) -> Any:
    if type(value) not in (int, Int64, Missing):
        message = (
            f"Cannot apply $bit to a value of non-integral type.{state.document_name()} has the field {path[-1]} "
            f"of non-integer type {type_name(value)}"
        )
        raise DocumentError(BAD_VALUE, message)
    result = 0 if value is MISSING else value
    for name, mask in argument.items():
        wide = type(result) is Int64 or type(mask) is Int64
        result = integer(_BIT_OPERATIONS[name](int(result), int(mask)), wide=wide)
    return value if identical(value, result) else result


def _check_bit_operation(name: str, mask: Any) -> None:
    if name not in _BIT_OPERATIONS:
        message = (
            f"The $bit modifier only supports 'and', 'or', and 'xor', not '{name}' which is an unknown operator: "
            f"{{{element_text(name, mask)}}}"
        )
        raise DocumentError(BAD_VALUE, message)
    if type(mask) is not int and type(mask) is not Int64:
        message = (
            f"The $bit modifier field must be an Integer(32/64 bit); a '{type_name(mask)}' is not supported here: "
            f"{{{element_text(name, mask)}}}"
        )
        raise DocumentError(BAD_VALUE, message)


def rename(source: str, target: Any) -> Modifier:
    """``$rename``: move a field. The modifier stands at the target; the run removes the source afterwards."""
    source_parts, target_parts = split(source), split(target)
    shown = element_text(source, target)
    if source_parts == target_parts:
        raise DocumentError(BAD_VALUE, f"The source and target field for $rename must differ: {shown}")
    shorter = min(len(source_parts), len(target_parts))
    if source_parts[:shorter] == target_parts[:shorter]:
        raise DocumentError(BAD_VALUE, f"The source and target field for $rename must not be on the same path: {shown}")
    for place, path, parts in (("source", source, source_parts), ("destination", target, target_parts)):
        if is_dynamic(parts):
            raise DocumentError(BAD_VALUE, f"The {place} field for $rename may not be dynamic: {path}")

    return Modifier(_rename, (source_parts, target_parts), skip=_skips_rename)


def _skips_rename(state: UpdateState, ends: Any) -> bool:
    source, target = ends
    if _rename_source(source, state) is MISSING:
        return True
    _refuse_array_parents("destination", target, state)
    return False


def _rename(value: Any, ends: Any, path: Parts, state: UpdateState) -> Any:
    source, _ = ends
    if path == ("_id",) and value is not MISSING:
        message = "Performing an update on the path '_id' would modify the immutable field '_id'"
        raise DocumentError(IMMUTABLE_FIELD, message)
    state.renamed.append(source)
    return lookup(state.root, source)


def _rename_source(parts: Parts, state: UpdateState) -> Any:
    """Return the value to move, MISSING if there is none; raises DocumentError for a path through anything else."""
    value: Any = state.root
    for place, part in enumerate(parts):
        if type(value) is list and part.isdigit():
            index = int(part)
            value = value[index] if index < len(value) else MISSING
        elif type(value) is dict:
            value = value.get(part, MISSING)
        else:
            shown = element_text(parts[place - 1], value)
            message = (
                f"cannot use the part ({parts[place - 1]} of {'.'.join(parts)}) to traverse the element ({{{shown}}})"
            )
            raise DocumentError(PATH_NOT_VIABLE, message)
        if value is MISSING:
            return MISSING
    _refuse_array_parents("source", parts, state)
    return value


def _refuse_array_parents(place: str, parts: Parts, state: UpdateState) -> None:
    value: Any = state.root
    for depth, part in enumerate(parts):
        if type(value) is list:
            message = (
                f"The {place} field cannot be an array element, '{'.'.join(parts)}' in doc with "
                f"{state.document_name()} has an array field called '{parts[depth - 1]}'"
            )
            raise DocumentError(BAD_VALUE, message)
        if type(value) is not dict:
            return
        value = value.get(part, MISSING)
