"""Resume tokens of change streams: hexadecimal strings that compare as the events do, in mongod's own form.

A token is a key string: cluster time, version, token type, index within a transaction, whether it is an invalidation,
and for an event the collection's uuid. mongod appends the document's key, which says nothing more within one set.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from harness.sim.server.commands.codes import FAILED_TO_PARSE, failure

HIGH_WATER_MARK: Final = 0
EVENT: Final = 128

_VERSION: Final = 1
_TIME: Final = "82"
_ZERO: Final = "29"
_ONE_BYTE: Final = 0x2B
_BOOLS: Final = {False: "6E", True: "6F"}
_UUID: Final = "5A1004"
_END: Final = "04"
_FORM: Final = re.compile(
    rf"{_TIME}([0-9A-F]{{16}})2B02(29|2C0100)(29|2B[0-9A-F]{{2}}|2C[0-9A-F]{{4}}|2D[0-9A-F]{{6}})(6E|6F)(?:{_UUID}[0-9A-F]{{32}}.*)?04"
)


class Token(NamedTuple):
    """A place in the stream: after what compares lower or equal.

    ``time`` is a cluster time as an integer, ``place`` the number of the operation in its transaction.
    """

    time: int
    kind: int = HIGH_WATER_MARK
    place: int = 0
    from_invalidate: bool = False


def encode(token: Token, uuid: int = 0) -> dict[str, str]:
    """Return the token as an event's ``_id``; ``uuid`` is that of the event's collection, 0 for none."""
    parts = [_TIME, f"{token.time:016X}", _number(_VERSION), _number(token.kind), _number(token.place)]
    parts.append(_BOOLS[token.from_invalidate])
    if uuid:
        parts.append(f"{_UUID}{uuid:032X}")
    parts.append(_END)
    return {"_data": "".join(parts)}


def _number(value: int) -> str:
    if not value:
        return _ZERO
    shifted = value << 1
    size = (shifted.bit_length() + 7) // 8
    return f"{_ONE_BYTE + size - 1:02X}{shifted:0{2 * size}X}"


def decode(document: Any) -> Token:
    """Return the place that a token names. Raises CommandError (9, 40647) for what is no token."""
    data = document.get("_data") if type(document) is dict else None
    if type(data) is not str:
        raise failure(40647, "Bad resume token: _data of missing or of wrong type. Expected string, got {}")
    found = _FORM.fullmatch(data)
    if found is None:
        raise failure(FAILED_TO_PARSE, "resume token string was not a valid hex string")
    time, kind, index, invalidate = found.groups()
    return Token(int(time, 16), EVENT if kind != _ZERO else HIGH_WATER_MARK, _value(index), invalidate == "6F")


def _value(text: str) -> int:
    digits = text[len(_ZERO) :]
    return int(digits, 16) >> 1 if digits else 0
