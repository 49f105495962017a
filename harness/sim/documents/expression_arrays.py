"""Array operators that read whole arrays: ``$size``, ``$in``, ``$arrayElemAt``, ``$slice``, ``$range`` and so on.

Source: the manual's page "Array Expression Operators"; each error code is the one mongod 6.0 answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from harness.sim.documents.errors import DocumentError
from harness.sim.documents.expression_nodes import Frame, Node, Parser, Run, Scope, constant, is_nullish
from harness.sim.documents.expression_numbers import NUMBERS, int32
from harness.sim.documents.expression_parsing import BINARY, UNARY, fixed, parse, ranged, variadic
from harness.sim.documents.order import equal
from harness.sim.documents.rendering import type_name, value_text
from harness.sim.documents.values import MISSING, Document

_MEMORY_LIMIT_BYTES: Final = 100 * 1024 * 1024
_BYTES_OF_A_VALUE: Final = 16
_PAIR: Final = 2


def _size(value: Any) -> int:
    if type(value) is not list:
        raise DocumentError(17124, f"The argument to $size must be an array, but was of type: {type_name(value)}")
    return len(value)


def _in(value: Any, array: Any) -> bool:
    if type(array) is not list:
        raise DocumentError(40081, f"$in requires an array as a second argument, found: {type_name(array)}")
    return any(equal(value, item) for item in array)


def _is_array(value: Any) -> bool:
    return type(value) is list


def _array_elem_at(array: Any, index: Any) -> Any:
    if is_nullish(array) or is_nullish(index):
        return None
    if type(array) is not list:
        raise DocumentError(28689, f"$arrayElemAt's first argument must be an array, but is {type_name(array)}")
    position = _int32("$arrayElemAt's second argument", index, not_number=28690, not_integral=28691)
    return array[position] if -len(array) <= position < len(array) else MISSING


def _int32(what: str, value: Any, *, not_number: int, not_integral: int) -> int:
    if type(value) not in NUMBERS:
        raise DocumentError(not_number, f"{what} must be a numeric value, but is {type_name(value)}")
    exact = int32(value)
    if exact is None:
        raise DocumentError(not_integral, f"{what} must be representable as a 32-bit integer: {value_text(value)}")
    return exact


def _end(name: str, index: int) -> Callable[[Any], Any]:
    """Return ``$first`` (``index`` 0) or ``$last`` (-1)."""

    def compute(array: Any) -> Any:
        if is_nullish(array):
            return None
        if type(array) is not list:
            raise DocumentError(28689, f"{name}'s argument must be an array, but is {type_name(array)}")
        return array[index] if array else MISSING

    return compute


def _slice(runs: Sequence[Run], frame: Frame) -> Any:
    array, first = runs[0](frame), runs[1](frame)
    if is_nullish(array) or is_nullish(first):
        return None
    if type(array) is not list:
        raise DocumentError(28724, f"First argument to $slice must be an array, but is of type: {type_name(array)}")
    position = _int32("Second argument to $slice", first, not_number=28725, not_integral=28726)
    if len(runs) == _PAIR:
        return array[:position] if position >= 0 else array[position:]
    start = max(0, len(array) + position) if position < 0 else position
    count = runs[2](frame)
    if is_nullish(count):
        return None
    length = _int32("Third argument to $slice", count, not_number=28727, not_integral=28728)
    if length <= 0:
        raise DocumentError(28729, f"Third argument to $slice must be positive: {length}")
    return array[start : start + length]


def _concat_arrays(runs: Sequence[Run], frame: Frame) -> Any:
    result: list[Any] = []
    for run in runs:
        value = run(frame)
        if type(value) is list:
            result += value
        elif is_nullish(value):
            return None
        else:
            raise DocumentError(28664, f"$concatArrays only supports arrays, not {type_name(value)}")
    return result


def _reverse_array(array: Any) -> Any:
    if is_nullish(array):
        return None
    if type(array) is not list:
        message = f"The argument to $reverseArray must be an array, but was of type: {type_name(array)}"
        raise DocumentError(34435, message)
    return array[::-1]


def _range(runs: Sequence[Run], frame: Frame) -> list[int]:
    first, last = runs[0](frame), runs[1](frame)
    start = _int32("$range's starting value", first, not_number=34443, not_integral=34444)
    end = _int32("$range's ending value", last, not_number=34445, not_integral=34446)
    step = 1
    if len(runs) > _PAIR:
        step = _int32("$range's step value", runs[2](frame), not_number=34447, not_integral=34448)
        if step == 0:
            raise DocumentError(34449, "$range requires a non-zero step value")
    numbers = range(start, end, step)
    if len(numbers) * _BYTES_OF_A_VALUE > _MEMORY_LIMIT_BYTES:
        raise DocumentError(146, "$range would use too much memory and cannot spill to disk")
    return list(numbers)


def _index_of_array(runs: Sequence[Run], frame: Frame) -> Any:
    array = runs[0](frame)
    if is_nullish(array):
        return None
    if type(array) is not list:
        raise DocumentError(40090, f"$indexOfArray requires an array as a first argument, found: {type_name(array)}")
    limits = [_position(which, run(frame)) for which, run in zip(("starting", "ending"), runs[_PAIR:], strict=False)]
    wanted = runs[1](frame)
    start = limits[0] if limits else 0
    end = min(limits[1], len(array)) if len(limits) == _PAIR else len(array)
    for index in range(start, end):
        if equal(array[index], wanted):
            return index
    return -1


def _parse_index_of_array(name: str, argument: Any, scope: Scope) -> Node:
    node = ranged(2, 4, _index_of_array)(name, argument, scope)
    array = parse(argument[0], scope)
    if not array.constant or node.constant or not scope.folding or type(array.value) is list:
        return node
    if is_nullish(array.value):
        return constant(None)
    message = f"{name} requires an array as a first argument, found: {type_name(array.value)}"
    scope.fail(DocumentError(50809, message))
    return node


def _position(which: str, value: Any) -> int:
    exact = int32(value) if type(value) in NUMBERS else None
    if exact is None:
        message = f"$indexOfArrayrequires an integral {which} index, found a value of type: {type_name(value)}"
        raise DocumentError(40096, message)
    if exact < 0:
        raise DocumentError(40097, f"$indexOfArray requires a nonnegative {which} index, found: {exact}")
    return exact


def _array_to_object(array: Any) -> Any:
    if is_nullish(array):
        return None
    if type(array) is not list:
        raise DocumentError(40386, f"$arrayToObject requires an array input, found: {type_name(array)}")
    if not array:
        return {}
    if type(array[0]) not in (list, dict):
        raise DocumentError(40398, f"Unrecognised input type format for $arrayToObject: {type_name(array[0])}")
    pair = _pair_of_array if type(array[0]) is list else _pair_of_object
    return dict(pair(item) for item in array)


def _pair_of_array(item: Any) -> tuple[str, Any]:
    if type(item) is not list:
        raise DocumentError(40396, f"$arrayToObject requires a consistent input format: array, then {type_name(item)}")
    if len(item) != _PAIR:
        message = f"$arrayToObject requires an array of size 2 arrays,found array of size: {len(item)}"
        raise DocumentError(40397, message)
    return _key(item[0], not_string=40395, null_byte=4940400), item[1]


def _pair_of_object(item: Any) -> tuple[str, Any]:
    if type(item) is not dict:
        raise DocumentError(40391, f"$arrayToObject requires a consistent input format: object, then {type_name(item)}")
    if len(item) != _PAIR:
        message = f"$arrayToObject requires an object keys of 'k' and 'v'. Found incorrect number of keys:{len(item)}"
        raise DocumentError(40392, message)
    if "k" not in item or "v" not in item:
        raise DocumentError(40393, "$arrayToObject requires an object with keys 'k' and 'v'.")
    return _key(item["k"], not_string=40394, null_byte=4940401), item["v"]


def _key(value: Any, *, not_string: int, null_byte: int) -> str:
    if type(value) is not str:
        message = f"$arrayToObject requires a key of type string. Found key type: {type_name(value)}"
        raise DocumentError(not_string, message)
    if "\0" in value:
        raise DocumentError(null_byte, "Key field cannot contain an embedded null byte")
    return value


def _object_to_array(value: Any) -> list[Document] | None:
    if is_nullish(value):
        return None
    if type(value) is not dict:
        raise DocumentError(40390, f"$objectToArray requires a document input, found: {type_name(value)}")
    return [{"k": name, "v": item} for name, item in value.items()]


OPERATORS: Final[Mapping[str, Parser]] = {
    "$size": fixed(UNARY, _size),
    "$in": fixed(BINARY, _in),
    "$isArray": fixed(UNARY, _is_array),
    "$arrayElemAt": fixed(BINARY, _array_elem_at),
    "$first": fixed(UNARY, _end("$first", 0)),
    "$last": fixed(UNARY, _end("$last", -1)),
    "$slice": ranged(2, 3, _slice),
    "$concatArrays": variadic(_concat_arrays, associative=True),
    "$reverseArray": fixed(UNARY, _reverse_array),
    "$range": ranged(2, 3, _range),
    "$indexOfArray": _parse_index_of_array,
    "$arrayToObject": fixed(UNARY, _array_to_object),
    "$objectToArray": fixed(UNARY, _object_to_array),
}
