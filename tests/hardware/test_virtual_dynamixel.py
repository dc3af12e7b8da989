"""The Dynamixel firmware as a state machine, and three models of it on one bus under the project's driver."""

import itertools

import numpy as np
import pytest

from hardware.bus import Bus
from hardware.protocols.messages import (
    BROADCAST,
    Action,
    BulkRead,
    BulkWrite,
    Clear,
    FactoryReset,
    Other,
    Ping,
    Read,
    Reboot,
    RegWrite,
    Reply,
    SyncRead,
    SyncWrite,
    Write,
)
from hardware.protocols.models import codec, table
from hardware.servo_arm import ServoArm
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.dynamixel import ALERT, BOOT, OVERHEAT, OVERLOAD, Dynamixel
from hardware.virtual.dynamixel_memory import ACCESS, INSTRUCTION, LENGTH, LIMIT, RANGE, RESULT
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from hardware.virtual.servo import Sensed
from robot import registry
from robot.arms import ArmModel
from robot.clock import SimClock
from robot.interfaces import Health
from tests.hardware.small_arm import plain_arm, small_arm

TICK = 0.002
XL330 = table("xl330-m288")


def run(servo: Dynamixel, seconds: float, **sensed):
    drive = None
    for _ in range(round(seconds / TICK)):
        drive = servo.step(TICK, Sensed(**{"voltage": 5.0, **sensed}))
    return drive


def write(servo: Dynamixel, name: str, counts: int) -> int:
    """The error byte of the acknowledgement."""
    register = servo.memory.table[name]
    reply = servo.handle(Write(servo.id, register.address, register.encode(counts)))
    assert reply is not None and reply.data == b""
    return reply.error


def read(servo: Dynamixel, name: str) -> int:
    register = servo.memory.table[name]
    reply = servo.handle(Read(servo.id, register.address, register.size))
    assert reply is not None
    return register.decode(reply.data)


@pytest.fixture
def servo() -> Dynamixel:
    made = Dynamixel(1, {}, XL330)
    made.settle(Sensed(voltage=5.0))
    return made


def test_ping_says_model_and_firmware(servo):
    assert servo.handle(Ping(1)) == Reply(1, 0, b"\xb0\x04\x30")
    assert servo.handle(Ping(BROADCAST)) is not None and servo.handle(Ping(2)) is None


def test_goal_write_alone_does_not_energise(servo):
    assert write(servo, "goal_position", 3000) == 0
    assert run(servo, 0.5, position=2048.0).torque == 0.0
    assert write(servo, "torque_enable", 1) == 0
    assert run(servo, 3.0, position=2048.0).goal == pytest.approx(3000)


@pytest.mark.parametrize("name, counts, error", [
    ("present_position", 0, ACCESS), ("goal_position", 5000, LIMIT), ("goal_velocity", 900, LIMIT),
    ("goal_pwm", 900, LIMIT), ("goal_current", 2000, LIMIT)])
def test_writes_that_are_refused_say_why(servo, name, counts, error):
    before = read(servo, name)
    assert write(servo, name, counts) == error
    assert read(servo, name) == before


def test_rom_is_closed_while_torque_is_on(servo):
    write(servo, "torque_enable", 1)
    assert write(servo, "return_delay", 0) == ACCESS
    write(servo, "torque_enable", 0)
    assert write(servo, "return_delay", 0) == 0
    servo.boot()
    assert read(servo, "return_delay") == 0


def test_lengths_and_ranges(servo):
    assert servo.handle(Write(1, 116, b"\x00\x08")).error == LENGTH
    assert servo.handle(Write(1, 227, b"\x00\x08")).error == RANGE
    assert servo.handle(Read(1, 220, 50)) == Reply(1, RANGE, b"")
    assert servo.handle(Other(1, 0x77)).error == INSTRUCTION


