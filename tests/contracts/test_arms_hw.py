"""Every arm that has a servo bus keeps the `Arm` contract, on virtual servos in virtual time."""

from __future__ import annotations

from inspect import signature

import numpy as np
import pytest

from hardware.servo_arm import ServoArm
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from robot import registry
from robot.clock import SimClock
from robot.errors import ArmError
from robot.interfaces import Arm, Health


def arms_on_a_bus():
    for name, make in registry.load("model").items():
        if not signature(make).parameters and make().bus:  # not those that the user has to describe
            yield name


class Setup:
    def __init__(self, name: str) -> None:
        self.model = registry.build("model", name)
        self.plant = JointPlant(self.model)
        self.rig = Rig(self.model, self.plant, self.plant.q, period=2e-3)
        self.lines = VirtualBus(self.rig, self.model.bus)
        self.clock = SimClock(self.rig.advance)
        self.arm = ServoArm(name, self.connect, self.clock)

    def connect(self) -> VirtualPort:
        port = VirtualPort(self.lines, self.model.baud)
        port.clock = self.clock
        return port

    def run(self, seconds: float, q=None):
        for _ in range(round(seconds * 100)):
            self.arm.read()
            if q is not None:
                self.arm.command(q)
            self.clock.wait(self.clock.now() + 0.01)
        return self.arm.read()


@pytest.fixture(params=list(arms_on_a_bus()))
def made(request, tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    setup = Setup(request.param)
    setup.arm.open()
    return setup


def test_opens_limp_and_reads_where_the_joints_are(made):
    assert isinstance(made.arm, Arm)
    state = made.run(0.2)
    assert np.all(state.health == Health.LIMP)
    np.testing.assert_allclose(state.q, made.rig.state.q, atol=0.01)
    assert np.all((state.voltage > 3) & (state.temperature > 10) & (state.age < 0.05))
    assert not any(made.rig.energised)


def test_commands_are_refused_while_limp_and_move_nothing(made):
    with pytest.raises(ArmError, match="limp"):
        made.arm.command(made.arm.spec.home)
    made.run(0.1)
    assert not any(made.rig.energised)


def test_engaging_never_lunges(made):
    made.run(0.5)
    before = made.rig.state.q.copy()
    made.arm.engage()
    state = made.run(0.5)
    assert np.all(state.health == 0)
    assert np.abs(made.rig.state.q - before).max() < 0.06


def test_goes_where_it_is_told_and_falls_limp_when_relaxed(made):
    made.arm.engage()
    start = made.arm.read().q
    goal = made.arm.spec.home
    for k in range(1, 201):
        made.run(0.01, start + (goal - start) * k / 200)
    state = made.run(0.5, goal)
    assert np.all(state.health == 0)
    np.testing.assert_allclose(state.q, goal, atol=0.12)
    made.arm.relax()
    made.run(0.1)
    assert not any(made.rig.energised)
    made.arm.close()
    made.arm.close()


def test_a_servo_without_power_costs_only_itself_and_mends(made):
    made.arm.engage()
    hold = made.arm.read().q
    servo = made.model.joints[1].servo
    made.rig.inject(f"servo {servo} off for 1.0")
    state = made.run(0.5, hold)
    assert state.health[1] & Health.SILENT
    assert np.all(np.delete(state.health, 1) == 0)
    state = made.run(1.5, hold)
    assert state.health[1] & Health.REBOOTED
    assert state.health[1] & Health.LIMP
    where = made.rig.state.q[1]
    made.arm.reconfigure(1)
    state = made.run(0.3)
    assert np.all(state.health == 0)
    assert abs(made.rig.state.q[1] - where) < 0.06


def test_an_unplugged_adapter_shows_and_reopens(made):
    made.arm.engage()
    hold = made.arm.read().q
    made.rig.inject("adapter off for 0.3")
    state = made.run(0.2, hold)
    assert np.all(state.health & Health.SILENT)
    made.clock.wait(made.clock.now() + 0.5)
    made.arm.reopen()
    state = made.run(0.2)
    assert not np.any(state.health & Health.SILENT)
    assert made.arm.bus_stats().reopened == 1


LINE = [
    "reply 3 garbage", "reply 3 garbage 0.3", "reply 2 off", "servo 5 off", "reply 4 slow 0.0008",
    "reply 4 slow 0.003", "servo 1 slow 0.015", "bus garbage 0.2", "bus slow 0.002", "bus slow 0.03",
    "adapter wrong", "adapter slow 0.016", "bus off",
]


QUICK = ("reply 3 garbage", "servo 5 off", "bus off")  # for every arm in every run; the others with `make test-slow`
PAIRS = [pytest.param(arm, fault, marks=() if arm == "so101" or fault in QUICK else pytest.mark.slow)
         for arm in arms_on_a_bus() for fault in LINE]


@pytest.mark.parametrize(("made", "fault"), PAIRS, indirect=["made"])
def test_whatever_happens_on_the_line_a_reading_is_true_or_flagged(made, fault):
    made.arm.engage()
    start = made.arm.read().q
    made.run(0.2, start)
    made.rig.inject(fault)
    true, good = [], np.zeros(len(start))
    for k in range(100):
        made.clock.wait(made.clock.now() + 0.01)
        before = made.rig.state.q.copy()
        state = made.arm.read()
        made.arm.command(start + 0.2 * np.sin(k / 25))
        fresh = (state.health == 0) & (state.age < 0.05)
        good += fresh
        span = np.abs(made.rig.state.q - before) + 0.02
        true.append(np.all(np.abs(state.q - before)[fresh] < span[fresh]))
    assert all(true)
    if fault.split()[0] in ("reply", "servo"):
        hit = int(fault.split()[1])
        others = [j for j, joint in enumerate(made.model.joints) if hit not in (joint.servo, *joint.shadow)]
        assert np.all(good[others] > 80), good
    made.rig.clear()
    for _ in range(100):
        state = made.run(0.01, made.arm.read().q)
        for j in np.flatnonzero(state.health & (Health.REBOOTED | Health.DRIFTED)):
            made.arm.reconfigure(int(j))
    assert np.all(made.run(0.05).health == 0)
