"""Hypothesis strategies of small documents, filters, sorts, projections and updates of mixed types.

Names and values come from small pools,
    so that a filter often meets a document and an update often meets what the last
one left.
"""

from __future__ import annotations

import datetime
from typing import Any

from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from document_engines import UpdateCase
from hypothesis import strategies as st

NEW_DATE = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 - stored dates are naive UTC
OLD_DATE = datetime.datetime(1969, 1, 1)  # noqa: DTZ001 - stored dates are naive UTC

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.sampled_from(
    ["a", "b", "c", "a.b", "a.c", "b.a", "a.b.c", "a.0", "a.1", "a.0.b", "b.0", "_id", "b.c", "a.b.0"]
)
SCALARS = st.sampled_from(
    [
        None, 0, 1, 2, -1, 5, 1.0, 2.5, -0.0, float("nan"), float("inf"), Int64(1), Int64(7), 2**40, 2**31 - 1,
            Decimal128("1"),
        Decimal128("2.5"), Decimal128("NaN"), "", "a", "b", "ab", "B", True, False, b"x", Binary(b"x", 4),
        ObjectId("65e1c4a2b3c4d5e6f7a8b9c1"), NEW_DATE, OLD_DATE,
        Timestamp(5, 1), MinKey(), MaxKey(), Regex("a"),
    ]
)  # fmt: skip


def values(depth: int = 2) -> st.SearchStrategy[Any]:
    """Return values: mostly scalars, sometimes lists and documents of them."""
    if depth == 0:
        return SCALARS
    deeper = values(depth - 1)
    return st.one_of(SCALARS, SCALARS, st.lists(deeper, max_size=3), st.dictionaries(NAMES, deeper, max_size=3))


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Return documents without ``_id``."""
    return st.dictionaries(NAMES, values(), max_size=3)


NUMBERS = st.sampled_from([0, 1, 2, -1, 1.5, Int64(1), Int64(2**62), 2**31 - 1, Decimal128("1.5"), -3, 0.0])
TYPES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 16, 17, 18, 19, "number", "array", "int", "null", "minKey"])


def conditions(depth: int = 2) -> st.SearchStrategy[Any]:
    """Return what may stand at a field in a filter: a value, or operators."""
    comparison = st.builds(
        lambda name, value: {name: value}, st.sampled_from(["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]), values(1)
    )
    choices = [
        values(1),
        comparison,
        st.builds(
            lambda name, items: {name: items}, st.sampled_from(["$in", "$nin", "$all"]), st.lists(values(1), max_size=3)
        ),
        st.builds(lambda flag: {"$exists": flag}, st.booleans()),
        st.builds(lambda kind: {"$type": kind}, TYPES),
        st.builds(lambda size: {"$size": size}, st.integers(0, 3)),
        st.builds(lambda low, high: {"$gt": low, "$lt": high}, values(0), values(0)),
        st.builds(lambda number: {"$mod": [2, number]}, st.sampled_from([0, 1, -1])),
        st.builds(lambda mask: {"$bitsAllSet": mask}, st.sampled_from([1, 2, [0], [1, 2]])),
        st.builds(lambda source: {"$regex": source}, st.sampled_from(["a", "^a", "b$", "A", "."])),
    ]
    if depth:
        deeper = conditions(depth - 1)
        operators = deeper.filter(lambda value: isinstance(value, dict) and next(iter(value), "").startswith("$"))
        choices.append(operators.map(lambda value: {"$not": value}))
        choices.append(operators.map(lambda value: {"$elemMatch": value}))
        choices.append(filters(depth - 1).map(lambda value: {"$elemMatch": value}))
    return st.one_of(*choices)


def filters(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Return filters, with combinations up to ``depth``."""
    fields = st.dictionaries(PATHS, conditions(depth), min_size=0, max_size=2)
    if depth == 0:
        return fields
    combined = st.builds(
        lambda name, parts: {name: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(filters(depth - 1), min_size=1, max_size=2),
    )
    return st.one_of(fields, fields, combined, st.builds(lambda left, right: {**left, **right}, fields, combined))


def sorts() -> st.SearchStrategy[dict[str, int]]:
    """Return sorts by one or two paths, made total by ``_id``."""
    return st.dictionaries(PATHS, st.sampled_from([1, -1]), min_size=1, max_size=2).map(lambda spec: {**spec, "_id": 1})


def projections() -> st.SearchStrategy[dict[str, Any]]:
    """Return projections, some of them refused by mongod."""
    flags = st.dictionaries(PATHS, st.sampled_from([0, 1]), min_size=1, max_size=3)
    same = st.builds(dict.fromkeys, st.lists(PATHS, min_size=1, max_size=3), st.sampled_from([0, 1]))
    special = st.sampled_from(
        [
            {"$slice": 1},
            {"$slice": -1},
            {"$slice": [1, 1]},
            {"$slice": [-2, 1]},
            {"$elemMatch": {"b": 1}},
            {"$elemMatch": {"$gt": 0}},
            "$a",
            "$b.a",
        ]
    )
    mixed = st.builds(lambda base, path, value: {**base, path: value}, same, PATHS, special)
    positional = st.builds(
        lambda base, path: {**base, f"{path}.$": 1}, st.one_of(st.just({}), same), st.sampled_from(["a", "a.b", "b"])
    )
    return st.one_of(flags, same, same, mixed, st.builds(lambda path, value: {path: value}, PATHS, special), positional)


UPDATE_PATHS = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "d",
        "a.b",
        "a.c",
        "a.b.c",
        "a.0",
        "a.1",
        "a.3",
        "a.0.b",
        "b.a",
        "b.0",
        "_id",
        "a.$",
        "a.$.b",
        "a.$[]",
        "a.$[].b",
        "a.$[x]",
        "b.$[x].a",
        "10",
        "9",
    ]
)
PUSHES = st.one_of(
    values(1),
    st.builds(
        lambda items, extra: {"$each": items, **extra},
        st.lists(values(1), max_size=3),
        st.fixed_dictionaries(
            {},
            optional={
                "$slice": st.integers(-3, 3),
                "$position": st.integers(-3, 4),
                "$sort": st.sampled_from([1, -1, {"b": 1}, {"a": -1, "b": 1}, {"a.b": 1}]),
            },
        ),
    ),
)
_ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "$set": values(1),
    "$setOnInsert": values(1),
    "$unset": st.just(""),
    "$inc": NUMBERS,
    "$mul": NUMBERS,
    "$min": values(1),
    "$max": values(1),
    "$push": PUSHES,
    "$addToSet": st.one_of(values(1), st.lists(values(1), max_size=3).map(lambda items: {"$each": items})),
    "$pop": st.sampled_from([1, -1]),
    "$pull": conditions(1),
    "$pullAll": st.lists(values(1), max_size=3),
    "$bit": st.builds(
        lambda name, mask: {name: mask}, st.sampled_from(["and", "or", "xor"]), st.sampled_from([5, Int64(3), 1])
    ),
    "$rename": st.sampled_from(["a", "b", "d", "a.c", "d.e", "b.a", "_id"]),
}


