"""What a Dynamixel X does with single registers: limits, indirect addresses, drive modes, a second id."""

import pytest

from hardware.protocols.messages import (
    BROADCAST,
    BulkWrite,
    Damage,
    Ping,
    Read,
    RegWrite,
    Reply,
    SyncWrite,
    Write,
)
from hardware.protocols.models import table
from hardware.virtual.dynamixel import ALERT, GOAL_ENERGISES, REVERSE, TIMED, Dynamixel
from hardware.virtual.dynamixel_memory import ACCESS, CRC, LIMIT
from hardware.virtual.servo import Sensed
from tests.hardware.test_virtual_dynamixel import TICK, XL330, read, run, write


@pytest.fixture
def servo() -> Dynamixel:
    made = Dynamixel(1, {}, XL330)
    made.settle(Sensed(voltage=5.0))
    return made


def follow(servo: Dynamixel, seconds: float, position: float = 2048.0) -> list[float]:
    """The set points while the shaft follows them."""
    goals = []
    for _ in range(round(seconds / TICK)):
        position = servo.step(TICK, Sensed(voltage=5.0, position=position)).goal
        goals.append(position)
    return goals


@pytest.mark.parametrize("name, good, bad", [
    ("id", 252, 253), ("baud_code", 6, 7), ("return_delay", 254, 255), ("operating_mode", 5, 2),
    ("torque_enable", 1, 2), ("response_level", 1, 3), ("max_position", 4095, 4096), ("bus_watchdog", 127, -1),
    ("profile_velocity", 32767, 32768), ("homing_offset", -1_044_479, 1_044_480), ("pwm_limit", 885, 886)])
def test_values_out_of_range_are_refused(servo, name, good, bad):
    before = read(servo, name)
    assert write(servo, name, bad) == LIMIT
    assert read(servo, name) == before
    register = XL330[name]
    assert servo.handle(Write(1, register.address, register.encode(good))) in (Reply(1, 0, b""), None)
    assert servo.memory.get(name) == good


def test_an_xl430_cannot_control_current():
    made = Dynamixel(1, {}, table("xl430-w250"))
    assert [write(made, "operating_mode", mode) for mode in (0, 1, 3, 4, 5, 16)] == [LIMIT, 0, 0, 0, LIMIT, 0]


def test_a_servo_acknowledges_a_new_id_under_the_old_one(servo):
    assert servo.handle(Write(1, 7, b"\x05")) == Reply(1, 0, b"")
    assert servo.id == 5 and servo.handle(Ping(1)) is None and servo.handle(Ping(5)) is not None


def test_a_wrong_crc_is_complained_of_by_whom_it_was_meant_for(servo):
    assert servo.handle(Damage("CRC", b"", 1)) == Reply(1, CRC, b"")
    assert servo.handle(Damage("CRC", b"", 2)) is None and servo.handle(Damage("CRC", b"", BROADCAST)) is None
    write(servo, "response_level", 1)
    assert servo.handle(Damage("CRC", b"", 1)) is None


# ---------------------------------------------------------------- the second id
def test_the_second_id_is_obeyed_but_never_answered(servo):
    write(servo, "shadow_id", 100)
    assert servo.handle(Ping(100)) is None and servo.handle(Read(100, 65, 1)) is None
    assert servo.handle(Write(100, 65, b"\x01")) is None and read(servo, "led") == 1
    assert servo.handle(RegWrite(100, 65, b"\x00")) is None and read(servo, "registered") == 1
    servo.handle(SyncWrite(65, ((100, b"\x00"), (3, b"\x01"))))
    assert read(servo, "led") == 0
    servo.handle(BulkWrite(((100, 65, b"\x01"),)))
    assert read(servo, "led") == 1


def test_the_second_id_reaches_no_rom(servo):
    write(servo, "shadow_id", 100)
    servo.handle(Write(100, XL330["return_delay"].address, b"\x00"))
    assert read(servo, "return_delay") == 250
    write(servo, "shadow_id", 253)
    servo.handle(Write(253, 65, b"\x01"))
    assert read(servo, "led") == 0


