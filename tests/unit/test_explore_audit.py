"""The determinism audit: a fresh process under another hash seed gives the same digests, or the first difference."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError, UsageError
from harness.explore.audit import audit, first_difference, is_audited
from harness.explore.profile import Profile
from harness.explore.source import ProgramSource, Sampling

PROFILE = Profile(choices={"run": 30}, turns={"client 0": 10})


def sampling(factory: str, strategy: str = "portfolio", **arguments: object) -> Sampling:
    return Sampling(
        source=ProgramSource(factory=f"toy_programs:{factory}", arguments=dict(arguments)),
        strategy=strategy,
        profile=PROFILE,
    )


@pytest.mark.slow
def test_a_deterministic_program_passes() -> None:
    """200 seeds give the same digests in another process under another hash seed."""
    leases = sampling("lease", clients=4, transactions=2)
    digests = {seed: leases.execute(seed).digest for seed in range(200)}
    assert len(set(digests.values())) > 100
    result = audit(leases, digests)
    assert result.passed
    assert result.audited == 200


@pytest.mark.slow
def test_a_walk_through_a_set_is_found_and_located() -> None:
    """A program whose order is that of a set of texts fails, and the first event that differs is named."""
    walking = sampling("hashed")
    digests = {seed: walking.execute(seed).digest for seed in range(3)}
    result = audit(walking, digests)
    assert not result.passed
    difference = result.differences[0]
    assert difference.position is not None
    assert difference.repeatable_here
    assert "is the first that differs: " in difference.describe()
    assert "'look at counter-" in difference.describe()


@pytest.mark.slow
@pytest.mark.parametrize("own", ["1", "2", "5"])
def test_the_fresh_process_has_another_hash_seed(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever hash seed this process has, the other has a different one, and the same each time."""
    monkeypatch.setenv("PYTHONHASHSEED", own)
    result = audit(sampling("hash_seed"), {1: own})
    assert [difference.digest for difference in result.differences] == ["2" if own == "1" else "1"]


@pytest.mark.slow
def test_a_digest_that_this_process_does_not_repeat_is_told() -> None:
    """Where the run depends on what ran before it, the audit says that."""
    leases = sampling("lease")
    result = audit(leases, {7: "0123"})
    assert not result.differences[0].repeatable_here
    assert "depends on what ran before it" in result.differences[0].describe()


@pytest.mark.slow
def test_a_process_that_fails_is_an_error() -> None:
    """A factory that raises there ends the audit with its last line."""
    with pytest.raises(HarnessError, match="audits determinism"):
        audit(sampling("lease", bananas=3), {1: "x"})


def test_a_factory_that_is_not_there_is_a_usage_error() -> None:
    """A misspelt factory names the form that is expected."""
    with pytest.raises(UsageError, match=r"package\.module:function"):
        sampling("leash").source.program(1)


def test_one_seed_in_twenty_is_audited() -> None:
    """The choice of seeds is a function of the seed, about 5 % of them."""
    chosen = [seed for seed in range(10_000) if is_audited(seed)]
    assert 400 < len(chosen) < 600
    assert chosen == [seed for seed in range(10_000) if is_audited(seed)]


def test_the_first_difference_is_the_first() -> None:
    """Equal prefixes are passed over; a missing event is a difference; none is None."""
    assert first_difference([(1, "a"), (2, "b")], [[1, "a"], [2, "c"]]) == 1
    assert first_difference([(1, "a")], [(1, "a"), (2, "b")]) == 1
    assert first_difference([(1, "a")], [[1, "a"]]) is None
