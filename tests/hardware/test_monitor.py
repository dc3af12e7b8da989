"""The umpire of the campaign: what counts as a lunge, and what is a bump at work."""

from types import SimpleNamespace

import numpy as np
import pytest

from hardware.monitor import LOOK, Limits, Monitor
from hardware.protocols.tables import RAD_PER_COUNT
from hardware.virtual import faults
from hardware.virtual.faults import Effects
from robot.arms.so101 import so101
from robot.injection import Kind

SPEC = so101().spec
BROKEN = Effects(servos={("motor", Kind.SLOW): {0: 0.5}})


def unit(joint):
    return SimpleNamespace(joint=joint, sign=1, powered=True, drive=SimpleNamespace(goal=0.0, torque=1.0),
                           sensed=SimpleNamespace(position=0.0, current=0.0))


@pytest.fixture
def rig():
    n = len(SPEC.names)
    return SimpleNamespace(
        state=SimpleNamespace(q=np.zeros(n)), units=[unit(j) for j in range(n)], effects=faults.NONE,
        heat=SimpleNamespace(celsius=np.full(n, 30.0)), supply=SimpleNamespace(voltage=12.0))


@pytest.fixture
def monitor(rig):
    return Monitor(SPEC, Limits(), rig, SimpleNamespace(table_force=lambda: 0.0))


def watch(monitor, positions, goals, joint=2, effects=faults.NONE, now=0.0):
    """Look on while `joint` goes through `positions` (rad) and its servo drives it to `goals`; returns the time."""
    rig = monitor.rig
    for q, goal in zip(positions, goals):
        rig.state.q = np.zeros(len(SPEC.names))
        rig.state.q[joint] = q
        rig.units[joint].sensed.position = q / RAD_PER_COUNT
        rig.units[joint].drive.goal = goal / RAD_PER_COUNT
        rig.effects = effects
        now += LOOK
        monitor.look(now)
    return now


REST = np.zeros(40)
BUMP = np.concatenate([REST, 0.09 * np.sin(np.linspace(0.0, np.pi, 20)), REST])  # there and back in a tenth of a second


def test_a_bump_beside_the_goal_is_no_lunge(monitor):
    watch(monitor, BUMP, np.zeros_like(BUMP))
    assert monitor.peaks.acceleration < 1e-6 and monitor.peaks.speed > 0.5
    assert not monitor.peaks.over(monitor.limits)


def test_a_joint_that_is_driven_as_suddenly_lunges(monitor):
    watch(monitor, BUMP, BUMP)
    assert monitor.peaks.acceleration > 2.0


def test_a_joint_far_from_its_goal_lunges(monitor):
    watch(monitor, BUMP, np.full_like(BUMP, 0.2))
    assert monitor.peaks.acceleration > 2.0


def test_nothing_is_a_bump_while_something_is_broken(monitor):
    now = watch(monitor, BUMP, np.zeros_like(BUMP), effects=BROKEN)
    assert monitor.peaks.acceleration > 2.0
    monitor.peaks.acceleration = 0.0
    watch(monitor, BUMP, np.zeros_like(BUMP), now=now)
    assert monitor.peaks.acceleration < 1e-6


def test_what_a_lying_encoder_does_to_its_own_joint_is_not_counted(monitor):
    monitor.beyond.add(2)
    watch(monitor, 5.0 * BUMP, np.zeros_like(BUMP), effects=BROKEN)
    assert monitor.peaks.acceleration == monitor.peaks.speed == 0.0
