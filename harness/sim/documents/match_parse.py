"""The parser of filters: a filter document becomes the nodes of ``match_nodes``, or mongod's error for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.regex import Regex

from harness.sim.documents import match_tests as tests
from harness.sim.documents.errors import BAD_VALUE, DocumentError, UnsupportedOperator
from harness.sim.documents.expressions import Environment, compile_expression, truthy
from harness.sim.documents.match_bits import bits_test
from harness.sim.documents.match_nodes import Node, conjunction, disjunction, leaf, negation, whole
from harness.sim.documents.match_schema import compile_schema
from harness.sim.documents.order import hashable_key
from harness.sim.documents.regex import regex_with_options
from harness.sim.documents.values import MISSING, Document, is_number

_WHERE: Final = "a filter"
_OPTIONS_IN_BOTH: Final = 51075
_UNICODE_FLAG: Final = 32

_UNMODELLED: Final = frozenset(
    {"$where", "$text", "$near", "$nearSphere", "$geoNear", "$within", "$geoWithin", "$geoIntersects", "$sampleRate"}
)
_PATHLESS_IN_ELEM_MATCH: Final = frozenset({"$and", "$or", "$nor", "$where"})


def parse_filter(query: Mapping[str, Any], environment: Environment | None = None) -> Node:
    """Return the node of a normalised filter document; raises DocumentError as mongod does for a malformed one.

    Arguments: ``environment`` is what ``$expr`` may read beside the document; None stands for a filter on array
    elements, in which there is no ``$expr``.
    """
    nodes: list[Node] = []
    for name, argument in query.items():
        if name.startswith("$"):
            node = _parse_whole(name, argument, environment)
            if node is not None:
                nodes.append(node)
        elif type(argument) is dict and tests.is_operator_document(argument):
            nodes.extend(parse_operators(name, argument))
        else:
            nodes.append(_equality_or_regex(name, argument))
    return nodes[0] if len(nodes) == 1 else conjunction(nodes)


def parse_operators(path: str, operators: Mapping[str, Any]) -> list[Node]:
    """Return the conditions that ``{path: operators}`` stands for."""
    nodes: list[Node] = []
    for name, argument in operators.items():
        if name in ("$regex", "$options"):
            if name == "$regex":
                nodes.append(_regex(path, argument, operators.get("$options", MISSING)))
            elif "$regex" not in operators:
                raise DocumentError(BAD_VALUE, "$options needs a $regex")
            continue
        parse = _OPERATORS.get(name)
        if parse is None:
            if name in _UNMODELLED:
                raise UnsupportedOperator(name, _WHERE)
            raise DocumentError(BAD_VALUE, f"unknown operator: {name}")
        nodes.append(parse(path, argument))
    return nodes


def _parse_whole(name: str, argument: Any, environment: Environment | None) -> Node | None:
    if name == "$comment":
        return None
    if name in _COMBINATIONS:
        return _combination(name, argument, environment)
    if name == "$expr":
        if environment is None:
            raise DocumentError(BAD_VALUE, "$expr can only be applied to the top-level document")
        evaluate = compile_expression(argument, environment)
        return whole("$expr", lambda document: truthy(evaluate(document)))
    if name == "$jsonSchema":
        return whole(name, compile_schema(argument))
    if name in ("$alwaysTrue", "$alwaysFalse"):
        return whole(name, lambda _: name == "$alwaysTrue")
    if name in _UNMODELLED:
        raise UnsupportedOperator(name, _WHERE)
    if name == "$not":
        hint = "If you are trying to negate an entire expression, use $nor."
        raise DocumentError(BAD_VALUE, f"unknown top level operator: $not. {hint}")
    hint = "If you have a field name that starts with a '$' symbol, consider using $getField or $setField."
    raise DocumentError(BAD_VALUE, f"unknown top level operator: {name}. {hint}")


def _combination(name: str, argument: Any, environment: Environment | None) -> Node:
    if type(argument) is not list:
        raise DocumentError(BAD_VALUE, f"{name} must be an array")
    if not argument:
        raise DocumentError(BAD_VALUE, "$and/$or/$nor must be a nonempty array")
    for item in argument:
        if type(item) is not dict:
            raise DocumentError(BAD_VALUE, "$or/$and/$nor entries need to be full objects")
    return _COMBINATIONS[name]([parse_filter(item, environment) for item in argument])


_COMBINATIONS: Final[Mapping[str, Callable[[Sequence[Node]], Node]]] = {
    "$and": conjunction,
    "$or": disjunction,
    "$nor": negation,
}


def _equality(path: str, wanted: Any) -> Node:
    return leaf("$eq", path, tests.equality_test(wanted), argument=wanted)


def _equality_or_regex(path: str, wanted: Any) -> Node:
    return leaf("$regex", path, tests.regex_test(wanted)) if type(wanted) is Regex else _equality(path, wanted)


def _not_equal(path: str, wanted: Any) -> Node:
    if type(wanted) is Regex:
        raise DocumentError(BAD_VALUE, "Can't have regex as arg to $ne.")
    return negation([_equality(path, wanted)], kind="$not", path=path)


def _comparison(name: str) -> Callable[[str, Any], Node]:
    def parse(path: str, wanted: Any) -> Node:
        if type(wanted) is Regex:
            raise DocumentError(BAD_VALUE, f"Can't have RegEx as arg to predicate over field '{path}'.")
        return leaf(name, path, tests.comparison_test(name, wanted))

    return parse


def _included(path: str, wanted: Any) -> Node:
    test = tests.inclusion_test(wanted)
    if len({hashable_key(item) for item in wanted}) == 1:
        return _equality_or_regex(path, wanted[0])
    return leaf("$in", path, test)


def _not_included(path: str, wanted: Any) -> Node:
    return negation([_included(path, wanted)], kind="$not", path=path)


def _exists(path: str, argument: Any) -> Node:
    present = leaf("$exists", path, lambda value: value is not MISSING)
    return present if is_true(argument) else negation([present], kind="$not", path=path)


def is_true(value: Any) -> bool:
    """Return how mongod reads an option's value as a flag: false, null, a missing value and zero are not set."""
    if type(value) is Decimal128:
        return value.to_decimal() != 0
    return value is not None and value is not False and value is not MISSING and not (is_number(value) and value == 0)


