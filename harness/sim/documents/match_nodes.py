"""The nodes of a parsed filter: which values of a document a test is tried on, and how conditions combine.

Every node answers for a whole document (``matches``), for one array element standing alone (``matches_element``, as
in ``$elemMatch: {$gt: 1}``), and says which array index its match came through (``locate``, for the positional ``$``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from harness.sim.documents.match_tests import Test
from harness.sim.documents.paths import split, visit
from harness.sim.documents.values import MISSING, Document

# mongod sorts the conditions of a filter by kind, then path; the last one that passed through an array decides `$`.
KIND_ORDER: Final = (
    "$and", "$or", "$elemMatch", "$elemMatch-value", "$size", "$eq", "$lte", "$lt", "$gt", "$gte", "$regex", "$mod",
    "$exists", "$in", "bits", "$not", "$nor", "$type", "$expr", "$jsonSchema", "$alwaysFalse", "$alwaysTrue",
)  # fmt: skip
_KIND_PLACES: Final = {kind: place for place, kind in enumerate(KIND_ORDER)}

Matches = Callable[[Document], bool]
# Returns the array index through which a document, which matches, does; None without an array on the way.
Locate = Callable[[Document], int | None]


class Node(NamedTuple):
    """One condition of a filter. A named tuple, not a dataclass: several are made for every filter.

    Arguments: ``kind`` is its operator, a word of :data:`KIND_ORDER`; ``path`` the dotted path it is on, empty where it
    combines ``children``; ``argument`` what an equality asks for.
    """

    kind: str
    matches: Matches
    matches_element: Test
    locate: Locate
    path: str = ""
    children: tuple[Node, ...] = ()
    argument: Any = MISSING


def leaf(
    kind: str,
    path: str,
    test: Test,
    *,
    expand: bool = True,
    inner: Callable[[list[Any]], int | None] | None = None,
    argument: Any = MISSING,
) -> Node:
    """Return the condition that some value at ``path`` passes ``test``.

    Arguments: ``expand`` tries the elements of an array at the end of the path as well as the array; ``inner`` says
    which element of a matching array met the condition (``$elemMatch``).
    """
    parts = split(path)

    def locate(document: Document) -> int | None:
        found: list[int | None] = []

        def at(value: Any, index: int | None) -> bool:
            if not test(value):
                return False
            found.append(inner(value) if index is None and inner is not None else index)
            return True

        visit(document, parts, at, expand=expand)
        return found[0] if found else None

    if len(parts) == 1:
        matches = field_test(path, test) if expand else _plain_field_test(path, test)
    else:
        matches = _path_test(parts, test, expand=expand)
    return Node(kind, matches, test, locate, path=path, argument=argument)


def field_test(name: str, test: Test) -> Matches:
    """Return the condition that a top-level field, or an element of its array, passes ``test``: the common case."""

    def matches(document: Document) -> bool:
        value = document.get(name, MISSING)
        if type(value) is list:
            for item in value:
                if test(item):
                    return True
        return test(value)

    return matches


def _plain_field_test(name: str, test: Test) -> Matches:
    return lambda document: test(document.get(name, MISSING))


def _path_test(parts: tuple[str, ...], test: Test, *, expand: bool) -> Matches:
    return lambda document: visit(document, parts, lambda value, _: test(value), expand=expand)


def conjunction(children: Sequence[Node]) -> Node:
    """Return the condition that every child holds; without any, all documents match."""
    parts = tuple(children)

    def locate(document: Document) -> int | None:
        found = None
        for child in sorted(parts, key=_canonical_order):
            index = child.locate(document)
            found = found if index is None else index
        return found

    return Node("$and", all_of([child.matches for child in parts]), _all_elements(parts), locate, children=parts)


def all_of(tests: Sequence[Matches]) -> Matches:
    """Return the condition that all of ``tests`` hold."""
    if len(tests) == 1:
        return tests[0]

    def matches(document: Document) -> bool:
        for test in tests:  # noqa: SIM110 - a generator would double the cost of the hottest loop
            if not test(document):
                return False
        return True

    return matches


def _all_elements(children: tuple[Node, ...]) -> Test:
    return lambda value: all(child.matches_element(value) for child in children)


def disjunction(children: Sequence[Node]) -> Node:
    """Return the condition that at least one child holds; only a single child says through which array index."""
    parts = tuple(children)

    def locate(document: Document) -> int | None:
        return parts[0].locate(document) if len(parts) == 1 else None

    return Node(
        "$or",
        lambda document: any(child.matches(document) for child in parts),
        lambda value: any(child.matches_element(value) for child in parts),
        locate,
        children=parts,
    )


def negation(children: Sequence[Node], *, kind: str = "$nor", path: str = "") -> Node:
    """Return the condition that no child holds (``$nor``); with one child it is ``$not``, ``$ne`` or ``$nin``."""
    parts = tuple(children)
    return Node(
        kind,
        lambda document: not any(child.matches(document) for child in parts),
        lambda value: not any(child.matches_element(value) for child in parts),
        lambda _: None,
        path=path,
        children=parts,
    )


def whole(kind: str, test: Test) -> Node:
    """Return a condition on the document as a whole: ``$expr``, ``$jsonSchema``, ``$alwaysTrue``."""
    return Node(kind, test, test, lambda _: None)


def _canonical_order(node: Node) -> tuple[int, str]:
    return (_KIND_PLACES[node.kind], node.path)
