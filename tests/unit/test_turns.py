"""Commands of several threads go through in the order that is asked for; a lost order is given up and told."""

from __future__ import annotations

import threading

from harness.run.turns import Turn, Turns

ORDER = (
    Turn("send", "0.0"),
    Turn("answer", "0.0"),
    Turn("send", "1.0"),
    Turn("answer", "1.0"),
    Turn("send", "0.0", 1),
    Turn("answer", "0.0", 1),
)


def run_client(turns, trail, turns_of_client):
    for turn in turns_of_client:
        if turn.what == "send":
            turns.wait(turn)
        trail.append(turn)
        turns.happen(turn)


def test_two_clients_are_held_to_the_order():
    """Each command waits for what came before it, whichever thread is quicker."""
    for first in ("0", "1"):
        turns, trail = Turns(ORDER), []
        threads = [
            threading.Thread(target=run_client, args=(turns, trail, [t for t in ORDER if t.subject.startswith(client)]))
            for client in sorted("01", key=lambda client: client != first)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert tuple(trail) == ORDER
        assert turns.finished
        assert turns.missed == ()


def test_an_event_that_never_comes_is_given_up_once():
    """The first missing event is named, and afterwards nobody waits any more."""
    turns = Turns(ORDER, patience_s=0.01)
    assert turns.wait(ORDER[2]) is False
    assert turns.wait(ORDER[4]) is True
    assert turns.missed == (ORDER[0],)
    assert not turns.finished


def test_an_event_outside_of_the_order_does_not_wait():
    """A command that the simulated run never sent (a retry, a heartbeat) goes through."""
    turns = Turns(ORDER, patience_s=5)
    assert turns.wait(Turn("send", "7.7")) is True
