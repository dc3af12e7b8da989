"""Virtual servos on their wire, in virtual time: timing, baud, echo, collisions, faults, determinism."""

import numpy as np
import pytest

from hardware.bus import Bus
from hardware.protocols.envelope import checksum
from hardware.protocols.messages import Ping, Read, Reply, SyncRead, Write
from hardware.protocols.models import codec, table
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from robot.arms.so101 import so101
from robot.errors import BusError, ConfigError
from tests.hardware.small_arm import plain_arm

TABLE = table("sts3215")
IDS = [1, 2, 3, 4, 5, 6]
BLOCK = (56, 15)


class Desk:
    """A virtual SO-101 and the project's own driver on it."""

    def __init__(self, echo: bool = False, factory=None, seed: int = 0) -> None:
        self.model = so101()
        self.plant = JointPlant(self.model)
        self.plant.place(np.array([0.2, -0.4, 0.6, 0.3, 0.0, 0.5]))
        self.rig = Rig(self.model, self.plant, self.plant.q, 0.002, seed, factory=factory)
        self.wire = VirtualBus(self.rig, self.model.bus, echo)
        self.port = VirtualPort(self.wire)
        self.bus = Bus(self.port, codec(self.model.bus), self.port.clock)

    def wait(self, seconds: float) -> None:
        self.port.clock.wait(self.port.clock.now() + seconds)

    def positions(self) -> list[int | None]:
        return [self.cut("present_position", r.data) for r in self.bus.sync_read(IDS, *BLOCK).values()]

    def cut(self, name: str, data: bytes | None) -> int | None:
        return None if data is None else TABLE.cut(name, BLOCK[0], data)

    def go(self, counts: int) -> None:
        self.bus.sync_write(42, [(i, counts.to_bytes(2, "little")) for i in IDS])

    def answered(self) -> list[bool]:
        return [r.ok for r in self.bus.sync_read(IDS, *BLOCK).values()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_replies_take_their_time_on_the_wire(desk):
    reply = 10 / 1_000_000
    out = codec("feetech").encode(SyncRead(tuple(IDS), *BLOCK))
    bursts = desk.wire.receive(out, 5.0, 1_000_000)
    heard = 5.0 + len(out) * reply
    assert [round((b.start - heard) / reply) for b in bursts] == [k * 21 for k in range(6)]
    assert bursts[-1].end - 5.0 == pytest.approx((len(out) + 126) * reply)


def test_a_missing_servo_leaves_a_hole_and_costs_the_others_nothing(desk):
    desk.rig.inject("servo 3 off")
    desk.wait(0.01)
    assert desk.answered() == [True, True, False, True, True, True]


def test_return_delay_shifts_replies():
    desk = Desk(factory={2: {"return_delay": 250}})
    assert desk.bus.ping(2).took - desk.bus.ping(1).took == pytest.approx(500e-6, abs=2e-6)


def test_the_wrong_baud_hears_nothing(desk):
    desk.port.baud = 500_000
    assert desk.bus.who(IDS) == []
    desk.port.baud = 1_000_000
    assert desk.bus.who(IDS) == IDS


def test_a_servo_at_another_baud_answers_only_there():
    desk = Desk(factory={4: {"baud_code": 1}})
    assert desk.bus.scan([1_000_000, 500_000], IDS) == {1_000_000: [1, 2, 3, 5, 6], 500_000: [4]}


def test_echo_is_what_was_sent_and_the_driver_strips_it():
    desk = Desk(echo=True)
    desk.port.write(b"\x12\x34")
    desk.wait(0.001)
    assert desk.port.drain() == b"\x12\x34"
    assert desk.bus.probe_echo()
    assert desk.positions()[0] == round(2048 + 0.2 * 4096 / (2 * np.pi))


def test_two_servos_with_one_id_spoil_each_other():
    desk = Desk(factory={2: {"id": 1}})
    bursts = desk.wire.receive(codec("feetech").encode(Read(1, 56, 2)), 9.0, 1_000_000)
    assert len(bursts) == 1
    assert checksum(bursts[0].data[2:-1]) != bursts[0].data[-1]


def test_a_request_may_come_in_pieces(desk):
    """As from a program that writes byte by byte, or an adapter that splits packets."""
    ping, at = codec("feetech").encode(Ping(2)), 5.0
    for k, byte in enumerate(ping):
        bursts = desk.wire.receive(bytes((byte,)), at + 0.003 * k, 1_000_000)
        assert bool(bursts) == (k == len(ping) - 1)


def test_half_a_request_is_forgotten_when_another_begins_or_after_a_while(desk):
    half, ping = codec("feetech").encode(Read(2, 56, 15))[:5], codec("feetech").encode(Ping(3))
    desk.wire.receive(half, 5.0, 1_000_000)
    assert [b.data[2] for b in desk.wire.receive(ping, 5.002, 1_000_000)] == [3]
    desk.wire.receive(half, 6.0, 1_000_000)
    assert desk.wire.receive(codec("feetech").encode(Read(2, 56, 15))[5:], 6.2, 1_000_000) == []


@pytest.mark.parametrize("servo, protocol, error", [("ax-12a", "dynamixel1", 16), ("xl330-m288", "dynamixel2", 3)])
def test_dynamixels_say_that_a_checksum_is_wrong(servo, protocol, error, tmp_path):
    model = plain_arm(tmp_path, servo)
    plant = JointPlant(model)
    wire = VirtualBus(Rig(model, plant, plant.q, 0.002), protocol)
    made = codec(protocol)
    spoilt = made.encode(Write(2, 24 if error == 16 else 64, b"\x01"))
    spoilt = spoilt[:-1] + bytes((spoilt[-1] ^ 1,))
    (said,) = wire.receive(spoilt, 5.0, 1_000_000)
    assert made.reader({2: 0}).feed(said.data) == [Reply(2, error, b"")]
    assert not any(wire.rig.energised)


def test_answers_of_different_lengths_do_not_run_into_each_other(tmp_path):
    model = plain_arm(tmp_path, "xl330-m288")
    plant = JointPlant(model)
    port = VirtualPort(VirtualBus(Rig(model, plant, plant.q, 0.002), "dynamixel2"))
    bus = Bus(port, codec("dynamixel2"), port.clock)
    found = bus.bulk_read([(1, 0, 2), (2, 120, 27), (3, 146, 1)])
    assert [len(r.data or b"") for r in found.values()] == [2, 27, 1]
    assert found[1].data == (1200).to_bytes(2, "little")


def test_goals_move_the_arm_and_gravity_shows(desk):
    desk.go(2048)
    desk.wait(2.0)
    assert np.abs(np.array(desk.positions()) - 2048).max() < 15
    loads = [desk.cut("present_load", r.data) for r in desk.bus.sync_read(IDS, *BLOCK).values()]
    assert abs(loads[1]) > 100 and abs(loads[0]) < 60


def test_half_the_gain_sags_twice_as_far():
    def sag(gain: int) -> float:
        desk = Desk(factory={3: {"position_p": gain}})
        desk.go(2048)
        desk.wait(3.0)
        return float(desk.rig.state.q[2])

    assert sag(16) == pytest.approx(2 * sag(32), rel=0.3)


def test_a_limp_arm_falls(desk):
    before = desk.rig.state.q.copy()
    desk.wait(2.0)
    assert desk.rig.state.q[1] > before[1] + 0.3 and desk.rig.state.q[0] == pytest.approx(before[0])


def test_same_seed_same_bytes():
    def heard(seed: int) -> bytes:
        desk = Desk(seed=seed)
        desk.rig.inject("bus garbage 0.3")
        out = b""
        for _ in range(50):
            desk.wait(0.01)
            desk.port.write(codec("feetech").encode(Read(1, 56, 2)))
            desk.wait(0.002)
            out += desk.port.drain()
        return out

    assert heard(1) == heard(1) != heard(2)


# ---------------------------------------------------------------- faults
def values(desk: Desk, name: str) -> list[int]:
    return [desk.cut(name, r.data) for r in desk.bus.sync_read(IDS, *BLOCK).values()]


def test_servo_off_is_limp_and_boots_when_back(desk):
    desk.go(2048)
    desk.wait(1.0)
    desk.rig.inject("servo 3 off for 1")
    desk.wait(0.5)
    assert desk.rig.energised == [True, True, False, True, True, True]
    desk.wait(1.0)
    assert desk.bus.get(3, TABLE["torque_enable"]) == 0


def test_servo_stuck_keeps_answering_the_same(desk):
    desk.go(2048)
    desk.wait(0.2)
    desk.rig.inject("servo 2 stuck")
    desk.wait(0.01)
    held = desk.bus.get(2, TABLE["goal_position"])
    desk.go(2400)
    desk.wait(0.5)
    assert desk.bus.get(2, TABLE["goal_position"]) == held == 2048
    assert abs(desk.positions()[0] - 2400) < 20


def test_servo_wrong_is_another_model(desk):
    desk.rig.inject("servo 2 wrong 1200")
    desk.wait(0.01)
    assert [desk.bus.get(i, TABLE["model_number"]) for i in (1, 2, 3)] == [777, 1200, 777]


def test_reply_faults(desk):
    desk.rig.inject("reply 1 off")
    desk.rig.inject("reply 2 garbage")
    desk.rig.inject("reply gripper slow 0.03")
    desk.wait(0.01)
    assert desk.answered() == [False, False, True, True, True, False]
    assert desk.bus.servos[2].corrupt > 0
    desk.go(2200)
    desk.wait(1.5)
    assert desk.rig.state.q[0] == pytest.approx(152 * 2 * np.pi / 4096, abs=0.02)  # it hears all the same


@pytest.mark.parametrize("late", [0.0012, 0.005, 0.0123, 0.031])
def test_a_late_answer_never_passes_for_another(desk, late):
    desk.bus.end = TABLE.size
    for servo in IDS:
        desk.bus.ping(servo)  # by now the bus expects answers at once
    desk.rig.inject(f"servo 3 slow {late}")
    desk.wait(0.01)
    written = {"id": 3, "max_torque": 1000}
    for register in [r for r in TABLE.registers.values() if r.address < 40]:
        seen = desk.bus.get(3, register)
        assert seen in (None, written.get(register.name, register.default)), register.name


def test_motor_faults(desk):
    desk.go(2048)
    desk.wait(1.0)
    for text in ("motor 1 stuck", "motor 5 off"):
        desk.rig.inject(text)
    desk.go(2300)
    desk.wait(1.5)
    q = desk.rig.state.q
    assert abs(q[0]) < 0.02 and abs(q[4]) < 0.02 and q[3] > 0.3
    load, current = values(desk, "present_load"), values(desk, "present_current")
    assert abs(load[0]) > 800 and abs(load[4]) > 800  # an STS3215's load is what it asks of its motor, not what flows
    assert abs(current[0]) > 100 and current[4] == 0


@pytest.mark.parametrize("text, expected", [
    ("encoder 1 off", 0), ("encoder 1 wrong 200", 2378), ("encoder 1 stuck", 2178)])
def test_encoder_faults(desk, text, expected):
    desk.rig.inject(text)
    desk.wait(0.1)
    assert desk.positions()[0] == expected
    if "off" in text:
        assert desk.bus.ping(1).error == 2


def test_temperature_and_supply_faults(desk):
    desk.rig.inject("temperature 2 wrong 82")
    desk.rig.inject("supply wrong 9")
    desk.wait(0.1)
    assert values(desk, "present_temperature")[1] == 82
    assert max(values(desk, "present_voltage")) <= 90
    assert [r.error for r in desk.bus.sync_read(IDS, *BLOCK).values()] == [0, 4, 0, 0, 0, 0]


def test_a_soft_supply_browns_out_under_load(desk):
    desk.go(2048)
    desk.wait(0.5)
    desk.rig.inject("supply slow 8.0")
    desk.rig.inject("motor stuck")
    desk.go(3000)
    desk.wait(0.2)
    assert desk.bus.get(1, TABLE["torque_enable"]) == 0


def test_bus_faults(desk):
    desk.rig.inject("bus off for 1")
    desk.wait(0.1)
    assert desk.answered() == [False] * 6
    desk.wait(1.0)
    assert desk.answered() == [True] * 6
    before = desk.bus.ping(1).took
    desk.rig.inject("bus slow 0.0003")
    desk.wait(0.01)
    assert desk.bus.ping(1).took == pytest.approx(before + 0.0003, abs=1e-5)


def test_unplugged_adapter_raises(desk):
    desk.rig.inject("adapter off")
    with pytest.raises(BusError, match="gone"):
        for _ in range(10):
            desk.wait(0.01)
            desk.bus.ping(1)


def test_clear_ends_everything(desk):
    for text in ("servo 3 off", "bus garbage", "encoder 1 stuck"):
        desk.rig.inject(text)
    desk.wait(0.1)
    desk.rig.clear()
    desk.wait(0.1)
    assert desk.answered() == [True] * 6


@pytest.mark.parametrize("text", ["servo 9 off", "motor garbage", "wheel 1 off", "servo 1 off when mood > 3",
                                  "servo 1 off when q > 3"])
def test_what_cannot_be_done_is_refused(desk, text):
    with pytest.raises(ConfigError):
        desk.rig.inject(text)
    assert len(desk.rig.faults) == 0


def test_motors_heat_under_load_and_cool(desk):
    desk.go(2048)
    desk.wait(1.0)
    desk.rig.inject("motor 1 stuck")
    desk.go(2048 + 28)  # hard, but not yet what the servo calls an overload
    desk.wait(12.0)
    hot = desk.rig.heat.celsius.copy()
    assert hot[0] > hot[4] + 3
    desk.rig.clear()
    desk.go(2048)
    desk.wait(15.0)
    assert desk.rig.heat.celsius[0] < hot[0]


def test_the_whole_instruction_set_through_the_driver(desk):
    bus = desk.bus
    assert bus.who(IDS) == IDS
    assert bus.reg_write(2, 41, b"\x21").ok and bus.get(2, TABLE["acceleration"]) == 0
    assert bus.get(2, TABLE["registered"]) == 1
    bus.action()
    assert bus.get(2, TABLE["acceleration"]) == 0x21
    bus.sync_write(41, [(i, bytes((i,))) for i in IDS])
    assert [r.data for r in bus.sync_read(IDS, 41, 1).values()] == [bytes((i,)) for i in IDS]
    bus.bulk_write([(1, 41, b"\x07"), (2, 46, b"\x10\0")])  # one by one: the format has no instruction for it
    assert [r.data for r in bus.bulk_read([(1, 41, 1), (2, 46, 2)]).values()] == [b"\x07", b"\x10\0"]
    assert bus.write(3, 41, b"\x09").ok and bus.read(3, 41, 1).data == b"\x09"
