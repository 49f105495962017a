"""The conditions on single bits of an integer or of binary data (``$bitsAllSet`` and its kin)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN
from typing import Any, Final

from bson.binary import Binary
from bson.decimal128 import Decimal128

from harness.sim.documents.errors import BAD_VALUE, FAILED_TO_PARSE, DocumentError
from harness.sim.documents.match_tests import Test, parse_whole_number, whole_part
from harness.sim.documents.rendering import element_text
from harness.sim.documents.values import INT64_MAX, INT64_MIN, is_number

# (bits of the mask that are set in the value, mask) -> verdict
_VERDICTS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "$bitsAllSet": lambda found, mask: found == mask,
    "$bitsAllClear": lambda found, _: found == 0,
    "$bitsAnySet": lambda found, _: found != 0,
    "$bitsAnyClear": lambda found, mask: found != mask,
}


def bits_test(name: str, argument: Any, path: str) -> Test:
    """Return the test of operator ``name`` at ``path``; ``argument`` is a mask, a list of bit positions or binary data.

    Raises DocumentError (2, 9) for any other argument.
    """
    mask = _mask(name, argument, path)
    verdict = _VERDICTS[name]

    def test(value: Any) -> bool:
        bits = _bits_of(value)
        return bits is not None and verdict(bits & mask, mask)

    return test


def _bits_of(value: Any) -> int | None:
    if type(value) is bytes or type(value) is Binary:
        return int.from_bytes(value, "little")
    if type(value) is Decimal128:
        return _rounded(value)
    whole = whole_part(value) if is_number(value) else None
    return whole if whole == value else None


def _rounded(value: Decimal128) -> int:
    """Return a decimal as mongod takes it here, rounded half to even; all that is no int64 is the least one."""
    decimal = value.to_decimal()
    if not decimal.is_finite() or abs(decimal) > INT64_MAX:
        return INT64_MIN
    return int(decimal.to_integral_value(ROUND_HALF_EVEN))


def _mask(name: str, argument: Any, path: str) -> int:
    if type(argument) is bytes or type(argument) is Binary:
        return int.from_bytes(argument, "little")
    if type(argument) is list:
        positions = {_position(str(place), item) for place, item in enumerate(argument)}
        return sum(1 << position for position in positions)
    if not is_number(argument):
        shown = element_text(name, argument)
        raise DocumentError(BAD_VALUE, f"{path} takes an Array, a number, or a BinData but received: {shown}")
    return _whole(name, argument)


def _position(name: str, item: Any) -> int:
    try:
        return _whole(name, item)
    except DocumentError as error:
        raise DocumentError(BAD_VALUE, f"Failed to parse bit position. {error.message}") from error


def _whole(name: str, argument: Any) -> int:
    whole = parse_whole_number(argument, name)
    if whole < 0:
        raise DocumentError(FAILED_TO_PARSE, f"Expected a non-negative number in: {element_text(name, argument)}")
    return whole
