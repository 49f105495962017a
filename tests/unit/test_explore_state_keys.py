"""Keys of states: equal for equal states, different for others, and real-time order kept where it is noted."""

from __future__ import annotations

import subprocess
import sys

from harness.explore.state_keys import RealTimeOrder, chain, key_of, smallest_key


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


def test_a_chain_is_a_function_of_its_sequence() -> None:
    """Two clients that got the same results in the same order have the same chain, others have not."""
    assert chain(chain(0, "a"), "b") == chain(chain(0, "a"), "b")
    assert chain(chain(0, "a"), "b") != chain(chain(0, "b"), "a")


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


def test_states_that_differ_in_names_of_clients_alone_have_one_key() -> None:
    """With client numbers replaced in documents too, the two states of an exchange are one; others are not."""

    def key(owner: int, read_by: dict[int, int]) -> int:
        def describe(names: dict[int, int]) -> object:
            return (f"owner {names[owner]}", sorted((names[client], value) for client, value in read_by.items()))

        return smallest_key(describe, (0, 1))

    assert key(0, {0: 5, 1: 7}) == key(1, {1: 5, 0: 7})
    assert key(0, {0: 5, 1: 7}) != key(1, {0: 5, 1: 7})
