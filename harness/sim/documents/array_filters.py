"""Array filters: the conditions that ``$[identifier]`` in an update's paths stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.sim.documents.errors import BAD_VALUE, FAILED_TO_PARSE, DocumentError
from harness.sim.documents.match import compile_filter
from harness.sim.documents.match_tests import Test

_IDENTIFIER: Final = re.compile(r"[a-z][a-zA-Z0-9]*")

_WHERE: Final = "Error parsing array filter :: caused by :: "

ArrayFilters = Mapping[str, Test]


def compile_array_filters(array_filters: Sequence[Mapping[str, Any]]) -> ArrayFilters:
    """Return the test of an array element for each identifier.

    Raises DocumentError (2, 9) for a filter without one single identifier, or two filters with the same.
    """
    compiled: dict[str, Test] = {}
    for array_filter in array_filters:
        names = sorted(set(_identifiers(array_filter)))
        if not names:
            message = "Cannot use an expression without a top-level field name in arrayFilters"
            raise DocumentError(FAILED_TO_PARSE, message)
        if len(names) > 1:
            message = f"Expected a single top-level field name, found '{names[0]}' and '{names[1]}'"
            raise DocumentError(FAILED_TO_PARSE, _WHERE + message)
        name = names[0]
        if not _IDENTIFIER.fullmatch(name):
            message = "The top-level field name must be an alphanumeric string beginning with a lowercase letter"
            raise DocumentError(BAD_VALUE, f"{_WHERE}{message}, found '{name}'")
        if name in compiled:
            message = f"Found multiple array filters with the same top-level field name {name}"
            raise DocumentError(FAILED_TO_PARSE, message)
        compiled[name] = _element_test(name, array_filter)
    return compiled


def _element_test(name: str, array_filter: Mapping[str, Any]) -> Test:
    try:
        matches = compile_filter(array_filter)
    except DocumentError as error:
        raise DocumentError(error.code, f"{_WHERE}{error.message}") from error
    return lambda item: matches({name: item})


def _identifiers(query: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, argument in query.items():
        if name in ("$and", "$or", "$nor") and type(argument) is list:
            for item in argument:
                found.extend(_identifiers(item))
        elif not name.startswith("$"):
            found.append(name.partition(".")[0])
    return found
