"""ServoArm over a loop-back line in virtual time: partial readings, torque rules, reboots and repairs."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.port import LoopbackPort
from hardware.protocols import messages
from hardware.protocols.tables import RAD_PER_COUNT
from hardware.servo_arm import ServoArm
from robot.clock import SimClock
from robot.errors import ArmError, BusError
from robot.interfaces import Arm, Health
from tests.hardware.small_servos import SmallBus, so101_servos


class Bench:
    def __init__(self, home) -> None:
        self.servos: SmallBus = so101_servos()
        self.clock = SimClock()
        self.unplugged = False
        self.arm = ServoArm("so101", self.connect, self.clock, calibration="")

    def connect(self) -> LoopbackPort:
        return LoopbackPort(self.answer, self.clock, delay=50e-6, name="/dev/loop")

    def answer(self, data: bytes) -> bytes:
        if self.unplugged:
            raise BusError("port /dev/loop is gone")
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
    return Bench(tmp_path)


def goal_writes(bench):
    return [op for op in bench.servos.heard
            if (isinstance(op, messages.SyncWrite) and op.address == 42)
            or (isinstance(op, messages.Write) and op.address <= 42 < op.address + len(op.data))]


def test_is_an_arm_and_opens_limp(bench):
    assert isinstance(bench.arm, Arm)
    for s in bench.servos.servos:
        s.set("torque_enable", 1)
    bench.arm.open()
    assert [s.get("torque_enable") for s in bench.servos.servos] == [0] * 6
    state = bench.cycles(2)
    assert np.all(state.health == Health.LIMP)
    np.testing.assert_allclose(state.q, 0.0, atol=1e-9)
    np.testing.assert_allclose(state.voltage, 12.0)
    np.testing.assert_allclose(state.temperature, 30.0)
    assert np.all(state.age < 0.01)
    assert goal_writes(bench) == []


def test_engage_takes_the_present_position_as_goal(bench):
    for k, s in enumerate(bench.servos.servos):
        s.set("present_position", 1800 + 50 * k)
        s.set("goal_position", 100)
    bench.arm.open()
    bench.arm.engage()
    assert [s.get("present_position") for s in bench.servos.servos] == [1800 + 50 * k for k in range(6)]
    assert [s.get("torque_enable") for s in bench.servos.servos] == [1] * 6
    assert np.all(bench.cycles(8).health == 0)


def test_command_moves_clamps_and_refuses(bench):
    bench.arm.open()
    with pytest.raises(ArmError, match="limp"):
        bench.arm.command(np.zeros(6))
    bench.arm.engage()
    sent = bench.arm.command(np.full(6, 9.0))
    np.testing.assert_allclose(sent, bench.arm.spec.upper)
    np.testing.assert_allclose(bench.arm.read().q, bench.arm.spec.upper, atol=RAD_PER_COUNT)
    with pytest.raises(ArmError, match="not a number"):
        bench.arm.command(np.full(6, np.nan))


def test_a_dead_servo_costs_the_others_nothing(bench):
    bench.arm.open()
    bench.arm.engage()
    bench.cycles(10)
    bench.servos.dead.add(3)
    bench.servos[4].set("present_position", 2148)
    state = bench.arm.read()
    assert state.health[2] & Health.SILENT
    assert np.all(np.delete(state.health, 2) == 0)
    assert state.q[3] == pytest.approx(100 * RAD_PER_COUNT)
    later = bench.cycles(50)
    assert later.age[2] > 0.4
    assert np.all(np.delete(later.age, 2) < 0.02)


@pytest.mark.parametrize("dead", [1, 3, 6])
def test_a_dead_servo_costs_at_most_two_milliseconds_a_cycle(bench, dead):
    def lasts(n: int) -> float:
        took = 0.0
        for _ in range(n):
            start = bench.clock.now()
            bench.arm.read()
            bench.arm.command(np.zeros(6))
            took += bench.clock.now() - start
            bench.clock.wait(start + 0.01)
        return took / n

    bench.arm.open()
    bench.arm.engage()
    lasts(20)
    well = lasts(20)
    bench.servos.dead.add(dead)
    assert lasts(20) - well < 2e-3


def test_a_corrupt_reply_is_told_apart_from_silence(bench):
    bench.arm.open()
    bench.cycles(5)
    bench.servos.corrupt.add(2)
    state = bench.arm.read()
    assert state.health[1] & Health.CORRUPT
    assert np.all(np.delete(state.health, 1) == Health.LIMP)
    assert bench.arm.bus_stats().corrupt > 0


def test_error_flags_come_with_the_values(bench):
    bench.arm.open()
    bench.servos[5].error = 32 | 4
    state = bench.arm.read()
    assert state.health[4] == Health.LIMP | Health.OVERLOAD | Health.TEMPERATURE
    assert state.q[4] == pytest.approx(0.0)


def test_relax_reaches_every_servo_that_can_hear(bench):
    bench.arm.open()
    bench.arm.engage()
    bench.servos.dead.add(1)
    bench.servos[4].error = 32
    bench.arm.relax()
    assert [s.get("torque_enable") for s in bench.servos.servos[1:]] == [0] * 5
    bench.arm.close()
    bench.arm.close()


def test_a_rebooted_servo_shows_gets_no_goals_and_comes_back_without_a_lunge(bench):
    bench.arm.open()
    bench.arm.engage()
    q = np.full(6, 0.5)
    bench.cycles(10, q)
    bench.servos.dead.add(2)
    bench.cycles(30, q)
    bench.servos[2].reboot(position=1700)  # sagged while it had no power
    bench.servos.dead.clear()
    state = bench.cycles(60, q)
    assert state.health[1] & Health.REBOOTED
    assert state.health[1] & Health.LIMP
    assert bench.servos[2].get("present_position") == 1700
    bench.arm.reconfigure(1)
    assert bench.servos[2].get("present_position") == 1700
    assert bench.servos[2].get("torque_enable") == 1
    assert np.all(bench.cycles(8).health == 0)


def test_drifted_configuration_shows_and_is_written_again(bench):
    bench.arm.open()
    bench.arm.engage()
    bench.servos[6].set("acceleration", 10)
    assert bench.cycles(8).health[5] == Health.DRIFTED
    bench.arm.reconfigure(5)
    assert bench.servos[6].get("acceleration") == 254
    assert np.all(bench.cycles(8).health == 0)


def test_an_unplugged_cable_shows_and_reopen_mends_it_without_a_lunge(bench):
    bench.arm.open()
    bench.arm.engage()
    bench.arm.command(np.full(6, 0.3))
    bench.unplugged = True
    state = bench.cycles(5, np.full(6, 0.6))
    assert np.all(state.health & Health.SILENT)
    with pytest.raises(BusError):
        bench.arm.reopen()
    assert np.all(bench.arm.read().health & Health.SILENT)
    bench.unplugged = False
    bench.arm.reopen()
    state = bench.arm.read()
    assert np.all(state.health == 0)
    np.testing.assert_allclose(state.q, 0.3, atol=RAD_PER_COUNT)
    assert bench.arm.bus_stats().reopened == 1


def test_reopen_works_with_a_servo_missing(bench):
    bench.arm.open()
    bench.arm.engage()
    bench.servos.dead.add(2)
    bench.arm.reopen()
    state = bench.cycles(3)
    assert state.health[1] & Health.SILENT
    assert np.all(np.delete(state.health, 1) == 0)
    bench.servos.dead.update(range(1, 7))
    with pytest.raises(ArmError, match="no servo of so101 answers on /dev/loop"):
        bench.arm.reopen()


@pytest.mark.parametrize("spoil,words", [
    (lambda b: b.servos.dead.add(3), r"joint elbow_flex \(servo 3\) on /dev/loop does not answer at 1000000 baud: "
                                     r"check its cable and power; servos that answer: 1, 2, 4, 5, 6"),
    (lambda b: b.servos.dead.update(range(1, 7)), "no servo does; check the power supply"),
    (lambda b: b.servos[4].set("model_number", 1284), "is of the unknown model 1284, not sts3215"),
    (lambda b: b.servos[4].set("id", 5), "servo 4.*does not answer"),
])
def test_open_says_what_is_wrong(bench, spoil, words):
    spoil(bench)
    with pytest.raises(ArmError, match=words):
        bench.arm.open()


def test_two_servos_of_one_id_are_refused(bench):
    extra = so101_servos()[5]
    bench.servos.servos.append(extra)
    with pytest.raises(ArmError, match="two servos answer as id 5"):
        bench.arm.open()


def test_an_echoing_adapter_changes_nothing(bench):
    bench.servos.echo = True
    bench.arm.open()
    bench.arm.engage()
    sent = bench.arm.command(np.full(6, 0.25))
    np.testing.assert_allclose(bench.arm.read().q, sent, atol=RAD_PER_COUNT)
    assert bench.arm.bus.echo
