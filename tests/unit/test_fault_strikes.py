"""Every fault against the model of a set: it shows its effect, its mutant shows none, and nothing stays broken."""

from __future__ import annotations

import pytest
import trio
from fake_backend import FakeBackend, FakeLinks
from fault_strikes import Mutant, context, strike_all, strike_once, with_fake_probes

from harness.faults.catalogue import FAULTS, parse_faults
from harness.faults.schedule import Strike
from harness.interfaces.link import Link

SEEDS = (1, 2, 3, 4)
NAMES = (*FAULTS, "failpoint:insert:10107", "failpoint:update:lost-reply")


def fault_of(name: str):
    """Return the one fault of that name."""
    (fault,) = parse_faults(name)
    return fault


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_strike_has_an_effect_and_leaves_nothing_broken(name: str, size: int) -> None:
    """Whatever the draw, an observer sees every fault take effect, and the set is whole after it."""
    for seed in SEEDS:
        backend = FakeBackend(size=size)
        window = strike_once(fault_of(name), backend, seed=seed)
        assert window.error == ""
        assert window.effective, f"{name} on {window.targets} showed nothing"
        assert window.targets
        assert backend.harmed == []


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_mutant_that_injects_nothing_has_no_effect(name: str, counts: bool) -> None:
    """An injector that does nothing is found out, with and without links that count."""
    for seed in SEEDS:
        backend = FakeBackend(links=FakeLinks(counts=counts))
        window = strike_once(Mutant(fault_of(name)), backend, seed=seed)
        assert window.error == ""
        assert window.effects == ()


BY_MEMBER_STATES = [
    name
    for name in FAULTS
    if name.startswith(("partition-", "drop", "split", "kill", "pause", "lag")) and name != "partition-clients"
]


@pytest.mark.parametrize("name", BY_MEMBER_STATES)
def test_an_election_of_another_cause_is_no_effect_of_a_mutant(name: str) -> None:
    """A primary that changes hands by itself during the strike proves nothing about a cut or a kill.

    (A step-down is not asked: a hand-over looks the same whoever wanted it.)
    """

    class Restless(FakeBackend):
        async def observe(self):
            if self.observations == 3:
                self._elect([member for member in self.members if member != self.primary])
            return await super().observe()

    backend = Restless()
    assert strike_once(Mutant(fault_of(name)), backend).effects == ()
    assert backend.term == 2


@pytest.mark.parametrize("name", ["latency", "bandwidth", "reset", "black-hole", "slice", "lost-reply"])
def test_toxics_show_without_counters_and_to_a_probe_only(name: str) -> None:
    """Links that count nothing (Toxiproxy) hide no effect from the probe."""
    window = strike_once(fault_of(name), FakeBackend(links=FakeLinks(counts=False)))
    assert window.effects[0].observer == "probe"


@pytest.mark.parametrize("name", ["latency", "bandwidth", "slice", "reset", "black-hole"])
def test_toxics_show_to_the_members_where_the_harness_has_no_way_through_the_links(name: str) -> None:
    """With client groups in processes of their own no probe gets through, and the members' heartbeats tell."""

    class Outside(FakeBackend):
        async def probe(self, member):
            answer = await super().probe(member)
            return type(answer)(answered=False, elapsed_ms=answer.elapsed_ms, problem="not a client")

    window = strike_once(fault_of(name), Outside())
    assert window.effective
    assert window.effects[0].observer in {"heartbeat round trips", "member states"}
    assert strike_once(Mutant(fault_of(name)), Outside()).effects == ()


def test_clients_cut_off_without_counters_show_to_the_probe() -> None:
    """The clients' partition is seen by a failing round trip while the primary is alive."""
    window = strike_once(fault_of("partition-clients"), FakeBackend(links=FakeLinks(counts=False)))
    assert window.effects[0].observer == "probe"


def test_a_partition_that_causes_no_election_is_no_effect_for_partition_primary() -> None:
    """A cut that leaves the primary in office is not what was asked for."""

    class Stubborn(FakeBackend):
        def _reaches_majority(self, member):
            return member == "m1"

    backend = Stubborn()
    assert strike_once(fault_of("partition-primary"), backend).effects == ()
    assert backend.harmed == []


def test_lag_without_any_write_shows_nothing() -> None:
    """Where nothing is written a member that does not replicate lacks nothing."""
    assert strike_once(fault_of("lag"), FakeBackend(writing=False)).effects == ()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("kill-all", "kill m2"),
        ("kill-all", "kill m3"),
        ("kill-majority", "kill m2"),
        ("pause-primary", "pause m1"),
        ("lag", "waitForFailPoint m2"),
        ("failpoint:insert:91", "configureFailPoint m3"),
    ],
)
def test_a_half_failed_injection_is_healed_and_on_record(name: str, call: str) -> None:
    """Where one step of an injection fails, what was done before it is undone, and the strike has no effect."""

    class Failing(FakeBackend):
        def _used(self, used):
            try:
                super()._used(used)
            finally:
                self.fail.discard(used)

    for seed in SEEDS:
        backend = Failing(fail={call})
        window = strike_once(fault_of(name), backend, seed=seed)
        assert backend.harmed == []
        if call in backend.calls:
            assert "told to fail" in window.error


