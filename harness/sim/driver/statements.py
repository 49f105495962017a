"""The statements of write commands and of findAndModify, checked and ordered as PyMongo does."""

# ruff: noqa: A002, PLR0917 - PyMongo's names; positional, because a command is made for every call

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_is_mapping, validate_list_or_none, validate_ok_for_update
from pymongo.errors import ConfigurationError
from pymongo.write_concern import WriteConcern, validate_boolean

from harness.sim.driver.commands import Command
from harness.sim.driver.keys import hint_document, index_document, projection_document
from harness.sim.driver.results import taken_in, value_taken_in

if TYPE_CHECKING:
    from harness.sim.driver.collection import Collection

_NO_EXTRAS: Final[Mapping[str, Any]] = {}


def check_filter(filter: Any) -> None:
    """Raise TypeError where a filter is none."""
    if type(filter) is not dict:
        validate_is_mapping("filter", filter)


def check_update(update: Any) -> None:
    """Raise TypeError or ValueError where an update is none."""
    if type(update) is dict and update:
        first = next(iter(update))
        if type(first) is str and first.startswith("$"):
            return
    validate_ok_for_update(update)


def insert_command(
    collection: Collection,
    document: Mapping[str, Any],
    concern: WriteConcern,
    bypass_document_validation: bool | None,
    comment: Any,
) -> Command:
    """Return the command that inserts one document."""
    head: dict[str, Any] = {"insert": collection.name, "ordered": True}
    if comment is not None:
        head["comment"] = value_taken_in(comment, collection.codec_options)
    if bypass_document_validation is not None:
        head["bypassDocumentValidation"] = bypass_document_validation
    payload = ("documents", [taken_in(document, collection.codec_options)])
    return Command(head, collection.database.name, payload=payload, write_concern=concern, is_statement=True)


def update_command(
    collection: Collection,
    filter: Mapping[str, Any],
    update: Any,
    concern: WriteConcern,
    multi: bool,
    upsert: bool,
    extras: Mapping[str, Any] | None,
) -> Command:
    """Return the command of ``update_one``, ``update_many`` and ``replace_one``.

    ``extras`` are the arguments that are seldom given, by name, or None where none is.
    """
    codec_options = collection.codec_options
    if upsert is not True and upsert is not False:
        validate_boolean("upsert", upsert)
    statement: dict[str, Any] = {
        "q": taken_in(filter, codec_options),
        "u": taken_in(update, codec_options)
        if type(update) is dict or isinstance(update, Mapping)
        else value_taken_in(update, codec_options),
        "multi": multi,
        "upsert": upsert,
    }
    head: dict[str, Any] = {"update": collection.name, "ordered": True}
    if extras is not None:
        _extend_statement(statement, extras, collection, concern)
        _extend_head(head, extras, collection)
    return Command(
        head, collection.database.name, payload=("updates", [statement]), write_concern=concern, is_statement=True
    )


def _extend_statement(
    statement: dict[str, Any], extras: Mapping[str, Any], collection: Collection, concern: WriteConcern
) -> None:
    codec_options = collection.codec_options
    collation = validate_collation_or_none(extras.get("collation"))
    if collation is not None:
        _refuse_unacknowledged("Collation", concern)
        statement["collation"] = collation
    array_filters = extras.get("array_filters")
    if array_filters is not None:
        validate_list_or_none("array_filters", array_filters)
        _refuse_unacknowledged("arrayFilters", concern)
        statement["arrayFilters"] = value_taken_in(array_filters, codec_options)
    if extras.get("hint") is not None:
        statement["hint"] = hint_document(extras["hint"])
    sort = extras.get("sort")
    if sort is not None:
        _refuse_sort(concern)
        validate_is_mapping("sort", sort)
        statement["sort"] = taken_in(sort, codec_options)


def _extend_head(head: dict[str, Any], extras: Mapping[str, Any], collection: Collection) -> None:
    let = extras.get("let")
    if let is not None:
        validate_is_mapping("let", let)
        head["let"] = taken_in(let, collection.codec_options)
    if extras.get("comment") is not None:
        head["comment"] = value_taken_in(extras["comment"], collection.codec_options)
    if extras.get("bypass_document_validation") is not None:
        head["bypassDocumentValidation"] = extras["bypass_document_validation"]


def delete_command(
    collection: Collection,
    filter: Mapping[str, Any],
    concern: WriteConcern,
    multi: bool,
    extras: Mapping[str, Any] | None,
) -> Command:
    """Return the command of ``delete_one`` and ``delete_many``; ``extras`` as for :func:`update_command`."""
    check_filter(filter)
    statement: dict[str, Any] = {"q": taken_in(filter, collection.codec_options), "limit": 0 if multi else 1}
    head: dict[str, Any] = {"delete": collection.name, "ordered": True}
    if extras is not None:
        _extend_statement(statement, extras, collection, concern)
        _extend_head(head, extras, collection)
    return Command(
        head, collection.database.name, payload=("deletes", [statement]), write_concern=concern, is_statement=True
    )


def find_and_modify_command(
    collection: Collection,
    filter: Mapping[str, Any],
    concern: WriteConcern,
    action: dict[str, Any],
    return_document: bool,
    upsert: bool | None,
    extras: Mapping[str, Any] | None,
) -> Command:
    """Return the findAndModify command; ``action`` is what it does (``update`` or ``remove``) with further fields."""
    codec_options = collection.codec_options
    check_filter(filter)
    if not isinstance(return_document, bool):
        raise TypeError(
            f"return_document must be ReturnDocument.BEFORE or ReturnDocument.AFTER, not {type(return_document)}"
        )
    collation = validate_collation_or_none(action.pop("collation", None))
    head: dict[str, Any] = {
        "findAndModify": collection.name,
        "query": taken_in(filter, codec_options),
        "new": return_document,
    }
    extras = extras or _NO_EXTRAS
    if extras.get("let") is not None:
        validate_is_mapping("let", extras["let"])
        head["let"] = taken_in(extras["let"], codec_options)
    for name, value in action.items():
        head[name] = value_taken_in(value, codec_options)
    if extras.get("projection") is not None:
        head["fields"] = taken_in(projection_document(extras["projection"], "projection"), codec_options)
    if extras.get("sort") is not None:
        head["sort"] = taken_in(index_document(extras["sort"]), codec_options)
    if upsert is not None:
        head["upsert"] = validate_boolean("upsert", upsert)
    if extras.get("array_filters") is not None:
        validate_list_or_none("array_filters", extras["array_filters"])
        _refuse_unacknowledged("arrayFilters", concern)
        head["arrayFilters"] = value_taken_in(extras["array_filters"], codec_options)
    if extras.get("hint") is not None:
        head["hint"] = hint_document(extras["hint"])
    command = Command(head, collection.database.name, write_concern=concern, concern_error=True, is_statement=True)
    if collation is not None:
        command.collation = collation
    return command


def _refuse_unacknowledged(what: str, concern: WriteConcern) -> None:
    if not concern.acknowledged:
        raise ConfigurationError(f"{what} is unsupported for unacknowledged writes.")


def _refuse_sort(concern: WriteConcern) -> None:
    if not concern.acknowledged:
        raise ConfigurationError("Must be connected to MongoDB 8.0+ to use sort on unacknowledged update commands.")
