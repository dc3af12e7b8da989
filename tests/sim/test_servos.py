"""Simulated servos have the faults of real ones, and the `servo` and `action_delay` axes change exactly these."""

from __future__ import annotations

import numpy as np
import pytest

from robot.arms.so101 import so101
from sim.arm import SimArm
from sim.bullet import pybullet
from sim.scene import HZ, Scene
from sim.servos import Wear

FREE = {"dead_band": 0.0, "backlash": 0.0}
LEVEL = np.array([0.0, 1.2, -1.2, 0.0, 0.0, 0.4])  # rad, forearm and hand held out: the shoulder carries most
COUNT = 2 * np.pi / 4096


class Bench:
    """An arm alone in a scene, held at `start`."""

    def __init__(self, wear: Wear = Wear(), delay: float = 0.0, start: np.ndarray | None = None) -> None:
        self.scene, self.time = Scene(), 0.0
        self.scene.load("arm", so101().urdf)
        self.arm = SimArm(self.scene, so101(), lambda: self.time, wear, delay)
        self.arm.place(self.arm.spec.home if start is None else start)
        self.arm.engage()
        self.run(0.5, self.arm.spec.home if start is None else start)

    def run(self, seconds: float, q: np.ndarray) -> np.ndarray:
        """(T, J) rad, the joints after every physics step towards `q`."""
        self.arm.command(q)
        rows = []
        for _ in range(round(seconds * HZ)):
            self.arm.tick()
            self.scene.step()
            self.time += 1 / HZ
            rows.append(self.arm.servos.read()[0])
        return np.array(rows)


@pytest.fixture
def bench():
    made = []

    def make(*args, **settings) -> Bench:
        made.append(Bench(*args, **settings))
        return made[-1]

    yield make
    for one in made:
        one.scene.close()


def turned(q: np.ndarray, joint: int, angle: float) -> np.ndarray:
    out = q.copy()
    out[joint] += angle
    return out


def test_angles_are_whole_counts_in_and_out(bench):
    b = bench()
    sent = b.arm.command(b.arm.spec.home + 0.01234)
    for q in (sent, b.arm.read().q):
        assert np.round(q / COUNT) == pytest.approx(q / COUNT, abs=1e-6)
    assert np.abs(sent - b.arm.spec.home - 0.01234).max() <= COUNT / 2 + 1e-9


@pytest.mark.parametrize(("dead_band", "moves"), [(0.0, True), (5.0, False)])
def test_errors_within_the_dead_band_are_left_alone(bench, dead_band, moves):
    b = bench(Wear(dead_band=dead_band, backlash=0.0))
    before = b.arm.servos.read()[0]
    after = b.run(0.3, turned(before, 0, 0.008))[-1]
    assert bool(abs(after[0] - before[0]) > 0.005) is moves


@pytest.mark.parametrize("backlash", [0.0, 2.0])
def test_backlash_shows_when_the_way_is_reversed(bench, backlash):
    b = bench(Wear(dead_band=0.0, backlash=backlash))
    home = b.arm.spec.home
    b.run(0.4, turned(home, 0, -0.1))
    from_below = b.run(0.6, home)[-1, 0]
    b.run(0.4, turned(home, 0, 0.1))
    from_above = b.run(0.6, home)[-1, 0]
    assert from_above - from_below == pytest.approx(0.004 * backlash, abs=1e-3)


@pytest.mark.parametrize("speed", [1.0, 0.5])
def test_speed_has_a_limit(bench, speed):
    b = bench(Wear(speed=speed, **FREE))
    way = b.run(0.25, turned(b.arm.spec.home, 0, 1.5))[:, 0]
    assert np.diff(way).max() * HZ == pytest.approx(b.arm.servos.speed[0] * speed, rel=0.1)


def test_a_loaded_joint_sags_and_a_softer_one_sags_more(bench):
    sags = [LEVEL[1] - bench(Wear(stiffness=s, **FREE), start=LEVEL).run(1.0, LEVEL)[-1, 1] for s in (1.0, 0.5)]
    assert abs(sags[0]) > 0.005 and 1.4 < sags[1] / sags[0] < 3.0


def test_torque_has_a_limit(bench):
    b = bench(start=LEVEL)
    b.arm.servos.limit[1] = 0.1  # N·m, far less than holding the arm out takes
    assert abs(b.run(1.0, LEVEL)[-1, 1] - LEVEL[1]) > 0.2


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_a_command_takes_effect_after_its_delay(bench, delay):
    b = bench(Wear(**FREE), delay=delay)
    moved = np.abs(b.run(0.3, turned(b.arm.spec.home, 0, 0.3))[:, 0]) > 1e-3
    assert np.flatnonzero(moved)[0] / HZ == pytest.approx(delay, abs=1.5 / HZ)


def test_two_servos_on_a_joint_are_twice_as_stiff(bench):
    from robot.arms.wx250s import wx250s

    scene = Scene()
    scene.load("arm", wx250s().urdf)
    servos = SimArm(scene, wx250s(), lambda: 0.0).servos
    assert servos.stiffness[1] == servos.stiffness[2] == 2 * servos.stiffness[0]
    scene.close()


@pytest.mark.parametrize("joint, push, end", [("gripper", -2.0, -0.174533), ("wrist_flex", 6.0, 1.65806)])
def test_end_stops_hold_whatever_pushes(bench, joint, push, end):
    made, k = bench(), so101().names.index(joint)
    servos, home, seen = made.arm.servos, made.arm.spec.home.copy(), []
    home[k] = end
    made.run(1.5, home)
    for _ in range(HZ):
        pybullet.applyExternalTorque(servos.id, servos.index[k], (push, push, push), pybullet.LINK_FRAME,
                                     made.scene.client)
        seen.append(made.run(1 / HZ, home)[-1, k] - end)
    assert max(np.abs(seen)) < 0.1  # what one step can do
    assert np.mean(np.abs(seen)) < 0.02
    pybullet.resetJointState(servos.id, servos.index[k], end + np.sign(push) * 0.3, 0.0, made.scene.client)
    assert abs(made.run(2 / HZ, home)[-1, k] - end) < 0.02
