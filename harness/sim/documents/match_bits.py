"""The conditions on single bits of an integer or of binary data (``$bitsAllSet`` and its kin)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN
from typing import Any, Final

from bson.binary import Binary
from bson.decimal128 import Decimal128

from harness.sim.documents.errors import BAD_VALUE, FAILED_TO_PARSE, DocumentError
from harness.sim.documents.match_tests import Test, whole_part
from harness.sim.documents.values import INT64_MAX, INT64_MIN, is_number

# (bits of the mask that are set in the value, mask) -> verdict
_VERDICTS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "$bitsAllSet": lambda found, mask: found == mask,
    "$bitsAllClear": lambda found, _: found == 0,
    "$bitsAnySet": lambda found, _: found != 0,
    "$bitsAnyClear": lambda found, mask: found != mask,
}


def bits_test(name: str, argument: Any) -> Test:
    """Return the test of operator ``name``; ``argument`` is a mask, a list of bit positions or binary data.

    Raises DocumentError (2, 9) for any other argument.
    """
    mask = _mask(name, argument)
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


def _exact(value: Any) -> Any:
    return value.to_decimal() if type(value) is Decimal128 else value


def _mask(name: str, argument: Any) -> int:
    if type(argument) is bytes or type(argument) is Binary:
        return int.from_bytes(argument, "little")
    if type(argument) is list:
        return sum(1 << position for position in {_position(item) for item in argument})
    if not is_number(argument):
        raise DocumentError(BAD_VALUE, f"{name} takes an Array, a number, or a BinData but received: {argument}")
    whole = whole_part(argument)
    if whole is None or whole != _exact(argument) or whole < 0:
        raise DocumentError(FAILED_TO_PARSE, f"Expected a non-negative whole number in: {name}: {argument}")
    return whole


def _position(item: Any) -> int:
    if not is_number(item):
        raise DocumentError(BAD_VALUE, f"bit positions must be an integer but got: {item}")
    whole = whole_part(item)
    if whole is None or whole != _exact(item) or whole < 0:
        raise DocumentError(BAD_VALUE, f"bit positions must be >= 0 but got: {item}")
    return whole
