"""Values on the way into the simulator, and the order, equality and keys that mongod gives them."""

from __future__ import annotations

import datetime
import random
import re
from collections import OrderedDict
from typing import Any

import bson
import pytest
from bson import SON, Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument

from harness.sim.documents import numbers, order, values

DATE = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_901)  # noqa: DTZ001 - stored dates are naive UTC
STORED_DATE = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_000)  # noqa: DTZ001 - stored dates are naive UTC

# One value or more of every rank, in BSON order; those of one line are equal.
ORDERED: list[list[Any]] = [
    [MinKey()],
    [values.MISSING],
    [None],
    [float("nan"), Decimal128("NaN")],
    [float("-inf"), Decimal128("-Infinity")],
    [-1, -1.0, Int64(-1), Decimal128("-1.0")],
    [0, 0.0, -0.0, Int64(0), Decimal128("0E+3")],
    [0.1],
    [Decimal128("0.1000000000000000055511151231257828")],
    [2**53, float(2**53)],
    [Int64(2**53 + 1)],
    [float("inf"), Decimal128("Infinity")],
    [""],
    ["Z"],
    ["a"],
    ["é"],
    ["\U0001f600"],
    [{}],
    [{"a": 1}, {"a": 1.0}],
    [{"b": 0}],
    [{"a": "x"}],
    [[]],
    [[1, 2], [1.0, 2]],
    [[2]],
    [b"", Binary(b"", 0)],
    [b"b"],
    [Binary(b"a", 4)],
    [b"aa"],
    [ObjectId("000000000000000000000001")],
    [False],
    [True],
    [datetime.datetime(1960, 1, 1)],  # noqa: DTZ001 - stored dates are naive UTC
    [STORED_DATE],
    [Timestamp(5, 1)],
    [Timestamp(5, 2)],
    [Regex("a")],
    [Regex("a", "i")],
    [Code("f()")],
    [Code("f()", {"x": 1})],
    [MaxKey()],
]


def test_values_of_all_types_sort_in_bson_order() -> None:
    """Sorting by the key restores BSON's order, whatever the order before."""
    shuffled = [(place, value) for place, line in enumerate(ORDERED) for value in line]
    random.Random(7).shuffle(shuffled)
    places = [place for place, _ in sorted(shuffled, key=lambda pair: order.sort_key(pair[1]))]
    assert places == sorted(places)


def test_equality_and_hashable_keys_agree_with_the_order() -> None:
    """Two values are equal, and have the same key, exactly where neither sorts below the other."""
    flat = [(place, value) for place, line in enumerate(ORDERED) for value in line]
    for left_place, left in flat:
        for right_place, right in flat:
            same = left_place == right_place
            assert order.equal(left, right) is same, (left, right)
            assert (order.hashable_key(left) == order.hashable_key(right)) is same, (left, right)
            assert order.compare(left, right) == (left_place > right_place) - (left_place < right_place)
            if same:
                assert hash(order.hashable_key(left)) == hash(order.hashable_key(right))


def test_a_normalised_document_is_what_a_server_would_hand_back() -> None:
    """Normalising gives the values that PyMongo returns after a round trip."""
    document = {
        "int": 5,
        "long": 2**40,
        "wide": Int64(1),
        "date": DATE,
        "tuple": (1, [2, {"x": (3,)}]),
        "map": OrderedDict(b=1, a=2),
        "son": SON([("z", 1)]),
        "binary": Binary(b"x", 0),
        "uuid": Binary(b"0" * 16, 4),
        "pattern": re.compile("a", re.IGNORECASE),
        "milliseconds": DatetimeMS(1_000),
        "scope": Code("f()", SON(x=1)),
    }
    normal = values.normalise(document)
    assert values.identical(normal, bson.decode(bson.encode(document)))
    assert [type(normal[name]) for name in ("int", "long", "wide", "map", "son")] == [int, Int64, Int64, dict, dict]


def test_a_date_with_a_zone_is_stored_in_utc_and_whole_milliseconds() -> None:
    """An aware date becomes naive UTC; microseconds below a millisecond are cut off."""
    aware = DATE.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert values.normalise({"d": aware})["d"] == STORED_DATE - datetime.timedelta(hours=2)
    assert values.normalise({"d": DATE})["d"] == STORED_DATE


def test_normalising_copies_what_can_change() -> None:
    """The caller may change its document afterwards without touching what was stored."""
    inner: dict[str, Any] = {"x": [1]}
    stored = values.normalise({"a": inner})
    inner["x"].append(2)
    inner["y"] = 1
    assert stored == {"a": {"x": [1]}}


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"a": 2**63}, OverflowError),
        ({"a": {"b": [-(2**63) - 1]}}, OverflowError),
        ({1: "a"}, InvalidDocument),
        ({"a\x00b": 1}, InvalidDocument),
        ({"a": object()}, InvalidDocument),
        ({"a": {1, 2}}, InvalidDocument),
        ({"a": DBRef("c", 1)}, InvalidDocument),
        (RawBSONDocument(bson.encode({"a": 1})), InvalidDocument),
    ],
)
def test_what_cannot_be_stored_is_refused(document: Any, error: type[Exception]) -> None:
    """A value without a stored form raises instead of being changed."""
    with pytest.raises(error):
        values.normalise(document)


@pytest.mark.parametrize(
    ("left", "right", "total", "product"),
    [
        (2, 3, 5, 6),
        (2**31 - 1, 1, Int64(2**31), 2**31 - 1),
        (1, Int64(1), Int64(2), Int64(1)),
        (1, 2.5, 3.5, 2.5),
        (1, Decimal128("0.10"), Decimal128("1.10"), Decimal128("0.10")),
        (0.1, Decimal128("1"), Decimal128("1.100000000000000"), Decimal128("0.100000000000000")),
    ],
)
def test_arithmetic_widens_as_mongod_does(left: Any, right: Any, total: Any, product: Any) -> None:
    """int32 widens to int64, a double wins over integers, a decimal over all."""
    assert values.identical(numbers.add(left, right), total)
    assert values.identical(numbers.multiply(left, right), product)


def test_arithmetic_beyond_64_bits_is_an_error() -> None:
    """An int64 never wraps around."""
    with pytest.raises(OverflowError):
        numbers.add(Int64(2**63 - 1), 1)
    with pytest.raises(OverflowError):
        numbers.multiply(Int64(2**62), 2)