def test_shutdown_takes_torque_and_only_reboot_returns_it(servo):
    write(servo, "torque_enable", 1)
    assert run(servo, 0.1, temperature=75.0).torque == 0.0
    run(servo, 0.1)  # cooled down; the latch stays
    assert read(servo, "status") == OVERHEAT
    assert write(servo, "torque_enable", 1) == RESULT | ALERT
    assert servo.handle(Reboot(1)) == Reply(1, 0, b"")
    assert servo.handle(Ping(1)) is None  # it is booting
    run(servo, BOOT + 0.01)
    assert write(servo, "torque_enable", 1) == 0


def test_overload_needs_time_and_no_motion(servo):
    write(servo, "torque_enable", 1)
    run(servo, 1.0, duty=1.0)
    assert read(servo, "status") == 0
    run(servo, 0.6, duty=1.0)
    assert read(servo, "status") == OVERLOAD and read(servo, "torque_enable") == 0


def test_an_error_that_is_not_armed_only_alerts(servo):
    write(servo, "shutdown_mask", 0)
    write(servo, "torque_enable", 1)
    assert run(servo, 0.1, temperature=75.0).torque > 0.0
    assert servo.handle(Ping(1)).error == ALERT


def test_bus_watchdog_stops_and_closes_the_goals(servo):
    write(servo, "torque_enable", 1)
    write(servo, "goal_position", 3000)
    write(servo, "profile_velocity", 20)
    write(servo, "bus_watchdog", 5)
    run(servo, 0.09, position=2100.0)
    servo.handle(Ping(9))  # any packet feeds it
    run(servo, 0.09, position=2200.0)
    assert read(servo, "bus_watchdog") == 5
    drive = run(servo, 0.12, position=2200.0)
    assert drive.goal == pytest.approx(2200.0) and drive.torque > 0
    assert read(servo, "bus_watchdog") == -1
    assert write(servo, "goal_position", 2500) == RANGE
    assert write(servo, "bus_watchdog", 0) == 0
    assert write(servo, "goal_position", 2500) == 0


def test_the_clock_runs_and_reboot_resets_it(servo):
    run(servo, 1.0)
    assert read(servo, "realtime_tick") == pytest.approx(1000, abs=2)
    run(servo, 32.0)
    assert read(servo, "realtime_tick") == pytest.approx(33000 - 32768, abs=2)
    servo.boot()
    assert read(servo, "realtime_tick") == 0


def test_mode_change_resets_gains_and_profile(servo):
    write(servo, "position_p", 900)
    write(servo, "profile_velocity", 50)
    write(servo, "operating_mode", 1)
    assert [read(servo, n) for n in ("position_p", "profile_velocity")] == [400, 0]
    write(servo, "torque_enable", 1)
    write(servo, "goal_velocity", 100)
    assert run(servo, 0.1, position=2048.0).goal == pytest.approx(2048 + 100 * 0.229 * 4096 / 60 * 0.1, rel=0.05)


def test_current_based_position_limits_torque(servo):
    write(servo, "operating_mode", 5)
    write(servo, "goal_current", 175)
    write(servo, "torque_enable", 1)
    assert run(servo, 0.1).torque == pytest.approx(0.1)


def test_homing_offset_and_direction(servo):
    run(servo, 0.01, position=1000.0)
    write(servo, "homing_offset", -300)
    assert read(servo, "present_position") == 700
    write(servo, "homing_offset", 0)
    write(servo, "drive_mode", 1)
    assert read(servo, "present_position") == 3096


def test_indirect_addresses_gather_registers(servo):
    position = XL330["present_position"].address
    for k in range(4):
        servo.handle(Write(1, XL330[f"indirect_address_{k + 1}"].address, (position + k).to_bytes(2, "little")))
    run(servo, 0.01, position=2222.0)
    assert servo.handle(Read(1, XL330["indirect_data_1"].address, 4)).data == (2222).to_bytes(4, "little")
    led = XL330["led"].address
    servo.handle(Write(1, XL330["indirect_address_5"].address, led.to_bytes(2, "little")))
    assert servo.handle(Write(1, XL330["indirect_data_5"].address, b"\x01")).error == 0
    assert read(servo, "led") == 1