def _type(path: str, argument: Any) -> Node:
    return leaf("$type", path, tests.type_test(argument, path))


def _modulo(path: str, argument: Any) -> Node:
    return leaf("$mod", path, tests.modulo_test(argument))


def _size(path: str, argument: Any) -> Node:
    try:
        size = tests.parse_whole_number(argument, "$size")
    except DocumentError as error:
        raise DocumentError(BAD_VALUE, f"Failed to parse $size. {error.message}") from error
    if size < 0:
        raise DocumentError(BAD_VALUE, f"Failed to parse $size. Expected a non-negative number in: $size: {size}")
    return leaf("$size", path, lambda value: type(value) is list and len(value) == size, expand=False)


def _regex(path: str, pattern: Any, options: Any) -> Node:
    if type(pattern) is Regex:
        if options is MISSING:
            return leaf("$regex", path, tests.regex_test(pattern))
        if pattern.flags & ~_UNICODE_FLAG:
            raise DocumentError(_OPTIONS_IN_BOTH, "options set in both $regex and $options")
        pattern = pattern.pattern
    elif type(pattern) is not str:
        raise DocumentError(BAD_VALUE, "$regex has to be a string")
    if options is MISSING:
        options = ""
    if type(options) is not str:
        raise DocumentError(BAD_VALUE, "$options has to be a string")
    return leaf(
        "$regex", path, tests.regex_test(regex_with_options(pattern, options if options is not MISSING else ""))
    )


def _not(path: str, argument: Any) -> Node:
    if type(argument) is Regex:
        return negation([leaf("$regex", path, tests.regex_test(argument))], kind="$not", path=path)
    if type(argument) is not dict:
        raise DocumentError(BAD_VALUE, "$not needs a regex or a document")
    if not argument:
        raise DocumentError(BAD_VALUE, "$not cannot be empty")
    return negation([conjunction(parse_operators(path, argument))], kind="$not", path=path)


def _all(path: str, argument: Any) -> Node:
    if type(argument) is not list:
        raise DocumentError(BAD_VALUE, "$all needs an array")
    if not argument:
        return whole("$alwaysFalse", lambda _: False)
    if _is_elem_match(argument[0]):
        if not all(_is_elem_match(item) for item in argument):
            raise DocumentError(BAD_VALUE, "$all/$elemMatch has to be consistent")
        return conjunction([_elem_match(path, item["$elemMatch"]) for item in argument])
    for item in argument:
        if type(item) is dict and tests.is_operator_document(item):
            raise DocumentError(BAD_VALUE, "no $ expressions in $all")
    return conjunction([_equality_or_regex(path, item) for item in argument])


def _is_elem_match(item: Any) -> bool:
    return type(item) is dict and next(iter(item), None) == "$elemMatch"


def _elem_match(path: str, argument: Any) -> Node:
    if type(argument) is not dict:
        raise DocumentError(BAD_VALUE, "$elemMatch needs an Object")
    first = next(iter(argument), "")
    if first.startswith("$") and first not in _PATHLESS_IN_ELEM_MATCH and tests.is_operator_document(argument):
        condition = conjunction(parse_operators("", argument))
        return _elements(path, condition.matches_element, kind="$elemMatch-value")
    node = parse_filter(argument)
    return _elements(path, lambda item: (document := as_document(item)) is not None and node.matches(document))


def _elements(path: str, element_test: tests.Test, kind: str = "$elemMatch") -> Node:
    def inner(array: list[Any]) -> int | None:
        return next((index for index, item in enumerate(array) if element_test(item)), None)

    def test(value: Any) -> bool:
        return type(value) is list and any(map(element_test, value))

    return leaf(kind, path, test, expand=False, inner=inner)


def as_document(value: Any) -> Document | None:
    """Return an array element as a document to match against: an array counts as one with its indexes as names."""
    if type(value) is dict:
        return value
    return {str(index): item for index, item in enumerate(value)} if type(value) is list else None


def _bits(name: str) -> Callable[[str, Any], Node]:
    return lambda path, argument: leaf("bits", path, bits_test(name, argument, path))


_OPERATORS: Final[Mapping[str, Callable[[str, Any], Node]]] = {
    "$eq": _equality,
    "$ne": _not_equal,
    "$gt": _comparison("$gt"),
    "$gte": _comparison("$gte"),
    "$lt": _comparison("$lt"),
    "$lte": _comparison("$lte"),
    "$in": _included,
    "$nin": _not_included,
    "$not": _not,
    "$exists": _exists,
    "$type": _type,
    "$mod": _modulo,
    "$size": _size,
    "$all": _all,
    "$elemMatch": _elem_match,
    "$bitsAllSet": _bits("$bitsAllSet"),
    "$bitsAllClear": _bits("$bitsAllClear"),
    "$bitsAnySet": _bits("$bitsAnySet"),
    "$bitsAnyClear": _bits("$bitsAnyClear"),
}

_KEYWORDS: Final = frozenset(_OPERATORS) - {"$not"} | {"$regex", "$options"}


def is_condition(value: Any) -> bool:
    """Return whether ``$pull`` takes its argument as a condition on a whole element, not on the element's fields."""
    return type(value) is Regex or (type(value) is dict and next(iter(value), "") in _KEYWORDS)
