"""Documents across the border: normalised copies on the way in, copies that a pattern may change on the way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from harness.errors import BackendError
from harness.sim.documents.values import normalise, normalise_value
from harness.sim.driver.options import DEFAULT_CODEC_OPTIONS

_CONTAINERS: Final = frozenset({dict, list})


def taken_in(document: Mapping[str, Any], codec_options: CodecOptions[Any]) -> dict[str, Any]:
    """Return a pattern's document as it is sent. Raises what ``bson.encode`` raises for what BSON has no form for."""
    if codec_options is DEFAULT_CODEC_OPTIONS and (type(document) is dict or not isinstance(document, RawBSONDocument)):
        return normalise(document)
    decoded: dict[str, Any] = bson.decode(bson.encode(document, codec_options=codec_options))
    return normalise(decoded)


def value_taken_in(value: Any, codec_options: CodecOptions[Any]) -> Any:
    """Return any value of a pattern as it is sent; raises as :func:`taken_in` does."""
    if codec_options is DEFAULT_CODEC_OPTIONS:
        return normalise_value(value)
    return taken_in({"value": value}, codec_options)["value"]


def handed_out(document: Mapping[str, Any], codec_options: CodecOptions[Any]) -> Any:
    """Return a copy of a member's document as PyMongo decodes it under these options."""
    if codec_options is DEFAULT_CODEC_OPTIONS or codec_options == DEFAULT_CODEC_OPTIONS:
        return copied(document)
    return bson.decode(bson.encode(document), codec_options)


def values_handed_out(values: Iterable[Any], codec_options: CodecOptions[Any]) -> list[Any]:
    """Return copies of values as PyMongo decodes them under these options."""
    return [handed_out({"value": value}, codec_options)["value"] for value in values]


def copied(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a document, all the way down; values that nobody can change are shared."""
    return {name: _copied_value(value) if type(value) in _CONTAINERS else value for name, value in document.items()}


def _copied_value(value: Any) -> Any:
    if type(value) is dict:
        return copied(value)
    return [_copied_value(item) if type(item) in _CONTAINERS else item for item in value]


def unsupported(what: str) -> BackendError:
    """Return the error for a part of PyMongo that the simulated driver does not model."""
    return BackendError(
        f"the simulated driver does not model {what}", next_step="run this scenario on a real server: --backend local"
    )