@pytest.mark.parametrize("level, heard", [(0, [True, False, False]), (1, [True, True, False]), (2, [True] * 3)])
def test_status_return_level(servo, level, heard):
    write(servo, "response_level", level)
    replies = [servo.handle(Ping(1)), servo.handle(Read(1, 132, 4)), servo.handle(Write(1, 65, b"\x01"))]
    assert [r is not None for r in replies] == heard


def test_registered_sync_and_bulk_writes(servo):
    goal = XL330["goal_position"]
    assert servo.handle(RegWrite(1, goal.address, goal.encode(2500))).error == 0
    assert read(servo, "goal_position") == 2048
    assert servo.handle(Action(1)).error == 0 and read(servo, "goal_position") == 2500
    assert servo.handle(Action(1)).error == RESULT
    assert servo.handle(SyncWrite(goal.address, ((1, goal.encode(2600)), (2, goal.encode(0))))) is None
    assert read(servo, "goal_position") == 2600
    servo.handle(BulkWrite(((2, 65, b"\x01"), (1, goal.address, goal.encode(2700)))))
    assert read(servo, "goal_position") == 2700 and read(servo, "led") == 0


def test_clear_and_factory_reset(servo):
    run(servo, 0.01, velocity=300.0)
    assert servo.handle(Clear(1)).error == RESULT
    run(servo, 0.01)
    assert servo.handle(Clear(1)).error == 0
    write(servo, "return_delay", 10)
    assert servo.handle(FactoryReset(BROADCAST, False, False)) is None
    assert read(servo, "return_delay") == 10
    assert servo.handle(FactoryReset(1)).error == 0
    run(servo, BOOT + 0.01)
    assert read(servo, "return_delay") == 250


# ---------------------------------------------------------------- several on a bus
@pytest.fixture
def model(tmp_path, monkeypatch) -> ArmModel:
    made = small_arm(tmp_path)
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    registry.load("model")
    monkeypatch.setitem(registry._OPTIONS["model"], "small", lambda: made)
    return made


class Desk:
    def __init__(self, model: ArmModel) -> None:
        plant = JointPlant(model)
        # each is powered as it likes: this is about the bus
        factory = {1: {"min_voltage": 40}, 2: {"min_voltage": 40}, 3: {"min_voltage": 40}, 4: {"max_voltage": 140}}
        self.rig = Rig(model, plant, plant.q, 0.002, factory=factory)
        self.wire = VirtualBus(self.rig, model.bus)
        self.clock = SimClock(self.rig.advance)
        self.bus = Bus(self.port(), codec(model.bus), self.clock)

    def port(self) -> VirtualPort:
        return VirtualPort(self.wire, clock=self.clock)

    def wait(self, seconds: float) -> None:
        self.clock.wait(self.clock.now() + seconds)


def test_sync_fast_and_bulk_reads_agree(model):
    desk = Desk(model)
    desk.wait(0.1)
    op = SyncRead((1, 2, 3, 4), 132, 4)
    slow = {i: r.data for i, r in desk.bus.request(op).items()}
    fast = {i: r.data for i, r in desk.bus.request(op._replace(fast=True)).items()}
    bulk = {i: r.data for i, r in desk.bus.request(BulkRead(tuple((i, 132, 4) for i in (1, 2, 3, 4)))).items()}
    assert None not in slow.values() and slow == fast == bulk


def test_each_answer_waits_its_return_delay(model):
    desk = Desk(model)
    out = codec("dynamixel2").encode(SyncRead((1, 2, 3, 4), 132, 4))
    bursts = desk.wire.receive(out, 1.0, 1_000_000)
    gaps = [b.start - a.end for a, b in itertools.pairwise(bursts)]
    assert gaps == pytest.approx([500e-6] * 3, abs=1e-6)


