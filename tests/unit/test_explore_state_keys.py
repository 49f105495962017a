"""Keys of states: equal for equal states, different for others, and real-time order kept where it is noted."""

from __future__ import annotations

import subprocess
import sys

from harness.explore.state_keys import RealTimeOrder, key_of


def test_a_key_tells_values_apart() -> None:
    """Order, type and grouping count; the same values have the same key."""
    parts = [(1, 2), (2, 1), ("1", 2), ((1, 2),), ({"a": 1},), ({"a": 2},), (None,), ()]
    assert len({key_of(*values) for values in parts}) == len(parts)
    assert key_of({"a": [1, "x"]}) == key_of({"a": [1, "x"]})
    assert key_of(1) < 1 << 128


def test_a_key_is_the_same_in_every_process() -> None:
    """No hash seed is in it."""
    code = "from harness.explore.state_keys import key_of; print(key_of('a', {'b': (1, None)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == key_of("a", {"b": (1, None)})


def test_real_time_order_is_who_had_ended_when_one_began() -> None:
    """An operation that began after another had ended is told apart from one that overlapped it."""
    after, during = RealTimeOrder(), RealTimeOrder()
    after.begins(0)
    after.ends(0)
    after.begins(1)
    during.begins(0)
    during.begins(1)
    during.ends(0)
    assert after.of(1) != during.of(1)
    assert after.of(0) == during.of(0)


def test_the_order_of_two_ends_does_not_count() -> None:
    """Who ended first among those that overlapped breaks no order, and is not kept."""
    orders = []
    for first, second in ((0, 1), (1, 0)):
        order = RealTimeOrder()
        order.begins(0)
        order.begins(1)
        order.ends(first)
        order.ends(second)
        orders.append((order.of(0), order.of(1)))
    assert orders[0] == orders[1]
