"""ServoArm on virtual servos through what happens to real ones: brown-outs, drift, twins, another USB socket."""

from __future__ import annotations

import os

import numpy as np
import pytest

from hardware.protocols.models import table
from hardware.servo_arm import ServoArm
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.client import Bench
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from robot.arms.so101 import so101
from robot.clock import SimClock, WallClock
from robot.errors import ArmError, BusError
from robot.interfaces import Health

STS = table("sts3215")


class Desk:
    def __init__(self, factory=None) -> None:
        model = so101()
        plant = JointPlant(model)
        self.rig = Rig(model, plant, plant.q, 2e-3, factory=factory)
        self.lines = VirtualBus(self.rig, model.bus)
        self.clock = SimClock(self.rig.advance)
        self.arm = ServoArm("so101", lambda: VirtualPort(self.lines, clock=self.clock), self.clock)

    def run(self, seconds: float, q=None):
        for _ in range(round(seconds * 100)):
            self.arm.read()
            if q is not None:
                self.arm.command(q)
            self.clock.wait(self.clock.now() + 0.01)
        return self.arm.read()

    def held(self, servo: int, name: str) -> int:
        return self.rig.units[servo - 1].firmware.memory.get(name)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))


@pytest.fixture
def desk():
    made = Desk()
    made.arm.open()
    made.arm.engage()
    made.run(0.2, made.arm.read().q)
    return made


def test_servos_that_browned_out_get_no_goals_until_set_up_again(desk):
    hold = desk.arm.read().q
    desk.rig.inject("supply wrong 3 for 0.3")
    state = desk.run(1.2, hold + 0.3)
    assert np.all(state.health & Health.REBOOTED) and np.all(state.health & Health.LIMP)
    assert not any(desk.rig.energised)
    where = desk.rig.state.q.copy()
    for joint in range(6):
        desk.arm.reconfigure(joint)
    state = desk.run(0.3)
    assert np.all(state.health == 0) and all(desk.rig.energised)
    assert np.abs(desk.rig.state.q - where).max() < 0.06
    assert [desk.held(servo, "acceleration") for servo in range(1, 7)] == [254] * 6


def test_a_load_that_the_supply_cannot_carry_shows_as_reboots(desk):
    hold = desk.arm.read().q
    desk.rig.inject("supply slow 8.0 for 0.5")
    desk.rig.inject("motor stuck for 0.5")
    state = desk.run(1.5, np.clip(hold + 0.5, desk.arm.spec.lower, desk.arm.spec.upper))
    assert np.any(state.health & Health.REBOOTED)
    assert all(bool(h & Health.REBOOTED) == (not on) for h, on in zip(state.health, desk.rig.energised))


def test_drift_of_what_nobody_should_change_is_named_and_written_back(desk, caplog):
    desk.rig.inject("config 3 wrong 8 for 0.1")
    state = desk.run(0.4)
    assert state.health[2] == Health.DRIFTED and np.all(np.delete(state.health, 2) == 0)
    assert "position_p not what was written" in caplog.text
    desk.arm.reconfigure(2)
    assert desk.held(3, "position_p") == 32
    assert np.all(desk.run(0.4).health == 0)


@pytest.mark.parametrize("name, counts", [("torque_limit", 300), ("max_position", 3000), ("unload_mask", 0)])
def test_a_stray_write_is_drift_too(desk, name, counts):
    desk.arm.bus.write(5, STS[name].address, STS[name].encode(counts))
    assert desk.run(0.4).health[4] == Health.DRIFTED
    desk.arm.reconfigure(4)
    assert np.all(desk.run(0.4).health == 0)
    assert desk.held(5, name) == {"torque_limit": 1000, "max_position": 4095, "unload_mask": 44}[name]


def test_an_arm_that_is_opened_again_takes_its_servos_as_they_are(desk):
    desk.arm.close()
    desk.rig.units[0].firmware.memory.put("position_p", 16)
    desk.arm.open()
    assert np.all(desk.run(0.4).health == Health.LIMP)
    assert desk.held(1, "position_p") == 16


def test_twins_that_talk_at_once_are_refused():
    desk = Desk(factory={2: {"id": 1}})
    with pytest.raises(ArmError, match=r"joint shoulder_pan \(servo 1\).*two servos answer as id 1"):
        desk.arm.open()


def test_an_arm_at_another_baud_rate_is_found_and_said():
    desk = Desk(factory={servo: {"baud_code": 4} for servo in range(1, 7)})
    with pytest.raises(ArmError, match="1, 2, 3, 4, 5, 6 answer at 115200 baud; set them to 1000000 baud"):
        desk.arm.open()


class Adapter:
    """What the operating system lists of one adapter."""

    def __init__(self, device: str, serial_number: str) -> None:
        self.device, self.serial_number = device, serial_number


def test_an_adapter_that_comes_back_under_another_name_is_found_by_its_serial_number(monkeypatch):
    clock = WallClock()
    with Bench.start({"model": "so101", "plant": "joints"}) as bench:
        first = os.path.realpath(bench.port)

        def adapters():
            """Ours wherever it is; once it moved, its old name is a stranger's."""
            now = os.path.realpath(bench.port)
            return [Adapter(now, "5A4601")] + [Adapter(first, "5A0001")] * (now != first)

        monkeypatch.setattr("hardware.port.list_ports.comports", adapters)
        arm = ServoArm("so101", first)
        arm.open()
        arm.engage()
        before = arm.read().q
        old = os.dup(arm.bus.port._fd)  # the system does not give the old name away again
        bench.fault("adapter off for 0.6")
        while not np.all(arm.read().health & Health.SILENT):
            clock.wait(clock.now() + 0.01)
        while arm.bus_stats().reopened == 0:
            try:
                arm.reopen()
            except (BusError, ArmError):
                clock.wait(clock.now() + 0.05)
        state = arm.read()
        assert arm.bus.port.name == os.path.realpath(bench.port) != first
        assert not np.any(state.health & Health.SILENT)
        np.testing.assert_allclose(state.q, before, atol=0.05)
        arm.close()
        os.close(old)
        assert not any(bench.status()["energised"])


@pytest.mark.parametrize("fault", ["encoder elbow_flex wrong 300", "encoder elbow_flex off"])
def test_a_servo_whose_encoder_lies_is_softened_until_it_is_engaged_anew(desk, fault):
    hold = desk.arm.read().q
    desk.rig.inject(fault)
    state = desk.run(0.05, hold)
    assert [desk.held(servo, "torque_limit") for servo in range(1, 7)] == [1000, 1000, 200, 1000, 1000, 1000]
    assert not (desk.run(0.3, hold).health & Health.DRIFTED).any()
    desk.rig.clear()
    desk.arm.relax()
    desk.run(0.2)
    desk.arm.engage()
    state = desk.run(0.3)
    assert desk.held(3, "torque_limit") == 1000 and not (state.health & Health.DRIFTED).any()


def test_a_limp_arm_that_is_moved_by_hand_is_not_softened(desk):
    desk.arm.relax()
    desk.rig.inject("encoder elbow_flex wrong 300")
    desk.run(0.1)
    assert desk.held(3, "torque_limit") == 1000