def test_a_member_whose_killing_was_reported_as_failed_is_started_again_all_the_same() -> None:
    """Whether the blow fell cannot be told from an error, so whoever was struck at is healed."""

    class Unsure(FakeBackend):
        async def kill(self, member):
            await super().kill(member)
            raise OSError("no word from the guardian")

    backend = Unsure()
    window = strike_once(fault_of("kill-primary"), backend)
    assert "no word" in window.error
    assert backend.harmed == []


def test_every_step_of_healing_is_tried_and_healing_is_repeated() -> None:
    """A member that does not restart at the first try keeps no other from restarting, and is tried again."""

    class Slow(FakeBackend):
        refusals = 2

        async def restart(self, member):
            if member == "m1" and self.refusals:
                self.refusals -= 1
                self._used(f"refused {member}")
                raise OSError("not yet")
            await super().restart(member)

    backend = Slow()
    window = strike_once(fault_of("kill-all"), backend)
    assert window.effective
    assert backend.harmed == []
    assert backend.calls.count("refused m1") == 2
    assert [call for call in backend.calls if call.startswith("restart")] == ["restart m2", "restart m3", "restart m1"]


def test_a_failpoint_strikes_this_runs_clients_only() -> None:
    """The failpoint carries the clients' application name; without one the strike is refused."""
    backend = FakeBackend()
    seen = []

    class Watching(FakeBackend):
        def _configure(self, member, command):
            seen.append(command)
            return super()._configure(member, command)

    strike_once(fault_of("failpoint:find:WriteConflict"), Watching())
    on = [command for command in seen if command["mode"] != "off"]
    assert len(on) == 3
    assert all(c["data"] == {"failCommands": ["find"], "errorCode": 112, "appName": "run-1"} for c in on)
    window = strike_once(fault_of("failpoint:find:112"), backend, application_name="")
    assert "application name" in window.error
    assert not window.effective
    assert backend.calls == []


def test_split_clients_leaves_a_group_on_each_side() -> None:
    """One group keeps the old primary alone, the other keeps the majority alone."""
    seen = []

    class Watching(FakeLinks):
        async def cut(self, links):
            seen.extend(links)
            await super().cut(links)

    strike_once(fault_of("split-clients"), FakeBackend(links=Watching()))
    cut = {tuple(link) for link in seen}
    assert {("clients", "m2"), ("clients", "m3"), ("clients-2", "m1")} <= cut
    assert not {("clients", "m1"), ("clients-2", "m2"), ("clients-2", "m3")} & cut


def test_split_clients_with_one_group_says_what_to_add() -> None:
    """With one client group the strike is refused with the option that is missing."""
    backend = FakeBackend()
    window = strike_once(fault_of("split-clients"), backend, groups=("clients",))
    assert "client group" in window.error
    assert not window.effective


def test_no_primary_means_no_strike_but_no_crash() -> None:
    """Where no primary appears the strike is on record with its reason."""
    backend = FakeBackend(primary=None, dead={"m1", "m2"})
    window = strike_once(fault_of("kill-primary"), backend)
    assert "no primary" in window.error
    assert window.end_ns is not None


@pytest.mark.parametrize(("latency_s", "partition_s", "left"), [(1.0, 3.0, (True, False)), (3.0, 1.0, (False, True))])
def test_healing_one_fault_does_not_heal_another_on_the_same_links(latency_s, partition_s, left) -> None:
    """Latency, healed first, leaves the cut of the partition in place; a cut healed first leaves the latency."""
    link = Link("m2", "m1")
    seen: dict[float, tuple[bool, bool]] = {}

    class Watching(FakeBackend):
        async def observe(self):
            seen[round(trio.current_time(), 1)] = (link in self.links.down, link in self.links.toxics)
            return await super().observe()

    backend = Watching(writing=False)
    latency = with_fake_probes(FAULTS["latency"], backend)
    strikes = [
        Strike(fault=FAULTS["partition-primary"], index=0, at_s=0.0, hold_s=partition_s),
        Strike(fault=latency, index=0, at_s=0.1, hold_s=latency_s),
        Strike(fault=FAULTS["lag"], index=0, at_s=0.2, hold_s=3.5),
    ]
    outcome = strike_all(strikes, context(backend))
    assert outcome.error is None
    assert seen[0.7] == (True, True)
    assert seen[2.0] == left
    assert backend.harmed == []
