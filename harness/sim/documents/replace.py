"""Whole documents: what a replacement, an upsert and an insert store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson.regex import Regex
from bson.timestamp import Timestamp

from harness.sim.documents.errors import (
    DOLLAR_PREFIXED_FIELD_NAME,
    IMMUTABLE_FIELD,
    INVALID_ID_FIELD,
    NOT_SINGLE_VALUE_FIELD,
    DocumentError,
)
from harness.sim.documents.match import equality_fields
from harness.sim.documents.order import equal
from harness.sim.documents.paths import Parts, split
from harness.sim.documents.rendering import element_text, type_name
from harness.sim.documents.update_paths import dollar_prefixed, not_traversable
from harness.sim.documents.update_state import ZERO_TIMESTAMP, TimestampSupplier
from harness.sim.documents.values import MISSING, Document, identical


def replace(
    document: Document, replacement: Document, timestamp: TimestampSupplier, *, upsert_insert: bool = False
) -> Document:
    """Return what ``replacement`` makes of ``document``: the old ``_id`` and the new fields.

    Returns ``document`` itself where nothing changes. Arguments: ``upsert_insert`` says that ``document`` is what an
    upsert starts from; mongod then takes fields with dollar signs. Raises DocumentError (52, 53, 54, 66).
    """
    if identical(document, replacement):
        return document
    identity = document.get("_id", MISSING)
    replaced = replacement.get("_id", identity)
    if upsert_insert:
        check_id_is_no_array(replaced)
    else:
        _refuse_dollar_fields(replacement)
        check_id(replaced)
    if identity is not MISSING and not equal(replaced, identity):
        raise altered_id(replaced)
    stamped = with_timestamps(replacement, timestamp)
    if "_id" in stamped:
        return id_first(stamped)
    return stamped if identity is MISSING else {"_id": identity, **stamped}


def altered_id(value: Any) -> DocumentError:
    """Return the error for a replacement or a pipeline that would give a document another ``_id``."""
    message = "After applying the update, the (immutable) field '_id' was found to have been altered to"
    return DocumentError(IMMUTABLE_FIELD, f"{message} {element_text('_id', value)}")


def check_id_is_no_array(value: Any) -> None:
    """Raise DocumentError (54) where a replacement or a pipeline leaves an array for ``_id``."""
    if type(value) is list:
        message = "After applying the update to the document, the (immutable) field '_id' was found to be an array"
        raise DocumentError(NOT_SINGLE_VALUE_FIELD, f"{message} or array descendant.")


def _refuse_dollar_fields(replacement: Mapping[str, Any]) -> None:
    for name in replacement:
        if name.startswith("$"):
            raise dollar_prefixed(name)


def with_timestamps(document: Document, timestamp: TimestampSupplier) -> Document:
    """Return the document with its top-level zero timestamps (but ``_id``) filled in, as mongod stores them."""
    if Timestamp not in map(type, document.values()):
        return document
    return {
        name: timestamp() if name != "_id" and type(value) is Timestamp and value == ZERO_TIMESTAMP else value
        for name, value in document.items()
    }


def id_first(document: Document) -> Document:
    """Return the document with ``_id`` as its first field, the same object if it is or there is none."""
    if "_id" not in document or next(iter(document)) == "_id":
        return document
    return {"_id": document["_id"], **{name: value for name, value in document.items() if name != "_id"}}


def check_id(value: Any, *, built: bool = False) -> None:
    """Raise DocumentError (52, 53) for a value that cannot be an ``_id``, 54 for an array that operators ``built``."""
    if built and type(value) is list and value:
        message = (
            "After applying the update to the document, the field '_id' was found to be an array or array descendant."
        )
        raise DocumentError(NOT_SINGLE_VALUE_FIELD, message)
    if type(value) in (list, Regex):
        raise DocumentError(INVALID_ID_FIELD, f"The '_id' value cannot be of type {type_name(value)}")
    dollar = _dollar_name(value)
    if dollar is not None:
        message = f"_id fields may not contain '$'-prefixed fields: {dollar} is not valid for storage."
        raise DocumentError(DOLLAR_PREFIXED_FIELD_NAME, message)


def _dollar_name(value: Any) -> str | None:
    """Return the first name with a dollar sign at its head, at any depth."""
    if type(value) is dict:
        for name, item in value.items():
            found = name if name.startswith("$") else _dollar_name(item)
            if found is not None:
                return found
    elif type(value) is list:
        return next((found for item in value if (found := _dollar_name(item)) is not None), None)
    return None


def prepare_insert(document: Document, timestamp: TimestampSupplier) -> Document:
    """Return a normalised document as an insert stores it: ``_id``, which it must have, first, zero timestamps filled.

    Raises DocumentError (52, 53) for an ``_id`` that cannot be stored.
    """
    check_id(document["_id"])
    return id_first(with_timestamps(document, timestamp))


def seed(query: Mapping[str, Any], *, only_id: bool) -> Document:
    """Return the document that an upsert starts from: what the filter's equalities pin down.

    With ``only_id`` (a replacement) it is the ``_id`` alone. Raises DocumentError (28, 54, 111).
    """
    if only_id:
        return equality_fields(query, below="_id")
    document: Document = {}
    for path, value in equality_fields(query).items():
        _put(document, split(path), value)
    return document


def _put(document: Document, parts: Parts, value: Any) -> None:
    """Set a path in a document under construction, which nobody else holds yet."""
    holder: Any = document
    for place, part in enumerate(parts[:-1]):
        if type(holder) is not dict:
            raise not_traversable(parts, place, holder)
        holder = holder.setdefault(part, {})
    if type(holder) is not dict:
        raise not_traversable(parts, len(parts) - 1, holder)
    holder[parts[-1]] = value