def operator_updates() -> st.SearchStrategy[dict[str, Any]]:
    """Return updates of one to three operators."""

    def operator(name: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
        fields = st.dictionaries(UPDATE_PATHS, _ARGUMENTS[name], min_size=1, max_size=2)
        return fields.map(lambda value: (name, value))

    one = st.sampled_from(sorted(_ARGUMENTS)).flatmap(operator)
    return st.lists(one, min_size=1, max_size=3, unique_by=lambda pair: pair[0]).map(dict)


def updates() -> st.SearchStrategy[dict[str, Any]]:
    """Return updates by operators and, less often, replacements."""
    replacements = st.one_of(documents(), documents().map(lambda document: {**document, "_id": 1}))
    return st.one_of(operator_updates(), operator_updates(), operator_updates(), replacements)


ARRAY_FILTERS = st.sampled_from([({"x": 1},), ({"x.b": {"$gt": 0}},), ({"x": {"$gte": 1}},), ()])


@st.composite
def update_cases(draw: st.DrawFn, *, upsert: bool) -> UpdateCase:
    """Return updates of a random document; with ``upsert`` of none as well."""
    document = draw(st.one_of(st.none(), documents()) if upsert else documents())
    change = draw(updates())
    wants_filters = any("$[x]" in path for fields in change.values() if isinstance(fields, dict) for path in fields)
    return UpdateCase(
        None if document is None else {"_id": 1, **document},
        draw(st.one_of(st.just({}), filters(1))),
        change,
        draw(ARRAY_FILTERS) if wants_filters else (),
        upsert,
    )
