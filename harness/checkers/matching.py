"""Bipartite matching by augmenting paths: a place of its own for each of several takers."""

from __future__ import annotations

from collections.abc import Sequence


def match(candidates: Sequence[Sequence[int]]) -> tuple[list[int], int | None]:
    """Give each taker one of its candidates, none to two of them.

    Returns the candidate of each taker and None; or, where that cannot be, the number of a taker that gets none.
    Where a taker's first free candidate serves, it costs one look at each candidate.
    """
    given: list[int] = [-1] * len(candidates)
    owner: dict[int, int] = {}
    for taker in range(len(candidates)):
        if not _augment(taker, candidates, given, owner):
            return given, taker
    return given, None


def _augment(taker: int, candidates: Sequence[Sequence[int]], given: list[int], owner: dict[int, int]) -> bool:
    asked_by: dict[int, int] = {}
    queue = [taker]
    for current in queue:
        for place in candidates[current]:
            if place in asked_by:
                continue
            asked_by[place] = current
            holder = owner.get(place)
            if holder is None:
                _hand_over(place, taker, asked_by, given, owner)
                return True
            queue.append(holder)
    return False


def _hand_over(place: int, last: int, asked_by: dict[int, int], given: list[int], owner: dict[int, int]) -> None:
    while True:
        taker = asked_by[place]
        freed = given[taker]
        given[taker], owner[place] = place, taker
        if taker == last:
            return
        place = freed
