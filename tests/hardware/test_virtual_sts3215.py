"""The STS3215 firmware as a state machine: what it does with each request, and when it protects itself."""

import pytest

from hardware.protocols.messages import (
    BROADCAST,
    Action,
    Damage,
    Other,
    Ping,
    Read,
    RegWrite,
    Reply,
    SyncRead,
    SyncWrite,
    Write,
)
from hardware.virtual.servo import Sensed
from hardware.virtual.sts3215 import CURRENT, ENCODER, OVERLOAD, TEMPERATURE, VOLTAGE, Sts3215

TICK = 0.002


def run(servo: Sts3215, seconds: float, **sensed):
    """Step with constant sensors; returns the last drive."""
    drive = None
    for _ in range(round(seconds / TICK)):
        drive = servo.step(TICK, Sensed(**sensed))
    return drive


def write(servo: Sts3215, name: str, counts: int) -> Reply | None:
    register = servo.memory.table[name]
    return servo.handle(Write(servo.id, register.address, register.encode(counts)))


def read(servo: Sts3215, name: str) -> int:
    register = servo.memory.table[name]
    reply = servo.handle(Read(servo.id, register.address, register.size))
    assert reply is not None
    return register.decode(reply.data)


@pytest.fixture
def servo() -> Sts3215:
    made = Sts3215(1)
    made.settle(Sensed())
    return made


def test_ping_and_model(servo):
    assert servo.handle(Ping(1)) == Reply(1, 0, b"")
    assert servo.handle(Ping(BROADCAST)) == Reply(1, 0, b"")
    assert servo.handle(Ping(2)) is None
    assert read(servo, "model_number") == 777


@pytest.mark.parametrize("level, answer", [(1, Reply(1, 0, b"")), (0, None)])
def test_a_new_id_is_acknowledged_under_the_old_one(servo, level, answer):
    """LeRobot's and the makers' set-up tools wait for that."""
    write(servo, "response_level", level)
    assert servo.handle(Write(1, 5, b"\x07")) == answer
    assert servo.id == 7 and servo.handle(Ping(1)) is None and servo.handle(Ping(7)) == Reply(7, 0, b"")


def test_nobody_complains_of_a_wrong_checksum(servo):
    assert servo.handle(Damage("checksum", b"", 1)) is None


def test_reads_beyond_the_table(servo):
    assert servo.handle(Read(1, 87, 1)) is None
    reply = servo.handle(Read(1, 85, 10))
    assert reply is not None and len(reply.data) == 2


def test_read_only_bytes_are_skipped_without_a_word(servo):
    assert servo.handle(Write(1, 3, b"\x00\x00")) == Reply(1, 0, b"")
    assert read(servo, "model_number") == 777


def test_a_goal_write_energises(servo):
    assert read(servo, "torque_enable") == 0
    servo.handle(SyncWrite(42, ((1, b"\x00\x09"), (2, b"\x00\x00"))))
    assert read(servo, "torque_enable") == 1
    assert run(servo, 2.0, position=2048.0).torque == 1.0


def test_goals_are_clamped_but_the_register_is_not(servo):
    write(servo, "lock", 0)
    write(servo, "min_position", 1000)
    write(servo, "max_position", 3000)
    write(servo, "goal_position", 4000)
    drive = run(servo, 3.0, position=2048.0)
    assert drive.goal == pytest.approx(3000.0)
    assert read(servo, "goal_position") == 4000


def test_profile_speed_and_acceleration(servo):
    write(servo, "acceleration", 10)  # 1000 counts/s²
    write(servo, "goal_velocity", 500)
    write(servo, "goal_position", 3048)
    assert run(servo, 0.5, position=2048.0).goal == pytest.approx(2048 + 0.5 * 1000 * 0.25, rel=0.05)
    assert run(servo, 0.5, position=2048.0).goal == pytest.approx(2048 + 125 + 250, rel=0.01)
    assert run(servo, 3.0, position=2048.0).goal == pytest.approx(3048.0, abs=0.5)


def test_locked_rom_is_lost_at_the_next_power_cycle(servo):
    write(servo, "max_temperature", 50)
    assert read(servo, "max_temperature") == 50
    servo.boot()
    assert read(servo, "max_temperature") == 70
    write(servo, "lock", 0)
    write(servo, "max_temperature", 55)
    servo.boot()
    assert read(servo, "max_temperature") == 55
    assert read(servo, "lock") == 1


def test_locked_rom_may_be_dropped_at_once():
    servo = Sts3215(1, drop_locked=True)
    write(servo, "max_temperature", 50)
    assert read(servo, "max_temperature") == 70


def test_boot_forgets_ram(servo):
    write(servo, "goal_position", 2500)
    write(servo, "torque_limit", 300)
    write(servo, "acceleration", 40)
    servo.boot()
    assert [read(servo, n) for n in ("torque_enable", "torque_limit", "acceleration")] == [0, 1000, 0]


def test_mode_change_stops_and_relaxes(servo):
    write(servo, "goal_velocity", 300)
    write(servo, "torque_enable", 1)
    write(servo, "mode", 1)
    assert [read(servo, n) for n in ("goal_velocity", "torque_enable")] == [0, 0]


