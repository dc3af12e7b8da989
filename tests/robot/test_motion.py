"""The generator of motion: within its limits, and never backwards to take a run-up."""

import numpy as np
import pytest

from robot.arms.so101 import so101
from robot.interfaces import Chunk
from robot.motion import RISE, Mover
from robot.planner import Schedule

SPEC, T = so101().spec, 0.01
STEP = np.array([0.3, 1.0, -0.3, -0.3, 0.3, 0.1])


@pytest.fixture
def mover():
    made = Mover(SPEC, T)
    made.seed(SPEC.home)
    return made


def test_plans_that_ask_for_the_whole_way_at_once_are_never_met_with_a_run_up(mover):
    schedule, rows = Schedule(), []
    for k in range(150):
        now = k * T
        if k % 10 == 0:
            chunk = Chunk(now + 0.05, 0.1, np.tile(SPEC.home + STEP, (3, 1)))
            schedule.push(chunk, now, mover.q)
        rows.append(mover.follow(schedule.target(now + T)))
    moved = (np.array(rows) - SPEC.home) * np.sign(STEP)
    assert (np.maximum.accumulate(moved) - moved).max() < 0.02
    assert np.allclose(rows[-1], SPEC.home + STEP, atol=0.01)


def test_a_smooth_target_is_tracked(mover):
    off = []
    for k in range(300):
        target = SPEC.home + 0.3 * (1 - np.cos(2.0 * (k + 1) * T))
        off.append(np.abs(mover.follow(target) - target).max())
    assert max(off[50:]) < 0.02


def test_stop_rests_within_the_limits(mover):
    for _ in range(30):
        mover.toward(SPEC.home + STEP)
    fast, before = np.abs(mover.dq), mover.dq
    assert fast.max() > 1.0
    steps = 0
    while not mover.still:
        mover.stop()
        assert (np.abs(mover.dq - before) <= SPEC.acceleration * T + 1e-9).all()
        before, steps = mover.dq, steps + 1
    assert steps * T < fast.max() / SPEC.acceleration[0] * 2 + 4 * RISE


def test_joints_for_which_no_common_time_is_found_go_each_in_its_own():
    mover = Mover(SPEC, T, scale=0.3)
    mover._in.current_position = [0.04609427252433712, -1.52896064796185, 1.401591126006259, 1.283941919460282,
                                  -0.01458036489605202, 0.0694075560731069]
    mover._in.current_velocity = [-0.1752029612838348, -0.7524343633773332, 0.16, 0.0, 0.05406773460406776,
                                  -0.2673546785008821]
    mover._in.current_acceleration = [0.0, 9.692071432913465, 16.0, 0.0, 0.0, 0.0]
    target = np.array([0.0, -1.7, 1.6, 1.2, 0.0, 0.0])
    for _ in range(200):
        mover.toward(target)
    assert mover.still and np.allclose(mover.q, target, atol=1e-6)
