"""Arms of AX-12A (Dynamixel 1.0) and LX-16A servos: what an arm needs, on virtual servos in virtual time."""

from __future__ import annotations

import numpy as np
import pytest

from hardware import calibration
from hardware.calibration import Motor
from hardware.protocols.models import table
from hardware.servo_arm import ServoArm
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from robot import registry
from robot.clock import SimClock
from robot.errors import ArmError, ConfigError
from robot.interfaces import Health
from tests.hardware.small_arm import plain_arm


class Desk:
    def __init__(self, folder, servo: str, factory=None) -> None:
        self.model = plain_arm(folder, servo)
        self.plant = JointPlant(self.model)
        self.rig = Rig(self.model, self.plant, self.plant.q, period=2e-3, factory=factory)
        self.lines = VirtualBus(self.rig, self.model.bus)
        self.clock = SimClock(self.rig.advance)
        self.arm = ServoArm("small", lambda: VirtualPort(self.lines, self.model.baud, self.clock), self.clock)

    def run(self, seconds: float, q=None):
        for _ in range(round(seconds * 50)):
            self.arm.read()
            if q is not None:
                self.arm.command(q)
            self.clock.wait(self.clock.now() + 0.02)
        return self.arm.read()


@pytest.fixture(params=["ax-12a", "lx-16a"])
def desk(request, tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    registry.load("model")
    monkeypatch.setitem(registry._OPTIONS["model"], "small", lambda: plain_arm(tmp_path, request.param))
    return Desk(tmp_path, request.param)


@pytest.fixture
def engaged(desk):
    desk.arm.open()
    desk.run(0.5)  # it falls, and comes to lie
    desk.arm.engage()
    return desk


def test_it_opens_limp_and_reads_where_the_joints_are(desk):
    desk.arm.open()
    state = desk.run(0.5)
    assert np.all(state.health == Health.LIMP)
    np.testing.assert_allclose(state.q, desk.rig.state.q, atol=0.03)
    assert np.all((state.voltage > 5) & (state.temperature > 10) & (state.age < 0.1))
    with pytest.raises(ArmError, match="limp"):
        desk.arm.command(np.zeros(3))
    assert not any(desk.rig.energised)


def test_it_engages_without_a_lunge_moves_and_falls_limp(engaged):
    before = engaged.rig.state.q.copy()
    assert np.all(engaged.run(0.3).health == 0)
    assert np.abs(engaged.rig.state.q - before).max() < 0.06
    goal = np.array([0.8, -0.5, 0.6])
    state = engaged.run(2.0, goal)
    np.testing.assert_allclose(state.q, goal, atol=0.1)
    assert np.all(state.health == 0)
    engaged.arm.relax()
    engaged.run(0.1)
    assert not any(engaged.rig.energised)
    engaged.arm.close()


def test_a_dead_servo_costs_only_itself_and_comes_back_without_a_lunge(engaged):
    hold = engaged.arm.read().q
    engaged.rig.inject("servo 2 off for 1.0")
    state = engaged.run(0.5, hold)
    assert state.health[1] & Health.SILENT
    assert np.all(state.health[[0, 2]] == 0) and np.all(state.age[[0, 2]] < 0.1)
    state = engaged.run(1.5, hold)
    assert state.health[1] & Health.REBOOTED and state.health[1] & Health.LIMP
    where = engaged.rig.state.q[1]
    engaged.arm.reconfigure(1)
    assert np.all(engaged.run(0.4).health == 0)
    assert abs(engaged.rig.state.q[1] - where) < 0.06


def test_relax_reaches_every_servo_that_can_hear(engaged):
    engaged.rig.inject("reply 1 off")
    engaged.clock.wait(engaged.clock.now() + 0.02)
    engaged.arm.relax()
    engaged.clock.wait(engaged.clock.now() + 0.02)
    assert not any(engaged.rig.energised)


def test_an_unplugged_adapter_shows_and_reopens(engaged):
    hold = engaged.arm.read().q
    engaged.rig.inject("adapter off for 0.3")
    assert np.all(engaged.run(0.2, hold).health & Health.SILENT)
    engaged.clock.wait(engaged.clock.now() + 0.5)
    engaged.arm.reopen()
    assert np.all(engaged.run(0.2).health == 0)


@pytest.mark.parametrize("fault", ["reply 3 garbage 0.3", "servo 1 slow 0.015", "bus garbage 0.2", "adapter wrong"])
def test_whatever_happens_on_the_line_a_reading_is_true_or_flagged(engaged, fault):
    start = engaged.arm.read().q
    engaged.run(0.2, start)
    engaged.rig.inject(fault)
    fresh = np.zeros(3)
    for k in range(80):
        engaged.clock.wait(engaged.clock.now() + 0.02)
        before = engaged.rig.state.q.copy()
        state = engaged.arm.read()
        engaged.arm.command(start + 0.1 * np.sin(k / 12))
        good = (state.health == 0) & (state.age < 0.05)
        # a late answer to the same question may be as old as it was late
        span = np.abs(engaged.rig.state.q - before) + 0.04
        assert np.all(np.abs(state.q - before)[good] < span[good])
        fresh += good
    assert np.all(fresh[1] > 30)


def test_the_range_is_kept_in_the_servos_and_checked(desk, tmp_path):
    desk.arm.open()
    top = table(desk.model.joints[0].model).counts - 1
    motors = {j.name: Motor(j.servo, 0, 0, 40, top - 60) for j in desk.model.joints}
    made = calibration.from_motors(desk.model, motors, "by hand")
    for joint, motor in zip(desk.model.joints, made.motors):
        assert calibration.store(desk.arm.bus, joint, motor)
    desk.arm.close()
    path = calibration.path_of("small", "default")
    made.save(path, desk.model.names)
    desk.arm.open()
    assert desk.arm.calibration.motors == made.motors
    desk.arm.close()
    wrong = {**motors, "waist": Motor(1, 0, 0, 50, top)}
    calibration.from_motors(desk.model, wrong, "another").save(path, desk.model.names)
    with pytest.raises(ArmError, match=r"joint waist \(servo 1\) holds offset and range .*was it replaced"):
        desk.arm.open()


def test_two_servos_of_one_id_and_a_missing_one_are_named(tmp_path, desk):
    servo = desk.model.joints[0].model
    twins = Desk(tmp_path, servo, factory={2: {"id": 1}})
    twins.clock.wait(1.0)  # two that read the same cannot be told from one
    with pytest.raises(ArmError, match="two servos answer as id 1"):
        twins.arm.open()
    desk.rig.inject("servo 2 off")
    desk.clock.wait(0.1)
    with pytest.raises(ArmError, match=r"shoulder \(servo 2\).*does not answer.*servos that answer: 1, 3"):
        desk.arm.open()


def test_faults_that_the_servos_cannot_have_are_refused(desk):
    with pytest.raises(ConfigError, match="servo 1 has no register position_p"):
        desk.rig.inject("config 1 wrong")


def test_heat_takes_torque_and_shows(engaged):
    hold = engaged.arm.read().q
    engaged.rig.inject("temperature 1 wrong 95 for 1.0")
    state = engaged.run(0.6, hold)
    assert state.health[0] & Health.TEMPERATURE and state.health[0] & Health.LIMP
    assert not engaged.rig.energised[0] and engaged.rig.energised[1]
    engaged.run(0.6, hold)
    engaged.rig.heat.celsius[0] = 40.0  # it cooled
    engaged.run(0.3, hold)
    engaged.arm.relieve(0)
    engaged.arm.reconfigure(0)
    assert np.all(engaged.run(0.5).health == 0)


def test_a_servo_whose_position_jumped_is_softened_or_let_go(engaged):
    hold = engaged.run(0.2).q
    engaged.rig.inject("encoder 2 wrong 300")
    engaged.run(0.1, hold)
    torque = [unit.drive.torque for unit in engaged.rig.units]
    assert torque[1] <= 0.21 and torque[0] == torque[2] == 1.0
