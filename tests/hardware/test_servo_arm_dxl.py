"""ServoArm with Dynamixels: fast reads, watchdog, alerts, shutdown, reboot, and two servos on one joint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hardware.port import LoopbackPort
from hardware.protocols import messages
from hardware.protocols.tables import RAD_PER_COUNT
from hardware.servo_arm import ServoArm
from robot import registry
from robot.arms import ArmModel, Joint
from robot.clock import SimClock
from robot.interfaces import Health
from tests.hardware.small_servos import SmallBus, SmallServo

MODEL = ArmModel(
    name="small", urdf=Path("none.urdf"), bus="dynamixel2",
    joints=(
        Joint("waist", 1, "xl430-w250", -3.0, 3.0, 0.0, 0.0),
        Joint("shoulder", 2, "xm430-w350", -2.0, 2.0, 0.0, 0.0, shadow=(3,), sign=-1),
        Joint("gripper", 4, "xl330-m288", -1.0, 2.0, 0.0, 0.0),
    ),
)


class Bench:
    def __init__(self) -> None:
        rows = [("xl430-w250", 1), ("xm430-w350", 2), ("xm430-w350", 3), ("xl330-m288", 4)]
        self.servos = SmallBus(*(SmallServo(model, servo) for model, servo in rows))
        self.clock = SimClock()
        self.booted = dict.fromkeys(range(1, 5), 0.0)
        self.arm = ServoArm("small", lambda: LoopbackPort(self.answer, self.clock, delay=50e-6), self.clock)

    def answer(self, data: bytes) -> bytes:
        for s in self.servos.servos:
            ms = round((self.clock.now() - self.booted[s.get("id")]) * 1000)
            s.set("realtime_tick", ms % 32768)
        return self.servos(data)

    def cycles(self, n: int, q=None):
        for _ in range(n):
            self.arm.read()
            if q is not None:
                self.arm.command(q)
            self.clock.wait(self.clock.now() + 0.01)
        return self.arm.read()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    registry.load("model")
    monkeypatch.setitem(registry._OPTIONS["model"], "small", lambda: MODEL)
    made = Bench()
    made.arm.open()
    return made


def test_opens_sets_up_and_reads(bench):
    assert [s.get("return_delay") for s in bench.servos.servos] == [0] * 4
    bench.servos[2].set("present_position", 2148)
    bench.servos[4].set("present_current", -200)
    bench.servos[1].set("present_load", 300)
    bench.servos[3].set("present_temperature", 61)
    state = bench.cycles(5)
    assert np.all(state.health == Health.LIMP)
    assert state.q[1] == pytest.approx(-100 * RAD_PER_COUNT)
    assert state.current[2] == pytest.approx(-0.2)
    assert np.isnan(state.current[0])
    assert state.effort[0] == pytest.approx(0.3)
    assert state.temperature[1] == 61  # of the hotter of two
    assert any(isinstance(op, messages.SyncRead) and op.fast for op in bench.servos.heard)


def test_engage_arms_the_watchdog_and_moves_both_servos_of_a_joint(bench):
    bench.arm.engage()
    assert [s.get("bus_watchdog") for s in bench.servos.servos] == [25] * 4
    bench.arm.command(np.array([0.5, 0.5, 0.5]))
    state = bench.cycles(8)
    assert np.all(state.health == 0)
    np.testing.assert_allclose(state.q, 0.5, atol=RAD_PER_COUNT)
    assert bench.servos[3].get("goal_position") == bench.servos[2].get("goal_position") < 2048


def test_an_alert_is_looked_up(bench):
    bench.arm.engage()
    bench.cycles(5)
    bench.servos[4].error = 0x80
    bench.servos[4].set("status", 1 << 2)
    assert bench.cycles(2).health[2] == Health.TEMPERATURE
    bench.servos[4].error = 0
    bench.servos[4].set("status", 0)
    assert bench.cycles(6).health[2] == 0


def test_a_shut_down_servo_reboots_when_relieved_and_comes_back_configured(bench):
    bench.arm.engage()
    bench.cycles(150)
    second = bench.servos[4]
    second.error = 0x80
    second.set("status", 1 << 5)
    second.set("torque_enable", 0)
    assert bench.cycles(2).health[2] & (Health.OVERLOAD | Health.LIMP) == Health.OVERLOAD | Health.LIMP
    bench.arm.relieve(2)
    assert messages.Reboot(4) in bench.servos.heard
    second.error = 0
    second.reboot(position=1900)
    bench.booted[4] = bench.clock.now()
    state = bench.cycles(4, np.zeros(3))
    assert state.health[2] & (Health.REBOOTED | Health.LIMP) == Health.REBOOTED | Health.LIMP
    assert second.get("present_position") == 1900
    bench.arm.reconfigure(2)
    assert second.get("present_position") == second.get("goal_position") == 1900
    assert np.all(bench.cycles(6).health == 0)


def test_a_reboot_between_two_readings_shows_by_the_servos_clock(bench):
    bench.arm.engage()
    bench.cycles(200)
    bench.servos[3].reboot()
    bench.booted[3] = bench.clock.now()
    state = bench.cycles(2)
    assert state.health[1] & Health.REBOOTED
    assert np.all(state.health[[0, 2]] == 0)


def test_the_clock_may_wrap(bench):
    bench.arm.engage()
    bench.clock.wait(32.76)
    state = bench.cycles(10)
    assert not np.any(state.health & Health.REBOOTED)


def test_a_tripped_bus_watchdog_is_drift_and_reconfigure_clears_it(bench):
    bench.arm.engage()
    bench.servos[1].set("bus_watchdog", -1)
    assert bench.cycles(5).health[0] == Health.DRIFTED
    bench.arm.reconfigure(0)
    assert bench.servos[1].get("bus_watchdog") == 25
    assert np.all(bench.cycles(5).health == 0)


def test_a_torn_fast_answer_still_gives_what_came(bench):
    bench.arm.engage()
    bench.cycles(5)
    bench.servos.dead.add(3)
    state = bench.arm.read()
    assert state.health[1] & Health.SILENT
    assert np.all(state.health[[0, 2]] == 0)


def test_both_servos_of_a_joint_whose_position_jumped_are_softened_until_engaged(bench):
    bench.arm.engage()
    hold = bench.cycles(5)
    for servo in (2, 3):
        bench.servos[servo].set("present_position", 2500)
    bench.cycles(3, hold.q)
    assert [bench.servos[s].get("goal_pwm") for s in (1, 2, 3, 4)] == [885, 177, 177, 885]
    bench.arm.engage()
    assert [bench.servos[s].get("goal_pwm") for s in (1, 2, 3, 4)] == [885] * 4