# ---------------------------------------------------------------- indirect addresses
@pytest.mark.parametrize("model, first", [("xl330-m288", 1), ("xl430-w250", 1), ("xl430-w250", 29)])
def test_indirect_addresses_gather_registers(model, first):
    made = Dynamixel(1, {}, table(model))
    made.settle(Sensed(position=1234.0))
    wanted = [*range(132, 136), 146]
    for k, address in enumerate(wanted):
        assert write(made, f"indirect_address_{first + k}", address) == 0
    reply = made.handle(Read(1, made.memory.address(f"indirect_data_{first}"), 5))
    assert reply == Reply(1, 0, (1234).to_bytes(4, "little") + b"\x19")


def test_an_indirect_write_obeys_the_rules_of_what_it_points_to(servo):
    data = servo.memory.address("indirect_data_1")
    for k in range(4):
        write(servo, f"indirect_address_{k + 1}", 116 + k)
    assert servo.handle(Write(1, data, (5000).to_bytes(4, "little"))) == Reply(1, LIMIT, b"")
    assert servo.handle(Write(1, data, (3000).to_bytes(4, "little"))) == Reply(1, 0, b"")
    assert read(servo, "goal_position") == 3000
    write(servo, "indirect_address_1", 132)
    assert servo.handle(Write(1, data, b"\x00")) == Reply(1, ACCESS, b"")


# ---------------------------------------------------------------- drive modes
def test_a_goal_energises_where_the_drive_mode_says_so(servo):
    write(servo, "drive_mode", GOAL_ENERGISES)
    write(servo, "led", 1)
    assert read(servo, "torque_enable") == 0
    write(servo, "goal_position", 2100)
    assert read(servo, "torque_enable") == 1
    assert follow(servo, 1.0)[-1] == pytest.approx(2100)


def test_a_goal_does_not_energise_a_servo_that_shut_down(servo):
    write(servo, "drive_mode", GOAL_ENERGISES)
    run(servo, 0.1, temperature=90.0)
    assert write(servo, "goal_position", 2100) == ALERT
    assert read(servo, "torque_enable") == 0


def test_a_time_based_profile_takes_its_time(servo):
    write(servo, "drive_mode", TIMED)
    write(servo, "profile_velocity", 1000)  # ms
    write(servo, "profile_acceleration", 250)
    write(servo, "torque_enable", 1)
    write(servo, "goal_position", 2548)
    goals = follow(servo, 1.1)
    assert goals[124] - 2048 == pytest.approx(500 / 0.75 * 0.125, rel=0.05)  # after the rise of 250 ms
    assert goals[249] == pytest.approx(2298, abs=5) and goals[450] < 2540
    assert goals[510] == pytest.approx(2548, abs=2)
    write(servo, "profile_velocity", 0)  # as fast as it can
    write(servo, "goal_position", 2048)
    assert follow(servo, 0.5, goals[-1])[-1] == pytest.approx(2048)


def test_a_reversed_servo_counts_the_other_way(servo):
    write(servo, "drive_mode", REVERSE)
    write(servo, "torque_enable", 1)
    write(servo, "goal_position", 3000)
    assert follow(servo, 3.0)[-1] == pytest.approx(4096 - 3000)
    assert read(servo, "present_position") == read(servo, "position_trajectory") == 3000


def test_moving_status_tells_when_it_is_there(servo):
    assert read(servo, "moving_status") == 0
    write(servo, "profile_velocity", 100)
    write(servo, "profile_acceleration", 20)
    write(servo, "torque_enable", 1)
    assert read(servo, "moving_status") == 0b110001
    write(servo, "goal_position", 3000)
    position = follow(servo, 0.2)[-1]
    assert read(servo, "moving_status") == 0b110010
    follow(servo, 4.0, position)
    assert read(servo, "moving_status") == 0b110001
    run(servo, 0.02, position=2500.0)  # something holds it
    assert read(servo, "moving_status") == 0b111000
    write(servo, "profile_acceleration", 0)
    assert read(servo, "moving_status") >> 4 == 1
    write(servo, "profile_velocity", 0)
    assert read(servo, "moving_status") >> 4 == 0
