"""The nemesis: strikes on time, keeps a record, and leaves nothing broken however it ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from fault_strikes import strike_all
from trio.testing import MockClock

from harness.clock import RunClock
from harness.errors import FaultError
from harness.facts import Effect
from harness.faults.nemesis import HEAL_TIMEOUT_S, run_nemesis
from harness.faults.schedule import Strike
from harness.interfaces.fault import FaultContext, Injection
from harness.journal import FaultHealed, FaultStarted

EFFECT = Effect(observer="test", description="seen", time_ns=1)


@dataclass
class Scripted:
    """A fault that writes down when it was asked for what."""

    name: str = "scripted"
    needs: frozenset[Any] = frozenset()
    hold_s: float = 1.0
    steps: list[tuple[str, float]] = field(default_factory=list)
    effect: Effect | None = EFFECT
    late: Effect | None = None
    raises: dict[str, list[BaseException]] = field(default_factory=dict)
    inject_s: float = 0.0
    heal_s: float = 0.0

    def _step(self, name: str) -> None:
        self.steps.append((name, round(trio.current_time() - START, 2)))
        if self.raises.get(name):
            raise self.raises[name].pop(0)

    def times(self, name: str) -> list[float]:
        return [time for step, time in self.steps if step == name]

    async def aim(self, context: FaultContext) -> Injection:
        self._step("aim")
        return Injection(targets=("m1",), before=(), memory={})

    async def inject(self, context: FaultContext, injection: Injection) -> None:
        self._step("inject")
        await trio.sleep(self.inject_s)
        self._step("injected")

    async def observe(self, context: FaultContext, injection: Injection) -> Effect | None:
        self._step("observe")
        return self.effect

    async def heal(self, context: FaultContext, injection: Injection) -> Effect | None:
        self._step("heal")
        await trio.sleep(self.heal_s)
        self._step("healed")
        return self.late


START = 0.0
CONTEXT = FaultContext(backend=None, random=random.Random(0), now_ns=lambda: 0)  # type: ignore[arg-type]


def strikes_of(fault: Any, *times_s: float) -> list[Strike]:
    """Return a strike at each of these times."""
    return [Strike(fault=fault, index=i, at_s=at_s, hold_s=fault.hold_s) for i, at_s in enumerate(times_s)]


def cancelled_after(seconds: float, fault: Any) -> list[Any]:
    """Run one strike of ``fault`` at 0 s under a nemesis that is cancelled; return the events."""
    events: list[Any] = []

    async def main() -> None:
        with trio.move_on_after(seconds):
            await run_nemesis(
                strikes_of(fault, 0.0), lambda _: CONTEXT, events.append, RunClock.start(), lambda _: None
            )

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return events


def test_strikes_begin_on_time_and_are_held_as_long_as_asked() -> None:
    """Injection at the strike's time, healing after its length."""
    fault = Scripted()
    outcome = strike_all(strikes_of(fault, 2.0, 12.0), CONTEXT)
    assert fault.times("inject") == [2.0, 12.0]
    assert fault.times("heal") == [3.0, 13.0]
    assert [window.strike for window in outcome.windows] == [0, 1]
    assert all(window.effects == (EFFECT,) and window.targets == ("m1",) for window in outcome.windows)


def test_a_seen_effect_is_not_asked_for_again() -> None:
    """Observing ends with the first effect; without one it goes on until the strike ends."""
    seen, unseen = Scripted(), Scripted(effect=None)
    strike_all(strikes_of(seen, 0.0), CONTEXT)
    outcome = strike_all(strikes_of(unseen, 0.0), CONTEXT)
    assert len(seen.times("observe")) == 1
    assert len(unseen.times("observe")) in {10, 11}
    assert outcome.windows[0].effects == ()
    assert outcome.statuses == ["scripted on m1", "scripted healed, without effect"]


def test_an_effect_that_shows_only_at_the_end_counts() -> None:
    """What healing returns is on record where nothing was seen before."""
    assert strike_all(strikes_of(Scripted(effect=None, late=EFFECT), 0.0), CONTEXT).windows[0].effects == (EFFECT,)


def test_the_record_is_written_before_anything_is_touched() -> None:
    """FaultStarted precedes the injection and FaultHealed follows the healing."""
    order: list[str] = []

    class Noting(Scripted):
        def _step(self, name: str) -> None:
            order.append(name)

    async def main() -> None:
        def append(event: Any) -> None:
            order.append(type(event).__name__)

        await run_nemesis(strikes_of(Noting(), 0.0), lambda _: CONTEXT, append, RunClock.start(), lambda _: None)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert order == ["aim", "FaultStarted", "inject", "injected", "observe", "heal", "healed", "FaultHealed"]


