"""The schedule: enough strikes, early enough, apart from each other, and the same for the same seed."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from harness.faults.catalogue import FAULTS
from harness.faults.schedule import as_plain, draw_schedule

EVERY = tuple(FAULTS.values())
one_fault = st.sampled_from(EVERY)


def of(fault, strikes):
    """Return the strikes of one fault."""
    return [strike for strike in strikes if strike.fault.name == fault.name]


def slot_of(fault):
    """Return the longest slot of a fault, in seconds."""
    return 5 if fault.hold_s <= 1 else 10


@given(seed=st.integers(0, 2**32), fault=one_fault, load_s=st.floats(1, 300))
def test_one_strike_of_each_fault_in_each_started_ten_seconds(seed, fault, load_s) -> None:
    """As many strikes as are owed, twice as many of short ones, and one in each slot, that is healed within it."""
    strikes = draw_schedule(seed, (fault,), load_s)
    count = math.ceil(load_s / slot_of(fault))
    assert [strike.index for strike in strikes] == list(range(count))
    for strike in strikes:
        slot_s = load_s / count
        assert strike.index * slot_s <= strike.at_s
        assert strike.at_s + strike.hold_s <= (strike.index + 1) * slot_s + 0.01


@given(seed=st.integers(0, 2**32), load_s=st.floats(10, 300))
def test_full_slots_leave_time_to_settle_and_to_recover(seed, load_s) -> None:
    """From ten seconds on the first strikes come at 0.4 to 2 s, and half of a fault's rest comes after it."""
    strikes = draw_schedule(seed, EVERY, load_s)
    for fault in EVERY:
        own = of(fault, strikes)
        assert 0.3 <= own[0].at_s <= 2.0
        assert all(strike.hold_s >= min(fault.hold_s, 3.5) - 0.001 for strike in own)
        ends = [strike.at_s + strike.hold_s for strike in own]
        starts = [*(strike.at_s for strike in own[1:]), load_s]
        assert all(start - end >= 0.5 for start, end in zip(starts, ends, strict=True))


def test_half_a_minute_has_the_full_rests() -> None:
    """The default load of 30 s: 1.5 s before and 2 s after each strike are free, and each has its full length."""
    for seed in range(50):
        for fault in EVERY:
            strikes = draw_schedule(seed, (fault,), 30)
            assert 1.5 <= strikes[0].at_s <= 2.0
            for number, strike in enumerate(strikes):
                assert strike.at_s >= slot_of(fault) * number + 1.5 - 0.001
                assert strike.at_s + strike.hold_s <= slot_of(fault) * (number + 1) - 2.0 + 0.01
                assert strike.hold_s == fault.hold_s


def test_five_seconds_hold_one_whole_strike() -> None:
    """A load of 5 s has one strike, of full length or 3.5 s, with load before and after it."""
    for fault in EVERY:
        (strike,) = draw_schedule(7, (fault,), 5)
        assert strike.hold_s == min(fault.hold_s, 3.5)
        assert strike.at_s >= 0.3
        assert strike.at_s + strike.hold_s <= 4.7


def test_the_seed_alone_decides_and_faults_do_not_disturb_each_other() -> None:
    """The same seed gives the same strikes, another seed others, and a further fault moves no strike."""
    alone = draw_schedule(3, (EVERY[0],), 60)
    assert alone == draw_schedule(3, (EVERY[0],), 60)
    assert alone != draw_schedule(4, (EVERY[0],), 60)
    assert tuple(of(EVERY[0], draw_schedule(3, EVERY, 60))) == alone


def test_no_fault_has_no_schedule_and_a_schedule_is_stored_as_plain_data() -> None:
    """The stored form names fault, strike, start and length."""
    assert draw_schedule(1, (), 30) == ()
    (first, *_) = as_plain(draw_schedule(1, (EVERY[0],), 30))
    assert first["fault"] == "partition-primary"
    assert set(first) == {"fault", "strike", "at_s", "hold_s"}
