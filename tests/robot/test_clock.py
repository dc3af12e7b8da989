"""Clocks and ticks: virtual time moves the world, late periods are counted."""

from __future__ import annotations

from itertools import islice

import pytest

from robot.clock import SimClock, WallClock, ticks


def test_waiting_on_a_sim_clock_advances_the_world():
    seen = []
    clock = SimClock(seen.append)
    clock.wait(0.5)
    clock.wait(0.4)
    assert (clock.now(), seen) == (0.5, [0.5])


def test_ticks_are_evenly_spaced():
    clock = SimClock()
    assert [t.due for t in islice(ticks(clock, 10.0), 4)] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_missed_periods_are_skipped_and_show():
    clock = SimClock()
    stream = ticks(clock, 10.0)
    next(stream)
    clock.wait(0.37)
    tick = next(stream)
    assert tick.index == 3
    assert tick.late == pytest.approx(0.27)  # the next one was due at 0.1


def test_many_ticks_lose_none_to_rounding():
    clock = SimClock()
    assert [t.index for t in islice(ticks(clock, 30.0), 1000)] == list(range(1000))


def test_wall_clock_never_goes_back_and_a_past_wait_returns():
    clock = WallClock()
    before = clock.now()
    clock.wait(before - 1.0)
    clock.wait(before + 0.002)
    assert clock.now() >= before + 0.002