def test_strikes_of_several_faults_overlap_but_change_the_set_one_at_a_time() -> None:
    """Two faults are held together; their injections and healings do not run into each other."""
    one, two = Scripted(name="one", inject_s=0.5), Scripted(name="two", inject_s=0.5)
    strike_all([*strikes_of(one, 1.0), *strikes_of(two, 1.1)], CONTEXT)
    assert one.times("inject") == [1.0]
    assert two.times("inject") == [1.5]
    assert one.times("heal") == [2.5]
    assert two.times("heal") == [3.0]


def test_a_late_strike_waits_for_the_one_before_of_its_fault() -> None:
    """Strikes of one fault never overlap, even where healing took longer than planned."""
    fault = Scripted(heal_s=5.0)
    strike_all(strikes_of(fault, 0.0, 3.0), CONTEXT)
    assert fault.times("healed")[0] == fault.times("inject")[1] == 6.0


@pytest.mark.parametrize("step", ["aim", "inject"])
def test_a_strike_that_fails_is_a_strike_without_effect(step: str) -> None:
    """The error is on record, the strike healed if it began, and the next strike comes."""
    fault = Scripted(raises={step: [FaultError("no such thing")]})
    outcome = strike_all(strikes_of(fault, 0.0, 5.0), CONTEXT)
    first, second = outcome.windows
    assert outcome.error is None
    assert first.error == "no such thing"
    assert first.effects == ()
    assert second.effective
    assert len(fault.times("heal")) == (1 if step == "aim" else 2)


def test_an_observer_that_fails_is_asked_again() -> None:
    """A member that does not answer its observer for once hides no effect."""
    fault = Scripted(raises={"observe": [FaultError("silent"), OSError("reset")]})
    assert strike_all(strikes_of(fault, 0.0), CONTEXT).windows[0].effective


def test_an_injection_that_hangs_is_given_up_and_healed() -> None:
    """The strike ends with its reason."""
    fault = Scripted(inject_s=10_000)
    outcome = strike_all(strikes_of(fault, 0.0), CONTEXT)
    assert "not injected within" in outcome.windows[0].error
    assert fault.times("healed")


@pytest.mark.parametrize("after_s", [0.5, 1.2, 1.7])
def test_cancellation_heals_before_it_ends(after_s: float) -> None:
    """Cancelled during injection, while held, or while healing: the strike is healed and on record as healed."""
    fault = Scripted(inject_s=1.0, hold_s=0.5, heal_s=2.0, effect=None)
    events = cancelled_after(after_s, fault)
    assert [type(event) for event in events] == [FaultStarted, FaultHealed]
    assert fault.times("injected") == [1.0], "an injection under way is not given up half way"
    assert fault.times("healed")


def test_cancellation_before_a_strike_touches_nothing() -> None:
    """A strike that has not begun is not on record."""
    fault = Scripted()
    events: list[Any] = []

    async def main() -> None:
        with trio.move_on_after(1.0):
            await run_nemesis(
                strikes_of(fault, 9.0), lambda _: CONTEXT, events.append, RunClock.start(), lambda _: None
            )

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert events == []
    assert fault.steps == []


def test_a_bug_in_a_fault_is_raised_after_healing() -> None:
    """What is no expected failure ends the run, but not before the set is whole."""
    fault = Scripted(raises={"inject": [KeyError("bug")]})
    with pytest.raises(BaseExceptionGroup) as raised:
        strike_all(strikes_of(fault, 0.0), CONTEXT)
    assert raised.group_contains(KeyError)
    assert fault.times("healed")


def test_healing_is_repeated_until_it_succeeds() -> None:
    """Two failures of healing are overcome, and no error remains."""
    fault = Scripted(raises={"heal": [FaultError("a"), OSError("b")]})
    outcome = strike_all(strikes_of(fault, 0.0), CONTEXT)
    assert outcome.error is None
    assert outcome.windows[0].error == ""
    assert len(fault.times("heal")) == 3


def test_a_set_that_cannot_be_healed_is_not_handed_on() -> None:
    """After the time for healing the nemesis raises and says what remains; other strikes are healed."""
    broken = Scripted(name="broken", raises={"heal": [FaultError("member m1 is lost")] * 10_000})
    sound = Scripted(name="sound")
    outcome = strike_all([*strikes_of(broken, 0.0), *strikes_of(sound, 0.0)], CONTEXT)
    assert outcome.error is not None
    assert "member m1 is lost" in outcome.error.message
    assert {window.fault: window.error for window in outcome.windows} == {"broken": "member m1 is lost", "sound": ""}
    assert HEAL_TIMEOUT_S <= broken.times("heal")[-1] + 1 <= HEAL_TIMEOUT_S + 2
    assert sound.times("healed")
