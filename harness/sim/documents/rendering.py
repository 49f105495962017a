"""Values as mongod writes them in its error messages (``a: 1``, ``{ a: "x" }``)."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from bson.binary import Binary
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from harness.sim.documents.order import regex_options
from harness.sim.documents.values import Missing

_TYPE_NAMES: Mapping[type, str] = {
    Missing: "missing",
    MinKey: "minKey",
    MaxKey: "maxKey",
    type(None): "null",
    int: "int",
    Int64: "long",
    float: "double",
    Decimal128: "decimal",
    str: "string",
    dict: "object",
    list: "array",
    bytes: "binData",
    Binary: "binData",
    ObjectId: "objectId",
    bool: "bool",
    datetime.datetime: "date",
    Timestamp: "timestamp",
    Regex: "regex",
    Code: "javascript",
}


def type_name(value: Any) -> str:
    """Return mongod's name of the BSON type of ``value``: ``"int"``, ``"objectId"``."""
    return _TYPE_NAMES[type(value)]


def element_text(name: str, value: Any) -> str:
    """Return a field as mongod's messages show it: ``a: 1``; a name only, for a missing value."""
    return f"{name}: {value_text(value)}"


def document_text(document: Mapping[str, Any]) -> str:
    """Return a document as mongod's messages show it: ``{ a: 1, b: "x" }``."""
    return f"{{ {', '.join(element_text(name, item) for name, item in document.items())} }}" if document else "{}"


def value_text(value: Any) -> str:
    """Return a value as mongod's messages show it."""
    kind = type(value)
    if kind is str:
        return f'"{value}"'
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return _double_text(value)
    if kind is dict:
        return document_text(value)
    if kind is list:
        return f"[ {', '.join(value_text(item) for item in value)} ]" if value else "[]"
    return _scalar_text(value)


def _double_text(value: float) -> str:
    if not math.isfinite(value):
        return "nan.0" if math.isnan(value) else ("inf.0" if value > 0 else "-inf.0")
    text = f"{value:.16g}"
    return text if "e" in text or "." in text else f"{text}.0"


def _scalar_text(value: Any) -> str:
    return _TEXTS.get(type(value), str)(value)


_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - stored dates are naive UTC

_TEXTS: Final[Mapping[type, Callable[[Any], str]]] = {
    type(None): lambda _: "null",
    ObjectId: lambda value: f"ObjectId('{value}')",
    datetime.datetime: lambda value: f"new Date({(value - _EPOCH) // datetime.timedelta(milliseconds=1)})",
    Timestamp: lambda value: f"Timestamp({value.time}, {value.inc})",
    bytes: lambda value: f"BinData(0, {value.hex().upper()})",
    Binary: lambda value: f"BinData({value.subtype}, {value.hex().upper()})",
    Regex: lambda value: f"/{value.pattern}/{regex_options(value)}",
    MinKey: lambda _: "MinKey",
    MaxKey: lambda _: "MaxKey",
}
