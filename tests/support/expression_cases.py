"""Expressions, pipelines and updates that the simulated and the real server must answer alike, with their documents.

The cases are one extended-JSON value a line, in ``expression_cases.jsonl`` and ``pipeline_cases.jsonl``;
:func:`random_tree` makes more of them: expression trees over the same documents, wrong types included.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bson import Decimal128, Int64, ObjectId, Regex
from bson.json_util import DatetimeRepresentation, JSONMode, JSONOptions, loads

NOW = datetime.datetime(2024, 2, 29, 13, 14, 15, 167000)  # noqa: DTZ001 - as documents hold dates
"""What the simulated ``$$NOW`` is; no case shows the value of the real one."""

_OPTIONS = JSONOptions(
    json_mode=JSONMode.LEGACY,
    strict_number_long=True,
    datetime_representation=DatetimeRepresentation.ISO8601,
    tz_aware=False,
)

_JANUARY = datetime.datetime(2024, 1, 31, 10, 0, 0, 123000)  # noqa: DTZ001 - as documents hold dates

CORPUS: tuple[dict[str, Any], ...] = (
    {
        "a": 3,
        "b": 0,
        "s": "abcdé",
        "n": None,
        "f": 1.5,
        "L": Int64(5),
        "D": Decimal128("2.50"),
        "t": _JANUARY,
        "t2": NOW,
        "arr": [1, 2, 3],
        "o": {"x": 1, "y": 2},
        "docs": [{"x": 1}, {"y": 2}, {"x": [1, 2]}, 5, [{"x": 9}]],
        "oid": ObjectId("5f5f5f5f5f5f5f5f5f5f5f5f"),
        "re": Regex("a", "i"),
        "e": [],
    },
    {
        "a": 0,
        "b": 2,
        "s": "",
        "x": 0.1,
        "y": 0.2,
        "z": 0.3,
        "f": float("nan"),
        "L": Int64(2**62),
        "M": Int64(2**62),
        "D": Decimal128("NaN"),
        "t": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),  # noqa: DTZ001 - as documents hold dates
        "arr": [3, 1.0, "x", None, 1],
        "o": {"a": {"b": 1}, "x": 0},
        "docs": [{"x": "abc"}, {"x": None}],
        "z0": 0.0,
        "ds": Decimal128("0"),
    },
    {
        "a": -2147483648,
        "b": 0.5,
        "s": "12",
        "arr": [[1, 2], []],
        "o": {},
        "docs": [],
        "n": 7,
        "L": Int64(-1),
        "f": -2.5,
    },
    {"a": "text", "b": True, "s": 5, "arr": "no array", "o": [], "t": 0, "D": 1, "L": "5", "f": Decimal128("1E+3")},
    {},
)


def expressions() -> dict[str, list[Any]]:
    """Return the cases by operator; those that are no operator stand under ``path`` and ``object``."""
    grouped: dict[str, list[Any]] = {}
    for expression in _lines("expression_cases.jsonl"):
        grouped.setdefault(_kind(expression), []).append(expression)
    return grouped


def pipelines() -> list[list[Any]]:
    """Return the pipelines to run over :data:`LEFT`, with :data:`RIGHT` to join."""
    return [case["pipeline"] for case in _lines("pipeline_cases.jsonl") if "pipeline" in case]


def updates() -> list[list[Any]]:
    """Return the pipelines that are updates."""
    return [case["update"] for case in _lines("pipeline_cases.jsonl") if "update" in case]


def _lines(name: str) -> Iterator[Any]:
    for line in Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines():
        yield loads(line, json_options=_OPTIONS)


def _kind(expression: Any) -> str:
    if type(expression) is str:
        return "path"
    name = next(iter(expression), "") if type(expression) is dict and len(expression) == 1 else ""
    return name if name.startswith("$") else "object"


LEFT: tuple[dict[str, Any], ...] = (
    {"_id": 1, "k": "x", "v": 1, "arr": [1, 2], "o": {"p": 1}, "a": 1, "b": {"c": 1, "d": 2}},
    {"_id": 2, "k": "y", "v": 2.5, "arr": [], "o": {"q": 2}, "a": 2.0, "b": 5, "docs": []},
    {"_id": 3, "k": "x", "v": None, "arr": None, "docs": [{"x": 1, "y": 2}, {"x": 3}, 5, [{"x": 7}]]},
    {"_id": 4, "v": "s", "arr": 7, "b": [{"c": 1}, {"c": 2, "d": 3}]},
    {"_id": 5, "k": None, "v": Int64(3), "arr": [[1, 2], None], "z": 0, "n": None},
    {"_id": 6, "k": 1, "v": Decimal128("1.5"), "o": [{"p": 1}, {"p": 2}]},
    {"_id": 7, "k": 1.0, "v": [1, 2], "arr": ["x", None]},
)
RIGHT: tuple[dict[str, Any], ...] = (
    {"_id": 10, "k": "x", "w": 1},
    {"_id": 11, "k": ["x", "y"], "w": 2},
    {"_id": 12, "w": 3},
    {"_id": 13, "k": None, "w": 4},
    {"_id": 14, "k": 1, "w": 5, "o": [{"p": 1}, {"p": 3}]},
)

UPDATED: tuple[dict[str, Any], ...] = (
    {"_id": 1, "a": 1, "b": {"c": 1, "d": 2}, "s": "x", "arr": [{"x": 1}, 2]},
    {"_id": 1, "s": 5, "b": 7, "a": None},
)

_PATHS = ("$a", "$b", "$s", "$n", "$f", "$L", "$D", "$t", "$arr", "$o", "$docs", "$docs.x", "$o.x", "$o.a.b", "$nope")
_PATHS += ("$arr.x", "$x", "$z0", "$$ROOT.a", "$$REMOVE", "$t2")
_CONSTANTS: tuple[Any, ...] = (0, 1, -1, 2, 7, 1.0, 2.5, 0.1, Int64(3), Decimal128("1.25"), "", "abc", "12", None, True)
_CONSTANTS += (False, NOW, 2**31 - 1, Int64(2**62), float("inf"))

Make = Callable[[random.Random, int], Any]


def random_tree(choices: random.Random, depth: int = 4) -> Any:
    """Return an expression of at most ``depth`` operators in a row; the same ``choices`` make the same tree."""
    if depth == 0 or choices.random() < 0.15:
        return _leaf(choices)
    return choices.choice(_SHAPES)(choices, depth - 1)


def _leaf(choices: random.Random) -> Any:
    roll = choices.random()
    if roll < 0.6:
        return choices.choice(_PATHS)
    if roll < 0.9:
        return choices.choice(_CONSTANTS)
    return [choices.choice(_CONSTANTS) for _ in range(choices.randrange(4))]


def _of(name: str, least: int, most: int) -> Make:
    def make(choices: random.Random, depth: int) -> Any:
        return {name: [random_tree(choices, depth) for _ in range(choices.randint(least, most))]}

    return make


def _one(name: str) -> Make:
    return lambda choices, depth: {name: _wrapped(random_tree(choices, depth))}


def _wrapped(operand: Any) -> Any:
    return [operand] if type(operand) is list else operand


def _named(name: str, *parts: str, **fixed: Any) -> Make:
    def make(choices: random.Random, depth: int) -> Any:
        return {name: {**{part: random_tree(choices, depth) for part in parts}, **fixed}}

    return make


def _bound(name: str, variable: str, body: str, *parts: str) -> Make:
    """Return what makes an operator that binds a variable, which about half of its bodies use."""

    def make(choices: random.Random, depth: int) -> Any:
        inside = random_tree(choices, depth)
        if choices.random() < 0.5:
            operator = choices.choice(("$add", "$eq", "$concat", "$max", "$ifNull", "$concatArrays"))
            inside = {operator: [f"$${variable}", inside]}
        return {name: {**{part: random_tree(choices, depth) for part in parts}, body: inside}}

    return make


def _let(choices: random.Random, depth: int) -> Any:
    inside = {choices.choice(("$add", "$mergeObjects", "$cmp")): ["$$v", random_tree(choices, depth)]}
    return {"$let": {"vars": {"v": random_tree(choices, depth)}, "in": inside}}


def _switch(choices: random.Random, depth: int) -> Any:
    cases = [
        {"case": random_tree(choices, depth), "then": random_tree(choices, depth)} for _ in range(choices.randint(1, 3))
    ]
    default = {"default": random_tree(choices, depth)} if choices.random() < 0.7 else {}
    return {"$switch": {"branches": cases, **default}}


def _object(choices: random.Random, depth: int) -> Any:
    return {name: random_tree(choices, depth) for name in choices.sample(("p", "q", "r"), choices.randint(1, 3))}


def _array(choices: random.Random, depth: int) -> Any:
    return [random_tree(choices, depth) for _ in range(choices.randrange(4))]


_BINARY = "$eq $ne $gt $gte $lt $lte $cmp $subtract $divide $mod $in $arrayElemAt $setDifference $setIsSubset"
_VARIADIC = "$and $or $add $multiply $max $min $sum $avg $concat $concatArrays $setUnion $setIntersection $mergeObjects"
_UNARY = (
    "$not $abs $ceil $floor $round $size $isArray $first $last $reverseArray $toString $toInt $toLong $toDouble "
    "$toBool $toLower $toUpper $strLenCP $type $isNumber $objectToArray $arrayToObject $allElementsTrue $toDecimal"
)

_SHAPES: tuple[Make, ...] = (
    *(_of(name, 2, 2) for name in _BINARY.split()),
    *(_of(name, 1, 4) for name in _VARIADIC.split()),
    *(_one(name) for name in _UNARY.split()),
    *(_of(name, least, most) for name, least, most in (("$slice", 2, 3), ("$indexOfArray", 2, 4), ("$ifNull", 2, 3))),
    *(_of(name, least, most) for name, least, most in (("$cond", 3, 3), ("$setEquals", 2, 3), ("$substrCP", 3, 3))),
    *[_of("$cond", 3, 3)] * 3,
    _named("$cond", "if", "then", "else"),
    _named("$convert", "input", "onError", to="int"),
    _named("$convert", "input", "onNull", to="string", onError="failed"),
    _named("$setField", "input", "value", field="f"),
    _named("$getField", "input", field="x"),
    _named("$dateAdd", "startDate", "amount", unit="day"),
    _named("$dateDiff", "startDate", "endDate", unit="hour"),
    _bound("$map", "this", "in", "input"),
    _bound("$filter", "this", "cond", "input"),
    _bound("$reduce", "value", "in", "input", "initialValue"),
    _let,
    _switch,
    _object,
    _array,
)
