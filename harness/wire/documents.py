"""BSON that a client sent: decoded by bson, and where that fails, refused in mongod's words.

The decoder is bson's own; the walk in Python runs only over what it could not decode, or what may be nested too deep.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from harness.wire.errors import RefusedError

DEPTH_MAX: Final = 200
DOCUMENT_BYTES_MAX: Final = 16_777_216
INTERNAL_DOCUMENT_BYTES_MAX: Final = DOCUMENT_BYTES_MAX + 16 * 1024
_SMALLEST: Final = 5

_INT32: Final = struct.Struct("<i")
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict, unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_FIXED_BYTES: Final = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16}
_STRINGS: Final = frozenset({0x02, 0x0D, 0x0E})
_BOUNDS: Final = frozenset({0x7F, 0xFF})
_DOCUMENT, _ARRAY, _BINARY, _REGEX, _POINTER, _SCOPED, _BOOLEAN = 0x03, 0x04, 0x05, 0x0B, 0x0C, 0x0F, 0x08


def decode_at(data: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """Return the document that begins at ``offset`` and the offset behind it. Raises RefusedError as mongod answers."""
    end = offset + _checked_size(data, offset)
    raw = data[offset:end]
    if len(raw) > INTERNAL_DOCUMENT_BYTES_MAX:
        raise RefusedError(
            10334,
            f"BSONObj size: {len(raw)} (0x{len(raw):X}) is invalid. Size must be between 0 and "
            f"{INTERNAL_DOCUMENT_BYTES_MAX}(16MB)",
            "BSONObjectTooLarge",
        )
    if raw.count(b"\x03") + raw.count(b"\x04") >= DEPTH_MAX:
        _Walk(raw).document(0, len(raw), ())
    try:
        return bson.decode(raw, _OPTIONS), end
    except (BSONError, ValueError, OverflowError, RecursionError):
        _Walk(raw).document(0, len(raw), ())
        raise _invalid("Invalid BSON", ()) from None


def _checked_size(data: bytes, offset: int) -> int:
    available = len(data) - offset
    size = _INT32.unpack_from(data, offset)[0] if available >= _INT32.size else 0
    if min(size, available) < _SMALLEST:
        raise _invalid("BSON data has to be at least 5 bytes", ("?",))
    if size > available:
        raise _invalid("Incorrect BSON length", ("?",))
    if data[offset + size - 1] != 0:
        raise _invalid("BSON object not terminated with EOO", ("?",))
    return int(size)


def _invalid(problem: str, path: tuple[str, ...], code: int = 22, code_name: str = "InvalidBSON") -> RefusedError:
    where = f"in element with field name '{'.'.join(path)}' in object with unknown _id"
    return RefusedError(code, f"{problem} {where}", code_name)


class _Walk:
    """Walks over one document to say what is wrong in it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def document(self, start: int, end: int, path: tuple[str, ...]) -> None:
        """Raise RefusedError for the first element that is not valid."""
        pending = [(start + _INT32.size, end - 1, path)]
        # A list in place of recursion: what is walked over may be nested deeper than Python's own stack goes.
        while pending:
            position, last, inside = pending.pop()
            while position < last:
                position, nested = self._element(position, last, inside)
                if nested is not None:
                    pending.append((position, last, inside))
                    position, last, inside = nested

    def _element(self, position: int, last: int, path: tuple[str, ...]) -> tuple[int, Any]:
        kind = self._data[position]
        ends = self._data.find(b"\0", position + 1, last)
        name = self._data[position + 1 : ends if ends >= 0 else last].decode("utf-8", "replace")
        here = (*path, name)
        if ends < 0:
            raise _invalid("BSON size is larger than buffer size", here)
        value = ends + 1
        if kind in {_DOCUMENT, _ARRAY}:
            return self._nested(value, last, path, name)
        return self._scalar(kind, value, last, here), None

    def _nested(self, value: int, last: int, path: tuple[str, ...], name: str) -> tuple[int, Any]:
        if len(path) + 1 >= DEPTH_MAX:
            raise _invalid("BSONObj exceeds maximum nested object depth", (*path, name), 15, "Overflow")
        size = self._length(value, last, (*path, name))
        if size < _SMALLEST:
            raise _invalid("Nested BSON object has to be at least 5 bytes", (*path, "", name))
        if value + size > last or self._data[value + size - 1] != 0:
            raise _invalid("incorrect BSON length", (*path, name, name))
        return value + size, (value + _INT32.size, value + size - 1, (*path, name))

    def _scalar(self, kind: int, value: int, last: int, path: tuple[str, ...]) -> int:
        if kind in _FIXED_BYTES:
            end = value + _FIXED_BYTES[kind]
            if kind == _BOOLEAN and end <= last and self._data[value] > 1:
                raise _invalid("BSON bool is neither false nor true", path)
        elif kind in _STRINGS:
            end = self._string(value, last, path)
        elif kind == _POINTER:
            end = self._string(value, last, path) + 12
        elif kind == _BINARY:
            size = self._length(value, last, path)
            end = value + _INT32.size + 1 + size if size >= 0 else last + 1
        elif kind == _SCOPED:
            end = value + max(self._length(value, last, path), 0)
        elif kind == _REGEX:
            end = self._data.find(b"\0", self._data.find(b"\0", value, last) + 1, last) + 1 or last + 1
        elif kind in _BOUNDS:
            end = value
        else:
            raise _invalid(f"Unrecognized BSON type {kind}", path)
        if end > last:
            raise _invalid("BSON size is larger than buffer size", path)
        return end

    def _length(self, value: int, last: int, path: tuple[str, ...]) -> int:
        if value + _INT32.size > last:
            raise _invalid("BSON size is larger than buffer size", path)
        return int(_INT32.unpack_from(self._data, value)[0])

    def _string(self, value: int, last: int, path: tuple[str, ...]) -> int:
        size = self._length(value, last, path)
        end = value + _INT32.size + size
        if size < 0 or end > last:
            raise _invalid("BSON size is larger than buffer size", path)
        if size == 0 or self._data[end - 1] != 0:
            raise _invalid("Not null terminated string", path)
        return end