def test_speed_mode_leads_the_shaft(servo):
    write(servo, "mode", 1)
    write(servo, "torque_enable", 1)
    write(servo, "goal_velocity", -400)
    first = run(servo, 0.1, position=2048.0)
    assert first.goal == pytest.approx(2048 - 40, abs=2)
    assert run(servo, 5.0, position=2048.0).goal == pytest.approx(2048 - 200)


def test_pwm_mode_limits_torque(servo):
    write(servo, "mode", 2)
    write(servo, "torque_enable", 1)
    write(servo, "goal_time", -250)
    drive = run(servo, 0.1, position=2048.0)
    assert drive.torque == pytest.approx(0.25) and drive.goal < 2048.0


def test_centre_calibration_writes_the_offset(servo):
    run(servo, 0.01, position=1000.0)
    write(servo, "lock", 0)
    write(servo, "torque_enable", 128)
    assert read(servo, "present_position") == 2048
    assert read(servo, "homing_offset") == 1000 - 2048
    assert read(servo, "torque_enable") == 0
    servo.boot()
    assert read(servo, "homing_offset") == 1000 - 2048


def test_position_is_raw_minus_offset_within_a_turn(servo):
    write(servo, "homing_offset", 904)
    run(servo, 0.01, position=628.0)
    assert read(servo, "present_position") == 3820


def test_overload_reduces_torque_and_is_sticky_until_relieved(servo):
    write(servo, "goal_position", 3000)
    assert run(servo, 1.9, duty=1.0).torque == 1.0
    assert run(servo, 0.2, duty=1.0).torque == pytest.approx(0.2)
    assert servo.handle(Ping(1)).error == OVERLOAD
    run(servo, 5.0, duty=0.2)
    assert servo.handle(SyncRead((1,), 56, 2)).error == OVERLOAD
    run(servo, 0.1, duty=0.05)
    assert servo.handle(Ping(1)).error == 0


def test_moving_under_load_is_no_overload(servo):
    write(servo, "goal_position", 3000)
    run(servo, 5.0, duty=1.0, velocity=800.0)
    assert servo.handle(Ping(1)).error == 0


def test_a_torque_switch_clears_overload(servo):
    write(servo, "goal_position", 3000)
    run(servo, 2.5, duty=1.0)
    write(servo, "torque_enable", 0)
    write(servo, "torque_enable", 1)
    assert servo.handle(Ping(1)).error == 0


def test_over_current_switches_off(servo):
    write(servo, "goal_position", 3000)
    drive = run(servo, 2.1, current=2.4, velocity=800.0)
    assert servo.handle(Ping(1)).error == CURRENT and drive.torque == 0.0


@pytest.mark.parametrize("sensed, bit, torque", [
    ({"temperature": 71.0}, TEMPERATURE, 0.0),
    ({"voltage": 3.9}, VOLTAGE, 1.0),  # shown, but not armed to unload by default
    ({"voltage": 14.5}, VOLTAGE, 1.0),
    ({"encoder_ok": False}, ENCODER, 1.0),
])
def test_protections_show_and_clear(servo, sensed, bit, torque):
    write(servo, "goal_position", 3000)
    drive = run(servo, 0.2, **sensed)
    assert servo.handle(Ping(1)).error == bit and drive.torque == torque
    run(servo, 0.1)
    assert servo.handle(Ping(1)).error == 0


def test_over_voltage_needs_persistence(servo):
    run(servo, 50 * TICK, voltage=15.0)
    assert servo.handle(Ping(1)).error == 0


def test_response_level_silences_writes_only(servo):
    write(servo, "response_level", 0)
    assert write(servo, "torque_enable", 0) is None
    assert servo.handle(Ping(1)) is not None
    assert read(servo, "response_level") == 0


def test_registered_write_waits_for_action(servo):
    servo.handle(RegWrite(1, 42, b"\x00\x09"))
    assert read(servo, "registered") == 1 and read(servo, "torque_enable") == 0
    assert servo.handle(Action(BROADCAST)) is None
    assert read(servo, "goal_position") == 0x0900 and read(servo, "registered") == 0


def test_the_boot_loader_is_a_trap_until_power_is_cycled(servo):
    assert servo.handle(Other(1, 0x08)) is None
    assert servo.handle(Ping(1)) is None
    servo.boot()
    assert servo.handle(Ping(1)) is not None


def test_a_new_id_counts_at_once(servo):
    write(servo, "lock", 0)
    register = servo.memory.table["id"]
    servo.handle(Write(1, register.address, b"\x07"))
    assert servo.handle(Ping(1)) is None and servo.handle(Ping(7)) is not None


def test_telemetry(servo):
    run(servo, 0.01, position=2100.4, velocity=-50.0, duty=-0.25, current=-0.65, voltage=11.9, temperature=31.4)
    seen = {n: read(servo, f"present_{n}") for n in
            ("position", "velocity", "load", "current", "voltage", "temperature")}
    assert seen == {"position": 2100, "velocity": -50, "load": -250, "current": -100, "voltage": 119,
                    "temperature": 31}
