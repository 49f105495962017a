"""A brute-force oracle of linearizability: every subset of the uncertain operations, every order, by definition.

It shares no code with the checkers: it reads operations, has its own rules for each object, and compares stamps pair
by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from harness.operation import Operation

Rule = Callable[[Any, Operation, bool], list[Any]]
"""``rule(state, operation, answered)`` gives the states that may follow (none: impossible here)."""


def is_linearizable(operations: Sequence[Operation], rule: Rule, initial: Any) -> bool:
    """Whether some order of the ok operations and some of the info ones fits the rule and real time."""
    certain = [one for one in operations if one.status == "ok"]
    uncertain = [one for one in operations if one.status == "info"]
    return any(
        _orders(certain + list(chosen), rule, initial)
        for size in range(len(uncertain) + 1)
        for chosen in combinations(uncertain, size)
    )


def _orders(rest: list[Operation], rule: Rule, state: Any) -> bool:
    if not rest:
        return True
    for number, one in enumerate(rest):
        others = rest[:number] + rest[number + 1 :]
        if any(_precedes(other, one) for other in others):
            continue
        if any(_orders(others, rule, following) for following in rule(state, one, one.status == "ok")):
            return True
    return False


def _precedes(one: Operation, other: Operation) -> bool:
    return one.status == "ok" and one.returned_ns is not None and one.returned_ns < other.start_ns


def register_rule(state: Any, one: Operation, answered: bool) -> list[Any]:
    """Return what may follow in a register with compare-and-set."""
    if one.function == "read":
        return [state] if not answered or one.result == state else []
    if one.function == "write":
        return [one.arguments["value"]]
    swaps = one.arguments["old"] == state
    if answered and one.result is not swaps:
        return []
    return [one.arguments["new"] if swaps else state]


def document_rule(*, counter: bool) -> Rule:
    """Return the rule of a versioned document, replaced or (``counter``) added to by each write."""

    def rule(state: Any, one: Operation, answered: bool) -> list[Any]:
        version, document = state
        if one.function == "read":
            return [state] if not answered or tuple(one.result) == state else []
        if one.function == "cas" and one.arguments["seen"] != version:
            return [] if answered else [state]
        following = (version + 1, document + one.arguments["argument"] if counter else one.arguments["argument"])
        return [following] if not answered or tuple(one.result) == following else []

    return rule
