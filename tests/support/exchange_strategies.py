"""Hypothesis strategies for the tests of exchange: EDN values, events, whole histories."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from harness.exchange.edn import Character, EdnList, EdnSet, Keyword, Symbol, Tagged
from harness.exchange.events import Events

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True)
INTEGERS = st.integers(-(2**70), 2**70)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

_RESERVED = frozenset({"nil", "true", "false"})


def edn_values() -> st.SearchStrategy[Any]:
    """Return values of every notation that EDN has."""
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        INTEGERS,
        st.floats(allow_nan=False),
        st.decimals(allow_nan=False, allow_infinity=False),
        TEXTS,
        NAMES.map(Keyword),
        NAMES.filter(lambda name: name not in _RESERVED).map(Symbol),
        st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cf"]).map(Character),
    )
    keys = st.one_of(INTEGERS, TEXTS, NAMES.map(Keyword), st.tuples(INTEGERS, INTEGERS))
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(EdnList),
            st.lists(INTEGERS, unique=True, max_size=4).map(EdnSet),
            st.dictionaries(keys, inner, max_size=4),
            st.tuples(NAMES, inner).map(lambda pair: Tagged(*pair)),
        ),
        max_leaves=10,
    )


def usual_values() -> st.SearchStrategy[Any]:
    """Return values as most histories have them."""
    small = st.integers(-5, 100)
    reads = st.tuples(st.just(Keyword("r")), small, st.none() | small | st.lists(small, max_size=3)).map(list)
    writes = st.tuples(st.sampled_from(["append", "w"]).map(Keyword), small, small).map(list)
    return st.one_of(st.none(), small, st.lists(small, max_size=3), st.lists(reads | writes, max_size=3))


@st.composite
def events(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Events:
    """Return the events of a history in which each process does one thing at a time."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ok", "fail", "info"])), min_size=1, max_size=12)
    )
    under_way: dict[int, str] = {}
    rows: list[tuple[str, str, Any, int]] = []
    for process, ending in steps:
        if process in under_way:
            rows.append((ending, under_way.pop(process), draw(values), process))
        else:
            under_way[process] = draw(st.sampled_from(["read", "write", "cas", "txn"]))
            rows.append(("invoke", under_way[process], draw(values), process))
    times = sorted(draw(st.lists(st.integers(0, 10**12), min_size=len(rows), max_size=len(rows), unique=True)))
    return Events(
        types=[row[0] for row in rows],
        functions=[row[1] for row in rows],
        values=[row[2] for row in rows],
        processes=[row[3] for row in rows],
        times=times,
        indexes=list(range(len(rows))),
        lines=list(range(1, len(rows) + 1)),
    )