def test_a_gap_ends_a_fast_answer_but_not_a_slow_one(model):
    desk = Desk(model)
    desk.rig.inject("servo 2 off")
    desk.wait(0.1)
    op = SyncRead((1, 2, 3, 4), 132, 4)
    assert [r.ok for r in desk.bus.request(op).values()] == [True, False, True, True]
    fast = op._replace(fast=True)
    said = desk.wire.receive(codec("dynamixel2").encode(fast), desk.clock.now(), 1_000_000)
    assert len(b"".join(burst.data for burst in said)) == 8 + 8  # one header, one servo
    desk.wait(0.01)
    for _ in range(3):  # the driver asks those behind the gap again
        assert [r.ok for r in desk.bus.request(fast).values()] == [True, False, True, True]


def test_servos_that_know_no_joint_packet_are_asked_for_one_only_a_few_times(model):
    desk = Desk(model)
    desk.wait(0.1)
    heard = []
    answer = desk.wire._answer_fast
    desk.wire._answer_fast = lambda *args: heard.append(args) or []
    for _ in range(10):
        assert all(r.ok for r in desk.bus.sync_read((1, 2, 3, 4), 132, 4).values())
    assert len(heard) == 3
    desk.wire._answer_fast = answer


def test_the_driver_moves_it_and_survives_a_shutdown(model):
    desk = Desk(model)
    arm = ServoArm("small", desk.port, desk.clock)
    arm.open()
    arm.engage()
    q = np.array([0.5, -0.4, 0.6])
    for _ in range(200):
        arm.command(q)
        state = arm.read()
        desk.wait(0.01)
    assert state.q == pytest.approx(q, abs=0.06)
    desk.rig.inject("temperature 4 wrong 90 for 0.5")
    for _ in range(100):
        arm.command(q)
        state = arm.read()
        desk.wait(0.01)
    assert state.health[2] & Health.TEMPERATURE and state.health[2] & Health.LIMP
    assert not state.health[0] & Health.LIMP
    arm.close()
    desk.wait(0.01)
    assert desk.rig.energised == [False] * 4


def test_an_arm_of_five_volt_servos_wakes_up_well(tmp_path):
    made = plain_arm(tmp_path, "xl330-m288")
    plant = JointPlant(made)
    rig = Rig(made, plant, plant.q, 0.002)
    port = VirtualPort(VirtualBus(rig, made.bus))
    bus = Bus(port, codec(made.bus), port.clock)
    port.clock.wait(0.1)
    assert [bus.ping(servo).error for servo in (1, 2, 3)] == [0, 0, 0]
    assert bus.put(1, XL330["torque_enable"], 1)


def test_the_whole_instruction_set_through_the_driver(model):
    desk = Desk(model)
    desk.wait(0.1)
    bus, led = desk.bus, table("xl430-w250")["led"]
    assert bus.reg_write(1, led.address, b"\x01").ok
    assert bus.get(1, led) == 0
    bus.action()
    assert bus.get(1, led) == 1
    bus.bulk_write([(1, 65, b"\0"), (2, 80, b"\x10\0")])
    blocks = {i: r.data for i, r in bus.bulk_read([(1, 65, 1), (2, 80, 2), (4, 144, 3)]).items()}
    assert (blocks[1], blocks[2], len(blocks[4])) == (b"\0", b"\x10\0", 3)
    fast = bus.request(BulkRead(((1, 65, 1), (2, 80, 2), (4, 144, 3)), fast=True))
    assert {i: r.data for i, r in fast.items()} == blocks
    assert bus.request(Reboot(1))[1].ok and not bus.ping(1, retries=0).ok  # away for a moment
    desk.wait(BOOT + 0.01)
    assert bus.ping(1).ok and bus.request(Clear(1))[1].error & 0x7F == 0
    assert bus.request(FactoryReset(4))[4].ok
    desk.wait(BOOT + 0.01)
    assert bus.get(4, XL330["id"]) == 4
