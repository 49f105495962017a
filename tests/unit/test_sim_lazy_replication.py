"""The lazy replication has the outcomes of an eager one, no fewer and no more."""

import random

import eager_replica_set
import lazy_scripts
import pytest

LOCAL, MAJORITY = "local", "majority"
NAMED = {
    "a write that is acknowledged, and one that is not": [
        ("write", 0, 1),
        ("acknowledge", 0),
        ("write", 0, 2),
        ("read", 1, LOCAL),
        ("read", 2, LOCAL),
        ("read", 1, MAJORITY),
        ("read", 0, MAJORITY),
    ],
    "a partition after an acknowledgement": [
        ("write", 0, 1),
        ("acknowledge", 0),
        ("write", 0, 2),
        ("isolate", 0),
        ("elect",),
        ("read", 1, LOCAL),
        ("read", 2, LOCAL),
        ("read", 1, MAJORITY),
    ],
    "a stale primary that comes back": [
        ("write", 0, 1),
        ("isolate", 0),
        ("write", 0, 2),
        ("elect",),
        ("rejoin", 0),
        ("read", 0, LOCAL),
        ("roll_back", 0),
        ("read", 0, LOCAL),
    ],
    "every member killed": [
        ("write", 0, 1),
        ("acknowledge", 0),
        ("write", 0, 2),
        ("kill", 0),
        ("kill", 1),
        ("kill", 2),
        ("restart", 1),
        ("restart", 2),
        ("elect",),
        ("read", 1, LOCAL),
        ("read", 2, LOCAL),
    ],
    "a secondary that lags behind": [
        ("write", 0, 1),
        ("lag", 1, True),
        ("write", 0, 2),
        ("acknowledge", 0),
        ("isolate", 2),
        ("read", 1, LOCAL),
        ("read", 2, MAJORITY),
        ("read", 2, LOCAL),
    ],
}


def _compare(script: lazy_scripts.Script) -> int:
    found, _ = lazy_scripts.outcomes(script)
    steps = [eager_replica_set.STEPS[name](*arguments) for name, *arguments in script]
    possible = eager_replica_set.outcomes(steps)
    # A commit point known ahead of what is applied is told apart by some observations alone, which is not asked of it.
    asked_for = eager_replica_set.outcomes(steps, knows_ahead=False)
    assert found <= possible, f"impossible in {script}"
    assert found >= asked_for, f"missing in {script}"
    return len(found)


@pytest.mark.parametrize("script", NAMED.values(), ids=NAMED)
def test_lazy_and_eager_replication_have_the_same_outcomes(script: lazy_scripts.Script) -> None:
    """What a script can show is what it can show where every pull, flush and commit is a step of its own."""
    assert _compare(script) > 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_random_scripts_have_the_same_outcomes(seed: int) -> None:
    """So it is for scripts with writes, reads, isolation, crashes, lag and a failover, drawn at random."""
    for number in range(12):
        _compare(lazy_scripts.random_script(random.Random(f"{seed}.{number}")))
