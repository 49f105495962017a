"""``$jsonSchema``: JSON Schema draft 4 as mongod validates documents with it.

Source: the manual's page "$jsonSchema". Keywords that mongod rejects are errors here as well; those it has and this
module has not (``dependencies``, ``encrypt``) raise UnsupportedOperator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.regex import Regex

from harness.sim.documents.errors import FAILED_TO_PARSE, TYPE_MISMATCH, DocumentError, UnsupportedOperator
from harness.sim.documents.match_tests import Test, comparison_test, type_test
from harness.sim.documents.order import hashable_key
from harness.sim.documents.regex import compile_regex
from harness.sim.documents.values import is_number

_JSON_TYPES: Final[Mapping[str, str]] = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "object": "object",
    "array": "array",
    "null": "null",
}
_ANNOTATIONS: Final = frozenset({"title", "description"})
_REJECTED: Final = frozenset({"$ref", "$schema", "default", "definitions", "format", "id"})
_UNMODELLED: Final = frozenset({"dependencies", "encrypt", "encryptMetadata"})


def compile_schema(schema: Any) -> Test:
    """Return the test that a value (a whole document for ``$jsonSchema``) is valid under ``schema``.

    Raises DocumentError (9, 14) for a malformed schema, UnsupportedOperator for a keyword that is not modelled.
    """
    if type(schema) is not dict:
        raise DocumentError(TYPE_MISMATCH, "$jsonSchema must be an object")
    tests: list[Test] = []
    for keyword, argument in schema.items():
        if keyword in _UNMODELLED:
            raise UnsupportedOperator(keyword, "$jsonSchema")
        if keyword in _REJECTED:
            raise DocumentError(FAILED_TO_PARSE, f"$jsonSchema keyword '{keyword}' is not currently supported")
        compiler = _KEYWORDS.get(keyword)
        if compiler is not None:
            tests.append(compiler(argument, schema))
        elif keyword not in _ANNOTATIONS and keyword not in _MODIFIERS:
            raise DocumentError(FAILED_TO_PARSE, f"Unknown $jsonSchema keyword: {keyword}")
    return lambda value: all(test(value) for test in tests)


def _only(applies: Test, test: Test) -> Test:
    return lambda value: test(value) if applies(value) else True


def _is_object(value: Any) -> bool:
    return type(value) is dict


def _is_array(value: Any) -> bool:
    return type(value) is list


def _is_string(value: Any) -> bool:
    return type(value) is str


def _bson_type(argument: Any, _schema: Mapping[str, Any]) -> Test:
    return type_test(argument)


def _json_type(argument: Any, _schema: Mapping[str, Any]) -> Test:
    names = argument if type(argument) is list else [argument]
    if not names or not all(type(name) is str for name in names):
        raise DocumentError(TYPE_MISMATCH, "$jsonSchema keyword 'type' must be either a string or an array of strings")
    if "integer" in names:
        raise DocumentError(FAILED_TO_PARSE, "$jsonSchema type 'integer' is not currently supported.")
    unknown = next((name for name in names if name not in _JSON_TYPES), None)
    if unknown is not None:
        raise DocumentError(2, f"Unknown type name alias: {unknown}")
    return type_test([_JSON_TYPES[name] for name in names])


def _required(argument: Any, _schema: Mapping[str, Any]) -> Test:
    if type(argument) is not list:
        raise DocumentError(TYPE_MISMATCH, "$jsonSchema keyword 'required' must be an array")
    if not argument:
        raise DocumentError(FAILED_TO_PARSE, "$jsonSchema keyword 'required' cannot be an empty array")
    return _only(_is_object, lambda value: all(name in value for name in argument))


def _properties(argument: Any, _schema: Mapping[str, Any]) -> Test:
    if type(argument) is not dict:
        raise DocumentError(TYPE_MISMATCH, "$jsonSchema keyword 'properties' must be an object")
    tests = {name: compile_schema(sub) for name, sub in argument.items()}
    return _only(_is_object, lambda value: all(test(value[name]) for name, test in tests.items() if name in value))


def _pattern_properties(argument: Any, _schema: Mapping[str, Any]) -> Test:
    tests = [(compile_regex(Regex(pattern)), compile_schema(sub)) for pattern, sub in argument.items()]

    def test(value: Any) -> bool:
        return all(check(item) for pattern, check in tests for name, item in value.items() if pattern.search(name))

    return _only(_is_object, test)


def _additional_properties(argument: Any, schema: Mapping[str, Any]) -> Test:
    named = frozenset(schema.get("properties", {}))
    patterns = [compile_regex(Regex(pattern)) for pattern in schema.get("patternProperties", {})]
    check: Test = (lambda _: argument) if type(argument) is bool else compile_schema(argument)

    def test(value: Any) -> bool:
        return all(
            check(item)
            for name, item in value.items()
            if name not in named and not any(pattern.search(name) for pattern in patterns)
        )

    return _only(_is_object, test)


def _minimum(argument: Any, schema: Mapping[str, Any]) -> Test:
    return _only(is_number, comparison_test("$gt" if schema.get("exclusiveMinimum", False) else "$gte", argument))


def _maximum(argument: Any, schema: Mapping[str, Any]) -> Test:
    return _only(is_number, comparison_test("$lt" if schema.get("exclusiveMaximum", False) else "$lte", argument))


def _multiple_of(argument: Any, _schema: Mapping[str, Any]) -> Test:
    divisor = _decimal(argument)

    def test(value: Any) -> bool:
        number = _decimal(value)
        return number.is_finite() and number % divisor == 0

    return _only(is_number, test)


def _decimal(number: Any) -> Decimal:
    return number.to_decimal() if type(number) is Decimal128 else Decimal(number)


def _length(applies: Test, *, lower: bool) -> Callable[[Any, Mapping[str, Any]], Test]:
    def compiler(argument: Any, _schema: Mapping[str, Any]) -> Test:
        if not is_number(argument) or math.isnan(_decimal(argument)) or argument < 0:
            raise DocumentError(TYPE_MISMATCH, "$jsonSchema length keywords must be non-negative numbers")
        return _only(applies, lambda value: len(value) >= argument if lower else len(value) <= argument)

    return compiler


def _pattern(argument: Any, _schema: Mapping[str, Any]) -> Test:
    pattern = compile_regex(Regex(argument))
    return _only(_is_string, lambda value: pattern.search(value) is not None)


def _enumeration(argument: Any, _schema: Mapping[str, Any]) -> Test:
    if type(argument) is not list:
        raise DocumentError(TYPE_MISMATCH, "$jsonSchema keyword 'enum' must be an array")
    if not argument:
        raise DocumentError(FAILED_TO_PARSE, "$jsonSchema keyword 'enum' cannot be an empty array")
    keys = frozenset(_unordered_key(item) for item in argument)
    return lambda value: _unordered_key(value) in keys


def _unordered_key(value: Any) -> Any:
    """Return a key that takes embedded documents as equal whatever the order of their fields, as schemas do."""
    if type(value) is dict:
        return ("object", tuple((name, _unordered_key(value[name])) for name in sorted(value)))
    if type(value) is list:
        return ("array", tuple(_unordered_key(item) for item in value))
    return hashable_key(value)


def _items(argument: Any, schema: Mapping[str, Any]) -> Test:
    if type(argument) is dict:
        test = compile_schema(argument)
        return _only(_is_array, lambda value: all(test(item) for item in value))
    tests = [compile_schema(sub) for sub in argument]
    additional = schema.get("additionalItems", True)
    rest: Test = (lambda _: additional) if type(additional) is bool else compile_schema(additional)

    def check(value: Any) -> bool:
        heads = all(test(item) for test, item in zip(tests, value, strict=False))
        return heads and all(rest(item) for item in value[len(tests) :])

    return _only(_is_array, check)


def _unique_items(argument: Any, _schema: Mapping[str, Any]) -> Test:
    return _only(_is_array, lambda value: not argument or len({_unordered_key(item) for item in value}) == len(value))


def _all_of(argument: Any, _schema: Mapping[str, Any]) -> Test:
    tests = _schemas("allOf", argument)
    return lambda value: all(test(value) for test in tests)


def _any_of(argument: Any, _schema: Mapping[str, Any]) -> Test:
    tests = _schemas("anyOf", argument)
    return lambda value: any(test(value) for test in tests)


def _one_of(argument: Any, _schema: Mapping[str, Any]) -> Test:
    tests = _schemas("oneOf", argument)
    return lambda value: sum(test(value) for test in tests) == 1


def _not(argument: Any, _schema: Mapping[str, Any]) -> Test:
    test = compile_schema(argument)
    return lambda value: not test(value)


def _schemas(keyword: str, argument: Any) -> list[Test]:
    if type(argument) is not list:
        raise DocumentError(TYPE_MISMATCH, f"$jsonSchema keyword '{keyword}' must be an array")
    if not argument:
        raise DocumentError(2, f"$jsonSchema keyword '{keyword}' must be a non-empty array")
    return [compile_schema(sub) for sub in argument]


# They change the meaning of another keyword and are read there.
_MODIFIERS: Final = frozenset({"exclusiveMinimum", "exclusiveMaximum", "additionalItems"})

_KEYWORDS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Test]]] = {
    "bsonType": _bson_type,
    "type": _json_type,
    "required": _required,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "minimum": _minimum,
    "maximum": _maximum,
    "multipleOf": _multiple_of,
    "minLength": _length(_is_string, lower=True),
    "maxLength": _length(_is_string, lower=False),
    "minItems": _length(_is_array, lower=True),
    "maxItems": _length(_is_array, lower=False),
    "minProperties": _length(_is_object, lower=True),
    "maxProperties": _length(_is_object, lower=False),
    "pattern": _pattern,
    "enum": _enumeration,
    "items": _items,
    "uniqueItems": _unique_items,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
}
